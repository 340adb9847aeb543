extension ResNetArchitecture {
  /// ResNet-18: [2, 2, 2, 2] basic blocks, 1000 classes.
  public static let resnet18 = ResNetArchitecture("resnet18", .basic, [2, 2, 2, 2])
  /// ResNet-34: [3, 4, 6, 3] basic blocks, 1000 classes.
  public static let resnet34 = ResNetArchitecture("resnet34", .basic, [3, 4, 6, 3])
  /// ResNet-50: [3, 4, 6, 3] bottlenecks, 1000 classes.
  public static let resnet50 = ResNetArchitecture("resnet50", .bottleneck, [3, 4, 6, 3])
  /// ResNet-101: [3, 4, 23, 3] bottlenecks, 1000 classes.
  public static let resnet101 = ResNetArchitecture("resnet101", .bottleneck, [3, 4, 23, 3])
  /// ResNet-152: [3, 8, 36, 3] bottlenecks, 1000 classes.
  public static let resnet152 = ResNetArchitecture("resnet152", .bottleneck, [3, 8, 36, 3])

  /// ResNet-50 with stride 1 in the stem's convolution and max pool, and one output: an image-forensics detector.
  ///
  /// Only layer2 to layer4 halve the feature map.
  public static let resnet50nodown = ResNetArchitecture(
    "resnet50nodown", .bottleneck, [3, 4, 6, 3],
    Change {
      $0.stride0 = 1
      $0.classes = 1
    })

  /// torchvision's ResNets. Source: torchvision 0.28 `models/resnet.py`.
  static let torchvision: [ResNetArchitecture] = [
    resnet18, resnet34, resnet50, resnet101, resnet152,
    .init("resnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4),
    .init("resnext101_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8),
    .init("resnext101_64x4d", .bottleneck, [3, 4, 23, 3], groups: 64, width: 4),
    .init("wide_resnet50_2", .bottleneck, [3, 4, 6, 3], width: 128),
    .init("wide_resnet101_2", .bottleneck, [3, 4, 23, 3], width: 128),
  ]

  static let detectors: [ResNetArchitecture] = [resnet50nodown]

  /// ResNets with 6n + 2 layers for 32-pixel images (He et al. 2015, section 4.2), as in
  /// akamaster/pytorch_resnet_cifar10.
  static let cifar: [ResNetArchitecture] = [3, 5, 7, 9, 18, 200].map { blocks in
    .init(
      "resnet\(6 * blocks + 2)", .basic, [blocks, blocks, blocks], planes: [16, 32, 64],
      Change {
        $0.stem = .single(kernel: 3, channels: 16)
        $0.stride0 = 1
        $0.stemPooling = .none
        $0.shortcut = .padding
        $0.classes = 10
      })
  }
}
