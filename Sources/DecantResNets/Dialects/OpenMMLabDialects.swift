extension ResNetDialect {
  /// The dialects of OpenMMLab. Source: mmpretrain and mmdetection `backbones/resnet.py`; mmcv's EMA hook.
  static let openMMLab: [ResNetDialect] = [
    ResNetDialect("mmpretrain", "mmpretrain's classifiers", backbone(body) + [("fc.*", "head.fc.*")]),
    ResNetDialect(
      "mmpretrain-deep", "mmpretrain's ResNetV1c and ResNetV1d: a stem of three convolutions",
      backbone(blocks + pooled + stemOfModules) + [("fc.*", "head.fc.*")]),
    ResNetDialect(
      "mmdetection-deep", "mmdetection's and mmsegmentation's ResNetV1c and ResNetV1d",
      blocks + pooled + stemOfLayers),
    ResNetDialect(
      "mmpretrain-ema", "the averaged weights that mmcv's EMA hook keeps next to the others",
      [
        ("conv1.weight", "ema_backbone_conv1_weight"), ("bn1.*", "ema_backbone_bn1_*"),
        ("layer{s}.{b}.conv{i}.weight", "ema_backbone_layer{s}_{b}_conv{i}_weight"),
        ("layer{s}.{b}.bn{i}.*", "ema_backbone_layer{s}_{b}_bn{i}_*"),
        ("layer{s}.{b}.downsample.{n}.*", "ema_backbone_layer{s}_{b}_downsample_{n}_*"),
        ("fc.*", "ema_head_fc_*"),
      ]),
  ]

  private static func backbone(_ rows: Names) -> Names {
    rows.map { ($0.canonical, "backbone." + $0.spelled) }
  }

  /// The names of a stem of three ConvModules.
  private static let stemOfModules: Names = [
    ("conv1.0.weight", "stem.0.conv.weight"), ("conv1.1.*", "stem.0.bn.*"),
    ("conv1.3.weight", "stem.1.conv.weight"), ("conv1.4.*", "stem.1.bn.*"),
    ("conv1.6.weight", "stem.2.conv.weight"), ("bn1.*", "stem.2.bn.*"),
  ]

  /// The names of a stem of three convolutions in one Sequential.
  private static let stemOfLayers: Names = [
    ("conv1.0.weight", "stem.0.weight"), ("conv1.1.*", "stem.1.*"), ("conv1.3.weight", "stem.3.weight"),
    ("conv1.4.*", "stem.4.*"), ("conv1.6.weight", "stem.6.weight"), ("bn1.*", "stem.7.*"),
  ]
}
