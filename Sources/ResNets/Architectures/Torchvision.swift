extension ResNetArchitecture {
  /// Source: torchvision 0.28 `models/resnet.py`.
  static let torchvision: [ResNetArchitecture] = [
    .init("resnet18", .basic, [2, 2, 2, 2]),
    .init("resnet34", .basic, [3, 4, 6, 3]),
    .init("resnet50", .bottleneck, [3, 4, 6, 3]),
    .init("resnet101", .bottleneck, [3, 4, 23, 3]),
    .init("resnet152", .bottleneck, [3, 8, 36, 3]),
    .init("resnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4),
    .init("resnext101_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8),
    .init("resnext101_64x4d", .bottleneck, [3, 4, 23, 3], groups: 64, width: 4),
    .init("wide_resnet50_2", .bottleneck, [3, 4, 6, 3], width: 128),
    .init("wide_resnet101_2", .bottleneck, [3, 4, 23, 3], width: 128),
  ]

  static let detectors: [ResNetArchitecture] = [
    // The image-forensics detector: only layer2 to layer4 halve the map, and one logit comes out.
    .init(
      "resnet50nodown", .bottleneck, [3, 4, 6, 3],
      Change {
        $0.stride0 = 1
        $0.classes = 1
      })
  ]

  /// He et al. 2015, section 4.2: 6n + 2 layers for images of 32 pixels, as akamaster/pytorch_resnet_cifar10 has them.
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
