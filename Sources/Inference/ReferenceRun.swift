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
      case .averagePool(let size, let keepsRest):
        unsafe forEachPlane(input, output, from, target) { plane, result in
          unsafe means(
            of: plane, height: input.height, width: input.width, size: size, keepsRest: keepsRest, to: result)
        }
      case .blurPool(let stride):
        unsafe forEachPlane(input, output, from, target) { plane, result in
          unsafe blurred(plane, height: input.height, width: input.width, stride: stride, to: result)
        }
      case .padChannels(let each, let stride):
        unsafe padChannels(each, stride, input, output, from, target)
      case .channelGate(let gate):
        unsafe self.gate(gate, input, from, target)
      case .groupNormalization(let normalization):
        unsafe normalization.apply(input, from, target, workspace.pool)
      case .silu:
        workspace.pool.forEach(input.channels) { channel, _ in
          for place in channel * input.columns..<(channel + 1) * input.columns {
            unsafe target[place] = silu(source[place])
          }
        }
      case .attentionPool(let pool):
        unsafe pool.apply(input, from, target, workspace.pool)
      case .batchNormalization(let scale, let bias, let epsilon):
        unsafe normalize(scale.base, bias.base, epsilon, input, from, target)
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

  private func forEachPlane(
    _ input: ValueShape, _ output: ValueShape, _ source: UnsafePointer<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>,
    _ body: (UnsafePointer<Scalar>, UnsafeMutablePointer<Scalar>) -> Void
  ) {
    workspace.pool.forEach(input.channels * input.batch) { plane, _ in
      unsafe body(
        source + plane * input.height * input.width, target + plane * output.height * output.width)
    }
  }

  /// Option A of He et al. 2015: what is left of the map stands between channels of zeros.
  private func padChannels(
    _ each: Int, _ stride: Int, _ input: ValueShape, _ output: ValueShape, _ source: UnsafePointer<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let area = output.height * output.width
    workspace.pool.forEach(output.channels) { channel, _ in
      let planes = unsafe target + channel * output.batch * area
      guard each..<each + input.channels ~= channel else {
        return unsafe planes.update(repeating: 0, count: output.batch * area)
      }
      for image in 0..<output.batch {
        let plane =
          unsafe source + ((channel - each) * input.batch + image) * input.height * input.width
        for y in 0..<output.height {
          for x in 0..<output.width {
            unsafe planes[image * area + y * output.width + x] = plane[y * stride * input.width + x * stride]
          }
        }
      }
    }
  }

  /// Every plane times its channel's number.
  private func gate(
    _ gate: ChannelGate<Scalar>, _ input: ValueShape, _ source: UnsafePointer<Scalar>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    let area = input.height * input.width
    var means = [Scalar](repeating: 0, count: input.channels * input.batch)
    for channel in 0..<input.channels {
      for image in 0..<input.batch {
        unsafe means[image * input.channels + channel] = mean(
          source + (channel * input.batch + image) * area, count: area)
      }
    }
    let factors = gate.factors(means, channels: input.channels, batch: input.batch)
    workspace.pool.forEach(input.channels) { channel, _ in
      for image in 0..<input.batch {
        let (start, factor) = (
          (channel * input.batch + image) * area, factors[image * input.channels + channel]
        )
        for place in start..<start + area { unsafe target[place] = source[place] * factor }
      }
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
