internal import DecantBytes
internal import DecantGraphs

extension ResNetEvidence {
  /// The configuration for inference, with the evidence that it relies on.
  ///
  /// The caller's overrides come before evidence, and evidence before defaults.
  struct AppliedEvidence {
    var configuration: ResNetConfiguration
    var read: [Item] = []
    var warnings: [ResNetWarning] = []
    /// The error to throw when the file describes a geometry that cannot be built; otherwise nil.
    var refusal: DecantError?
    /// The evidence that the head has an operation that Decant does not compute; nil when all are computed.
    var unsupportedHead: Item?
    /// The number that each normalization layer adds to the variance, by canonical name; empty when they are all equal.
    fileprivate(set) var epsilons: [String: Double] = [:]

    /// Builds the network's graph, with each normalization layer's own epsilon.
    func graph() throws(DecantError) -> Graph {
      let graph = try configuration.graph()
      return epsilons.isEmpty ? graph : graph.replacing(epsilons: epsilons)
    }
  }

  /// Applies strong evidence and the caller's overrides to a configuration inferred from shapes.
  ///
  /// Overrides come before evidence, with a warning where the two differ.
  ///
  /// - Parameter shapes: the configuration before any override or evidence.
  func taken(
    for shapes: ResNetConfiguration, _ said: ResNetOverrides
  ) throws(DecantError) -> AppliedEvidence {
    let applied = applied(to: shapes)
    let declared = said.said
    // The name of an architecture decides everything but the head.
    let used =
      said.architecture == nil ? applied.used : applied.used.filter { $0.setting?.isAboutHead == true }
    var base = said.architecture == nil ? applied.configuration : shapes
    if said.architecture != nil { for item in used { item.setting?.apply(to: &base) } }
    var taken = AppliedEvidence(configuration: try said.applied(to: base))
    taken.unsupportedHead = items.first { $0.setting == .otherHead && declared[$0.name] == nil }
    func declaration(_ name: String) -> (setting: ResNetOverrideKey, value: String)? {
      if let value = declared[name], let setting = ResNetOverrideKey(fact: name) { return (setting, value) }
      return said.architecture.map { (.architecture, $0.name) }
    }
    let expected = try said.applied(to: shapes)
    for item in applied.used + beyondConfiguration + items.filter({ $0.setting == .otherHead }) {
      if said.architecture != nil, declared[item.name] == nil, item.setting?.isAboutHead == true { continue }
      guard let (key, value) = declaration(item.name) else { continue }
      var changed = expected
      let differs: Bool
      switch item.setting {
      case .architecture(let name)?: differs = said.architecture.map { $0.name != name } ?? false
      case .other?, .otherHead?, .epsilons?: differs = true
      case let evidence?:
        evidence.apply(to: &changed)
        differs = changed != expected
      case nil: differs = false
      }
      if differs {
        taken.warnings.append(
          .contradicted(key, value: value, evidence: "\(item.name) \(item.value) of \(item.words)"))
      }
    }
    taken.read = used.filter { item in
      guard case .architecture(let name)? = item.setting else { return declared[item.name] == nil }
      // A name that belongs to other shapes gets a warning below.
      return ResNetArchitecture.named(name)?.configuration.hasTrunk(of: shapes) == true
    }
    if isOutputOpen, taken.configuration.classes > 0 { taken.warnings.append(.openOutput) }
    guard said.architecture == nil else { return taken }
    if said.epsilon == nil { taken.epsilons = applied.epsilons }
    if let first = beyondConfiguration.first(where: { declared[$0.name] == nil }) {
      taken.refusal = DecantError(
        .unsupportedNetwork,
        "the network's geometry is not supported: \("\(first.name) \(first.value) (\(first.words))".escapedForDisplay)",
        advice: .nameArchitecture)
    }
    // Shapes come before a name, so a source that names a network of other shapes gets a warning.
    if let named = settled("architecture"), case .architecture(let name)? = named.setting,
      let published = ResNetArchitecture.named(name), !published.configuration.hasTrunk(of: shapes)
    {
      taken.warnings.append(.otherShapes(architecture: name, source: named.words))
    }
    return taken
  }
}

extension Graph {
  /// Returns the same graph with another epsilon in each named normalization layer.
  fileprivate func replacing(epsilons: [String: Double]) -> Graph {
    var graph = Graph(inputChannels: inputChannels)
    var stages = stages[...]
    func name(_ value: Value) {
      while let stage = stages.first, stage.value == value {
        graph.nameStage(stage.name, value)
        stages.removeFirst()
      }
    }
    for node in nodes {
      var operation = node.operation
      if case .batchNormalization(let channels, _) = operation, let epsilon = epsilons[node.name] {
        operation = .batchNormalization(channels: channels, epsilon: epsilon)
      }
      if case .batchStatisticsNormalization(let channels, _) = operation, let epsilon = epsilons[node.name] {
        operation = .batchStatisticsNormalization(channels: channels, epsilon: epsilon)
      }
      name(graph.append(node.name, operation, inputs: node.inputs))
    }
    return graph
  }
}
