extension Graph {
  /// The batch normalizations that can be computed into the convolution before them, by that convolution: those that read
  /// nothing else, where nothing else reads it. Both are places in ``nodes``.
  package var foldableNormalizations: [Int: Int] {
    var readers = [[Int]](repeating: [], count: nodes.count + 1)
    for (index, node) in nodes.enumerated() {
      for input in node.inputs { readers[input.index].append(index) }
    }
    var found: [Int: Int] = [:]
    for (index, node) in nodes.enumerated() {
      guard case .conv = node.operation, readers[index + 1].count == 1, let reader = readers[index + 1].first
      else { continue }
      switch nodes[reader].operation {
      case .batchNormalization, .channelAffine: found[index] = reader
      default: break
      }
    }
    return found
  }
}

/// A normalization as one factor and one summand for each channel, in double precision.
package struct ChannelFactors: Sendable, Equatable {
  package let factors: [Double]
  package let summands: [Double]

  /// Factors and summands that are stored as such.
  package init(scale: [Double], bias: [Double]) { (factors, summands) = (scale, bias) }

  /// Batch normalization in its inference form: `scale / sqrt(variance + epsilon)`, and `bias` less the mean times that.
  package init(scale: [Double], bias: [Double], mean: [Double], variance: [Double], epsilon: Double) {
    let factors = zip(scale, variance).map { scale, variance in scale / (variance + epsilon).squareRoot() }
    self.factors = factors
    summands = bias.indices.map { bias[$0] - mean[$0] * factors[$0] }
  }

  /// The summands behind a convolution of the given biases; none for a convolution without.
  package func summands(behind bias: [Double]) -> [Double] {
    bias.isEmpty ? summands : bias.indices.map { bias[$0] * factors[$0] + summands[$0] }
  }
}
