internal import DecantGraphs
internal import DecantIO

/// One forward pass that is ready to execute. ``ReferenceNetwork`` creates and executes it.
package struct ReferenceRun<Scalar: ReferenceScalar> {
  let program: Program<Scalar>
  let workspace: Workspace<Scalar>
  /// Called after each band and each whole step, with the index of the value and the columns that were computed.
  let finished: (Int, Range<Int>) -> Void
}

extension ReferenceRun where Scalar: KernelScalar {
  /// Executes the steps that are planned in bands, then the other steps in order.
  func perform() {
    var done = 0
    if let plan = workspace.bands {
      done = plan.steps.count
      for band in plan.bands {
        let step = program.steps[band.step]
        workspace.prepare(band, of: step.output)
        execute(step, band.columns)
        let isLast = band.columns.upperBound == plan.steps[band.step].map.columns
        if plan.steps[band.step].isStored {
          finished(step.output, band.columns)
        } else if isLast {
          finished(step.output, 0..<(workspace.shapes[step.output]?.columns ?? 0))
        }
      }
    }
    for step in program.steps.dropFirst(done) {
      guard let columns = workspace.shapes[step.sumsAll ? step.input : step.output]?.columns else { continue }
      execute(step, 0..<columns)
      finished(step.output, 0..<(workspace.shapes[step.output]?.columns ?? 0))
    }
  }

  /// Computes some columns of a step's value. A sum over all columns reads those columns instead. Steps that cannot
  /// run in bands compute everything.
  private func execute(_ step: Step<Scalar>, _ columns: Range<Int>) {
    guard let input = workspace.shapes[step.input], let output = workspace.shapes[step.output],
      let source = unsafe workspace.held(step.input), let target = unsafe workspace.held(step.output)
    else { preconditionFailure("step \(step.name) has no memory") }
    let epilogue = unsafe EpilogueKernel<Scalar>(
      scale: step.epilogue.affine?.scale.base, shift: step.epilogue.affine?.shift.base,
      residual: step.epilogue.residual.flatMap { unsafe workspace.held($0) },
      relu: step.epilogue.relu)
    let from = unsafe UnsafePointer(source.base)
    switch step.kernel {
    case .convolution(let convolution, let weights):
      let tiling = ConvolutionTiling(convolution, output: output, widestTile: workspace.widestTile)
      let patches = Patches(convolution: convolution, input: input, output: output)
      if tiling.splitsChannels {
        unsafe convolveByChannels(tiling, patches, weights.base, source, epilogue, target)
      } else {
        unsafe convolveByColumns(tiling, patches, weights.base, source, columns, epilogue, target)
      }
    case .maxPool(let pooling):
      unsafe forEachLine(input, output, source, columns, target) { y, plane, worker, result in
        unsafe pooling.maxPoolLine(
          line: y, of: plane, merged: workspace.patches.base + worker * input.width, to: result)
      }
    case .averagePool(let size, let isCeilMode):
      unsafe forEachLine(input, output, source, columns, target) { y, plane, _, result in
        unsafe averagePoolLine(line: y, of: plane, size: size, isCeilMode: isCeilMode, to: result)
      }
    case .blurPool(let stride):
      unsafe forEachLine(input, output, source, columns, target) { y, plane, _, result in
        unsafe blurred(line: y, of: plane, stride: stride, to: result)
      }
    case .padChannels(let each, let stride):
      unsafe padChannels(each, stride, input, output, source, columns, target)
    case .channelGate(let gate):
      unsafe self.gate(gate, input, from, target.base)
    case .groupNormalization(let normalization):
      unsafe normalization.apply(input, from, target.base, workspace.pool)
    case .silu:
      workspace.pool.forEach(input.channels) { channel, _ in
        let values = unsafe source.pointer(channel, columns.lowerBound)
        let result = unsafe target.pointer(channel, columns.lowerBound)
        for place in 0..<columns.count { unsafe result[place] = silu(values[place]) }
      }
    case .vectorFunction(let function):
      unsafe function.apply(batch: input.batch, channels: input.channels, from, target.base)
    case .vectorAffine(let affine):
      // Vectors are stored image by image.
      for image in 0..<input.batch {
        for channel in 0..<input.channels {
          let index = image * input.channels + channel
          unsafe target.base[index] =
            from[index] * affine.scale.base[channel] + affine.shift.base[channel]
        }
      }
    case .layerNormalization(let normalization):
      unsafe normalization.apply(batch: input.batch, from, target.base)
    case .attentionPool(let pool):
      unsafe pool.apply(input, from, target.base, workspace.pool)
    case .batchNormalization(let scale, let bias, let epsilon):
      unsafe normalize(scale.base, bias.base, epsilon, input, from, target.base)
    case .globalAveragePool:
      if let sums = workspace.sums[step.output] { unsafe average(input, sums, source, columns, target.base) }
    case .linear(let inputs, let outputs, let weights, let bias):
      unsafe multiply(inputs, outputs, weights.base, bias.base, batch: input.batch, from, target.base)
    case .pointwise:
      workspace.pool.forEach(output.channels) { channel, _ in
        unsafe epilogue.apply(
          channels: channel..<channel + 1, columns: columns,
          from: UnsafePointer(source.pointer(channel, columns.lowerBound)), inputStride: source.stride,
          to: target)
      }
    }
  }

