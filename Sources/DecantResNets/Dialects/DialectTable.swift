extension ResNetDialect {
  /// Every dialect, in the order in which they are tried: of two that match a file equally, the first is used.
  package static let all: [ResNetDialect] =
    [torchvision, quantized] + timm + transformers + [detectron2, maskrcnnBenchmark, caffe2] + openMMLab
    + cifar
    + [pretrainedmodels, clip, sequential] + bigTransfer + [canonical]

  typealias Names = [(canonical: String, spelled: String)]

  static func same(_ names: String...) -> Names { names.map { ($0, $0) } }

  /// The names of bottleneck and basic blocks, with projections where the shape changes.
  static let blocks = same(
    "layer{s}.{b}.conv{i}.*", "layer{s}.{b}.bn{i}.*", "layer{s}.{b}.downsample.0.*",
    "layer{s}.{b}.downsample.1.*")
  /// The names of a stem with one convolution, and of the blocks.
  static let body = same("conv1.*", "bn1.*") + blocks
  /// The names of a shortcut that pools before it projects: index 0 is the pool.
  static let pooled = same("layer{s}.{b}.downsample.2.*")

  /// The names of timm's kinds of attention: squeeze and excitation, efficient, global context, bilinear.
  static let attention = [
    "fc{i}.*", "conv.weight", "conv_attn.*", "mlp_add.fc{i}.*", "mlp_add.norm.*", "conv{i}.conv.weight",
    "conv{i}.bn.*", "ba.conv{i}.conv.weight", "ba.conv{i}.bn.*", "ba.conv_p.*", "ba.conv_q.*",
  ]

  /// torchvision's names. Source: torchvision 0.28 `models/resnet.py`; MoCo v2 and SimCLR replace `fc` with two layers.
  private static let torchvision = ResNetDialect(
    "torchvision", "torchvision and the libraries that build on it", body + same("fc.*", "fc.0.*", "fc.2.*"))

  /// The names of torchvision's quantised networks.
  ///
  /// Source: torchvision 0.28 `models/quantization/resnet.py`; PyTorch `ao/nn/quantized/modules/linear.py`.
  private static let quantized = ResNetDialect(
    "torchvision-quantized", "torchvision's quantised networks, in PyTorch's eager mode",
    [("fc.weight", "fc._packed_params._packed_params.0"), ("fc.bias", "fc._packed_params._packed_params.1")]
      + same(
        "quant.*", "conv1.*", "layer{s}.{b}.conv{i}.*", "layer{s}.{b}.downsample.0.*",
        "layer{s}.{b}.add_relu.*",
        "fc.scale", "fc.zero_point"))

  /// The canonical names of every tensor that a network can have.
  ///
  /// `decant synthesize` writes these names. A network is renamed to them to drop the names of its own library.
  private static let canonical = ResNetDialect(
    "canonical", "Decant's own names, which cover every other naming",
    body + pooled
      + same(
        "conv1.{n}.*", "maxpool.{n}.*", "layer{s}.{b}.se.bn.*", "norm.*", "final_conv.conv.*",
        "final_conv.bn.*",
        "attnpool.positional_embedding", "attnpool.q_proj.*", "attnpool.k_proj.*", "attnpool.v_proj.*",
        "attnpool.c_proj.*", "head.norm.*", "head.pre_logits.fc.*", "fc.*", "fc.0.*", "fc.2.*")
      + attention.map { ("layer{s}.{b}.se." + $0, "layer{s}.{b}.se." + $0) })

  /// The dialects of Hugging Face transformers. Source: transformers `modeling_resnet.py`.
  private static let transformers = [
    ResNetDialect(
      "transformers", "Hugging Face ResNetForImageClassification",
      huggingFace("resnet.") + [("fc.*", "classifier.1.*")]),
    ResNetDialect("transformers-backbone", "Hugging Face ResNetModel", huggingFace("")),
    ResNetDialect(
      "transformers-bit", "Hugging Face BitForImageClassification",
      bigTransferOfHuggingFace("bit.") + [("fc.*", "classifier.1.*")], headRank: 2),
    ResNetDialect("transformers-bit-backbone", "Hugging Face BitModel", bigTransferOfHuggingFace("")),
  ]

  /// Returns the names of Hugging Face's Big Transfer. Source: transformers `modeling_bit.py`.
  private static func bigTransferOfHuggingFace(_ body: String) -> Names {
    let layer = body + "encoder.stages.{s-1}.layers.{b}."
    return [
      ("conv1.weight", body + "embedder.convolution.weight"),
      ("layer{s}.{b}.conv{i}.weight", layer + "conv{i}.weight"),
      ("layer{s}.{b}.bn{i}.*", layer + "norm{i}.*"),
      ("layer{s}.{b}.downsample.0.weight", layer + "downsample.conv.weight"), ("norm.*", body + "norm.*"),
    ]
  }

  private static func huggingFace(_ body: String) -> Names {
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

  private static let caffeImages = "BGR, 0…255, mean 103.53 116.28 123.675, deviation 1"

  /// detectron2's names. Source: detectron2 `modeling/backbone/resnet.py`, `config/defaults.py`.
  private static let detectron2 = ResNetDialect(
    "detectron2", "detectron2's ResNet and what is converted for it",
    [
      ("conv1.*", "stem.conv1.*"), ("bn1.*", "stem.conv1.norm.*"),
      ("layer{s}.{b}.conv{i}.*", "res{s+1}.{b}.conv{i}.*"),
      ("layer{s}.{b}.bn{i}.*", "res{s+1}.{b}.conv{i}.norm.*"),
      ("layer{s}.{b}.downsample.0.*", "res{s+1}.{b}.shortcut.*"),
      ("layer{s}.{b}.downsample.1.*", "res{s+1}.{b}.shortcut.norm.*"), ("fc.*", "linear.*"),
    ], preprocessing: caffeImages)

  /// Caffe2's names. Source: detectron2 `checkpoint/c2_model_loading.py`, which reads them.
  private static let caffe2: ResNetDialect = {
    var rows: Names = [
      ("conv1.weight", "conv1_w"), ("conv1.bias", "conv1_b"),
      ("layer{s}.{b}.conv{i}.weight", "res{s+1}_{b}_branch2{i:abc}_w"),
      ("layer{s}.{b}.downsample.0.weight", "res{s+1}_{b}_branch1_w"), ("fc.weight", "fc1000_w"),
      ("fc.bias", "fc1000_b"),
    ]
    for (own, theirs) in [("weight", "s"), ("bias", "b"), ("running_mean", "rm"), ("running_var", "riv")] {
      rows += [
        ("bn1.\(own)", "res_conv1_bn_\(theirs)"),
        ("layer{s}.{b}.bn{i}.\(own)", "res{s+1}_{b}_branch2{i:abc}_bn_\(theirs)"),
        ("layer{s}.{b}.downsample.1.\(own)", "res{s+1}_{b}_branch1_bn_\(theirs)"),
      ]
    }
    var dialect = ResNetDialect("caffe2", "Caffe2 and Detectron, and the MSRA weights in their names", rows)
    dialect.hasFoldedNormalization = true
    dialect.preprocessing = caffeImages
    dialect.blockStride = .first
    return dialect
  }()

  /// maskrcnn-benchmark's names. Source: maskrcnn-benchmark `modeling/backbone/resnet.py`.
  private static let maskrcnnBenchmark = ResNetDialect(
    "maskrcnn-benchmark", "maskrcnn-benchmark's ResNet",
    [("conv1.*", "stem.conv1.*"), ("bn1.*", "stem.bn1.*")] + blocks, preprocessing: caffeImages)

  /// pretrainedmodels' names. Source: pretrainedmodels `models/senet.py`, timm's `legacy_seresnet`.
  private static let pretrainedmodels = ResNetDialect(
    "pretrainedmodels", "Cadene's pretrainedmodels and timm's legacy_seresnet",
    [("conv1.*", "layer0.conv1.*"), ("bn1.*", "layer0.bn1.*")] + blocks
      + [("layer{s}.{b}.se.fc{i}.*", "layer{s}.{b}.se_module.fc{i}.*"), ("fc.*", "last_linear.*")])

  /// CLIP's names: the stem's convolutions are numbered, and a shortcut's pool is -1. Source: CLIP `model.py`.
  private static let clip = ResNetDialect(
    "clip", "CLIP's modified ResNet, its image tower",
    [
      ("conv1.0.weight", "conv1.weight"), ("conv1.1.*", "bn1.*"), ("conv1.3.weight", "conv2.weight"),
      ("conv1.4.*", "bn2.*"), ("conv1.6.weight", "conv3.weight"), ("bn1.*", "bn3.*"),
      ("layer{s}.{b}.conv{i}.weight", "layer{s}.{b}.conv{i}.weight"),
      ("layer{s}.{b}.bn{i}.*", "layer{s}.{b}.bn{i}.*"),
      ("layer{s}.{b}.downsample.1.weight", "layer{s}.{b}.downsample.0.weight"),
      ("layer{s}.{b}.downsample.2.*", "layer{s}.{b}.downsample.1.*"),
    ]
      + same(
        "attnpool.positional_embedding", "attnpool.q_proj.*", "attnpool.k_proj.*", "attnpool.v_proj.*",
        "attnpool.c_proj.*"),
    preprocessing:
      "RGB, scaled to 0…1, mean 0.48145466 0.4578275 0.40821073, deviation 0.26862954 0.26130258 0.27577711"
  )

  /// The names of a ResNet's children in one Sequential. Source: fastai `vision/learner.py`.
  private static let sequential = ResNetDialect(
    "sequential", "torch.nn.Sequential of a ResNet's children, as fastai cuts it",
    [
      ("conv1.weight", "0.weight"), ("bn1.*", "1.*"),
      ("layer{s}.{b}.conv{i}.weight", "{s+3}.{b}.conv{i}.weight"),
      ("layer{s}.{b}.bn{i}.*", "{s+3}.{b}.bn{i}.*"),
      ("layer{s}.{b}.downsample.{n}.*", "{s+3}.{b}.downsample.{n}.*"),
    ])
}
