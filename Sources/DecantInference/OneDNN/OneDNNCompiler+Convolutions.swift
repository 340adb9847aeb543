internal import DecantGraphs
internal import DecantIO

/// A convolution's weights, with the factors and summands of each output channel.
struct ConvolutionWeights {
  let key: Int
  /// The index of these weights among those of the same step.
  let part: Int
  /// The sizes as oneDNN expects them. With groups, the group count comes first.
  let sizes: [Int]
  let groups: Int
  let values: WeightBuffer<Float>
  let factors: [Double]?
  let bias: WeightBuffer<Float>?
}

extension ConvolutionWeights {
  init(
    _ key: Int, _ convolution: Convolution, _ values: WeightBuffer<Float>,
    _ affine: ChannelAffine<Float>?
  ) {
    let (groups, kernel) = (convolution.groups, convolution.kernel)
    let sizes = [convolution.outputChannels / groups, convolution.inputChannels / groups, kernel, kernel]
    self.init(
      key: key, part: 0, sizes: groups > 1 ? [groups] + sizes : sizes, groups: groups, values: values,
      factors: affine?.factors, bias: affine?.shift)
  }

  var outputChannels: Int { groups > 1 ? groups * sizes[1] : sizes[0] }
}

extension OneDNNCompiler {
  /// Appends a convolution with its epilogue (residual and activation).
  mutating func convolve(
    _ input: Located, _ output: ValueShape, _ weights: ConvolutionWeights, _ window: OneDNNWindow,
    _ activation: OneDNNEpilogue.Activation, adding addend: Addend? = nil
  ) throws(InferenceError) -> Located {
    var (input, window) = (input, fitted(window, input.shape, output))
    if let sampled = try sampled(input, output, window, groups: weights.groups) {
      input = sampled
      window.stride = (1, 1)
    }
    guard let anyInput = OneDNNLayout(input.shape.mapSizes, strides: nil),
      let anyOutput = OneDNNLayout(output.mapSizes, strides: nil),
      let anyWeights = OneDNNLayout(weights.sizes, strides: nil),
      let biasLayout = OneDNNLayout.rowMajor([weights.outputChannels])
    else { throw .inputTooLarge(node: name) }
    let epilogue = OneDNNEpilogue(adds: addend != nil, activation: activation)
    func operation(winograd: Bool) -> OneDNNOperation? {
      .convolution(
        winograd: winograd, input: anyInput, weights: anyWeights, bias: biasLayout, output: anyOutput, window,
        epilogue)
    }
    let isFast = numerics == .fast && Winograd.isWorthIt(input.shape, output, window, groups: weights.groups)
    guard
      let operation = isFast
        ? operation(winograd: true) ?? operation(winograd: false) : operation(winograd: false),
      let inputLayout = operation.layout(.input), let outputLayout = operation.layout(.output),
      let weightsLayout = operation.layout(.weights)
    else { throw unsupported("convolution") }
    let source = try permuted(input, as: inputLayout)
    let packed = try self.weights.pack(
      .init(step: weights.key, part: 2 * weights.part), weights.values, weights.sizes,
      factors: weights.factors,
      as: weightsLayout)
    let bias = try self.bias(weights, biasLayout)
    var operands: [Operand] = [
      (.input, inputLayout, source.location), (.weights, weightsLayout, .constant(packed)),
    ]
    if output.isVector, addend == nil,
      let biasMap = OneDNNLayout.rowMajor([1, weights.outputChannels, 1, 1]),
      let products = OneDNNOperation.convolution(
        winograd: false, input: inputLayout, weights: weightsLayout, bias: nil, output: outputLayout, window,
        .init()),
      let sum = OneDNNOperation.binary(
        multiplies: false, outputLayout, biasMap, .init(activation: activation))
    {
      let result = newResult(output, outputLayout)
      let place: Operand = (.output, outputLayout, result.location)
      emit(products, operands + [place])
      emit(sum, [(.input, outputLayout, result.location), (.second, biasMap, .constant(bias)), place])
      return result
    }
    operands.append((.bias, biasLayout, .constant(bias)))
    if let addend, operation.beginsWithAddend,
      let later = OneDNNOperation.convolution(
        winograd: false, input: inputLayout, weights: weightsLayout, bias: biasLayout, output: outputLayout,
        window, .init(added: outputLayout, activation: activation)),
      later.implementation == operation.implementation
    {
      let added = try permuted(addend.value, as: outputLayout)
      let result = newResult(output, outputLayout)
      emit(
        later, operands + [(.added, outputLayout, added.location), (.output, outputLayout, result.location)])
      return result
    }
    // oneDNN adds to the values in the destination, so the residual must be in the result's memory.
    let result: Located
    if let addend, addend.isOverwritable, !addend.value.isGiven {
      result = try permuted(addend.value, as: outputLayout)
    } else {
      result = newResult(output, outputLayout)
      if let addend { try move(addend.value, to: result) }
    }
    emit(operation, operands + [(.output, outputLayout, result.location)])
    return Located(shape: output, layout: outputLayout, location: result.location)
  }

