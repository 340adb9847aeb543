extension ResNet.Dialect {
  /// Every dialect, in the order in which they are tried: of two that fit a file equally the first is named.
  ///
  /// Sources: torchvision 0.28 `models/resnet.py`; timm 1.0 `models/resnet.py`; transformers `modeling_resnet.py`;
  /// detectron2 `modeling/backbone/resnet.py`; mmpretrain and mmdetection `backbones/resnet.py`; CLIP `model.py`;
  /// kuangliu/pytorch-cifar; fastai `vision/learner.py`.
  public static let all: [ResNet.Dialect] = [
    make("torchvision", "torchvision, and who builds on it", plain),
    make("timm", "timm's resnet: deep stems, average-pooled shortcuts, SE and ECA", plain + deep),
    make(
      "transformers", "Hugging Face ResNetForImageClassification",
      transformers("resnet.") + [("fc.*", "classifier.1.*")]),
    make("transformers-backbone", "Hugging Face ResNetModel", transformers("")),
    make(
      "detectron2", "detectron2's ResNet and what is converted for it",
      [
        ("conv1.weight", "stem.conv1.weight"), ("bn1.*", "stem.conv1.norm.*"),
        ("layer{s}.{b}.conv{i}.weight", "res{s+1}.{b}.conv{i}.weight"),
        ("layer{s}.{b}.bn{i}.*", "res{s+1}.{b}.conv{i}.norm.*"),
        ("layer{s}.{b}.downsample.0.weight", "res{s+1}.{b}.shortcut.weight"),
        ("layer{s}.{b}.downsample.1.*", "res{s+1}.{b}.shortcut.norm.*"), ("fc.*", "linear.*"),
      ]),
    make("mmpretrain", "mmpretrain's classifiers", moved(body, below: "backbone.") + [("fc.*", "head.fc.*")]),
    make(
      "mmpretrain-deep", "mmpretrain's ResNetV1c and ResNetV1d: a stem of three convolutions",
      moved(stages + pooled + mmStem, below: "backbone.") + [("fc.*", "head.fc.*")]),
    make(
      "mmdetection-deep", "mmdetection's and mmsegmentation's ResNetV1c and ResNetV1d",
      stages + pooled + sequentialStem),
    make(
      "mmpretrain-ema", "the averaged weights that mmcv's EMA hook keeps beside the others",
      [
        ("conv1.weight", "ema_backbone_conv1_weight"), ("bn1.*", "ema_backbone_bn1_*"),
        ("layer{s}.{b}.conv{i}.weight", "ema_backbone_layer{s}_{b}_conv{i}_weight"),
        ("layer{s}.{b}.bn{i}.*", "ema_backbone_layer{s}_{b}_bn{i}_*"),
        ("layer{s}.{b}.downsample.{n}.*", "ema_backbone_layer{s}_{b}_downsample_{n}_*"),
        ("fc.*", "ema_head_fc_*"),
      ]),
    make(
      "cifar", "kuangliu's and akamaster's ResNets for CIFAR",
      cifar("layer{s}", "conv{i}", "bn{i}", "shortcut", "linear.*")),
    make(
      "cifar-underscored", "ResNets for CIFAR with stage_1.0.conv_1",
      cifar("stage_{s}", "conv_{i}", "bn_{i}", "downsample", "fc.*")),
    make("clip", "CLIP's modified ResNet, its image tower", clip),
    make(
      "sequential", "torch.nn.Sequential of a ResNet's children, as fastai cuts it",
      [
        ("conv1.weight", "0.weight"), ("bn1.*", "1.*"),
        ("layer{s}.{b}.conv{i}.weight", "{s+3}.{b}.conv{i}.weight"),
        ("layer{s}.{b}.bn{i}.*", "{s+3}.{b}.bn{i}.*"),
        ("layer{s}.{b}.downsample.{n}.*", "{s+3}.{b}.downsample.{n}.*"),
      ]),
  ]

  private typealias Names = [(canonical: String, spelled: String)]

  private static func make(_ name: String, _ summary: String, _ rows: Names) -> ResNet.Dialect {
    ResNet.Dialect(name: name, summary: summary, rows: rows.map { Row($0.canonical, $0.spelled) })
  }

  private static func same(_ names: String...) -> Names { names.map { ($0, $0) } }

  private static func moved(_ rows: Names, below prefix: String) -> Names {
    rows.map { ($0.canonical, prefix + $0.spelled) }
  }

  /// Bottleneck or basic blocks, projections where the shape changes.
  private static let stages = same(
    "layer{s}.{b}.conv{i}.weight", "layer{s}.{b}.bn{i}.*", "layer{s}.{b}.downsample.0.weight",
    "layer{s}.{b}.downsample.1.*")
  /// A stem of one convolution before the stages.
  private static let body = same("conv1.weight", "bn1.*") + stages
  private static let plain = body + same("fc.*")
  /// A shortcut that pools before it projects: the pool is 0.
  private static let pooled = same("layer{s}.{b}.downsample.2.*")
  /// A stem of three convolutions, with what else timm puts in a block.
  private static let deep =
    pooled
    + same(
      "conv1.{n}.*", "layer{s}.{b}.se.fc{i}.*", "layer{s}.{b}.se.bn.*", "layer{s}.{b}.se.conv.weight",
      "maxpool.{n}.*")

  private static func transformers(_ body: String) -> Names {
    let layer = body + "encoder.stages.{s-1}.layers.{b}."
    return [
      ("conv1.weight", body + "embedder.embedder.convolution.weight"),
      ("bn1.*", body + "embedder.embedder.normalization.*"),
      ("layer{s}.{b}.conv{i}.weight", layer + "layer.{i-1}.convolution.weight"),
      ("layer{s}.{b}.bn{i}.*", layer + "layer.{i-1}.normalization.*"),
      ("layer{s}.{b}.downsample.0.weight", layer + "shortcut.convolution.weight"),
      ("layer{s}.{b}.downsample.1.*", layer + "shortcut.normalization.*"),
    ]
  }

  /// mmpretrain's stem of three ConvModules.
  private static let mmStem: Names = [
    ("conv1.0.weight", "stem.0.conv.weight"), ("conv1.1.*", "stem.0.bn.*"),
    ("conv1.3.weight", "stem.1.conv.weight"), ("conv1.4.*", "stem.1.bn.*"),
    ("conv1.6.weight", "stem.2.conv.weight"), ("bn1.*", "stem.2.bn.*"),
  ]

  /// mmdetection's stem of three convolutions in one Sequential.
  private static let sequentialStem: Names = [
    ("conv1.0.weight", "stem.0.weight"), ("conv1.1.*", "stem.1.*"), ("conv1.3.weight", "stem.3.weight"),
    ("conv1.4.*", "stem.4.*"), ("conv1.6.weight", "stem.6.weight"), ("bn1.*", "stem.7.*"),
  ]

  private static func cifar(
    _ stage: String, _ convolution: String, _ normalization: String, _ shortcut: String, _ head: String
  ) -> Names {
    func first(_ family: String) -> String { family.replacing("{i}", with: "1") }
    return [
      ("conv1.weight", first(convolution) + ".weight"), ("bn1.*", first(normalization) + ".*"),
      ("layer{s}.{b}.conv{i}.weight", "\(stage).{b}.\(convolution).weight"),
      ("layer{s}.{b}.bn{i}.*", "\(stage).{b}.\(normalization).*"),
      ("layer{s}.{b}.downsample.0.weight", "\(stage).{b}.\(shortcut).0.weight"),
      ("layer{s}.{b}.downsample.1.*", "\(stage).{b}.\(shortcut).1.*"), ("fc.*", head),
    ]
  }

  /// Three convolutions with their own numbers; a shortcut's pool is -1.
  private static let clip: Names = [
    ("conv1.0.weight", "conv1.weight"), ("conv1.1.*", "bn1.*"), ("conv1.3.weight", "conv2.weight"),
    ("conv1.4.*", "bn2.*"), ("conv1.6.weight", "conv3.weight"), ("bn1.*", "bn3.*"),
    ("layer{s}.{b}.conv{i}.weight", "layer{s}.{b}.conv{i}.weight"),
    ("layer{s}.{b}.bn{i}.*", "layer{s}.{b}.bn{i}.*"),
    ("layer{s}.{b}.downsample.1.weight", "layer{s}.{b}.downsample.0.weight"),
    ("layer{s}.{b}.downsample.2.*", "layer{s}.{b}.downsample.1.*"),
    ("attnpool.positional_embedding", "attnpool.positional_embedding"),
    ("attnpool.q_proj.*", "attnpool.q_proj.*"), ("attnpool.k_proj.*", "attnpool.k_proj.*"),
    ("attnpool.v_proj.*", "attnpool.v_proj.*"), ("attnpool.c_proj.*", "attnpool.c_proj.*"),
  ]
}