  /// Computes the columns in tiles, one per task, for every channel. A task's patches, products and epilogue stay in
  /// its core's cache.
  private func convolveByColumns(
    _ tiling: ConvolutionTiling, _ patches: Patches, _ weights: UnsafePointer<Scalar>,
    _ source: ColumnWindow<Scalar>, _ made: Range<Int>, _ epilogue: EpilogueKernel<Scalar>,
    _ target: ColumnWindow<Scalar>
  ) {
    let groupChannels = patches.convolution.inputChannels / tiling.groups
    // Bands begin and end at tile boundaries.
    let first = made.lowerBound / tiling.tileWidth
    let tiles = (made.upperBound - 1) / tiling.tileWidth + 1 - first
    workspace.pool.forEach(tiles) { tile, worker in
      let start = (first + tile) * tiling.tileWidth
      let columns = start..<min(start + tiling.tileWidth, tiling.columns)
      for group in 0..<tiling.groups {
        let channels = group * groupChannels..<(group + 1) * groupChannels
        var matrix = unsafe UnsafePointer(source.pointer(channels.lowerBound, start))
        if !tiling.isDirect {
          let room = unsafe workspace.patches.base + worker * tiling.workerPatchCount
          unsafe patches.write(channels: channels, columns: columns, from: source, to: room)
          unsafe matrix = UnsafePointer(room)
        }
        for block in 0..<tiling.blocks {
          unsafe multiplyBlock(
            tiling, group: group, block: block, worker: worker, weights, matrix,
            stride: tiling.isDirect ? source.stride : columns.count, columns, epilogue, target)
        }
      }
    }
  }

