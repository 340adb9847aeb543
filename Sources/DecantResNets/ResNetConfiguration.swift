// ResNets as the libraries define them: configuration, published architectures, graph, seeded weights.

package import DecantGraphs

/// The layers before the first stage, without the pooling.
package enum ResNetStem: Sendable, Equatable {
  /// One convolution: 7×7 for photographs, 3×3 for 32-pixel images.
  case single(kernel: Int, channels: Int)
  /// Several 3×3 convolutions with these output channels. The first `bare` have no normalization and no activation.
  case deep([Int], bare: Int = 0)

  /// The number of output channels.
  package var channels: Int {
    switch self {
    case .single(_, let channels): channels
    case .deep(let channels, _): channels.last ?? 0
    }
  }
}

/// The layer that halves the feature map after the stem's first convolution.
public enum ResNetStemPooling: String, Sendable, CaseIterable {
  /// No pooling: 32-pixel images are small enough.
  case none
  /// A 3×3 max pool. Weights cannot confirm it.
  case max
  /// A 3×3 max pool over a border of zeros (BiT). Weights cannot confirm it.
  case maxOverZeros = "max over zeros"
  /// A 3×3 max pool without padding, with a last window over the edge (Caffe). Weights cannot confirm it.
  case maxOverEdge = "max over the edge"
  /// A 2×2 average pool (CLIP). Weights cannot confirm it.
  case average
  /// A 3×3 convolution with normalization instead of a pool (ResNet-RS).
  case convolution
  /// No pool: the stem's last convolution has the stride. Weights cannot confirm it.
  case lastConvolution = "stride of the stem's last convolution"
}

/// The kind of shortcut in blocks that change the resolution or the number of channels.
package enum ResNetShortcut: String, Sendable, CaseIterable {
  /// A convolution, 1×1 with normalization in He et al. 2015 (option B).
  case projection
  /// A 2×2 average pool where the stride is not 1, then the projection (ResNet-D).
  case pooledProjection
  /// Every second pixel, with channels of zeros added on both sides (option A). It has no parameters.
  case padding
}

/// The position of normalization and activation relative to the convolutions.
package enum ResNetOrder: String, Sendable, CaseIterable {
  /// After each convolution, with an activation after the addition (He et al. 2015).
  case post = "post-activation"
  /// Before each convolution, with nothing after the addition (He et al. 2016).
  case pre = "pre-activation"
}

/// The kind of normalization layer.
package enum ResNetNormalization: String, Sendable, CaseIterable {
  /// Batch normalization with running statistics, frozen or not.
  case batch
  /// Group normalization. Weights show neither the number of groups nor a difference from layer normalization.
  case group
  /// A scale and a bias per channel, into which a batch norm was folded (Caffe2).
  case affine
  /// No normalization. Convolutions may have biases, into which a batch norm can have been folded.
  case none
  /// EvoNorm-S0, which includes its activation.
  case evolved
  /// Filter response normalization with its thresholded activation.
  case filterResponse = "filter response"
}

/// The convolution of a bottleneck that has the stride.
public enum ResNetBlockStride: String, Sendable, CaseIterable {
  /// The first convolution, 1×1 (He et al. 2015; v1).
  case first
  /// The 3×3 convolution (torchvision; v1.5).
  case second
}

/// The antialiasing filter of layers with a stride.
package enum ResNetAntialiasing: String, Sendable, CaseIterable {
  /// No filter: the convolution has the stride.
  case none
  /// A 2×2 average pool with the stride, after a convolution with stride 1 (CLIP, timm's `resnetaa`).
  case average
  /// A binomial filter with the stride, after a convolution with stride 1 (Zhang 2019; timm's `resnetblur`).
  case blur
}

/// The activation function.
package enum ResNetNonlinearity: String, Sendable, CaseIterable {
  case relu = "ReLU"
  case silu = "SiLU"
}

