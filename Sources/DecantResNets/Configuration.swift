/// Residual networks as the libraries define them: configuration, published architectures, graph, seeded
/// weights.

/// What stands before the first stage, its pooling aside.
package enum ResNetStem: Sendable, Equatable {
  /// One convolution: 7×7 for photographs, 3×3 for images of 32 pixels.
  case single(kernel: Int, channels: Int)
  /// 3×3 convolutions of these channels, the first `bare` of them without normalization and activation.
  case deep([Int], bare: Int = 0)

  /// Channels of its result.
  package var channels: Int {
    switch self {
    case .single(_, let channels): channels
    case .deep(let channels, _): channels.last ?? 0
    }
  }
}

/// What halves the map after the stem's first convolution.
public enum ResNetStemPooling: String, Sendable, CaseIterable {
  /// Nothing: images of 32 pixels are small enough.
  case none
  /// A 3×3 max pool. No tensor shows it.
  case max
  /// A 3×3 max pool over a border of zeros (BiT). No tensor shows it.
  case maxOverZeros = "max over zeros"
  /// A 3×3 max pool without padding, with a last window over the edge (Caffe). No tensor shows it.
  case maxOverEdge = "max over the edge"
  /// A 2×2 average pool (CLIP). No tensor shows it.
  case average
  /// A 3×3 convolution in its place, with its normalization (ResNet-RS).
  case convolution
  /// The stem's last convolution has the stride instead. No tensor shows it.
  case lastConvolution = "stride of the stem's last convolution"
}

/// What the shortcut of a block is where stride or channels change.
package enum ResNetShortcut: String, Sendable, CaseIterable {
  /// A 1×1 convolution and its normalization (He et al. 2015, option B).
  case projection
  /// A 2×2 average pool, where there is a stride, then the projection (ResNet-D).
  case pooledProjection
  /// Every second pixel, with channels of zeros on both sides (option A); it has no parameters.
  case padding
}

/// When normalization and activation come.
package enum ResNetOrder: String, Sendable, CaseIterable {
  /// After each convolution, and an activation after the addition (He et al. 2015).
  case post = "post-activation"
  /// Before each convolution, and nothing after the addition (He et al. 2016).
  case pre = "pre-activation"
}

/// What keeps activations in range.
package enum ResNetNormalization: String, Sendable, CaseIterable {
  /// Batch normalization with its running statistics, frozen or not.
  case batch
  /// Group normalization. Neither the number of groups nor that it is no layer normalization shows.
  case group
  /// The factors and summands into which a batch normalization was computed (Caffe2).
  case affine
  /// None; convolutions may have biases, into which a normalization can have been computed.
  case none
  /// EvoNorm-S0, which is its own activation.
  case evolved
  /// Filter response normalization with its thresholded activation.
  case filterResponse = "filter response"
}

/// Which convolution of a bottleneck has the stride.
public enum ResNetBlockStride: String, Sendable, CaseIterable {
  /// The first, 1×1 (He et al. 2015; v1).
  case first
  /// The 3×3 (torchvision; v1.5).
  case second
}

/// How what has a stride is kept from aliasing.
package enum ResNetAntialiasing: String, Sendable, CaseIterable {
  /// The convolution has the stride itself.
  case none
  /// A 2×2 average pool after it has the stride (CLIP, timm's `resnetaa`).
  case average
  /// A binomial filter after it has the stride (Zhang 2019; timm's `resnetblur`).
  case blur
}

/// The nonlinearity.
package enum ResNetNonlinearity: String, Sendable, CaseIterable {
  case relu = "ReLU"
  case silu = "SiLU"
}

/// What makes the result of the pooled features.
package enum ResNetHead: Sendable, Equatable {
  /// A fully connected layer.
  case linear(hasBias: Bool = true)
  /// The same as a 1×1 convolution.
  case convolution
  /// Two fully connected layers and a ReLU between them (MoCo v2, SimCLR).
  case perceptron(hidden: Int)
  /// Batch normalization, a fully connected layer, an activation and another (timm's `mlp`).
  case normalizedPerceptron(hidden: Int)
  /// Attention instead of the average pool, with so many embedded positions (CLIP).
  case attention(tokens: Int)
}

/// The numbers that tell one residual network from another.
///
/// Source: torchvision 0.28 `models/resnet.py`; timm 1.0 `models/{resnet,resnetv2,byobnet}.py`.
public struct ResNetConfiguration: Sendable, Equatable {
  package var stages: [ResNetStage]
  package var stem = ResNetStem.single(kernel: 7, channels: 64)
  package var stemPooling = ResNetStemPooling.max
  package var shortcut = ResNetShortcut.projection
  package var order = ResNetOrder.post
  package var normalization = ResNetNormalization.batch
  /// Whether every convolution has a bias.
  package var convolutionsHaveBias = false
  /// Whether the stem's convolution has one though the others have none (Caffe2).
  package var stemHasBias = false
  /// Whether weights are quantised and normalizations computed into them (PyTorch's eager mode).
  package var isQuantized = false
  /// Whether attention stands before the block's last convolution, not after it.
  package var attendsInside = false
  /// Whether a normalization and an activation stand after the last stage, as pre-activation needs.
  package var normalizesLast = false
  /// Channels of a 1×1 convolution with normalization and activation after the last stage; nil for none.
  package var lastConvolution: Int?
  package var head = ResNetHead.linear()
  /// The number of outputs; 0 for a network without a head, whose result is the pooled features.
  public package(set) var classes = 1000
  /// The number of channels of the input: 3 for RGB.
  public package(set) var inputChannels = 3