  /// Computes all columns at once. Tasks first share the im2col, then each task computes a block of channels.
  private func convolveByChannels(
    _ tiling: ConvolutionTiling, _ patches: Patches, _ weights: UnsafePointer<Scalar>,
    _ source: ColumnWindow<Scalar>, _ epilogue: EpilogueKernel<Scalar>, _ target: ColumnWindow<Scalar>
  ) {
    let columns = 0..<tiling.columns
    var matrix = unsafe UnsafePointer(source.pointer(0, 0))
    let stride = unsafe tiling.isDirect ? source.stride : tiling.columns
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
        matrix + group * tiling.depth * stride, stride: stride, columns, epilogue, target)
    }
  }

  /// Computes one block of channels of one group: weights × patches, then the epilogue, which writes to the output.
  @inline(__always)
  private func multiplyBlock(
    _ tiling: ConvolutionTiling, group: Int, block: Int, worker: Int, _ weights: UnsafePointer<Scalar>,
    _ matrix: UnsafePointer<Scalar>, stride: Int, _ columns: Range<Int>, _ epilogue: EpilogueKernel<Scalar>,
    _ target: ColumnWindow<Scalar>
  ) {
    let first = group * tiling.channels + block * tiling.blockChannels
    let last = min(first + tiling.blockChannels, (group + 1) * tiling.channels)
    let products = unsafe workspace.products.base + worker * workspace.productCount
    // `addressable` has checked that the columns fit in 32 bits. `check` bounds channels and depth.
    unsafe Scalar.gemm(
      m: Int32(truncatingIfNeeded: last - first), n: Int32(truncatingIfNeeded: columns.count),
      k: Int32(truncatingIfNeeded: tiling.depth), a: weights + first * tiling.depth,
      lda: Int32(truncatingIfNeeded: tiling.depth), b: matrix, ldb: Int32(truncatingIfNeeded: stride),
      beta: 0,
      c: products, ldc: Int32(truncatingIfNeeded: columns.count))
    unsafe epilogue.apply(
      channels: first..<last, columns: columns, from: UnsafePointer(products), inputStride: columns.count,
      to: target)
  }

  /// Calls `body` for every output line in the columns, for each channel.
  private func forEachLine(
    _ input: ValueShape, _ output: ValueShape, _ source: ColumnWindow<Scalar>, _ columns: Range<Int>,
    _ target: ColumnWindow<Scalar>,
    _ body: (_ y: Int, LineWindow<Scalar>, _ worker: Int, UnsafeMutablePointer<Scalar>) -> Void
  ) {
    let lines = columns.lowerBound / output.width..<columns.upperBound / output.width
    workspace.pool.forEach(input.channels) { channel, worker in
      for line in lines {
        let (image, y) = line.quotientAndRemainder(dividingBy: output.height)
        let plane = unsafe LineWindow(
          source, channel: channel, image: image, height: input.height, width: input.width)
        unsafe body(y, plane, worker, target.pointer(channel, line * output.width))
      }
    }
  }

  /// Computes the shortcut of option A (He et al. 2015): the subsampled map between `each` channels of zeros on both
  /// sides.
  private func padChannels(
    _ each: Int, _ stride: Int, _ input: ValueShape, _ output: ValueShape, _ source: ColumnWindow<Scalar>,
    _ columns: Range<Int>, _ target: ColumnWindow<Scalar>
  ) {
    let lines = columns.lowerBound / output.width..<columns.upperBound / output.width
    workspace.pool.forEach(output.channels) { channel, _ in
      guard each..<each + input.channels ~= channel else {
        return unsafe target.pointer(channel, columns.lowerBound).update(repeating: 0, count: columns.count)
      }
      for line in lines {
        let (image, y) = line.quotientAndRemainder(dividingBy: output.height)
        let from = unsafe source.pointer(channel - each, (image * input.height + y * stride) * input.width)
        let to = unsafe target.pointer(channel, line * output.width)
        for x in 0..<output.width { unsafe to[x] = from[x * stride] }
      }
    }
  }

  /// Multiplies every channel plane by its gate's factor.
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

  /// Adds columns to the sums of global average pooling, C×N×H×W to N×C. Writes the means after the last column.
  private func average(
    _ input: ValueShape, _ sums: PlaneSums, _ source: ColumnWindow<Scalar>, _ columns: Range<Int>,
    _ target: UnsafeMutablePointer<Scalar>
  ) {
    if columns.lowerBound == 0 { sums.reset() }
    let share = 64
    workspace.pool.forEach((input.channels - 1) / share + 1) { task, _ in
      for channel in task * share..<min((task + 1) * share, input.channels) {
        unsafe sums.add(source, channel: channel, columns: columns)
      }
    }
    guard columns.upperBound == input.columns else { return }
    for channel in 0..<input.channels {
      for image in 0..<input.batch {
        unsafe target[image * input.channels + channel] = sums.mean(channel: channel, image: image)
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
}

extension Step {
  /// True when the step's columns are those of its input rather than of its result.
  fileprivate var sumsAll: Bool {
    if case .globalAveragePool = kernel { true } else { false }
  }
}
