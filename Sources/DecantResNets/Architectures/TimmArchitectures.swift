extension ResNetArchitecture {
  /// timm's ResNets. Source: timm 1.0 `models/resnet.py`.
  ///
  /// The suffix of a name gives the channels of a deep stem: `c` and `d` have 32, `s` has 64, `t` has 24 and 32.
  /// Networks with `d` and `t` also pool in their shortcuts.
  static let timm: [ResNetArchitecture] = [
    .init("resnet10t", .basic, [1, 1, 1, 1], tiered),
    .init("resnet14t", .bottleneck, [1, 1, 1, 1], tiered),
    .init("resnet18d", .basic, [2, 2, 2, 2], pooled),
    .init("resnet26", .bottleneck, [2, 2, 2, 2]),
    .init("resnet26d", .bottleneck, [2, 2, 2, 2], pooled),
    .init("resnet26t", .bottleneck, [2, 2, 2, 2], tiered),
    .init("resnet34d", .basic, [3, 4, 6, 3], pooled),
    .init("resnet50c", .bottleneck, [3, 4, 6, 3], deep(32, 32)),
    .init("resnet50d", .bottleneck, [3, 4, 6, 3], pooled),
    .init("resnet50s", .bottleneck, [3, 4, 6, 3], deep(64, 64)),
    .init("resnet50t", .bottleneck, [3, 4, 6, 3], tiered),
    .init("resnet50_gn", .bottleneck, [3, 4, 6, 3], grouped),
    .init("resnet101c", .bottleneck, [3, 4, 23, 3], deep(32, 32)),
    .init("resnet101d", .bottleneck, [3, 4, 23, 3], pooled),
    .init("resnet101s", .bottleneck, [3, 4, 23, 3], deep(64, 64)),
    .init("resnet152c", .bottleneck, [3, 8, 36, 3], deep(32, 32)),
    .init("resnet152d", .bottleneck, [3, 8, 36, 3], pooled),
    .init("resnet152s", .bottleneck, [3, 8, 36, 3], deep(64, 64)),
    .init("resnet200", .bottleneck, [3, 24, 36, 3]),
    .init("resnet200d", .bottleneck, [3, 24, 36, 3], pooled),
    .init("resnext50d_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4, pooled),
    .init("resnext101_32x4d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 4),
    .init("resnext101_32x16d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 16),
    .init("resnext101_32x32d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 32),
    .init("resnetaa34d", .basic, [3, 4, 6, 3], pooled, averaged),
    .init("resnetaa50", .bottleneck, [3, 4, 6, 3], averaged),
    .init("resnetaa50d", .bottleneck, [3, 4, 6, 3], pooled, averaged),
    .init("resnetaa101d", .bottleneck, [3, 4, 23, 3], pooled, averaged),
    .init("resnetblur18", .basic, [2, 2, 2, 2], blurred),
    .init("resnetblur50", .bottleneck, [3, 4, 6, 3], blurred),
    .init("resnetblur50d", .bottleneck, [3, 4, 6, 3], pooled, blurred),
    .init("resnetblur101d", .bottleneck, [3, 4, 23, 3], pooled, blurred),
    .init("seresnet18", .basic, [2, 2, 2, 2], squeezed),
    .init("seresnet34", .basic, [3, 4, 6, 3], squeezed),
    .init("seresnet50", .bottleneck, [3, 4, 6, 3], squeezed),
    .init("seresnet50t", .bottleneck, [3, 4, 6, 3], tiered, squeezed),
    .init("seresnet101", .bottleneck, [3, 4, 23, 3], squeezed),
    .init("seresnet152", .bottleneck, [3, 8, 36, 3], squeezed),
    .init("seresnet152d", .bottleneck, [3, 8, 36, 3], pooled, squeezed),
    .init("seresnet200d", .bottleneck, [3, 24, 36, 3], pooled, squeezed),
    .init("seresnet269d", .bottleneck, [3, 30, 48, 8], pooled, squeezed),
    .init("seresnetaa50d", .bottleneck, [3, 4, 6, 3], pooled, squeezed, averaged),
    .init("seresnext26d_32x4d", .bottleneck, [2, 2, 2, 2], groups: 32, width: 4, pooled, squeezed),
    .init("seresnext26t_32x4d", .bottleneck, [2, 2, 2, 2], groups: 32, width: 4, tiered, squeezed),
    .init("seresnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4, squeezed),
    .init("seresnext101_32x4d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 4, squeezed),
    .init("seresnext101_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8, squeezed),
    .init("seresnext101_64x4d", .bottleneck, [3, 4, 23, 3], groups: 64, width: 4, squeezed),
    .init("seresnext101d_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8, pooled, squeezed),
    .init(
      "seresnextaa101d_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8, pooled, squeezed, averaged),
    .init(
      "seresnextaa201d_32x8d", .bottleneck, [3, 24, 36, 4], groups: 32, width: 8, deep(64, 64), plainPooled,
      squeezed, averaged),
    .init("ecaresnet26t", .bottleneck, [2, 2, 2, 2], tiered, .efficient),
    .init("ecaresnet50d", .bottleneck, [3, 4, 6, 3], pooled, .efficient),
    .init("ecaresnet50t", .bottleneck, [3, 4, 6, 3], tiered, .efficient),
    .init("ecaresnet101d", .bottleneck, [3, 4, 23, 3], pooled, .efficient),
    .init("ecaresnet200d", .bottleneck, [3, 24, 36, 3], pooled, .efficient),
    .init("ecaresnet269d", .bottleneck, [3, 30, 48, 8], pooled, .efficient),
    .init("ecaresnetlight", .bottleneck, [1, 1, 11, 3], plainPooled, .efficient),
    .init("ecaresnext26t_32x4d", .bottleneck, [2, 2, 2, 2], groups: 32, width: 4, tiered, .efficient),
    .init("ecaresnext50t_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4, tiered, .efficient),
    .init("resnetrs50", .bottleneck, [3, 4, 6, 3], pooled, rescaled),
    .init("resnetrs101", .bottleneck, [3, 4, 23, 3], pooled, rescaled),
    .init("resnetrs152", .bottleneck, [3, 8, 36, 3], pooled, rescaled),
    .init("resnetrs200", .bottleneck, [3, 24, 36, 3], pooled, rescaled),
    .init("resnetrs270", .bottleneck, [4, 29, 53, 4], pooled, rescaled),
    .init("resnetrs350", .bottleneck, [4, 36, 72, 4], pooled, rescaled),
    .init("resnetrs420", .bottleneck, [4, 44, 87, 4], pooled, rescaled),
  ]

  /// Pre-activation networks: normalization and activation come before each convolution.
  ///
  /// Source: timm 1.0 `models/resnetv2.py`.
  static let preactivated: [ResNetArchitecture] =
    [
      .init("resnetv2_18", .basic, [2, 2, 2, 2], before),
      .init("resnetv2_18d", .basic, [2, 2, 2, 2], pooled, before),
      .init("resnetv2_34", .basic, [3, 4, 6, 3], before),
      .init("resnetv2_34d", .basic, [3, 4, 6, 3], pooled, before),
      .init("resnetv2_50", .bottleneck, [3, 4, 6, 3], before),
      .init("resnetv2_50d", .bottleneck, [3, 4, 6, 3], pooled, before),
      .init("resnetv2_50t", .bottleneck, [3, 4, 6, 3], tiered, before),
      .init("resnetv2_50d_gn", .bottleneck, [3, 4, 6, 3], pooled, before, grouped),
      .init(
        "resnetv2_50d_evos", .bottleneck, [3, 4, 6, 3], pooled, before, Change { $0.normalization = .evolved }
      ),
      .init(
        "resnetv2_50d_frn", .bottleneck, [3, 4, 6, 3], pooled, before,
        Change { $0.normalization = .filterResponse }),
      .init("resnetv2_101", .bottleneck, [3, 4, 23, 3], before),
      .init("resnetv2_101d", .bottleneck, [3, 4, 23, 3], pooled, before),
      .init("resnetv2_152", .bottleneck, [3, 8, 36, 3], before),
      .init("resnetv2_152d", .bottleneck, [3, 8, 36, 3], pooled, before),
    ]
    + [
      ("resnetv2_50x1_bit", [3, 4, 6, 3], 1), ("resnetv2_50x3_bit", [3, 4, 6, 3], 3),
      ("resnetv2_101x1_bit", [3, 4, 23, 3], 1), ("resnetv2_101x3_bit", [3, 4, 23, 3], 3),
      ("resnetv2_152x2_bit", [3, 8, 36, 3], 2), ("resnetv2_152x4_bit", [3, 8, 36, 3], 4),
    ].map { name, layers, factor in
      .init(
        name, .bottleneck, layers, planes: [64, 128, 256, 512].map { $0 * factor }, before, grouped,
        Change {
          $0.stem = .single(kernel: 7, channels: 64 * factor)
          $0.stemPooling = .maxOverZeros
          $0.hasStandardizedWeights = true
        })
    }

  static func deep(_ first: Int, _ second: Int) -> Change {
    Change { $0.stem = .deep([first, second, 2 * second]) }
  }

  static let plainPooled = Change { $0.shortcut = .pooledProjection }
  static let pooled = Change {
    $0.stem = .deep([32, 32, 64])
    $0.shortcut = .pooledProjection
  }
  private static let tiered = Change {
    $0.stem = .deep([24, 32, 64])
    $0.shortcut = .pooledProjection
  }
  private static let squeezed = Change.squeezed(by: 16)
  private static let rescaled = Change {
    Change.squeezed(by: 4).apply(&$0)
    $0.stemPooling = .convolution
  }
  private static let averaged = Change { $0.antialiasing = .average }
  private static let blurred = Change { $0.antialiasing = .blur }
  private static let grouped = Change { $0.normalization = .group }
  private static let before = Change {
    $0.order = .pre
    $0.hasFinalNormalization = true
    $0.head = .convolution
  }

  /// The squeeze-and-excitation networks that its authors published, ported from Caffe. Source: timm 1.0
  /// `models/senet.py`.
  static let legacy: [ResNetArchitecture] = ported.map { $0.of("pretrainedmodels") }
  private static let ported: [ResNetArchitecture] = [
    .init("legacy_seresnet18", .basic, [2, 2, 2, 2], caffe),
    .init("legacy_seresnet34", .basic, [3, 4, 6, 3], caffe),
    .init("legacy_seresnet50", .bottleneck, [3, 4, 6, 3], caffe, first),
    .init("legacy_seresnet101", .bottleneck, [3, 4, 23, 3], caffe, first),
    .init("legacy_seresnet152", .bottleneck, [3, 8, 36, 3], caffe, first),
    .init("legacy_seresnext26_32x4d", .bottleneck, [2, 2, 2, 2], groups: 32, width: 4, caffe),
    .init("legacy_seresnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4, caffe),
    .init("legacy_seresnext101_32x4d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 4, caffe),
  ]

  private static let first = Change { $0.blockStride = .first }
  private static let caffe = Change {
    $0.stemPooling = .maxOverEdge
    Change.attention { .squeezeExcitation(reduced: $0 / 16) }.apply(&$0)
    $0.hasBranchActivation = $0.block == .basic
  }
}
