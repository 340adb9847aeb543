internal import DecantTensors

/// A ResNet that is recognised by the order and shapes of its layers, not by names.
///
/// Layers are read as a stem, blocks and a head, in the orders in which libraries register them. Every tensor must have
/// a place, and every change of channels a projection, since a plain network has the same shapes otherwise.
/// docs/adr/0020 gives the rule and its reasons.
struct StructureMatch {
  /// The order in which a block registers its layers.
  private enum Arrangement: CaseIterable {
    /// Each convolution with its normalization.
    case interleaved
    /// All convolutions, then all normalizations.
    case convolutionsFirst
    /// As ``convolutionsFirst``, with the shortcut's convolution after the block's.
    case shortcutAmongConvolutions
  }

  /// An assumption about a network, which one reading of its layers tests.
  private struct Hypothesis {
    var block: ResNetBlock
    var stemConvolutions: Int
    var hasPoolConvolution: Bool
    var order: ResNetOrder
    var isShortcutFirst: Bool
    var arrangement: Arrangement
  }

  /// A block that was read.
  private struct Block: Equatable {
    var widths: [Int]
    var groups: Int
    /// The sizes of the attention; empty for none.
    var attention: [Int]
    var projects: Bool

    var outputs: Int { widths.last ?? 0 }
  }

  /// The canonical names of modules, by the index of the layer.
  let modules: [String]

  /// Returns every way in which layers are a ResNet's. O(hypotheses × layers).
  static func all(in sequence: LayerSequence) -> [StructureMatch] {
    var found: [StructureMatch] = []
    for block in ResNetBlock.allCases {
      for stem in 1...4 {
        for hasPoolConvolution in [false, true] {
          for order in ResNetOrder.allCases {
            for isShortcutFirst in [false, true] {
              for arrangement in Arrangement.allCases {
                let hypothesis = Hypothesis(
                  block: block, stemConvolutions: stem, hasPoolConvolution: hasPoolConvolution, order: order,
                  isShortcutFirst: isShortcutFirst, arrangement: arrangement)
                var reader = Reader(layers: sequence.layers, hypothesis: hypothesis)
                if let match = reader.match(), !found.contains(where: { $0.modules == match.modules }) {
                  found.append(match)
                }
              }
            }
          }
        }
      }
    }
    return found
  }

  /// A reading of layers under one hypothesis.
  private struct Reader {
    let layers: [LayerSequence.Layer]
    let hypothesis: Hypothesis
    /// The canonical names of the layers that were read.
    private var modules: [String] = []
    private let isNormalized: Bool
    private var hasBlockBias = false

    init(layers: [LayerSequence.Layer], hypothesis: Hypothesis) {
      (self.layers, self.hypothesis) = (layers, hypothesis)
      isNormalized = layers.contains { if case .normalization = $0.kind { true } else { false } }
    }

    /// Reads the whole network; nil when the layers do not fit the hypothesis.
    mutating func match() -> StructureMatch? {
      if hypothesis.arrangement != .interleaved,
        !isNormalized || hypothesis.isShortcutFirst || hypothesis.order == .pre
      {
        return nil
      }
      guard let stem = readStem(), let features = readBlocks(stem) else { return nil }
      // Not every pre-activation network ends with a normalization.
      if hypothesis.order == .pre { _ = readNormalization(features, "norm") }
      guard readHead(features), position == layers.count else { return nil }
      return StructureMatch(modules: modules)
    }

    // MARK: Single layers

    /// The index of the next layer.
    private var position: Int { modules.count }

    private func convolution(at index: Int) -> (outputs: Int, inputs: Int, kernel: Int)? {
      guard index < layers.count, case .convolution(let outputs, let inputs, let kernel) = layers[index].kind
      else {
        return nil
      }
      return (outputs, inputs, kernel)
    }

    /// Takes a convolution with this kernel that reads `inputs` channels. Returns its output channels and groups.
    private mutating func readConvolution(
      _ inputs: Int?, kernel: Int, _ module: String
    ) -> (outputs: Int, groups: Int)? {
      guard let found = convolution(at: position), found.kernel == kernel, found.outputs > 0, found.inputs > 0
      else { return nil }
      let groups: Int
      if let inputs, inputs != found.inputs {
        guard kernel > 1, found.inputs > 1, inputs.isMultiple(of: found.inputs) else { return nil }
        groups = inputs / found.inputs
        guard found.outputs.isMultiple(of: groups) else { return nil }
      } else {
        groups = 1
      }
      modules.append(module)
      return (found.outputs, groups)
    }

