/// The cost of one node for one image of a given size.
package struct NodeCost: Sendable, Equatable {
  /// The shape of the node's output: channels, height, width. Height and width are 1 for vectors.
  package let channels: Int
  package let height: Int
  package let width: Int
  /// The number of multiply-adds of convolutions, fully connected layers and attention projections.
  /// Element-wise operations such as batch norm are not counted.
  package let multiplyAdds: Int
  /// The number of trainable parameters.
  package let parameterCount: Int
}

/// The cost of one stage for one image of a given size.
package struct StageCost: Sendable, Equatable {
  /// The name of the stage, such as `layer1`.
  package let name: String
  /// The shape of the stage's output: channels, height and width, or only channels for a vector.
  package let shape: [Int]
  package let multiplyAdds: Int
  package let parameterCount: Int
}

extension Graph {
  /// Returns the costs of the stages, in order.
  ///
  /// - Parameter costs: the costs of the nodes, as ``costs(height:width:)`` returns them.
  package func stageCosts(_ costs: [NodeCost]) -> [StageCost] {
    var start = 0
    return stages.compactMap { stage in
      let part = costs[start..<stage.value.index]
      start = stage.value.index
      guard let last = part.last else { return nil }
      let isVector = ["avgpool", "logits", "output"].contains(stage.name)
      return StageCost(
        name: stage.name, shape: isVector ? [last.channels] : [last.channels, last.height, last.width],
        multiplyAdds: part.reduce(0) { $0 + $1.multiplyAdds },
        parameterCount: part.reduce(0) { $0 + $1.parameterCount })
    }
  }

  /// Returns the cost of every node, in order, for one image of height × width pixels.
  ///
  /// Returns nil when a window does not fit or a count overflows `Int`. The convention is fvcore's, as in
  /// torchvision's tables: one multiply-add for each weight and output position. O(nodes).
  package func costs(height: Int, width: Int) -> [NodeCost]? {
    guard height > 0, width > 0 else { return nil }
    var shapes = [FeatureShape(channels: inputChannels, height: height, width: width)]
    var costs: [NodeCost] = []
    for node in nodes {
      guard let index = node.inputs.first?.index else { return nil }
      let input = shapes[index]
      let output = node.operation.outputShape(input)
      let products =
        switch node.operation {
        case .conv(let convolution):
          [
            output.channels, output.height, output.width, convolution.inputChannels / convolution.groups,
            convolution.kernel, convolution.kernel,
          ]
        case .gemm(let layer): [layer.inputs, layer.outputs]
        case .squeezeExcitation(let channels, let reduced): [2, channels, reduced]
        case .efficientChannelAttention(let kernel): [input.channels, kernel]
        // Query, key, value and output projections. The attention weights themselves cost little in comparison.
        case .attentionPool(let pooling): [2 * pooling.tokens + 1, pooling.channels, pooling.channels]
        default: [0]
        }
      guard output.height > 0, output.width > 0, let count = Self.product(products) else { return nil }
      let parameters = node.parameters.lazy.filter { !$0.isBuffer }.map { Self.product($0.shape) }
      var parameterCount = 0
      for count in parameters {
        guard let count, !parameterCount.addingReportingOverflow(count).overflow else { return nil }
        parameterCount += count
      }
      shapes.append(output)
      costs.append(
        NodeCost(
          channels: output.channels, height: output.height, width: output.width, multiplyAdds: count,
          parameterCount: parameterCount))
    }
    return costs
  }

  private static func product(_ factors: [Int]) -> Int? {
    var product = 1
    for factor in factors {
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      product = next
    }
    return product
  }
}
