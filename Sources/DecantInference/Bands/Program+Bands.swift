internal import DecantGraphs

extension Program {
  /// Returns the leading steps that can run in bands: each output line depends on only a few input lines.
  ///
  /// The list stops before the first step that needs whole feature maps (gates, group normalization, batch statistics,
  /// attention). It ends with global average pooling, which is a sum over bands.
  ///
  /// - Parameters:
  ///   - shapes: the result of ``shapes(input:)``.
  ///   - unit: returns the number of columns that the engine computes of a step at once.
  func bandSteps(_ shapes: [ValueShape?], unit: (Step<Scalar>, ValueShape) -> Int) -> [BandStep] {
    var found: [BandStep] = []
    for step in steps {
      guard let input = shapes[step.input], let output = shapes[step.output], let reach = step.kernel.reach
      else { break }
      let isSum = if case .globalAveragePool = step.kernel { true } else { false }
      let map = isSum ? input : output
      if map.isVector { break }
      var reads = [BandStep.Read(step.input, reach)]
      if let residual = step.epilogue.residual { reads.append(BandStep.Read(residual, .pixel)) }
      found.append(
        BandStep(
          reads: reads, output: step.output, map: FeatureMapSize(map), unit: unit(step, map), isStored: !isSum
        ))
      if isSum { break }
    }
    return found
  }

  /// Returns the values that are read after the first `count` steps.
  func valuesRead(after count: Int) -> Set<Int> {
    Set(steps.dropFirst(count).flatMap(\.reads)).union([graph.output.index])
  }
}

extension Step.Kernel {
  /// The input pixels that one output pixel depends on; nil when it depends on the whole feature map.
  fileprivate var reach: BandStep.Reach? {
    switch self {
    case .convolution(let convolution, _):
      convolution.readsOnePixel
        ? .pixel
        : .window(
          kernel: convolution.kernel, stride: convolution.stride, padding: convolution.padding,
          dilation: convolution.dilation)
    case .maxPool(let pooling):
      .window(kernel: pooling.kernel, stride: pooling.stride, padding: pooling.padding, dilation: 1)
    case .averagePool(let size, _): .window(kernel: size, stride: size, padding: 0, dilation: 1)
    // Reflection padding beyond an edge repeats the line next to the edge line, which is inside the window.
    case .blurPool(let stride): .window(kernel: 3, stride: stride, padding: 1, dilation: 1)
    case .padChannels(_, let stride): .window(kernel: 1, stride: stride, padding: 0, dilation: 1)
    case .silu, .pointwise, .globalAveragePool: .pixel
    case .channelGate, .groupNormalization, .attentionPool, .batchNormalization, .linear, .vectorAffine,
      .layerNormalization, .vectorFunction:
      nil
    }
  }
}

extension Convolution {
  /// True when the input itself is the patch matrix (1×1, stride 1, no padding).
  var readsOnePixel: Bool { kernel == 1 && stride == 1 && padding == 0 }
}

extension FeatureMapSize {
  init(_ shape: ValueShape) {
    self.init(images: shape.batch, height: shape.height, width: shape.width)
  }
}
