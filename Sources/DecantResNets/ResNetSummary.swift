internal import DecantBytes

/// The facts about a configuration that people ask for: layers, depth and the blocks of each stage.
package struct ResNetSummary: Sendable {
  /// One stage of blocks.
  package struct ResNetStage: Sendable {
    package let name: String
    package let blocks: Int
    /// The channels along the second and later blocks: `256 → 64 → 64 → 256`.
    package let channels: [Int]
    /// The channels along each block when some blocks of the network differ in more than their input, as after pruning;
    /// otherwise empty.
    package let differingBlocks: [[Int]]
    /// The block whose shortcut has a convolution, and the reason; nil when no shortcut has one.
    package let downsample: String?
  }
  package let block: ResNetBlock
  package let layers: [Int]
  /// The number of layers with weights: the stem's convolution, the blocks' convolutions and the fully connected layers
  /// that the network has.
  ///
  /// Shortcuts are not counted (He et al. 2015, table 1).
  package let weightedLayers: Int
  /// The sum that gives ``weightedLayers``, as text.
  package let arithmetic: String
  package let stages: [ResNetStage]

  /// Summarises a configuration. O(stages).
  package init(_ configuration: ResNetConfiguration) {
    block = configuration.block
    layers = configuration.layers
    let sizes = configuration.stages.map(\.block.kernels.count)
    let equal = Set(sizes).count == 1
    let sum = zip(configuration.layers, sizes).map { equal ? "\($0)" : "\($0) × \($1)" }.joined(
      separator: " + ")
    let stem =
      if case .deep(let convolutions, _) = configuration.stem {
        "1 for the stem of \(Format.count(convolutions.count, "convolution"))"
      } else { "1 stem convolution" }
    let blockLayers = zip(configuration.layers, sizes).reduce(0) { $0 + $1.0 * $1.1 }
    let headLayers = configuration.classes > 0 ? configuration.head.layerCount : 0
    weightedLayers = 1 + blockLayers + headLayers
    arithmetic =
      "\(stem) + \(equal ? "\(sizes.first ?? 0) × (\(sum))" : sum) = \(blockLayers) block convolutions"
      + (headLayers == 0 ? "" : " + \(Format.count(headLayers, "fully connected layer"))")
    let isEven = configuration.stages.allSatisfy { $0.hasEqualBlocks && $0.hasEqualWidths }
    var channels = configuration.stem.channels
    var stages: [ResNetStage] = []
    for (index, stage) in configuration.stages.enumerated() {
      let name = "layer\(index + 1)"
      var reasons: [String] = []
      if stage.stride != 1 { reasons.append("stride \(stage.stride)") }
      if channels != stage.outputChannels {
        reasons.append("\(channels) → \(stage.outputChannels) channels")
      }
      let inputs = channels
      let projects = stage.projects(from: channels) && configuration.shortcut != .padding
      channels = stage.outputChannels
      stages.append(
        ResNetStage(
          name: name, blocks: stage.blocks.count, channels: [channels] + (stage.blocks.last ?? []),
          differingBlocks: isEven
            ? [] : stage.blocks.enumerated().map { [$0.offset == 0 ? inputs : channels] + $0.element },
          downsample: projects ? "\(name).0 (\(reasons.joined(separator: ", ")))" : nil))
    }
    self.stages = stages
  }
}
