package import DecantGraphs

/// A network as it is drawn: panels for the stem, the stages and the head, with their blocks and layers.
///
/// Equal neighbouring blocks are one block with a count. Normalization and activations are not drawn.
package struct NetworkDiagram: Sendable {
  /// A layer on the main path.
  package struct Layer: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
      case convolution, pooling, linear, attention, other
    }
    /// The last part of the name, such as `conv2`.
    package let name: String
    package let kind: Kind
    /// The operation, such as `3×3` or `max pool 3×3`.
    package let operation: String
    package let stride: Int
    package let output: FeatureShape
    package var groups = 1
    package var dilation = 1

    /// The operation with its stride, groups and dilation, such as `3×3, stride 2`.
    package var text: String {
      ([operation] + (stride > 1 ? ["stride \(stride)"] : []) + (groups > 1 ? ["\(groups) groups"] : [])
        + (dilation > 1 ? ["dilation \(dilation)"] : [])).joined(separator: ", ")
    }
  }

  /// The shortcut of a block.
  package enum Shortcut: Sendable, Equatable {
    /// The input itself.
    case identity
    /// A `downsample` module; its operations in order, such as `1×1, stride 2`.
    case downsample([String])
    /// Every `stride`-th pixel, with channels of zeros added.
    case padding(stride: Int)
  }

  /// Equal blocks that follow each other.
  package struct Block: Sendable {
    /// The index of the first block in its stage.
    package let first: Int
    package fileprivate(set) var count = 1
    package let input: FeatureShape
    package let layers: [Layer]
    package let shortcut: Shortcut
    package let output: FeatureShape

    /// True when only the names differ.
    fileprivate func isEqual(to other: Block) -> Bool {
      input == other.input && layers == other.layers && shortcut == other.shortcut && output == other.output
    }
  }

  /// A part of the network: layers in a row, or residual blocks.
  package struct Panel: Sendable {
    package enum Content: Sendable {
      case layers([Layer])
      case blocks([Block])
    }
    /// `stem`, `layer1` …, or `head`.
    package let name: String
    package let input: FeatureShape
    package let output: FeatureShape
    package let content: Content

    /// The number of blocks; 0 for layers.
    package var blockCount: Int {
      if case .blocks(let blocks) = content { blocks.reduce(0) { $0 + $1.count } } else { 0 }
    }
  }

  package let panels: [Panel]
  package let input: FeatureShape

  /// The largest number of channels; the width of the drawing stands for it.
  package var mostChannels: Int {
    max(
      1,
      panels.map { panel in
        switch panel.content {
        case .layers(let layers): layers.map(\.output.channels).max() ?? 1
        case .blocks(let blocks):
          blocks.map { max($0.output.channels, $0.layers.map(\.output.channels).max() ?? 1) }.max() ?? 1
        }
      }.max() ?? 1)
  }

  /// Arranges a graph for an image of the given size; nil when the image does not fit the network. O(nodes).
  ///
  /// - Parameter costs: the costs of the nodes for an image of this size, which have the shapes.
  package init?(_ graph: Graph, costs: [NodeCost], height: Int, width: Int) {
    guard costs.count == graph.nodes.count else { return nil }
    let image = FeatureShape(channels: graph.inputChannels, height: height, width: width)
    let shapes =
      [image] + costs.map { FeatureShape(channels: $0.channels, height: $0.height, width: $0.width) }
    var panels: [Panel] = []
    var stem: [Layer] = []
    var head: [Layer] = []
    var start = 0
    var headInput = image
    func layers(_ range: Range<Int>) -> [Layer] {
      range.compactMap { Layer(graph.nodes[$0], output: shapes[$0 + 1]) }
    }
    func endStem() {
      guard let last = stem.last else { return }
      panels.append(Panel(name: "stem", input: shapes[0], output: last.output, content: .layers(stem)))
      stem = []
    }
    for stage in graph.stages {
      let range = start..<stage.value.index
      start = stage.value.index
      switch stage.name {
      case "stem", "maxpool": stem += layers(range)
      case "avgpool", "logits", "output":
        if head.isEmpty { headInput = shapes[range.lowerBound] }
        head += layers(range)
      default:
        endStem()
        panels.append(
          Panel(
            name: stage.name, input: shapes[range.lowerBound], output: shapes[range.upperBound],
            content: .blocks(Self.blocks(graph, shapes, range))))
      }
    }
    endStem()
    if let last = head.last {
      panels.append(Panel(name: "head", input: headInput, output: last.output, content: .layers(head)))
    }
    (self.panels, input) = (panels, image)
  }

  private static func blocks(_ graph: Graph, _ shapes: [FeatureShape], _ range: Range<Int>) -> [Block] {
    var blocks: [Block] = []
    var start = range.lowerBound
    while start < range.upperBound {
      let name = blockName(graph.nodes[start].name)
      let end =
        (start..<range.upperBound).first { blockName(graph.nodes[$0].name) != name } ?? range.upperBound
      let nodes = graph.nodes[start..<end]
      let isShortcut = { (node: Node) in partName(node.name).hasPrefix("downsample") }
      let block = Block(
        first: blocks.last.map { $0.first + $0.count } ?? 0, input: shapes[start],
        layers: (start..<end).filter { !isShortcut(graph.nodes[$0]) }
          .compactMap { Layer(graph.nodes[$0], output: shapes[$0 + 1]) },
        shortcut: Shortcut(nodes.filter(isShortcut)), output: shapes[end])
      if let last = blocks.last, last.isEqual(to: block) {
        blocks[blocks.count - 1].count += 1
      } else {
        blocks.append(block)
      }
      start = end
    }
    return blocks
  }

  /// Returns a node's block: `layer1.0` of `layer1.0.conv1`. Nodes after the blocks, such as `norm`, have their own.
  private static func blockName(_ name: String) -> Substring {
    let parts = name.split(separator: ".", maxSplits: 2)
    return parts.count > 2 ? name.dropLast(parts[2].count + 1) : name[...]
  }

  /// Returns a node's name inside its block: `conv1` of `layer1.0.conv1`.
  private static func partName(_ name: String) -> Substring { name.dropFirst(blockName(name).count + 1) }
}