  private func bias(_ weights: ConvolutionWeights, _ layout: OneDNNLayout) throws(InferenceError)
    -> AlignedBuffer<Float>
  {
    var source = weights.bias
    if source == nil { source = try WeightBuffer([Float](repeating: 0, count: weights.outputChannels)) }
    guard let source else { throw unsupported("bias") }
    return try self.weights.pack(
      .init(step: weights.key, part: 2 * weights.part + 1), source, [weights.outputChannels], factors: nil,
      as: layout)
  }

  /// Returns every `stride`-th pixel of a 1×1 convolution's input; nil when this does not apply. oneDNN's 1×1
  /// convolutions take twice as long with a stride as without.
  private mutating func sampled(
    _ input: Located, _ output: ValueShape, _ window: OneDNNWindow, groups: Int
  ) throws(InferenceError) -> Located? {
    guard window.kernel == (1, 1), window.stride != (1, 1), window.before == (0, 0),
      groups == 1,
      let last = OneDNNLayout.channelsLast(input.shape), input.layout == last
    else { return nil }
    var shape = output
    shape.channels = input.shape.channels
    guard let layout = OneDNNLayout.channelsLast(shape) else { throw unsupported("rearrangement") }
    let result = newValue(shape, layout)
    try sample(input, every: window.stride, into: result)
    return result
  }

  /// Copies every `stride`-th pixel of a feature map to another, both channels last.
  ///
  /// - Parameter channel: the first destination channel.
  mutating func sample(
    _ input: Located, every stride: (Int, Int), into target: Located, channel: Int = 0
  ) throws(InferenceError) {
    let (from, to) = (input.shape, target.shape)
    let (row, targetRow) = (from.width * from.channels, to.width * to.channels)
    let sizes = [1, from.channels, to.height, to.width]
    // Images are copied one by one, because oneDNN refuses strides by which the last line of one image would reach
    // into the next.
    guard
      let every = OneDNNLayout(
        sizes, strides: [from.height * row, 1, stride.0 * row, stride.1 * from.channels]),
      let place = OneDNNLayout(sizes, strides: [to.height * targetRow, 1, targetRow, to.channels]),
      let reorder = OneDNNOperation.reorder(from: every, to: place)
    else { throw unsupported("rearrangement") }
    for image in 0..<from.batch {
      emit(
        reorder,
        [
          (.input, every, input.location.advanced(by: image * from.height * row)),
          (.output, place, target.location.advanced(by: image * to.height * targetRow + channel)),
        ])
    }
  }
}

extension OneDNNCompiler.Located {
  /// True when the caller provided the value, which is then read-only.
  var isGiven: Bool {
    if case .given = location { true } else { false }
  }
}

/// The choice between Winograd and direct convolution.
enum Winograd {
  /// Returns true when Winograd is expected to be faster for a 3×3 convolution.
  ///
  /// The model counts 4×4 products per tile of 2×2 results, a quarter more for the transforms, and the reorders to
  /// oneDNN's Winograd layout and back. It was fitted to oneDNN 2.6.3 on a processor with AVX-512: 64 channels at
  /// 56×56 take 0.56 of the time, 128 at 28×28 0.43, 256 at 14×14 0.6, 512 at 7×7 0.9. It measures nothing at run
  /// time, so that the same input always gives the same bits.
  static func isWorthIt(_ input: ValueShape, _ output: ValueShape, _ window: OneDNNWindow, groups: Int)
    -> Bool
  {
    guard window.kernel == (3, 3), window.stride == (1, 1), window.dilation == (1, 1), groups == 1,
      input.channels >= 16, output.channels >= 16
    else { return false }
    let products = Double(input.channels) * Double(output.channels)
    let direct = 9 * products * Double(output.columns)
    let tiles = Double(output.batch * ((output.height + 1) / 2) * ((output.width + 1) / 2))
    let moved = 2 * Double(input.channels + output.channels) * Double(output.columns)
    return 1.25 * 16 * products * tiles + 30 * moved < 0.95 * direct
  }
}
