/// The kinds of residual block, by the kernels of their convolutions.
public enum ResNetBlock: String, Sendable, CaseIterable {
  /// Two 3×3 convolutions.
  case basic
  /// 1×1, 3×3 and 1×1 convolutions.
  case bottleneck
  /// A bottleneck with two 3×3 convolutions (timm's `extra_conv`).
  case longBottleneck = "long bottleneck"
  /// 3×3 and 1×1 convolutions (timm's `edge`).
  case edge

  /// Sizes of the kernels, in order.
  package var kernels: [Int] {
    switch self {
    case .basic: [3, 3]
    case .bottleneck: [1, 3, 1]
    case .longBottleneck: [1, 3, 3, 1]
    case .edge: [3, 1]
    }
  }

  /// Channels of the block's result for one channel of `planes`, as torchvision counts them.
  package var expansion: Int { self == .basic ? 1 : 4 }

  /// The block of some kernels; nil when it is none of a ResNet's.
  init?(kernels: [Int]) {
    guard let block = Self.allCases.first(where: { $0.kernels == kernels }) else { return nil }
    self = block
  }
}

/// What weighs a block's channels.
package enum ResNetAttention: Sendable, Equatable {
  /// Two 1×1 convolutions on the channels' means, with so many channels between them (Hu et al. 2017).
  case squeezeExcitation(reduced: Int)
  /// One convolution of this length along the channels' means (Wang et al. 2019).
  case efficient(kernel: Int)
  /// A mean weighed by a convolution, and two 1×1 convolutions with a normalization between (Cao et al. 2019).
  case globalContext(reduced: Int)
  /// Each group's rows and columns mixed by matrices of `block`² numbers, made of the map itself, among so many
  /// channels (Chi et al. 2020).
  case bilinear(reduced: Int, groups: Int, block: Int)

  /// Whether its shapes tell how many channels it weighs.
  var tellsChannels: Bool { if case .efficient = self { false } else { true } }
}

/// Blocks that work at one resolution; the first may halve it.
package struct ResNetStage: Sendable, Equatable {
  package var block: ResNetBlock
  /// Channels of each convolution's result, for every block: `[[64, 64, 256], …]`.
  package var blocks: [[Int]]
  /// Groups of the 3×3 convolutions.
  package var groups = 1
  /// Stride of the first block.
  package var stride: Int
  package var attention: ResNetAttention?

  /// Blocks of the given channels.
  package init(
    _ block: ResNetBlock, blocks: [[Int]], groups: Int = 1, stride: Int, attention: ResNetAttention? = nil
  ) {
    self.block = block
    self.blocks = blocks
    self.groups = groups
    self.stride = stride
    self.attention = attention
  }

  /// Equal blocks.
  package init(_ block: ResNetBlock, count: Int, widths: [Int], groups: Int = 1, stride: Int) {
    // One more than a network may have is enough for it to be refused.
    let count = max(0, min(count, ResNetConfiguration.mostBlocks + 1))
    self.init(block, blocks: Array(repeating: widths, count: count), groups: groups, stride: stride)
  }

  /// Channels of the stage's result.
  package var outputChannels: Int { blocks.last?.last ?? 0 }

  /// Whether the first block's shortcut is more than the identity.
  func projects(from channels: Int) -> Bool { stride != 1 || blocks.first?.last != channels }
}