    /// Takes a normalization. Returns false when there is none of this size; true also for a network without any.
    private mutating func readNormalization(_ channels: Int, _ module: String) -> Bool {
      guard isNormalized else { return true }
      guard position < layers.count, case .normalization(channels) = layers[position].kind else {
        return false
      }
      modules.append(module)
      return true
    }

    // MARK: The parts of a network

    private mutating func readStem() -> Int? {
      let count = hypothesis.stemConvolutions
      let isPost = hypothesis.order == .post
      guard let first = convolution(at: 0), first.kernel >= 3, count == 1 || first.kernel == 3 else {
        return nil
      }
      var channels: Int?
      for index in 0..<count {
        let isLast = index == count - 1
        guard
          let found = readConvolution(
            channels, kernel: first.kernel, count == 1 ? "conv1" : "conv1.\(3 * index)"),
          found.groups == 1
        else { return nil }
        channels = found.outputs
        if isLast ? isPost : true,
          !readNormalization(found.outputs, isLast ? "bn1" : "conv1.\(3 * index + 1)")
        {
          return nil
        }
      }
      // The channels of a stem of several convolutions grow. Equal ones would be a block without a change of channels.
      guard let channels, count == 1 || first.outputs < channels else { return nil }
      if hypothesis.hasPoolConvolution {
        guard let pool = readConvolution(channels, kernel: 3, "maxpool.0"), pool.outputs == channels,
          pool.groups == 1,
          readNormalization(channels, "maxpool.1")
        else { return nil }
      }
      return channels
    }

    /// Reads all blocks. Returns the channels of the last one.
    private mutating func readBlocks(_ stem: Int) -> Int? {
      var channels = stem
      var (stage, place) = (0, 0)
      var first: Block?
      hasBlockBias =
        layers.dropFirst(position).first { $0.isConvolution && $0.kernel > 1 }?.hasBias ?? false
      while true {
        let start = position
        let next = place + (first == nil ? 0 : 1)
        guard let block = readBlock(channels, first == nil ? "layer1.0" : "layer\(stage).\(next)") else {
          modules.removeLast(position - start)
          break
        }
        if first == nil || block.projects {
          stage += 1
          place = 0
          // Equal channels with a projection in the first stage: its stride does not show.
          if first == nil, block.projects, block.outputs == channels { return nil }
          for index in start..<position where first != nil {
            modules[index] =
              "layer\(stage).0" + modules[index].drop { $0 != "." }.dropFirst().drop { $0 != "." }
          }
          first = block
        } else {
          place += 1
          guard var expected = first else { return nil }
          expected.projects = false
          guard block == expected else { return nil }
        }
        channels = block.outputs
        guard stage <= 16, place < ResNetConfiguration.mostBlocks else { return nil }
      }
      return stage >= 2 ? channels : nil
    }

