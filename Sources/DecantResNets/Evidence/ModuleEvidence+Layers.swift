internal import DecantBytes

/// Evidence from normalizations, activations and dropouts.
extension ModuleEvidence {
  private static let batches: Set<String> = [
    "BatchNorm2d", "SyncBatchNorm", "FrozenBatchNorm2d", "NaiveSyncBatchNorm", "BatchNormAct2d",
  ]
  private static let groups: Set<String> = ["GroupNorm", "GroupNormAct"]

  /// Reads the number that normalizations add to the variance, their groups, and the use of running statistics.
  mutating func readNormalizations() {
    var each: [(name: String, path: String, epsilon: Double)] = []
    var kinds: [String] = []
    var groups: Set<Int> = []
    var untracked: [String] = []
    for (name, path) in layout.normalizations {
      guard let kind = tree.kind(path) else { return }
      if !kinds.contains(kind) { kinds.append(kind) }
      if tree.value(path, "track_running_stats")?.bool == false { untracked.append(path) }
      guard Self.batches.contains(kind) || Self.groups.contains(kind),
        let epsilon = tree.value(path, "eps")?.double
      else { return }
      if let count = tree.value(path, "num_groups")?.size { groups.insert(count) }
      each.append((name, path, epsilon))
    }
    if let first = untracked.first {
      // Layers that do have running statistics use them, whatever the attribute says, but not in every version.
      let isSupported = told.normalization == .group && untracked.count == each.count
      add(
        "normalization", "by each batch's own statistics", "\(short(first)).track_running_stats false",
        isSupported ? .normalization(.batch) : .other)
    }
    guard let first = each.first else { return }
    let detail = "\(short(first.path)).eps \(first.epsilon)"
    let kind = kinds.joined(separator: ", ")
    if let other = each.first(where: { $0.epsilon != first.epsilon }) {
      add(
        "epsilon", "not alike", "\(detail), \(short(other.path)).eps \(other.epsilon) (\(kind))",
        .epsilons(Dictionary(each.map { ($0.name, $0.epsilon) }, uniquingKeysWith: { first, _ in first })))
    } else if first.epsilon >= 0, first.epsilon.isFinite {
      told.epsilon = first.epsilon
      add("epsilon", "\(detail), all \(each.count) alike (\(kind))", .epsilon(first.epsilon))
    } else {
      add("epsilon", "\(first.epsilon)", detail, .other)
    }
    guard told.normalization == .group, !groups.isEmpty else { return }
    if groups.count == 1, let count = groups.first {
      told.normalizationGroups = count
      add(
        "normalization", "num_groups \(count), all \(each.count) alike (\(kind))",
        .normalization(.group(count)))
    } else {
      add("normalization", "of \(groups.count) numbers of groups", kind, .other)
    }
  }

  /// Activations that belong to gates or attention, not to the residual path.
  private static let gates: Set<String> = [
    "Sigmoid", "Hardsigmoid", "Softmax", "LogSoftmax", "MultiheadAttention",
  ]
  /// Path components of modules whose activations are not those of a block.
  private static let elsewhere: Set<String> = ["se", "fc", "head", "classifier", "attn", "attnpool"]

  mutating func readActivations() {
    var kinds: [String: String] = [:]
    for (path, name) in tree.classes
    where name.contains(".activation") && layout.isInside(path) && !layout.isInHead(path) {
      let kind = Tree.kind(name)
      let steps = layout.relative(path).split(separator: ".")
      guard !Self.gates.contains(kind), !steps.contains(where: { Self.elsewhere.contains(String($0)) }) else {
        continue
      }
      kinds[kind] = min(kinds[kind] ?? path, path)
    }
    guard !kinds.isEmpty else { return }
    let sorted = kinds.sorted { $0.key < $1.key }
    let detail = sorted.prefix(8).map { "\(short($0.value)) is \($0.key)" }.joined(separator: ", ")
    let names = sorted.prefix(8).map(\.key).joined(separator: ", ")
    guard let known = ["ReLU": ResNetNonlinearity.relu, "SiLU": .silu][names] else {
      return add("activation", names, detail, .other)
    }
    told.nonlinearity = known
    add("activation", detail, .nonlinearity(known))
  }

  mutating func readDropout() {
    let found = tree.classes.filter { Tree.kind($0.value).hasPrefix("Dropout") && layout.isInside($0.key) }
      .map(\.key).sorted()
    guard let path = found.first else { return }
    let part = tree.value(path, "p")?.double.map { "\($0), which inference ignores" }
    add("dropout", part ?? "inference ignores it", short(path))
  }
}