extension NetworkDiagram.Layer {
  /// Describes a node; nil for normalization, activations and sums.
  fileprivate init?(_ node: Node, output: FeatureShape) {
    let parts = node.name.split(separator: ".")
    let name = String(
      parts.first?.hasPrefix("layer") == true && parts.count > 2
        ? parts[2...].joined(separator: ".") : node.name)
    func layer(_ kind: Kind, _ operation: String, stride: Int = 1) -> Self {
      Self(name: name, kind: kind, operation: operation, stride: stride, output: output)
    }
    switch node.operation {
    case .conv(let convolution):
      self = layer(
        .convolution, "\(convolution.kernel)×\(convolution.kernel)", stride: convolution.stride)
      (groups, dilation) = (convolution.groups, convolution.dilation)
    case .maxPool(let pooling):
      self = layer(.pooling, "max pool \(pooling.kernel)×\(pooling.kernel)", stride: pooling.stride)
    case .averagePool(let size, _): self = layer(.pooling, "average pool \(size)×\(size)", stride: size)
    case .blurPool(let stride): self = layer(.pooling, "blur pool 3×3", stride: stride)
    case .globalAveragePool: self = layer(.pooling, "mean over all pixels")
    case .gemm: self = layer(.linear, "linear")
    case .squeezeExcitation(_, let reduced):
      self = layer(.attention, "squeeze-excitation \(reduced)")
    case .efficientChannelAttention(let kernel):
      self = layer(.attention, "channel attention \(kernel)")
    case .attentionPool: self = layer(.attention, "attention pool")
    case .padChannels(_, let stride): self = layer(.other, "zero padding", stride: stride)
    case .opaque(let operation): self = layer(.other, operation.name)
    case .batchNormalization, .batchStatisticsNormalization, .channelAffine, .groupNormalization,
      .vectorStandardization,
      .layerNormalization, .relu, .silu, .vectorFunction, .add:
      return nil
    }
  }
}

extension NetworkDiagram.Shortcut {
  /// Describes the nodes of a `downsample` module; none of them is the identity.
  fileprivate init(_ nodes: [Node]) {
    if case .padChannels(_, let stride) = nodes.first?.operation {
      self = .padding(stride: stride)
      return
    }
    let shape = FeatureShape(channels: 0)
    let operations = nodes.compactMap { NetworkDiagram.Layer($0, output: shape)?.text }
    self = operations.isEmpty ? .identity : .downsample(operations)
  }
}
