internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The tensors of a listing in fewer lines: those that differ only in their numbers as one, and a norm's as one.
struct FoldedListing {
  /// A line of the listing: one tensor, or several.
  struct Line {
    let name: String
    let shape: String
    let dtype: String
    let byteCount: Int
    let tensorCount: Int
    /// True for norms and buffers.
    let isMinor: Bool
  }

  /// The number of tensors up to which each has a line of its own on a terminal.
  static let mostUnfolded = 60

  private(set) var lines: [Line] = []

  /// Folds tensors that are alike. O(bytes of names × numbers in a name).
  ///
  /// The first part of a name below its state dict stays: `layer1.{0-2}.conv1.weight` and `layer2.{0-3}.conv1.weight` are
  /// two lines.
  init(_ entries: [CheckpointTensor]) {
    let norms = NormModules(entries)
    // A norm is one item, and every other tensor is one.
    var items: [(name: String, indices: [Int], isMinor: Bool)] = []
    var normItems: [ExactText: Int] = [:]
    for (index, entry) in entries.enumerated() {
      let name = Format.name(entry.path)
      guard let module = norms.module(of: name) else {
        items.append((name, [index], norms.isBuffer(entry, name)))
        continue
      }
      if let known = normItems[ExactText(module)] {
        items[known].indices.append(index)
      } else {
        normItems[ExactText(module)] = items.count
        items.append((module + ".*", [index], true))
      }
    }
    let classes = items.map { item -> [String] in
      let entry = entries[item.indices[0]]
      let prefix = entry.stateDict.map { $0.isEmpty ? 0 : Format.name($0).utf8.count + 1 } ?? 0
      let first = String(decoding: item.name.utf8.dropFirst(prefix).prefix { $0 != 0x2E }, as: UTF8.self)
      return [first, Self.dtypes(item.indices.map { entries[$0] })]
    }
    lines = FoldedNames.fold(items.map(\.name), classes: classes).map { group in
      let members = group.indices.flatMap { items[$0].indices }.map { entries[$0] }
      return Self.line(group.text, members, isMinor: items[group.indices[0]].isMinor)
    }
  }

  /// Makes one line of all tensors whose names begin alike. O(bytes of names).
  ///
  /// - Parameter depth: the number of parts that count, below the state dict.
  init(_ entries: [CheckpointTensor], depth: Int) {
    var groups: [(name: String, indices: [Int])] = []
    var known: [ExactText: Int] = [:]
    for (index, entry) in entries.enumerated() {
      let name = Format.name(entry.path)
      let prefix = entry.stateDict.map { $0.isEmpty ? 0 : Format.name($0).utf8.count + 1 } ?? 0
      let parts = name.utf8.dropFirst(prefix).split(separator: 0x2E, omittingEmptySubsequences: false)
      let kept = parts.prefix(depth).reduce(prefix) { $0 + $1.count + 1 } - 1
      let text = parts.count > depth ? String(decoding: name.utf8.prefix(kept), as: UTF8.self) + ".*" : name
      if let group = known[ExactText(text)] {
        groups[group].indices.append(index)
      } else {
        known[ExactText(text)] = groups.count
        groups.append((text, [index]))
      }
    }
    lines = groups.map { group in
      let name = group.indices.count > 1 ? group.name : Format.name(entries[group.indices[0]].path)
      return Self.line(name, group.indices.map { entries[$0] }, isMinor: false)
    }
  }

  private static func line(_ name: String, _ members: [CheckpointTensor], isMinor: Bool) -> Line {
    var shapes: [[Int]] = []
    for member in members where !shapes.contains(member.tensor.shape) && shapes.count < 2 {
      shapes.append(member.tensor.shape)
    }
    return Line(
      name: name, shape: Format.shape(shapes.first ?? []) + (shapes.count > 1 ? " …" : ""),
      dtype: dtypes(members), byteCount: Aliases.distinctSize(members.map(\.tensor)).byteCount,
      tensorCount: members.count, isMinor: isMinor)
  }

  private static func dtypes(_ members: [CheckpointTensor]) -> String {
    var names: [String] = []
    for member in members where !names.contains(member.tensor.dtype.rawValue) {
      names.append(member.tensor.dtype.rawValue)
    }
    return names.joined(separator: ", ")
  }
}

/// The modules of a listing that are norms, by the names and shapes of their tensors.
struct NormModules {
  private var modules: Set<ExactText> = []

  /// Finds the modules with two or more tensors of one dimension at most, one of which is a weight. O(bytes of names).
  init(_ entries: [CheckpointTensor]) {
    var counts: [ExactText: (tensors: Int, hasWeight: Bool, isFlat: Bool)] = [:]
    for entry in entries {
      guard let (module, leaf) = Self.split(Format.name(entry.path)) else { continue }
      var found = counts[ExactText(module)] ?? (0, false, true)
      found.tensors += 1
      found.hasWeight = found.hasWeight || leaf == "weight"
      found.isFlat = found.isFlat && entry.tensor.shape.count <= 1
      counts[ExactText(module)] = found
    }
    for (module, found) in counts where found.tensors > 1 && found.hasWeight && found.isFlat {
      modules.insert(module)
    }
  }

  /// Returns the module of a tensor's name when it is a norm.
  func module(of name: String) -> String? {
    guard let (module, _) = Self.split(name), modules.contains(ExactText(module)) else { return nil }
    return module
  }

  /// Returns true for a tensor that is no parameter.
  func isBuffer(_ entry: CheckpointTensor, _ name: String) -> Bool {
    entry.role.map { $0 == .buffer } ?? ParameterSplit.bufferNames.contains { name.hasSuffix($0) }
  }

  private static func split(_ name: String) -> (module: String, leaf: String)? {
    guard let dot = name.utf8.lastIndex(of: 0x2E) else { return nil }
    return (String(name[..<dot]), String(name[name.utf8.index(after: dot)...]))
  }
}
