/// A kind of residual block, defined by the kernel sizes of its convolutions.
public enum ResNetBlock: String, Sendable, CaseIterable {
  /// Two 3×3 convolutions.
  case basic
  /// 1×1, 3×3 and 1×1 convolutions.
  case bottleneck
  /// A bottleneck with two 3×3 convolutions (timm's `extra_conv`).
  case longBottleneck = "long bottleneck"
  /// 3×3 and 1×1 convolutions (timm's `edge`).
  case edge

  /// The kernel sizes, in order.
  package var kernels: [Int] {
    switch self {
    case .basic: [3, 3]
    case .bottleneck: [1, 3, 1]
    case .longBottleneck: [1, 3, 3, 1]
    case .edge: [3, 1]
    }
  }

  /// The ratio of the block's output channels to `planes`, as in torchvision.
  package var expansion: Int { self == .basic ? 1 : 4 }

  /// Creates the block with these kernel sizes; nil when no ResNet block has them.
  init?(kernels: [Int]) {
    guard let block = Self.allCases.first(where: { $0.kernels == kernels }) else { return nil }
    self = block
  }
}

/// The attention that weights a block's channels.
package enum ResNetAttention: Sendable, Equatable {
  /// Two 1×1 convolutions on the channels' means, with `reduced` channels between them (Hu et al. 2017).
  case squeezeExcitation(reduced: Int)
  /// One convolution of size `kernel` along the channels' means (Wang et al. 2019).
  case efficient(kernel: Int)
  /// A mean weighted by a convolution, then two 1×1 convolutions with normalization between them (Cao et al. 2019).
  case globalContext(reduced: Int)
  /// A mix of each group's rows and columns by `block`×`block` matrices (Chi et al. 2020).
  ///
  /// The matrices are computed from the feature map, which is reduced to `reduced` channels.
  case bilinear(reduced: Int, groups: Int, block: Int)

  /// True when the shapes of its tensors show the number of channels that it weights.
  var hasChannelShapes: Bool { if case .efficient = self { false } else { true } }
}

/// Consecutive blocks at one resolution; the first block may halve it.
package struct ResNetStage: Sendable, Equatable {
  package var block: ResNetBlock
  /// The output channels of each convolution, for every block: `[[64, 64, 256], …]`.
  package var blocks: [[Int]]
  /// The number of groups of the 3×3 convolutions.
  package var groups = 1
  /// The stride of the first block.
  package var stride: Int
  package var attention: ResNetAttention?

  /// Creates a stage of blocks with the given channels.
  package init(
    _ block: ResNetBlock, blocks: [[Int]], groups: Int = 1, stride: Int, attention: ResNetAttention? = nil
  ) {
    self.block = block
    self.blocks = blocks
    self.groups = groups
    self.stride = stride
    self.attention = attention
  }

  /// Creates a stage of `count` equal blocks.
  package init(_ block: ResNetBlock, count: Int, widths: [Int], groups: Int = 1, stride: Int) {
    // A larger count is cut to one more than the limit, so that `validate()` rejects it without a huge array.
    let count = max(0, min(count, ResNetConfiguration.mostBlocks + 1))
    self.init(block, blocks: Array(repeating: widths, count: count), groups: groups, stride: stride)
  }

  /// True when the convolutions of all blocks have the same numbers of output channels.
  package var hasEqualBlocks: Bool { blocks.allSatisfy { $0 == blocks.first } }

  /// True when the convolutions inside each block have the same number of output channels.
  package var hasEqualWidths: Bool { blocks.allSatisfy { Set($0.dropLast()).count <= 1 } }

  /// The number of output channels.
  package var outputChannels: Int { blocks.last?.last ?? 0 }

  /// Returns true when the first block's shortcut is not the identity.
  func projects(from channels: Int) -> Bool { stride != 1 || blocks.first?.last != channels }
}
