internal import DecantBytes

/// Evidence about the activations and normalizations in a head of several layers.
///
/// Activations are modules without tensors. Between two layers of a Sequential, the modules between their indices are
/// all that runs.
struct HeadEvidence {
  private(set) var items: [ResNetEvidence.Item] = []

  init(_ tree: ModuleTree, _ head: HeadChain, _ source: ResNetEvidence.Source, place: String) {
    guard head.members.count > 1 else { return }
    func add(
      _ name: String, _ value: String, _ detail: String, _ setting: ResNetEvidence.Setting? = nil
    ) {
      items.append(ResNetEvidence.Item(name, value, source, place: place, detail, setting: setting))
    }
    var activations: [ResNetHeadActivation] = []
    var details: [String] = []
    var isWhole = true
    for (before, after) in zip(head.members, head.members.dropFirst()) where after.layer.gap == .open {
      guard let modules = Self.modules(between: before.path, and: after.path, in: tree) else {
        isWhole = false
        continue
      }
      var found: [ResNetHeadActivation] = []
      for module in modules {
        guard let activation = Self.activation(module, in: tree) else {
          add("head_activation", tree.kind(module) ?? "", "\(module) is not supported", .other)
          return
        }
        if activation != .none { found.append(activation) }
      }
      guard Set(found).count <= 1 else {
        add("head_activation", "several", modules.joined(separator: ", "), .other)
        return
      }
      activations.append(found.first ?? .none)
      details.append(modules.map { "\($0) is \(tree.kind($0) ?? "")" }.joined(separator: ", "))
    }
    if isWhole, !activations.isEmpty {
      let texts = activations.map(\.rawValue)
      add(
        "head_activation",
        texts.allSatisfy { $0 == texts[0] } ? texts[0] : texts.joined(separator: ", "),
        details.joined(separator: "; "), .headActivations(activations))
    }
    readEpsilons(tree, head, source, place)
    readOutput(tree, head, source, place)
  }

  /// Reads the number that each normalization of the head adds to the variance.
  private mutating func readEpsilons(
    _ tree: ModuleTree, _ head: HeadChain, _ source: ResNetEvidence.Source, _ place: String
  ) {
    var epsilons: [Int: Double] = [:]
    var details: [String] = []
    for (index, member) in head.members.enumerated() where !member.layer.isLinear {
      guard let epsilon = tree.value(member.path, "eps")?.double, epsilon >= 0, epsilon.isFinite else {
        continue
      }
      epsilons[index] = epsilon
      details.append("\(member.path).eps \(epsilon)")
    }
    guard !epsilons.isEmpty else { return }
    items.append(
      ResNetEvidence.Item(
        "head_epsilon", Set(epsilons.values).sorted().map { "\($0)" }.joined(separator: ", "), source,
        place: place, details.joined(separator: ", "), setting: .headEpsilons(epsilons)))
  }

  /// Notes an activation after the last layer, which is not computed: outputs are logits.
  private mutating func readOutput(
    _ tree: ModuleTree, _ head: HeadChain, _ source: ResNetEvidence.Source, _ place: String
  ) {
    guard let last = head.members.last, let index = HeadChain.index(last.path), index < 1 << 24,
      tree.kind(HeadChain.container(last.path)) == "Sequential"
    else { return }
    let path = ModuleTree.join(HeadChain.container(last.path), String(index + 1))
    if let kind = tree.kind(path), Self.activation(path, in: tree) != ResNetHeadActivation.none {
      items.append(
        ResNetEvidence.Item(
          "output_activation", "\(kind), not computed: the outputs are logits", source, place: place, path))
    }
  }

  /// Returns the modules between two layers of a Sequential; nil when they are not in one, or when one is not listed.
  private static func modules(
    between one: String, and other: String, in tree: ModuleTree
  ) -> [String]? {
    let container = HeadChain.container(one)
    guard container == HeadChain.container(other), tree.kind(container) == "Sequential",
      let first = HeadChain.index(one), let last = HeadChain.index(other), first < last, last - first <= 64
    else { return nil }
    let paths = (first + 1..<last).map { ModuleTree.join(container, String($0)) }
    return paths.allSatisfy { tree.kind($0) != nil } ? paths : nil
  }

  /// Returns the activation that a module without tensors computes in inference; nil for another module.
  private static func activation(_ path: String, in tree: ModuleTree) -> ResNetHeadActivation? {
    switch tree.kind(path) {
    case "ReLU": .relu
    case "GELU":
      // TorchScript's code names the approximation, and attributes before PyTorch 1.12 have none.
      (tree.value(path, "approximate")?.string ?? "none") == "none" ? .gelu : nil
    case "Identity", "Flatten", "Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout":
      ResNetHeadActivation.none
    default: nil
    }
  }
}
