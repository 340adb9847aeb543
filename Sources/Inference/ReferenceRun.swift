internal import Graphs

/// One pass through a network, ready to be executed; made and used by ``ReferenceNetwork``.
public struct ReferenceRun<Scalar: ReferenceScalar> {
  let program: Program<Scalar>
  let workspace: Workspace<Scalar>
  /// Called after each step with the index of the value it made.
  let finished: (Int) -> Void
}

extension ReferenceRun where Scalar: KernelScalar {
  /// Executes every step in order.
  func perform() {
    for step in program.steps {
      guard let input = workspace.shapes[step.input], let output = workspace.shapes[step.output],
        let source = unsafe workspace.pointer(step.input), let target = unsafe workspace.pointer(step.output)
      else { preconditionFailure("step \(step.name) has no memory") }
      let epilogue = unsafe EpilogueKernel<Scalar>(
        scale: step.epilogue.affine?.scale.base, shift: step.epilogue.affine?.shift.base,
        residual: step.epilogue.residual.flatMap { unsafe UnsafePointer(workspace.pointer($0)) },
        relu: step.epilogue.relu)
      let from = unsafe UnsafePointer(source)
      switch step.kernel {
      case .convolution(let convolution, let weights):
        let tiling = ConvolutionTiling(convolution, output: output)
        let patches = Patches(convolution: convolution, input: input, output: output)
        if tiling.splitsChannels {
          unsafe convolveByChannels(tiling, patches, weights.base, from, epilogue, target)
        } else {
          unsafe convolveByColumns(tiling, patches, weights.base, from, epilogue, target)
        }
      case .maxPool(let pooling):
        unsafe maxPool(pooling, input, from, target)
      case .globalAveragePool:
        unsafe average(input, from, target)
      case .linear(let inputs, let outputs, let weights, let bias):
        unsafe multiply(inputs, outputs, weights.base, bias.base, batch: input.batch, from, target)
      case .pointwise:
        unsafe applyAlone(epilogue, output, from, target)
      }
      finished(step.output)
    }
  }

  /// Each task makes some columns of every channel; patches, products and epilogue stay in its core's cache.
  private func convolveByColumns(
    _ tiling: ConvolutionTiling, _ patches: Patches, _ weights: UnsafePointer<Scalar>,
    _ source: UnsafePointer<Scalar>, _ epilogue: EpilogueKernel<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let groupChannels = patches.convolution.inputChannels / tiling.groups
    workspace.pool.forEach(tiling.tiles) { tile, worker in
      let start = tile * tiling.tileWidth
      let columns = start..<min(start + tiling.tileWidth, tiling.columns)
      for group in 0..<tiling.groups {
        let channels = group * groupChannels..<(group + 1) * groupChannels
        var matrix = unsafe source + (channels.lowerBound * tiling.columns + start)
        if !tiling.isDirect {
          let room = unsafe workspace.patches.base + worker * tiling.workerPatchCount
          unsafe patches.write(channels: channels, columns: columns, from: source, to: room)
          unsafe matrix = UnsafePointer(room)
        }
        for block in 0..<tiling.blocks {
          unsafe multiplyBlock(
            tiling, group: group, block: block, worker: worker, weights, matrix,
            stride: tiling.isDirect ? tiling.columns : columns.count, columns, epilogue, target)
        }
      }
    }
  }

