extension ResNetEvidence {
  /// Returns a configuration inferred from shapes with the strong evidence applied, and the evidence used.
  ///
  /// The strongest item settles each fact. `epsilons` has the epsilon of each normalization layer, if they are not all
  /// equal.
  func applied(
    to shapes: ResNetConfiguration
  ) -> (configuration: ResNetConfiguration, used: [Item], epsilons: [String: Double]) {
    var configuration = shapes
    var used: [Item] = []
    var epsilons: [String: Double] = [:]
    let geometry = Set(shapes.geometry.map(\.name))
    for item in settledItems {
      switch item.setting {
      case .epsilons(let each): epsilons = each
      case .architecture: break
      case .other, .otherHead: continue
      // Evidence such as the position of a shortcut's addition changes nothing, but the fact need not be assumed.
      case nil: guard geometry.contains(item.name) else { continue }
      case let setting?: setting.apply(to: &configuration)
      }
      used.append(item)
    }
    return (configuration, used, epsilons)
  }

  /// Returns true when no strong evidence excludes a published network with the file's shapes.
  func allows(_ architecture: ResNetArchitecture) -> Bool {
    guard beyondConfiguration.isEmpty else { return false }
    return settledItems.allSatisfy { item in
      guard let setting = item.setting else { return true }
      var changed = architecture.configuration
      setting.apply(to: &changed)
      // Another epsilon does not make another network, and v1 and v1.5 have one name.
      changed.epsilon = architecture.configuration.epsilon
      changed.blockStride = architecture.configuration.blockStride
      changed.head = architecture.configuration.head
      (changed.headInput, changed.outputFunctions) = ([], [])
      return changed == architecture.configuration
    }
  }

  /// The strongest item for each fact, without those from weak sources.
  private var settledItems: [Item] {
    var seen: Set<String> = []
    return items.filter { $0.source.isStrong && seen.insert($0.name).inserted }
  }

  /// Returns the facts on which sources disagree, each with the strongest source first.
  ///
  /// - Parameters:
  ///   - facts: the facts that shapes show, which come before all evidence.
  ///   - architectures: the published names with these shapes.
  func contradictions(
    with facts: [ResNetIdentification.Fact], architectures: [String]
  ) -> [Contradiction] {
    var names: [String] = []
    for item in items where !names.contains(item.name) { names.append(item.name) }
    return names.compactMap { name in
      var claims: [Contradiction.Claim] = []
      func add(_ value: String, _ source: String) {
        if !claims.contains(where: { $0.value == value }) {
          claims.append(Contradiction.Claim(value: value, source: source))
        }
      }
      // These names have two meanings. For `shortcut`, shapes show its layers, and evidence where it is added.
      for fact in facts where fact.name == name && !["shortcut", "normalization"].contains(name) {
        add(fact.value, fact.source)
      }
      if name == "architecture",
        items.contains(where: { $0.name == name && !architectures.contains($0.value) })
      {
        add(
          architectures.isEmpty ? "none that has a name" : architectures.joined(separator: ", "),
          "names and shapes")
      }
      for item in items where item.name == name { add(item.value, item.words) }
      return claims.count > 1 ? Contradiction(name: name, claims: claims) : nil
    }
  }
}

extension ResNetEvidence.Setting {
  /// True when the setting is about the head, which the name of an architecture does not decide.
  var isAboutHead: Bool {
    switch self {
    case .headActivations, .headInput, .outputFunctions, .headEpsilons, .otherHead: true
    default: false
    }
  }

  /// Applies the setting to a configuration. Layers that have tensors are not changed.
  func apply(to configuration: inout ResNetConfiguration) {
    switch self {
    case .stride0(let stride): configuration.stride0 = stride
    case .blockStride(let stride):
      // Blocks of two convolutions always have the stride on the first.
      if configuration.block != .basic, configuration.block != .edge { configuration.blockStride = stride }
    case .stageStrides(let strides):
      guard strides.count == configuration.stages.count else { return }
      for (index, stride) in strides.enumerated() { configuration.stages[index].stride = stride }
    case .stemPooling(let pooling):
      if configuration.stemPooling != .convolution { configuration.stemPooling = pooling }
    case .antialiasing(let antialiasing): configuration.antialiasing = antialiasing
    case .outputStride(let stride): configuration.outputStride = stride
    case .nonlinearity(let nonlinearity): configuration.nonlinearity = nonlinearity
    case .epsilon(let epsilon): configuration.epsilon = epsilon
    case .normalization(let choice): choice.apply(to: &configuration)
    case .hasStandardizedWeights(let standardizes): configuration.hasStandardizedWeights = standardizes
    case .headActivations(let activations):
      if case .layers(let layers) = configuration.head, let filled = layers.filled(with: activations) {
        configuration.head = .layers(filled)
      }
    case .headInput(let functions): configuration.headInput = functions
    case .outputFunctions(let functions): configuration.outputFunctions = functions
    case .headEpsilons(let epsilons):
      guard case .layers(var layers) = configuration.head else { return }
      for (index, epsilon) in epsilons where layers.indices.contains(index) {
        layers[index].epsilon = epsilon
      }
      configuration.head = .layers(layers)
    case .epsilons, .architecture, .other, .otherHead: break
    }
  }
}

extension ResNetConfiguration {
  /// Returns true when another configuration differs at most in the head and the number of outputs.
  func isSame(asBody other: ResNetConfiguration) -> Bool {
    var other = other
    (other.head, other.classes) = (head, classes)
    return other == self
  }
}