/// The layers that compute the output from the pooled features.
package enum ResNetHead: Sendable, Equatable {
  /// A fully connected layer.
  case linear(hasBias: Bool = true)
  /// A fully connected layer stored as a 1×1 convolution.
  case convolution
  /// Several layers, of which the file or the caller tells the activations (MoCo v2's head, and heads of users' own).
  case layers([ResNetHeadLayer])
  /// A batch norm, a fully connected layer, an activation and a second fully connected layer (timm's `mlp`).
  case normalizedPerceptron(hidden: Int)
  /// An attention pool instead of the average pool, with one position embedding per token (CLIP).
  case attention(tokens: Int)

  /// A copy without the activations, which no shape shows.
  var shapes: ResNetHead {
    guard case .layers(let layers) = self else { return self }
    return .layers(
      layers.map { layer in
        var layer = layer
        (layer.gap, layer.epsilon) = (.closed, ResNetHeadLayer.defaultEpsilon)
        return layer
      })
  }

  /// True when activations of the head are not known, so that it cannot be computed.
  package var isOpen: Bool {
    if case .layers(let layers) = self { layers.openGapCount > 0 } else { false }
  }

  /// The number of fully connected layers on the longest path; an attention pool counts as one.
  var layerCount: Int {
    switch self {
    case .linear, .convolution, .attention: 1
    case .layers(let layers): layers.count(where: \.isLinear)
    case .normalizedPerceptron: 2
    }
  }
}

/// The hyperparameters that distinguish one ResNet from another.
public struct ResNetConfiguration: Sendable, Equatable {
  package var stages: [ResNetStage]
  package var stem = ResNetStem.single(kernel: 7, channels: 64)
  package var stemPooling = ResNetStemPooling.max
  package var shortcut = ResNetShortcut.projection
  /// The kernel size of projection shortcuts: 1, or 3 in some networks for CIFAR.
  package var shortcutKernel = 1
  /// True when normalization follows a projection shortcut. Pre-activation networks never have it.
  package var hasShortcutNormalization = true
  /// True when projection shortcuts have a bias and the other convolutions have none.
  package var shortcutHasBias = false
  package var order = ResNetOrder.post
  package var normalization = ResNetNormalization.batch
  /// True when every convolution has a bias.
  package var hasConvolutionBias = false
  /// True when the stem's convolution has a bias and the other convolutions have none (Caffe2).
  package var stemHasBias = false
  /// True when the weights are quantized and the batch norms folded into them (PyTorch's eager mode).
  package var isQuantized = false
  /// True when attention comes before the block's last convolution instead of after it.
  package var hasInnerAttention = false
  /// True when normalization and an activation follow the last stage, as pre-activation needs.
  package var hasFinalNormalization = false
  /// The channels of a 1×1 convolution with normalization and activation after the last stage; nil for none.
  package var lastConvolution: Int?
  package var head = ResNetHead.linear()
  /// The functions of the pooled features before the head's first layer. Weights cannot confirm them.
  package var headInput: [VectorFunction] = []
  /// The functions of the logits that make the output. Weights cannot confirm them.
  package var outputFunctions: [VectorFunction] = []
  /// The number of outputs; 0 for a network without a head, whose result is the pooled features.
  public package(set) var classes = 1000
  /// The number of channels of the input: 3 for RGB.
  public package(set) var inputChannels = 3

  // Weights cannot confirm any of the properties below.

  /// The stride of the stem's convolution and max pool: 2, or 1 in a `nodown` network.
  public package(set) var stride0 = 2
  package var blockStride = ResNetBlockStride.second
  /// The ratio of the input's height and width to those of the last stage; nil for the product of the strides.
  ///
  /// Stages whose stride would exceed it are dilated instead.
  package var outputStride: Int?
  /// The number added to the variance in normalization.
  package var epsilon = 1e-5
  package var antialiasing = ResNetAntialiasing.none
  package var nonlinearity = ResNetNonlinearity.relu
  /// True when an activation also follows a block's last convolution, before the attention (pretrainedmodels' basic
  /// block).
  package var hasBranchActivation = false
  /// True when layers without running statistics are batch norms, which normalise by the batch's own statistics, and not
  /// group norms.
  package var usesBatchStatistics = false
  /// The number of groups in group normalization.
  package var normalizationGroups = 32
  /// True when each output channel's weights are standardized before use (BiT).
  package var hasStandardizedWeights = false

  /// Creates a network with the default stem and head.
  package init(stages: [ResNetStage]) { self.stages = stages }

