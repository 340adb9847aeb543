internal import DecantGraphs

extension OneDNNCompiler {
  /// Appends max or average pooling.
  mutating func pool(
    _ input: Located, _ output: ValueShape, maximum: Bool, kernel: Int, stride: Int, _ padding: Int
  ) throws(InferenceError) -> Located {
    // The last window may extend beyond the edge.
    func after(_ size: Int, _ outputSize: Int) -> Int { (outputSize - 1) * stride + kernel - size - padding }
    let whole = OneDNNWindow(
      kernel: (kernel, kernel), stride: (stride, stride), before: (padding, padding),
      after: (after(input.shape.height, output.height), after(input.shape.width, output.width)))
    let window = fitted(whole, input.shape, output)
    guard let any = OneDNNLayout(output.mapSizes, strides: nil),
      let operation = OneDNNOperation.pooling(maximum: maximum, input: input.layout, output: any, window),
      let layout = operation.layout(.output)
    else { throw unsupported("pooling") }
    let result = newResult(output, layout)
    emit(operation, [(.input, input.layout, input.location), (.output, layout, result.location)])
    return result
  }

  /// Appends global average pooling: the mean of each channel, as N×C.
  ///
  /// It averages each line first, then the lines. oneDNN sums sequentially, so the error grows with the number of
  /// summands.
  mutating func globalAverage(_ input: Located, _ output: ValueShape) throws(InferenceError) -> Located {
    var lines = input.shape
    lines.width = 1
    let means = try average(input, lines, .init(kernel: (1, input.shape.width)))
    return try average(means, output, .init(kernel: (input.shape.height, 1)))
  }

  private mutating func average(
    _ input: Located, _ output: ValueShape, _ window: OneDNNWindow
  ) throws(InferenceError) -> Located {
    guard let any = OneDNNLayout(output.mapSizes, strides: nil),
      let operation = OneDNNOperation.pooling(maximum: false, input: input.layout, output: any, window),
      let layout = operation.layout(.output)
    else { throw unsupported("global average pooling") }
    let result = newValue(output, layout)
    emit(operation, [(.input, input.layout, input.location), (.output, layout, result.location)])
    return result
  }

  /// Appends a shortcut without weights: every `stride`-th pixel, between `each` channels of zeros on both sides.
  mutating func padChannels(_ input: Located, _ output: ValueShape, each: Int, stride: Int)
    throws(InferenceError)
    -> Located
  {
    guard let plain = OneDNNLayout.channelsLast(input.shape), let layout = OneDNNLayout.channelsLast(output)
    else {
      throw unsupported("rearrangement")
    }
    let source = try permuted(input, as: plain)
    let result = newResult(output, layout)
    emit(nil, [(.output, layout, result.location)])
    try sample(source, every: (stride, stride), into: result, channel: each)
    return result
  }

  /// Appends a channel gate: a value times a factor between 0 and 1 for each channel, computed from the channel means.
  mutating func gate(_ input: Located, _ gate: ChannelGate<Float>, _ step: Int) throws(InferenceError)
    -> Located
  {
    let (batch, channels) = (input.shape.batch, input.shape.channels)
    let means = try globalAverage(input, ValueShape(batch: batch, channels: channels, isVector: true))
    let factors: Located
    switch gate {
    case .squeezeExcitation(_, let reduced, let squeeze, let squeezeBias, let excitation, let excitationBias):
      let inner = try convolve(
        means, ValueShape(batch: batch, channels: reduced),
        ConvolutionWeights(
          key: step, part: 0, sizes: [reduced, channels, 1, 1], groups: 1, values: squeeze, factors: nil,
          bias: squeezeBias), .init(kernel: (1, 1)), .relu)
      factors = try convolve(
        inner, ValueShape(batch: batch, channels: channels),
        ConvolutionWeights(
          key: step, part: 1, sizes: [channels, reduced, 1, 1], groups: 1, values: excitation, factors: nil,
          bias: excitationBias), .init(kernel: (1, 1)), .sigmoid)
    case .efficient(let length, let weights):
      // The 1-D convolution along the channels runs on a map of one channel whose height is the number of channels.
      let column = ValueShape(batch: batch, channels: 1, height: channels)
      guard let layout = OneDNNLayout.rowMajor(column.mapSizes) else { throw unsupported("rearrangement") }
      guard let vector = OneDNNLayout.rowMajor(means.shape.mapSizes) else {
        throw unsupported("rearrangement")
      }
      let sideBySide = try permuted(means, as: vector)
      let made = try convolve(
        Located(shape: column, layout: layout, location: sideBySide.location), column,
        ConvolutionWeights(
          key: step, part: 0, sizes: [1, 1, length, 1], groups: 1, values: weights, factors: nil, bias: nil),
        .init(kernel: (length, 1), before: (length / 2, 0), after: (length / 2, 0)), .sigmoid)
      let plain = try permuted(made, as: layout)
      factors = Located(
        shape: ValueShape(batch: batch, channels: channels), layout: vector, location: plain.location)
    }
    guard let operation = OneDNNOperation.binary(multiplies: true, input.layout, factors.layout, .init())
    else {
      throw unsupported("product of a map and its channels' factors")
    }
    return combine(operation, input, factors)
  }

  /// Appends normalization, addition and activation as a step without a convolution.
  mutating func pointwise(
    _ input: Located, _ output: ValueShape, _ affine: ChannelAffine<Float>?,
    _ step: Int, _ activation: OneDNNEpilogue.Activation, adding addend: Addend?
  ) throws(InferenceError) -> Located {
    if let affine {
      // The affine is a depthwise 1×1 convolution.
      let channels = output.channels
      return try convolve(
        input, output,
        ConvolutionWeights(
          key: step, part: 0, sizes: channels > 1 ? [channels, 1, 1, 1, 1] : [1, 1, 1, 1], groups: channels,
          values: affine.scale, factors: nil, bias: affine.shift), .init(kernel: (1, 1)), activation,
        adding: addend)
    }
    guard let addend else {
      guard activation != .identity else { return try permuted(input, as: input.layout, isCopy: true) }
      guard let operation = OneDNNOperation.activation(input.layout, activation) else {
        throw unsupported("activation")
      }
      let result = newResult(input.shape, input.layout)
      emit(operation, [(.input, input.layout, input.location), (.output, result.layout, result.location)])
      return result
    }
    let other = try permuted(addend.value, as: input.layout)
    guard
      let operation = OneDNNOperation.binary(
        multiplies: false, input.layout, other.layout, .init(activation: activation))
    else { throw unsupported("addition") }
    return combine(operation, input, other)
  }

  private mutating func combine(_ operation: OneDNNOperation, _ one: Located, _ two: Located) -> Located {
    let result = newResult(one.shape, one.layout)
    emit(
      operation,
      [
        (.input, one.layout, one.location), (.second, two.layout, two.location),
        (.output, result.layout, result.location),
      ])
    return result
  }
}
