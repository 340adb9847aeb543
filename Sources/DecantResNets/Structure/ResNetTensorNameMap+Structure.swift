internal import DecantBytes
package import DecantTensors

/// The network that the order and shapes of tensors show, where their names show none.
package enum StructureResult: Sendable {
  /// The only network that fits, with canonical names for all tensors.
  case network(ResNetTensorNameMap)
  /// Several networks fit, and nothing shows which it is.
  case ambiguous
  /// No ResNet fits.
  case none
}

/// The questions that shapes leave open where no name answers them.
package struct StructureAlternatives: Sendable {
  /// True when shortcuts may pool before they project, which changes no shape.
  package let hasOpenShortcut: Bool
  /// The published networks with the other kind of shortcut.
  let architectures: [ResNetArchitecture]
}

extension ResNetDialect {
  /// The naming of a network that was recognised by order and shapes.
  package static let structure = ResNetDialect("structure", "by order and shapes, not by names", [])
}

extension ResNetTensorNameMap {
  /// True when the network was recognised by the order and shapes of its tensors, not by their names.
  package var isByStructure: Bool { dialect == .structure }

  /// Reads a state dict as a ResNet by the order and shapes of all its tensors. O(tensors).
  ///
  /// The network has to be a published one, or a custom one with the usual channels: each stage has twice those of the
  /// stage before. docs/adr/0020 gives the rule.
  ///
  /// - Parameter architecture: the network that the caller expects; it decides between networks of equal shapes.
  package static func byStructure(
    in stateDict: StateDict, architecture: ResNetArchitecture? = nil
  ) -> StructureResult {
    var published: [ResNetTensorNameMap] = []
    var custom: [ResNetTensorNameMap] = []
    for sequence in LayerSequence.all(in: stateDict) {
      let matches = StructureMatch.all(in: sequence)
      guard !matches.isEmpty, hasPlausibleStatistics(sequence, stateDict) else { continue }
      for match in matches {
        // A shortcut that pools before it projects has the same shapes, and other names of its layers.
        let maps = [false, true].compactMap { isPooled in
          map(stateDict, sequence, match, isPooled: isPooled).flatMap { map in
            map.wholeConfiguration.map { (map: map, configuration: $0) }
          }
        }
        if let architecture {
          published += maps.filter { architecture.configuration.hasTrunk(of: $0.configuration) }.map(\.map)
          continue
        }
        let sharing = maps.map { ResNetArchitecture.sharing($0.configuration, .structure) }
        if let place = sharing.firstIndex(where: { !$0.isEmpty }) {
          var map = maps[place].map
          map.alternatives = StructureAlternatives(
            hasOpenShortcut: maps[place].configuration.shortcut == .pooledProjection
              || place + 1 < sharing.count && !sharing[place + 1].isEmpty,
            architectures: sharing.dropFirst(place + 1).flatMap { $0 })
          published.append(map)
        } else if let first = maps.first, first.configuration.hasUsualChannels {
          var map = first.map
          if case .deep = first.configuration.stem {
            map.alternatives = StructureAlternatives(hasOpenShortcut: true, architectures: [])
          }
          custom.append(map)
        }
      }
    }
    let found = published.isEmpty ? custom : published
    return found.count > 1 ? .ambiguous : found.first.map { .network($0) } ?? .none
  }

  /// The configuration of the network whose tensors these are, all of them; nil when some are missing or left over.
  private var wholeConfiguration: ResNetConfiguration? {
    guard let configuration = try? ResNetConfiguration(shapesOf: self),
      let graph = try? configuration.graph(),
      ResNetVerification(of: self, against: graph, standsAlone: true).isMatch
    else { return nil }
    return configuration
  }

  /// Returns false when numbers contradict the order in which the tensors of normalizations were read.
  ///
  /// A variance is never negative. Where nothing but the order tells a mean from a variance, some mean must be.
  private static func hasPlausibleStatistics(_ sequence: LayerSequence, _ stateDict: StateDict) -> Bool {
    guard sequence.hasStatistics, !sequence.isNamed else { return true }
    func hasNegative(_ leaf: String) -> Bool? {
      var hasNegative = false
      for layer in sequence.layers {
        guard let index = layer.tensors.first(where: { $0.leaf == leaf })?.index else { continue }
        let tensor = stateDict.entries[index].tensor
        guard tensor.storage.content != nil, let values = try? tensor.elements(as: Double.self) else {
          return nil
        }
        if values.contains(where: { $0 < 0 }) { hasNegative = true }
      }
      return hasNegative
    }
    guard hasNegative("running_var") == false else { return false }
    return !sequence.isOrderUnmarked || hasNegative("running_mean") == true
  }

  /// Names the tensors by the layers that they belong to.
  private static func map(
    _ stateDict: StateDict, _ sequence: LayerSequence, _ match: StructureMatch, isPooled: Bool
  ) -> ResNetTensorNameMap? {
    var names: [String?] = Array(repeating: nil, count: stateDict.entries.count)
    for (layer, module) in zip(sequence.layers, match.modules) {
      var module = module
      if isPooled {
        if module.hasSuffix(".downsample.1") { module = module.dropLast() + "2" }
        if module.hasSuffix(".downsample.0") { module = module.dropLast() + "1" }
      }
      for (leaf, index) in layer.tensors { names[index] = "\(module).\(leaf)" }
    }
    let entries = zip(stateDict.entries, names).map {
      Entry(name: $0.name, canonical: $1, tensor: $0.tensor)
    }
    return try? ResNetTensorNameMap(entries, .structure, prefix: "")
  }
}

extension ResNetConfiguration {
  /// True when stages have the usual channels: each has twice those of the stage before, and the first one follows from
  /// the stem's.
  fileprivate var hasUsualChannels: Bool {
    guard let first = stages.first, stages.count > 1, [.basic, .bottleneck].contains(first.block),
      stemPooling != .convolution
    else { return false }
    let isDoubling = zip(stages, stages.dropFirst()).allSatisfy { stage, next in
      next.outputChannels.is(2, times: stage.outputChannels)
        && next.blocks[0][0].is(2, times: stage.blocks[0][0])
        && next.block == stage.block && next.groups == stage.groups
    }
    return isDoubling
      && (first.block == .basic
        // Twice the stem's channels may be those of the second stage of a network whose first is missing.
        ? first.outputChannels.isMultiple(of: stem.channels)
          && !first.outputChannels.is(2, times: stem.channels)
        : first.outputChannels.is(4, times: stem.channels))
  }
}

extension Int {
  /// Returns true for a multiple of another number. A file's sizes may be too large to multiply.
  fileprivate func `is`(_ factor: Int, times other: Int) -> Bool {
    isMultiple(of: factor) && self / factor == other
  }
}