  /// Creates a network with torchvision's layout: a bottleneck is `planes × widthPerGroup / 64 × groups` wide.
  package init(
    block: ResNetBlock, layers: [Int], planes: [Int] = [64, 128, 256, 512], groups: Int = 1,
    widthPerGroup: Int = 64
  ) {
    stages = zip(layers, planes).enumerated().map { index, stage in
      let (count, planes) = stage
      // An overflow becomes a width of 0, which `validate()` rejects.
      let (scaled, overflow) = planes.multipliedReportingOverflow(by: widthPerGroup)
      let (wide, overflowToo) = (scaled / 64).multipliedReportingOverflow(by: groups)
      let width = block == .basic ? planes : overflow || overflowToo ? 0 : wide
      let (output, overflowAtLast) = planes.multipliedReportingOverflow(by: block.expansion)
      let widths = Array(repeating: width, count: block.kernels.count - 1) + [overflowAtLast ? 0 : output]
      return ResNetStage(block, count: count, widths: widths, groups: groups, stride: index == 0 ? 1 : 2)
    }
  }

  /// The kind of block in the stage with the most blocks.
  public var block: ResNetBlock {
    (stages.max { $0.blocks.count < $1.blocks.count } ?? stages.first)?.block ?? .basic
  }

  /// The number of blocks in each stage: `[3, 4, 6, 3]` for ResNet-50.
  public var layers: [Int] { stages.map(\.blocks.count) }

  /// The number of groups of the first stage's 3×3 convolutions (ResNeXt's cardinality).
  public var groups: Int { stages.first?.groups ?? 1 }

  /// The number of channels per group of the first stage's 3×3 convolutions, for 64 `planes`; 64 for basic blocks.
  public var widthPerGroup: Int {
    guard let stage = stages.first, stage.block != .basic, let width = stage.blocks.first?.first else {
      return 64
    }
    let planes = max(1, stage.outputChannels / stage.block.expansion)
    let (share, overflow) = planes.multipliedReportingOverflow(by: max(1, stage.groups))
    return overflow ? 1 : max(1, width &* 64 / share)
  }

  /// The number of convolutions and linear layers on the longest path: 50 for bottlenecks in `[3, 4, 6, 3]`.
  ///
  /// Shortcuts are not counted, and a deep stem counts as one layer. A network without a head counts the one layer that
  /// it was named with.
  public var depth: Int {
    1 + head.layerCount + stages.reduce(0) { $0 + $1.blocks.count * $1.block.kernels.count }
  }

  /// A copy in which every property that weights cannot confirm has its default.
  ///
  /// Two networks with equal tensor names and shapes have equal copies.
  package var shapes: ResNetConfiguration {
    var told = ResNetConfiguration(stages: stages)
    told.stem = stem
    told.stemPooling = stemPooling == .convolution ? .convolution : .max
    told.shortcut = shortcut == .pooledProjection && order == .pre ? .projection : shortcut
    told.shortcutKernel = shortcutKernel
    told.hasShortcutNormalization = hasShortcutNormalization
    told.shortcutHasBias = shortcutHasBias
    told.order = order
    told.normalization = normalization
    told.hasConvolutionBias = hasConvolutionBias
    told.stemHasBias = stemHasBias
    told.isQuantized = isQuantized
    told.hasInnerAttention = hasInnerAttention && stages.contains { $0.attention?.hasChannelShapes == true }
    told.hasFinalNormalization = hasFinalNormalization
    told.lastConvolution = lastConvolution
    told.head = head.shapes
    told.classes = classes
    told.inputChannels = inputChannels
    var channels = stem.channels
    for index in told.stages.indices {
      // A projection that changes the channels would be there with any stride, so the stride does not show.
      if told.stages[index].blocks.first?.last != channels || shortcut == .padding {
        told.stages[index].stride = index == 0 ? 1 : 2
      }
      channels = told.stages[index].outputChannels
    }
    return told
  }

  /// Quantizes the weights, which folds the normalization into biases.
  mutating func quantize() {
    (isQuantized, normalization, hasConvolutionBias) = (true, .none, true)
  }

  /// Returns true when another network has the same tensor names and shapes, ignoring the head and quantization.
  package func hasTrunk(of other: ResNetConfiguration) -> Bool {
    var (own, theirs) = (shapes, other.shapes)
    (own.head, own.classes) = (theirs.head, theirs.classes)
    if isQuantized || other.isQuantized {
      own.quantize()
      theirs.quantize()
    }
    return own == theirs
  }

  /// Returns true when another network has the same kind of head; the number of outputs may differ.
  ///
  /// A backbone without a head matches every network.
  package func hasHead(of other: ResNetConfiguration) -> Bool {
    classes == 0 || other.classes > 0 && head == other.head
  }
}