  // No tensor shows what follows.

  /// The stride of the stem's convolution and max pool: 2, or 1 in a `nodown` network.
  public package(set) var stride0 = 2
  package var blockStride = ResNetBlockStride.second
  /// Pixels of the input for one of the last stage's; where strides would go beyond, stages are dilated instead. Nil for
  /// as many as the strides make.
  package var outputStride: Int?
  /// Added to the variance in normalization.
  package var epsilon = 1e-5
  package var antialiasing = ResNetAntialiasing.none
  package var nonlinearity = ResNetNonlinearity.relu
  /// Whether a block's result is activated before its attention too (pretrainedmodels' basic block).
  package var activatesBranch = false
  /// Groups of group normalization.
  package var normalizationGroups = 32
  /// Whether each output channel's weights are standardised before use (BiT).
  package var standardizesWeights = false

  /// A network of the usual stem and head.
  package init(stages: [ResNetStage]) { self.stages = stages }

  /// torchvision's network of some blocks: a bottleneck is `planes × widthPerGroup / 64 × groups` wide.
  package init(
    block: ResNetBlock, layers: [Int], planes: [Int] = [64, 128, 256, 512], groups: Int = 1,
    widthPerGroup: Int = 64
  ) {
    stages = zip(layers, planes).enumerated().map { index, stage in
      let (count, planes) = stage
      // Zero is refused later, as what makes no width.
      let (scaled, overflow) = planes.multipliedReportingOverflow(by: widthPerGroup)
      let (wide, overflowToo) = (scaled / 64).multipliedReportingOverflow(by: groups)
      let width = block == .basic ? planes : overflow || overflowToo ? 0 : wide
      let (output, overflowAtLast) = planes.multipliedReportingOverflow(by: block.expansion)
      let widths = Array(repeating: width, count: block.kernels.count - 1) + [overflowAtLast ? 0 : output]
      return ResNetStage(block, count: count, widths: widths, groups: groups, stride: index == 0 ? 1 : 2)
    }
  }

  /// The kind of most blocks.
  public var block: ResNetBlock {
    (stages.max { $0.blocks.count < $1.blocks.count } ?? stages.first)?.block ?? .basic
  }

  /// Blocks of each stage: `[3, 4, 6, 3]` for ResNet-50.
  public var layers: [Int] { stages.map(\.blocks.count) }

  /// Groups of the first stage's 3×3 convolutions (ResNeXt's cardinality).
  public var groups: Int { stages.first?.groups ?? 1 }

  /// Channels of one group of the first stage's 3×3 convolutions, for 64 channels of `planes`.
  public var widthPerGroup: Int {
    guard let stage = stages.first, stage.block != .basic, let width = stage.blocks.first?.first else {
      return 64
    }
    let planes = max(1, stage.outputChannels / stage.block.expansion)
    let (share, overflow) = planes.multipliedReportingOverflow(by: max(1, stage.groups))
    return overflow ? 1 : max(1, width &* 64 / share)
  }

  /// Convolutions and linear layers on the longest path, shortcuts not counted and a deep stem counted once: 50 for
  /// `[3, 4, 6, 3]`.
  public var depth: Int {
    2 + stages.reduce(0) { $0 + $1.blocks.count * $1.block.kernels.count }
  }

  /// The same with everything that no tensor shows as is usual: two networks of equal shapes are equal here.
  package var shapes: ResNetConfiguration {
    var told = ResNetConfiguration(stages: stages)
    told.stem = stem
    told.stemPooling = stemPooling == .convolution ? .convolution : .max
    told.shortcut = shortcut == .pooledProjection && order == .pre ? .projection : shortcut
    told.order = order
    told.normalization = normalization
    told.convolutionsHaveBias = convolutionsHaveBias
    told.stemHasBias = stemHasBias
    told.isQuantized = isQuantized
    told.attendsInside = attendsInside && stages.contains { $0.attention?.tellsChannels == true }
    told.normalizesLast = normalizesLast
    told.lastConvolution = lastConvolution
    told.head = head
    told.classes = classes
    told.inputChannels = inputChannels
    var channels = stem.channels
    for index in told.stages.indices {
      // A shortcut is projected for its channels, and then its stride does not show.
      if told.stages[index].blocks.first?.last != channels || shortcut == .padding {
        told.stages[index].stride = index == 0 ? 1 : 2
      }
      channels = told.stages[index].outputChannels
    }
    return told
  }

  /// Quantises the weights, which computes the normalizations into biases.
  mutating func quantize() {
    (isQuantized, normalization, convolutionsHaveBias) = (true, .none, true)
  }

  /// Whether another network has the same names and shapes, the head and quantisation aside.
  package func hasTrunk(of other: ResNetConfiguration) -> Bool {
    var (own, theirs) = (shapes, other.shapes)
    (own.head, own.classes) = (theirs.head, theirs.classes)
    if isQuantized || other.isQuantized {
      own.quantize()
      theirs.quantize()
    }
    return own == theirs
  }

  /// Whether another network has the same kind of head, the number of outputs aside; a backbone can be any's.
  package func hasHead(of other: ResNetConfiguration) -> Bool {
    classes == 0 || other.classes > 0 && head == other.head
  }
}
