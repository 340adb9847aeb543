extension ResNetDialect {
  /// The dialects of ResNets for CIFAR.
  ///
  /// Source: kuangliu/pytorch-cifar, akamaster/pytorch_resnet_cifar10, weiaicunzai/pytorch-cifar100,
  /// xternalz/WideResNet-pytorch.
  static let cifar: [ResNetDialect] = [
    ResNetDialect(
      "cifar", "kuangliu's and akamaster's ResNets for CIFAR",
      cifar("layer{s}", "conv{i}", "bn{i}", "shortcut", "linear.*")),
    ResNetDialect(
      "cifar-underscored", "ResNets for CIFAR with stage_1.0.conv_1",
      cifar("stage_{s}", "conv_{i}", "bn_{i}", "downsample", "fc.*")),
    ResNetDialect(
      "cifar-residual-function", "weiaicunzai's ResNets for CIFAR-100",
      [("conv1.*", "conv1.0.*"), ("bn1.*", "conv1.1.*")]
        + (1...3).flatMap { number -> Names in
          let block = "conv{s+1}_x.{b}.residual_function"
          return [
            ("layer{s}.{b}.conv\(number).*", "\(block).\(3 * number - 3).*"),
            ("layer{s}.{b}.bn\(number).*", "\(block).\(3 * number - 2).*"),
          ]
        } + [
          ("layer{s}.{b}.downsample.0.*", "conv{s+1}_x.{b}.shortcut.0.*"),
          ("layer{s}.{b}.downsample.1.*", "conv{s+1}_x.{b}.shortcut.1.*"), ("fc.*", "fc.*"),
        ]),
    ResNetDialect(
      "wide-resnet", "xternalz's Wide ResNets for CIFAR: pre-activation",
      [
        ("conv1.weight", "conv1.weight"), ("norm.*", "bn1.*"),
        ("layer{s}.{b}.conv{i}.weight", "block{s}.layer.{b}.conv{i}.weight"),
        ("layer{s}.{b}.bn{i}.*", "block{s}.layer.{b}.bn{i}.*"),
        ("layer{s}.{b}.downsample.0.weight", "block{s}.layer.{b}.convShortcut.weight"), ("fc.*", "fc.*"),
      ]),
  ]

  private static func cifar(
    _ stage: String, _ convolution: String, _ normalization: String, _ shortcut: String, _ head: String
  ) -> Names {
    func first(_ family: String) -> String { family.replacing("{i}", with: "1") }
    return [
      ("conv1.*", first(convolution) + ".*"), ("bn1.*", first(normalization) + ".*"),
      ("layer{s}.{b}.conv{i}.*", "\(stage).{b}.\(convolution).*"),
      ("layer{s}.{b}.bn{i}.*", "\(stage).{b}.\(normalization).*"),
      ("layer{s}.{b}.downsample.0.*", "\(stage).{b}.\(shortcut).0.*"),
      ("layer{s}.{b}.downsample.1.*", "\(stage).{b}.\(shortcut).1.*"), ("fc.*", head),
    ]
  }
}
