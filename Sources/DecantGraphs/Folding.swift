extension Graph {
  /// The batch norms that can be folded into the convolution before them, keyed by that convolution.
  ///
  /// A batch norm can be folded when the convolution is its only input and the batch norm is its only reader.
  /// Keys and values are indices in ``nodes``.
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

/// A batch norm as one scale and one bias for each channel, in float64.
package struct ChannelFactors: Sendable, Equatable {
  package let factors: [Double]
  package let summands: [Double]

  /// Uses stored factors and summands.
  package init(scale: [Double], bias: [Double]) { (factors, summands) = (scale, bias) }

  /// Computes inference batch norm: `factor = scale / sqrt(variance + epsilon)`, `summand = bias - mean ×
  /// factor`.
  package init(scale: [Double], bias: [Double], mean: [Double], variance: [Double], epsilon: Double) {
    let factors = zip(scale, variance).map { scale, variance in scale / (variance + epsilon).squareRoot() }
    self.factors = factors
    summands = bias.indices.map { bias[$0] - mean[$0] * factors[$0] }
  }

  /// Returns the bias of the folded convolution. An empty `bias` means that the convolution has none.
  package func summands(behind bias: [Double]) -> [Double] {
    bias.isEmpty ? summands : bias.indices.map { bias[$0] * factors[$0] + summands[$0] }
  }
}
