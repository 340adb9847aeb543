/// A parameter or buffer of a node, as PyTorch names it.
package struct Parameter: Sendable, Equatable {
  /// The role of a parameter in its node.
  package enum Role: String, Sendable, CaseIterable {
    case convolutionWeight, convolutionBias, normalizationScale, normalizationBias, runningMean,
      runningVariance
    case batchCounter
    case linearWeight, linearBias
    case squeezeWeight, squeezeBias, excitationWeight, excitationBias
    case channelConvolutionWeight
    case positions, queryWeight, queryBias, keyWeight, keyBias, valueWeight, valueBias
    /// A parameter of an operator that no engine implements.
    case opaque
  }
  /// The name in the state dict, such as `layer1.0.conv1.weight`.
  package let name: String
  package let shape: [Int]
  package let role: Role

  /// True for buffers, which training does not change by gradient.
  package var isBuffer: Bool {
    switch role {
    case .runningMean, .runningVariance, .batchCounter: true
    default: false
    }
  }

  /// True when a file may omit the tensor: inference does not use `num_batches_tracked`.
  package var isOptional: Bool { role == .batchCounter }
}

extension Node {
  /// The node's parameters and buffers, in PyTorch's order.
  package var parameters: [Parameter] {
    func parameter(_ suffix: String, _ shape: [Int], _ role: Parameter.Role) -> Parameter {
      Parameter(name: name + "." + suffix, shape: shape, role: role)
    }
    switch operation {
    case .conv(let conv):
      return [parameter("weight", conv.weightShape, .convolutionWeight)]
        + (conv.hasBias ? [parameter("bias", [conv.outputChannels], .convolutionBias)] : [])
    case .batchNormalization(let channels, _):
      return [
        parameter("weight", [channels], .normalizationScale),
        parameter("bias", [channels], .normalizationBias),
        parameter("running_mean", [channels], .runningMean),
        parameter("running_var", [channels], .runningVariance),
        parameter("num_batches_tracked", [], .batchCounter),
      ]
    case .vectorStandardization(let channels, _):
      return [
        parameter("running_mean", [channels], .runningMean),
        parameter("running_var", [channels], .runningVariance),
        parameter("num_batches_tracked", [], .batchCounter),
      ]
    case .layerNormalization(let channels, _, let hasBias):
      return [parameter("weight", [channels], .normalizationScale)]
        + (hasBias ? [parameter("bias", [channels], .normalizationBias)] : [])
    case .channelAffine(let channels), .groupNormalization(let channels, _, _),
      .batchStatisticsNormalization(let channels, _):
      return [
        parameter("weight", [channels], .normalizationScale),
        parameter("bias", [channels], .normalizationBias),
      ]
    case .gemm(let layer):
      let shape = [layer.outputs, layer.inputs] + (layer.isConvolution ? [1, 1] : [])
      return [parameter("weight", shape, .linearWeight)]
        + (layer.hasBias ? [parameter("bias", [layer.outputs], .linearBias)] : [])
    case .squeezeExcitation(let channels, let reduced):
      return [
        parameter("fc1.weight", [reduced, channels, 1, 1], .squeezeWeight),
        parameter("fc1.bias", [reduced], .squeezeBias),
        parameter("fc2.weight", [channels, reduced, 1, 1], .excitationWeight),
        parameter("fc2.bias", [channels], .excitationBias),
      ]
    case .efficientChannelAttention(let kernel):
      return [parameter("conv.weight", [1, 1, kernel], .channelConvolutionWeight)]
    case .attentionPool(let pooling):
      let square = [pooling.channels, pooling.channels]
      return [
        parameter("positional_embedding", [pooling.tokens, pooling.channels], .positions),
        parameter("k_proj.weight", square, .keyWeight), parameter("k_proj.bias", [square[0]], .keyBias),
        parameter("q_proj.weight", square, .queryWeight), parameter("q_proj.bias", [square[0]], .queryBias),
        parameter("v_proj.weight", square, .valueWeight), parameter("v_proj.bias", [square[0]], .valueBias),
        parameter("c_proj.weight", [pooling.outputs, pooling.channels], .linearWeight),
        parameter("c_proj.bias", [pooling.outputs], .linearBias),
      ]
    case .opaque(let operation):
      return operation.parameters.map { parameter($0.name, $0.shape, $0.role) }
    case .relu, .silu, .vectorFunction, .add, .maxPool, .averagePool, .padChannels, .blurPool,
      .globalAveragePool:
      return []
    }
  }
}