    /// Reads one block that takes `inputs` channels.
    private mutating func readBlock(_ inputs: Int, _ name: String) -> Block? {
      let kernels = hypothesis.block.kernels
      var block = Block(widths: [], groups: 1, attention: [], projects: false)
      var projected: Int?
      if hypothesis.isShortcutFirst, let shortcut = convolution(at: position), shortcut.kernel == 1,
        shortcut.inputs == inputs, !isBlockStart(at: position)
      {
        guard readShortcut(shortcut.outputs, name) else { return nil }
        projected = shortcut.outputs
      }
      if hypothesis.arrangement == .interleaved {
        for (index, kernel) in kernels.enumerated() {
          let reads = block.widths.last ?? inputs
          if hypothesis.order == .pre, !readNormalization(reads, "\(name).bn\(index + 1)") { return nil }
          guard let found = readConvolution(reads, kernel: kernel, "\(name).conv\(index + 1)") else {
            return nil
          }
          if kernel > 1 {
            guard block.groups == 1 || block.groups == found.groups else { return nil }
            block.groups = found.groups
          }
          block.widths.append(found.outputs)
          if hypothesis.order == .post, !readNormalization(found.outputs, "\(name).bn\(index + 1)") {
            return nil
          }
          if kernels.count > 2, index == kernels.count - 2 {
            block.attention = readAttention(found.outputs, name)
          }
        }
      } else {
        for (index, kernel) in kernels.enumerated() {
          guard
            let found = readConvolution(
              block.widths.last ?? inputs, kernel: kernel, "\(name).conv\(index + 1)")
          else { return nil }
          block.widths.append(found.outputs)
        }
        if hypothesis.arrangement == .shortcutAmongConvolutions, isShortcut(inputs, block) {
          modules.append("\(name).downsample.0")
          projected = block.outputs
        }
        for (index, width) in block.widths.enumerated() {
          guard readNormalization(width, "\(name).bn\(index + 1)") else { return nil }
        }
        if projected != nil, position < layers.count,
          case .normalization(block.outputs) = layers[position].kind
        {
          modules.append("\(name).downsample.1")
        }
      }
      if block.attention.isEmpty { block.attention = readAttention(block.outputs, name) }
      if !hypothesis.isShortcutFirst, hypothesis.arrangement != .shortcutAmongConvolutions,
        isShortcut(inputs, block)
      {
        guard readShortcut(block.outputs, name) else { return nil }
        projected = block.outputs
      }
      block.projects = projected != nil
      guard isUsual(block), projected.map({ $0 == block.outputs }) ?? (inputs == block.outputs) else {
        return nil
      }
      return block
    }

    /// Returns true when a block's inner convolutions keep their channels, as in every published block.
    private func isUsual(_ block: Block) -> Bool {
      switch hypothesis.block {
      case .basic: block.widths[0] == block.widths[1] && block.groups == 1
      case .edge: true
      case .bottleneck, .longBottleneck: Set(block.widths.dropLast()).count == 1
      }
    }

    /// Returns true when the layer at the position is the shortcut of the block before it.
    private func isShortcut(_ inputs: Int, _ block: Block) -> Bool {
      guard let found = convolution(at: position), found.inputs == inputs, found.outputs == block.outputs
      else {
        return false
      }
      if found.kernel == 3 { return hypothesis.block == .basic && inputs != block.outputs }
      return found.kernel == 1 && (inputs != block.outputs || !isBlockStart(at: position))
    }

    /// Returns true when the convolution at the index and the next one have the kernels of a block's first two.
    private func isBlockStart(at index: Int) -> Bool {
      let kernels = hypothesis.block.kernels
      guard let first = convolution(at: index), first.kernel == kernels[0],
        let next = (index + 1..<layers.count).first(where: { layers[$0].isConvolution })
      else { return false }
      return layers[next].kernel == kernels[1]
    }

    private mutating func readShortcut(_ outputs: Int, _ name: String) -> Bool {
      modules.append("\(name).downsample.0")
      guard isNormalized, hypothesis.order == .post else { return true }
      return readNormalization(outputs, "\(name).downsample.1")
    }

    /// Reads an attention of this many channels if one is at the position. Returns its sizes.
    private mutating func readAttention(_ channels: Int, _ name: String) -> [Int] {
      guard position < layers.count else { return [] }
      if case .channelConvolution = layers[position].kind {
        modules.append("\(name).se.conv")
        return [1]
      }
      guard let squeeze = convolution(at: position), let excite = convolution(at: position + 1),
        squeeze.kernel == 1, excite.kernel == 1, squeeze.inputs == channels, excite.outputs == channels,
        squeeze.outputs == excite.inputs, layers[position].hasBias, layers[position + 1].hasBias,
        !hasBlockBias
      else { return [] }
      modules += ["\(name).se.fc1", "\(name).se.fc2"]
      return [squeeze.outputs, channels]
    }

    private mutating func readHead(_ features: Int) -> Bool {
      guard position == layers.count - 1 else { return position == layers.count }
      switch layers[position].kind {
      case .linear(let outputs, features) where outputs > 0 && layers[position].hasBias: break
      case .convolution(let outputs, features, 1) where outputs > 0 && layers[position].hasBias: break
      default: return false
      }
      modules.append("fc")
      return true
    }
  }
}

extension LayerSequence.Layer {
  /// The kernel size of a convolution; 0 for other layers.
  fileprivate var kernel: Int { if case .convolution(_, _, let kernel) = kind { kernel } else { 0 } }
}
