internal import DecantGraphs

/// Operators of networks that no engine here computes, described by their parameters.
extension OpaqueOperator {
  /// Returns a quantised operator of PyTorch's eager mode: weight and bias if it has them, then scale and zero point.
  static func quantized(_ name: String, weight: [Int]?) -> OpaqueOperator {
    let own = weight.map { [(suffix: "weight", shape: $0), (suffix: "bias", shape: [$0[0]])] } ?? []
    return OpaqueOperator(
      "quantised \(name)",
      parameters: own + [(suffix: "scale", shape: []), (suffix: "zero_point", shape: [])])
  }

  /// Returns global context attention. Source: timm 1.0 `layers/global_context.py`.
  static func globalContext(channels: Int, reduced: Int) -> OpaqueOperator {
    let layers: [(name: String, weight: [Int])] = [
      ("conv_attn", [1, channels, 1, 1]), ("mlp_add.fc1", [reduced, channels, 1, 1]),
      ("mlp_add.norm", [reduced]), ("mlp_add.fc2", [channels, reduced, 1, 1]),
    ]
    return OpaqueOperator(
      "global context attention",
      parameters: layers.flatMap { layer in
        [
          (suffix: layer.name + ".weight", shape: layer.weight),
          (suffix: layer.name + ".bias", shape: [layer.weight[0]]),
        ]
      })
  }

  /// Returns bilinear attention. Source: timm 1.0 `layers/non_local_attn.py`.
  static func bilinear(channels: Int, reduced: Int, groups: Int, block: Int) -> OpaqueOperator {
    func normalized(_ name: String, _ outputs: Int, of inputs: Int) -> [(suffix: String, shape: [Int])] {
      [(suffix: name + ".conv.weight", shape: [outputs, inputs, 1, 1])]
        + batchNormalization.map { (suffix: "\(name).bn.\($0)", shape: [outputs]) }
        + [(suffix: name + ".bn.num_batches_tracked", shape: [])]
    }
    func mixing(_ name: String, _ kernel: [Int]) -> [(suffix: String, shape: [Int])] {
      let outputs = block * block * groups
      return [
        (suffix: name + ".weight", shape: [outputs, groups] + kernel),
        (suffix: name + ".bias", shape: [outputs]),
      ]
    }
    return OpaqueOperator(
      "bilinear attention",
      parameters: normalized("conv1", reduced, of: channels) + normalized("ba.conv1", groups, of: reduced)
        + mixing("ba.conv_p", [block, 1]) + mixing("ba.conv_q", [1, block])
        + normalized("ba.conv2", reduced, of: reduced) + normalized("conv2", channels, of: reduced))
  }

  /// Returns batch normalization of features without height and width. Source: timm 1.0 `layers/classifier.py`.
  static func pooledNormalization(features: Int) -> OpaqueOperator {
    OpaqueOperator(
      "batch normalization of pooled features",
      parameters: batchNormalization.map { (suffix: $0, shape: [features]) }
        + [(suffix: "num_batches_tracked", shape: [])])
  }

  /// The parameters and buffers of batch normalization with one number per channel.
  private static let batchNormalization = ["weight", "bias", "running_mean", "running_var"]
}
