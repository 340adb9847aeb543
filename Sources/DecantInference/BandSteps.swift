internal import DecantGraphs

extension Program {
  /// The first steps as planning of bands sees them: as far as a line of each value needs but a few lines of others.
  ///
  /// They end before what needs whole maps (gates, group normalization, statistics of a batch, attention) and with the
  /// mean of all pixels, which is a sum over bands.
  ///
  /// - Parameters:
  ///   - shapes: those of ``shapes(input:)``.
  ///   - unit: how many columns of a map the engine makes of a step at once.
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
          reads: reads, output: step.output, map: BandMap(map), unit: unit(step, map), isStored: !isSum))
      if isSum { break }
    }
    return found
  }

  /// The values that are read when the first `count` steps are done.
  func valuesRead(after count: Int) -> Set<Int> {
    Set(steps.dropFirst(count).flatMap(\.reads)).union([graph.output.index])
  }
}

extension Step.Kernel {
  /// What a pixel of the result reads of the input; nil when that is the whole map.
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
    // The mirror image beyond an edge is of the line beside it, which is in the window.
    case .blurPool(let stride): .window(kernel: 3, stride: stride, padding: 1, dilation: 1)
    case .padChannels(_, let stride): .window(kernel: 1, stride: stride, padding: 0, dilation: 1)
    case .silu, .pointwise, .globalAveragePool: .pixel
    case .channelGate, .groupNormalization, .attentionPool, .batchNormalization, .linear: nil
    }
  }
}

extension Convolution {
  /// Whether the input itself is the patch matrix.
  var readsOnePixel: Bool { kernel == 1 && stride == 1 && padding == 0 }
}

extension BandMap {
  init(_ shape: ValueShape) {
    self.init(images: shape.batch, height: shape.height, width: shape.width)
  }
}
