internal import DecantBytes
internal import DecantGraphs

/// The sizes of one value during a run.
///
/// Feature maps are stored as C×N×H×W, so that a convolution is one matrix product over the columns of all images.
/// Vectors (height and width 1) are stored as N×C.
struct ValueShape: Equatable, Sendable {
  var batch: Int
  var channels: Int
  var height = 1
  var width = 1
  var isVector = false

  /// The number of elements of one channel over all images.
  var columns: Int { batch * height * width }
  var count: Int { channels * columns }
  /// The shape as PyTorch reports it: N×C for a vector, N×C×H×W for a feature map.
  var sizes: [Int] { isVector ? [batch, channels] : [batch, channels, height, width] }
}

extension Program {
  /// Returns the shape of every value for an N×C×H×W input, by value index; nil for values inside a step.
  ///
  /// - Throws: ``InferenceError`` when the input is empty, a window does not fit, the graph's shapes contradict each
  ///   other, or a count exceeds OpenBLAS's limit (2³¹ − 1 columns).
  func shapes(input sizes: [Int]) throws(InferenceError) -> [ValueShape?] {
    let channels = graph.inputChannels
    guard sizes.count == 4, sizes.allSatisfy({ $0 >= 1 }), sizes[1] == channels else {
      throw .inputShape(found: sizes, channels: channels)
    }
    var shapes = [ValueShape?](repeating: nil, count: graph.nodes.count + 1)
    shapes[0] = try ValueShape(batch: sizes[0], channels: channels, height: sizes[2], width: sizes[3])
      .addressable("input")
    for step in steps {
      guard let input = shapes[step.input] else {
        throw .unsupportedGraph(node: step.name, reason: "it reads a value that is not there")
      }
      let output = try outputShape(step, input)
      if let residual = step.epilogue.residual, shapes[residual] != output {
        throw .unsupportedGraph(node: step.name, reason: "it adds values of different shapes")
      }
      if let affine = step.epilogue.affine, output.isVector || affine.scale.count != output.channels {
        throw .unsupportedGraph(node: step.name, reason: "its normalization or bias has other channels")
      }
      shapes[step.output] = output
    }
    return shapes
  }

  private func outputShape(_ step: Step<Scalar>, _ input: ValueShape) throws(InferenceError) -> ValueShape {
    try check(step, input)
    let shape = step.operation.outputShape(
      FeatureShape(channels: input.channels, height: input.height, width: input.width))
    guard shape.height >= 1, shape.width >= 1 else {
      throw .inputTooSmall(node: step.name, height: input.height, width: input.width)
    }
    let isVector =
      switch step.kernel {
      case .globalAveragePool, .attentionPool: true
      default: input.isVector
      }
    return try ValueShape(
      batch: input.batch, channels: shape.channels, height: shape.height, width: shape.width,
      isVector: isVector
    ).addressable(step.name)
  }

  /// Throws when a step cannot read a value of this shape.
  private func check(_ step: Step<Scalar>, _ input: ValueShape) throws(InferenceError) {
    func fail(_ reason: String) -> InferenceError { .unsupportedGraph(node: step.name, reason: reason) }
    switch step.kernel {
    case .pointwise, .silu: break
    case .vectorFunction: guard input.isVector else { throw fail("its input is not a vector") }
    case .vectorAffine(let affine):
      guard input.isVector, input.channels == affine.scale.count else {
        throw fail("its input has \(input.channels) features, not \(affine.scale.count)")
      }
    case .layerNormalization(let normalization):
      guard input.isVector, input.channels == normalization.channels else {
        throw fail("its input has \(input.channels) features, not \(normalization.channels)")
      }
    case .convolution(let convolution, _):
      guard !input.isVector, input.channels == convolution.inputChannels else {
        throw fail("its input has \(input.channels) channels, not \(convolution.inputChannels)")
      }
    case .channelGate(let gate):
      guard !input.isVector, gate.suits(channels: input.channels) else {
        throw fail("its input has \(input.channels) channels, not as many as its weights")
      }
    case .batchNormalization(let scale, _, _):
      guard !input.isVector, input.channels == scale.count else {
        throw fail("its batch normalization has other channels")
      }
    case .maxPool, .averagePool, .padChannels, .globalAveragePool:
      guard !input.isVector else { throw fail("its input is not a feature map") }
    case .blurPool:
      guard !input.isVector else { throw fail("its input is not a feature map") }
      // A single pixel has no neighbour to reflect.
      guard min(input.height, input.width) > 1 else {
        throw .inputTooSmall(node: step.name, height: input.height, width: input.width)
      }
    case .groupNormalization(let normalization):
      guard !input.isVector, normalization.channels == input.channels,
        1...input.channels ~= normalization.groups, input.channels.isMultiple(of: normalization.groups)
      else { throw fail("\(input.channels) channels do not divide into its groups") }
    case .attentionPool(let pool):
      let pixels = input.height.multipliedReportingOverflow(by: input.width)
      guard !input.isVector, input.channels == pool.channels, !pixels.overflow,
        pixels.partialValue == pool.tokens - 1
      else {
        throw fail(
          "it has embeddings for \(pool.tokens - 1) pixels of \(pool.channels) channels, and its input is \(input.height)×\(input.width) of \(input.channels)"
        )
      }
    case .linear(let inputs, _, _, _):
      guard input.isVector, input.channels == inputs else {
        throw fail("its input has \(input.channels) features, not \(inputs)")
      }
    }
  }
}

extension ValueShape {
  /// Returns the shape itself when its counts fit OpenBLAS's 32-bit sizes and the address space; throws otherwise.
  fileprivate func addressable(_ node: String) throws(InferenceError) -> ValueShape {
    guard let columns = checkedProduct([batch, height, width]), columns <= Int32.max,
      checkedProduct([columns, channels, 64]) != nil, [height, width].allSatisfy({ $0 < 1 << 31 })
    else { throw .inputTooLarge(node: node) }
    return self
  }
}
