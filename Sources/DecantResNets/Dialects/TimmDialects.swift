extension ResNetDialect {
  /// timm's dialects. Source: timm 1.0 `models/{resnet,resnetv2,byobnet}.py`.
  static let timm: [ResNetDialect] = [
    ResNetDialect(
      "timm", "timm's resnet: deep stems, average-pooled shortcuts, SE and ECA",
      body + pooled
        + same(
          "conv1.{n}.*", "layer{s}.{b}.se.fc{i}.*", "layer{s}.{b}.se.bn.*", "layer{s}.{b}.se.conv.weight",
          "maxpool.{n}.*", "fc.*")),
    ResNetDialect(
      "timm-resnetv2", "timm's resnetv2: pre-activation, and BiT",
      [
        ("conv1.weight", "stem.conv.weight"), ("conv1.0.weight", "stem.conv1.weight"),
        ("conv1.1.*", "stem.norm1.*"), ("conv1.3.weight", "stem.conv2.weight"), ("conv1.4.*", "stem.norm2.*"),
        ("conv1.6.weight", "stem.conv3.weight"), ("bn1.*", "stem.norm.*"),
        ("layer{s}.{b}.conv{i}.weight", "stages.{s-1}.blocks.{b}.conv{i}.weight"),
        ("layer{s}.{b}.bn{i}.*", "stages.{s-1}.blocks.{b}.norm{i}.*"),
        ("layer{s}.{b}.downsample.0.weight", "stages.{s-1}.blocks.{b}.downsample.conv.weight"),
        ("layer{s}.{b}.downsample.1.*", "stages.{s-1}.blocks.{b}.downsample.norm.*"), ("norm.*", "norm.*"),
        ("fc.*", "head.fc.*"),
      ], headRank: 4),
    ResNetDialect(
      "timm-byobnet", "timm's byobnet: resnet33ts, resnext26ts",
      byobStem(3, bare: 0) + byobBlocks + byobProjection + byobRest),
    ResNetDialect(
      "timm-clip", "timm's names for CLIP's modified ResNet: resnet50_clip",
      byobStem(3, bare: 0) + byobBlocks
        + [
          ("layer{s}.{b}.downsample.1.weight", "stages.{s-1}.{b}.shortcut.conv.conv.weight"),
          ("layer{s}.{b}.downsample.2.*", "stages.{s-1}.{b}.shortcut.conv.bn.*"),
          ("attnpool.positional_embedding", "head.pos_embed"), ("attnpool.q_proj.*", "head.q.*"),
          ("attnpool.k_proj.*", "head.k.*"), ("attnpool.v_proj.*", "head.v.*"),
          ("attnpool.c_proj.*", "head.proj.*"), ("head.norm.*", "head.norm.*"),
          ("head.pre_logits.fc.*", "head.pre_logits.fc.*"), ("fc.*", "head.fc.*"),
        ]),
    ResNetDialect(
      "timm-byobnet-51q", "timm's resnet51q: a stem of four convolutions, two of them bare",
      byobStem(4, bare: 2) + byobBlocks + byobProjection + byobRest),
    ResNetDialect(
      "timm-byobnet-61q", "timm's resnet61q: a stem of four convolutions, two 3×3 in a block",
      byobStem(4, bare: 0) + byobBlock("layer1.{b}", "stages.0.{b}", ["conv1_kxk", "conv2_1x1"])
        + byobBlock(
          "layer{s}.{b}", "stages.{s-1}.{b}", ["conv1_1x1", "conv2_kxk", "conv2b_kxk", "conv3_1x1"])
        + byobProjection + byobRest),
  ]

  /// Returns the names of a stem. The normalization of the last convolution is `bn1` for any number of convolutions.
  private static func byobStem(_ count: Int, bare: Int) -> Names {
    (0..<count).flatMap { place -> Names in
      let (own, theirs) = ("conv1.\(3 * place)", "stem.conv\(place + 1)")
      if place < bare { return [("\(own).weight", "\(theirs).weight")] }
      return [
        ("\(own).weight", "\(theirs).conv.weight"),
        (place == count - 1 ? "bn1.*" : "conv1.\(3 * place + 1).*", "\(theirs).bn.*"),
      ]
    }
  }

  private static func byobBlock(_ own: String, _ theirs: String, _ convolutions: [String]) -> Names {
    convolutions.enumerated().flatMap { index, name -> Names in
      [
        ("\(own).conv\(index + 1).weight", "\(theirs).\(name).conv.weight"),
        ("\(own).bn\(index + 1).*", "\(theirs).\(name).bn.*"),
      ]
    }
  }

  private static let byobBlocks = byobBlock(
    "layer{s}.{b}", "stages.{s-1}.{b}", ["conv1_1x1", "conv2_kxk", "conv3_1x1"])

  private static let byobProjection: Names = [
    ("layer{s}.{b}.downsample.0.weight", "stages.{s-1}.{b}.shortcut.conv.weight"),
    ("layer{s}.{b}.downsample.1.*", "stages.{s-1}.{b}.shortcut.bn.*"),
  ]

  private static let byobRest: Names =
    attention.map { ("layer{s}.{b}.se." + $0, "stages.{s-1}.{b}.attn." + $0) } + [
      ("final_conv.conv.weight", "final_conv.conv.weight"), ("final_conv.bn.*", "final_conv.bn.*"),
      ("fc.*", "head.fc.*"),
    ]

  /// Big Transfer's dialects. Source: big_transfer `bit_pytorch/models.py`, which reads both.
  static let bigTransfer: [ResNetDialect] = {
    let images = "RGB, scaled to −1…1"
    var arrays = ResNetDialect(
      "bit-npz", "Big Transfer's .npz, with TensorFlow's layout of weights",
      [
        ("conv1.weight", "resnet/root_block/standardized_conv2d/kernel"),
        ("layer{s}.{b}.conv{i}.weight", "resnet/block{s}/unit{b+1:2}/{i:abc}/standardized_conv2d/kernel"),
        ("layer{s}.{b}.bn{i}.weight", "resnet/block{s}/unit{b+1:2}/{i:abc}/group_norm/gamma"),
        ("layer{s}.{b}.bn{i}.bias", "resnet/block{s}/unit{b+1:2}/{i:abc}/group_norm/beta"),
        (
          "layer{s}.{b}.downsample.0.weight",
          "resnet/block{s}/unit{b+1:2}/a/proj/standardized_conv2d/kernel"
        ), ("norm.weight", "resnet/group_norm/gamma"), ("norm.bias", "resnet/group_norm/beta"),
        ("fc.weight", "resnet/head/conv2d/kernel"), ("fc.bias", "resnet/head/conv2d/bias"),
      ])
    arrays.kernelLayout = .hwio
    arrays.preprocessing = images
    arrays.headRank = 4
    return [
      ResNetDialect(
        "bit", "Big Transfer's own PyTorch model",
        [
          ("conv1.weight", "root.conv.weight"),
          ("layer{s}.{b}.conv{i}.weight", "body.block{s}.unit{b+1:2}.conv{i}.weight"),
          ("layer{s}.{b}.bn{i}.*", "body.block{s}.unit{b+1:2}.gn{i}.*"),
          ("layer{s}.{b}.downsample.0.weight", "body.block{s}.unit{b+1:2}.downsample.weight"),
          ("norm.*", "head.gn.*"), ("fc.*", "head.conv.*"),
        ], preprocessing: images, headRank: 4), arrays,
    ]
  }()
}
