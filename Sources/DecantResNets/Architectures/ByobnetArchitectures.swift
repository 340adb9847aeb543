extension ResNetArchitecture {
  /// Networks that timm describes block by block. Source: timm 1.0 `models/byobnet.py`.
  static let byobnet: [ResNetArchitecture] = [
    .init("resnet32ts", narrow, tieredStride),
    .init("resnet33ts", narrow, tieredStride, last(1280)),
    .init("seresnet33ts", narrow, tieredStride, last(1280), squeezed),
    .init("eca_resnet33ts", narrow, tieredStride, last(1280), efficient),
    .init("gcresnet33ts", narrow, tieredStride, last(1280), contextual),
    .init("resnext26ts", cardinal([2, 2, 2, 2]), tieredPooled),
    .init("seresnext26ts", cardinal([2, 2, 2, 2]), tieredPooled, squeezed),
    .init("eca_resnext26ts", cardinal([2, 2, 2, 2]), tieredPooled, efficient),
    .init("gcresnext26ts", cardinal([2, 2, 2, 2]), tieredPooled, contextual),
    .init("gcresnext50ts", cardinal([3, 4, 6, 3]), tieredPooled, contextual),
    .init("bat_resnext26ts", cardinal([2, 2, 2, 2]), tieredPooled, bilinear),
    .init(
      "gcresnet50t", .bottleneck, [3, 4, 6, 3], tieredStride, Change { $0.nonlinearity = .relu }, contextual),
    .init(
      "resnet51q",
      [
        bottlenecks(2, 256, width: 64, groups: 2, stride: 1), bottlenecks(4, 512, width: 128, groups: 4),
        bottlenecks(6, 1536, width: 384, groups: 12), bottlenecks(4, 1536, width: 1536, groups: 1536),
      ], quadruple(bare: 2), last(2048)),
    .init(
      "resnet61q",
      [
        ResNetStage(.edge, count: 1, widths: [256, 256], stride: 1),
        bottlenecks(4, 512, width: 128, groups: 4, .longBottleneck),
        bottlenecks(6, 1536, width: 384, groups: 12, .longBottleneck),
        bottlenecks(4, 1536, width: 1536, groups: 1536, .longBottleneck),
      ], quadruple(bare: 0), last(2048)),
  ]

  /// CLIP's ResNet image encoders, with an attention pool or an average pool.
  static let clips: [ResNetArchitecture] = trunks.map { $0.of("clip", "timm-clip") }
  private static let trunks: [ResNetArchitecture] = [
    .init("resnet50_clip", .bottleneck, [3, 4, 6, 3], clip, attention(50, 1024)),
    .init("resnet50_clip_gap", .bottleneck, [3, 4, 6, 3], clip, headless),
    .init(
      "resnet50_mlp", .bottleneck, [3, 4, 6, 3], clip,
      Change { $0.head = .normalizedPerceptron(hidden: 1024) }),
    .init("resnet101_clip", .bottleneck, [3, 4, 23, 3], clip, attention(50, 512)),
    .init("resnet101_clip_gap", .bottleneck, [3, 4, 23, 3], clip, headless),
    .init(
      "resnet50x4_clip", .bottleneck, [4, 6, 10, 6], planes: scaled(80), clip, stem(80), attention(82, 640)),
    .init("resnet50x4_clip_gap", .bottleneck, [4, 6, 10, 6], planes: scaled(80), clip, stem(80), headless),
    .init(
      "resnet50x16_clip", .bottleneck, [6, 8, 18, 8], planes: scaled(96), clip, stem(96), attention(145, 768)),
    .init("resnet50x16_clip_gap", .bottleneck, [6, 8, 18, 8], planes: scaled(96), clip, stem(96), headless),
    .init(
      "resnet50x64_clip", .bottleneck, [3, 15, 36, 10], planes: scaled(128), clip, stem(128),
      attention(197, 1024)),
    .init(
      "resnet50x64_clip_gap", .bottleneck, [3, 15, 36, 10], planes: scaled(128), clip, stem(128), headless),
  ]

  private static func bottlenecks(
    _ count: Int, _ channels: Int, width: Int, groups: Int = 1, _ block: ResNetBlock = .bottleneck,
    stride: Int = 2
  ) -> ResNetStage {
    let inner = Array(repeating: width, count: block.kernels.count - 1)
    return ResNetStage(block, count: count, widths: inner + [channels], groups: groups, stride: stride)
  }

  private static let narrow = [
    bottlenecks(2, 256, width: 64, stride: 1), bottlenecks(3, 512, width: 128),
    bottlenecks(3, 1536, width: 384),
    bottlenecks(2, 1536, width: 384),
  ]
  /// Returns ResNeXt stages with 32 channels in each group.
  private static func cardinal(_ layers: [Int]) -> [ResNetStage] {
    zip(layers, [64, 128, 256, 512]).map { count, width in
      bottlenecks(count, 4 * width, width: width, groups: width / 32, stride: width == 64 ? 1 : 2)
    }
  }

  private static let tieredPooled = Change {
    $0.stem = .deep([24, 32, 64])
    $0.nonlinearity = .silu
  }
  private static let tieredStride = Change {
    tieredPooled.apply(&$0)
    $0.stemPooling = .lastConvolution
  }
  private static func quadruple(bare: Int) -> Change {
    Change {
      $0.stem = .deep([16, 32, 64, 128], bare: bare)
      $0.stemPooling = .lastConvolution
      $0.nonlinearity = .silu
    }
  }
  private static func last(_ channels: Int) -> Change { Change { $0.lastConvolution = channels } }
  private static let squeezed = Change {
    $0.hasInnerAttention = true
    Change.squeezed(by: 16).apply(&$0)
  }
  private static let efficient = Change {
    $0.hasInnerAttention = true
    Change.efficient.apply(&$0)
  }
  private static let contextual = Change {
    $0.hasInnerAttention = true
    Change.attention { .globalContext(reduced: $0 / 8) }.apply(&$0)
  }
  private static let bilinear = Change {
    $0.hasInnerAttention = true
    Change.attention { .bilinear(reduced: $0 / 4, groups: 2, block: 8) }.apply(&$0)
  }

  /// A deep stem, and average pools in place of every stride (Radford et al. 2021).
  private static let clip = Change {
    $0.stem = .deep([32, 32, 64])
    $0.stemPooling = .average
    $0.shortcut = .pooledProjection
    $0.antialiasing = .average
  }
  private static let headless = Change { $0.classes = 0 }
  private static func stem(_ channels: Int) -> Change {
    Change { $0.stem = .deep([channels / 2, channels / 2, channels]) }
  }
  private static func scaled(_ planes: Int) -> [Int] { [1, 2, 4, 8].map { $0 * planes } }
  private static func attention(_ tokens: Int, _ outputs: Int) -> Change {
    Change {
      $0.head = .attention(tokens: tokens)
      $0.classes = outputs
    }
  }
}
