internal import Graphs

extension ResNet {
  /// What a configuration means, in the words of the questions people ask of it.
  public struct Summary: Sendable {
    /// One stage of blocks.
    public struct Stage: Sendable {
      public let name: String
      public let blocks: Int
      /// Channels on the way through the second and later blocks: `256 → 64 → 64 → 256`.
      public let channels: [Int]
      /// Where the shortcut has a convolution of its own, and why; nil when every shortcut is the identity.
      public let downsample: String?
    }
    public let block: Block
    public let layers: [Int]
    /// Layers with weights: the stem's convolution, the blocks' and the fully connected one. Shortcuts are not
    /// counted (He et al. 2015, table 1).
    public let weightedLayers: Int
    /// The sum that gives ``weightedLayers``.
    public let arithmetic: String
    public let stages: [Stage]

    /// Reads a configuration.
    ///
    /// - Throws: ``ConfigurationError`` when it makes no network.
    public init(_ configuration: Configuration) throws(ConfigurationError) {
      // The graph knows where shortcuts have convolutions; this only reads it.
      let graph = try configuration.graph()
      block = configuration.block
      layers = configuration.layers
      weightedLayers = configuration.depth
      let sizes = configuration.stages.map(\.block.kernels.count)
      let equal = Set(sizes).count == 1
      let sum = zip(configuration.layers, sizes).map { equal ? "\($0)" : "\($0) × \($1)" }.joined(
        separator: " + ")
      let stem =
        if case .deep(let convolutions, _) = configuration.stem {
          "1 for the stem of \(convolutions.count) convolutions"
        } else { "1 stem convolution" }
      arithmetic =
        "\(stem) + \(equal ? "\(sizes.first ?? 0) × (\(sum))" : sum) = \(weightedLayers - 2) block convolutions + 1 fully connected layer"

      func convolution(_ name: String) -> Convolution? {
        for node in graph.nodes where node.name == name {
          if case .conv(let convolution) = node.operation { return convolution }
        }
        return nil
      }
      stages = configuration.layers.indices.map { index in
        let name = "layer\(index + 1)"
        let last = "\(name).\(configuration.layers[index] - 1)"
        let convolutions = (1...configuration.stages[index].block.kernels.count).compactMap {
          convolution("\(last).conv\($0)")
        }
        let output = convolutions.last?.outputChannels ?? 0
        let inner = convolutions.map(\.outputChannels)
        let downsample = ["0", "1"].compactMap({ convolution("\(name).0.downsample.\($0)") }).first.map {
          shortcut in
          var reasons: [String] = []
          if shortcut.stride != 1 { reasons.append("stride \(shortcut.stride)") }
          if shortcut.inputChannels != shortcut.outputChannels {
            reasons.append("\(shortcut.inputChannels) → \(shortcut.outputChannels) channels")
          }
          return "\(name).0 (\(reasons.joined(separator: ", ")))"
        }
        return Stage(
          name: name, blocks: configuration.layers[index], channels: [output] + inner, downsample: downsample)
      }
    }
  }
}