  /// All columns at once: the tasks first share the writing of the patches, then each makes some channels.
  private func convolveByChannels(
    _ tiling: ConvolutionTiling, _ patches: Patches, _ weights: UnsafePointer<Scalar>,
    _ source: UnsafePointer<Scalar>, _ epilogue: EpilogueKernel<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let columns = 0..<tiling.columns
    var matrix = unsafe source
    if !tiling.isDirect {
      let channels = patches.convolution.inputChannels
      let area = patches.convolution.kernel * patches.convolution.kernel
      let share = (channels - 1) / 16 + 1
      workspace.pool.forEach((channels - 1) / share + 1) { task, _ in
        let part = task * share..<min((task + 1) * share, channels)
        let room = unsafe workspace.patches.base + part.lowerBound * area * tiling.columns
        unsafe patches.write(channels: part, columns: columns, from: source, to: room)
      }
      unsafe matrix = UnsafePointer(workspace.patches.base)
    }
    workspace.pool.forEach(tiling.groups * tiling.blocks) { task, worker in
      let (group, block) = task.quotientAndRemainder(dividingBy: tiling.blocks)
      unsafe multiplyBlock(
        tiling, group: group, block: block, worker: worker, weights,
        matrix + group * tiling.depth * tiling.columns, stride: tiling.columns, columns, epilogue, target)
    }
  }

  /// Some channels of one group: weights × patches, then the epilogue on its way to the output.
  @inline(__always)
  private func multiplyBlock(
    _ tiling: ConvolutionTiling, group: Int, block: Int, worker: Int, _ weights: UnsafePointer<Scalar>,
    _ matrix: UnsafePointer<Scalar>, stride: Int, _ columns: Range<Int>, _ epilogue: EpilogueKernel<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let first = group * tiling.channels + block * tiling.blockChannels
    let last = min(first + tiling.blockChannels, (group + 1) * tiling.channels)
    let products = unsafe workspace.products.base + worker * workspace.productCount
    // `addressable` has shown that the columns fit 32 bits; channels and depth are bounded by `check`.
    unsafe Scalar.gemm(
      m: Int32(truncatingIfNeeded: last - first), n: Int32(truncatingIfNeeded: columns.count),
      k: Int32(truncatingIfNeeded: tiling.depth), a: weights + first * tiling.depth,
      lda: Int32(truncatingIfNeeded: tiling.depth), b: matrix, ldb: Int32(truncatingIfNeeded: stride),
      beta: 0,
      c: products, ldc: Int32(truncatingIfNeeded: columns.count))
    unsafe epilogue.apply(
      channels: first..<last, count: columns.count, from: UnsafePointer(products), inputStride: columns.count,
      to: target, outputStride: tiling.columns, outputOffset: columns.lowerBound)
  }

  private func maxPool(
    _ pooling: Pooling, _ input: ValueShape, _ source: UnsafePointer<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let area = input.height * input.width
    let outputArea = pooling.outputSize(input.height) * pooling.outputSize(input.width)
    workspace.pool.forEach(input.channels * input.batch) { plane, worker in
      unsafe pooling.maxima(
        of: source + plane * area, height: input.height, width: input.width,
        line: workspace.patches.base + worker * input.width, to: target + plane * outputArea)
    }
  }

  /// C×N×H×W to N×C.
  private func average(
    _ input: ValueShape, _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>
  ) {
    let area = input.height * input.width
    for channel in 0..<input.channels {
      for image in 0..<input.batch {
        let plane = unsafe source + (channel * input.batch + image) * area
        unsafe target[image * input.channels + channel] = mean(plane, count: area)
      }
    }
  }

  private func multiply(
    _ inputs: Int, _ outputs: Int, _ weights: UnsafePointer<Scalar>, _ bias: UnsafePointer<Scalar>,
    batch: Int,
    _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>
  ) {
    let share = 64
    workspace.pool.forEach((outputs - 1) / share + 1) { task, _ in
      for output in task * share..<min((task + 1) * share, outputs) {
        let row = unsafe weights + output * inputs
        for image in 0..<batch {
          unsafe target[image * outputs + output] =
            dot(row, source + image * inputs, count: inputs) + bias[output]
        }
      }
    }
  }

  private func applyAlone(
    _ epilogue: EpilogueKernel<Scalar>, _ shape: ValueShape, _ source: UnsafePointer<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    workspace.pool.forEach(shape.channels) { channel, _ in
      unsafe epilogue.apply(
        channels: channel..<channel + 1, count: shape.columns, from: source + channel * shape.columns,
        inputStride: shape.columns, to: target, outputStride: shape.columns, outputOffset: 0)
    }
  }
}
