public import DecantBytes

/// The weights of a state dict that PyTorch computes from other tensors of it: pruned ones, and those with weight norm
/// or spectral norm.
///
/// The parts are found by their names and shapes. A weight is computed as its module computes it in eval mode, and only
/// when its elements are read.
///
/// Source: PyTorch 2.13 `torch/nn/utils/{prune,weight_norm,spectral_norm,parametrize,parametrizations}.py`. The names
/// and the arithmetic are in docs/formats/parametrised-weights.md.
package struct ParametrizedWeights: Sendable {
  /// The functions of PyTorch that divide a weight into parts. Raw values are their names.
  package enum Method: String, Sendable, CaseIterable {
    case prune = "torch.nn.utils.prune"
    case weightNorm = "torch.nn.utils.weight_norm"
    case spectralNorm = "torch.nn.utils.spectral_norm"
    case weightNormParametrization = "torch.nn.utils.parametrizations.weight_norm"
    case spectralNormParametrization = "torch.nn.utils.parametrizations.spectral_norm"
  }

  /// A weight and its parts.
  package struct Weight: Sendable {
    /// The name that the weight has without the parametrization.
    package let name: String
    package let method: Method
    /// The indices of the parts in the list of tensors.
    package let parts: [Int]
    /// The names of the parts below their module, such as `weight_orig`.
    package let partNames: [String]
    /// The computed weight; nil when the file also stores it, as the first spectral norm does.
    package let tensor: Tensor?
  }

  /// A weight that cannot be computed.
  package struct Unknown: Sendable {
    /// The name that the weight has without the parametrization.
    package let name: String
    /// The indices of the parts in the list of tensors.
    package let parts: [Int]
    /// A clause after the weight's name: "is parametrised in a way that is not known: …".
    package let reason: String
    /// The part with the most elements. Most parametrizations keep the weight's shape.
    package let largest: Tensor

    /// The name as people say it, such as "weight of layer1.0.conv1".
    package var title: String {
      let (module, parameter) = splitName(name)
      return parameter.escapedForDisplay + (module.isEmpty ? "" : " of \(module.escapedForDisplay)")
    }

    /// The reason as a sentence without a period.
    package var text: String { "the \(title) \(reason)" }
  }

  /// The weights, in the order of their first parts.
  package private(set) var weights: [Weight] = []
  /// The weights that cannot be computed, in the order of their first parts.
  package private(set) var unknown: [Unknown] = []

  /// True when no tensor is a part of a parametrised weight.
  package var isEmpty: Bool { weights.isEmpty && unknown.isEmpty }

  /// Describes a state dict without parametrised weights.
  package init() {}

  /// Finds the parametrised weights among named tensors. Reads no elements. O(tensors).
  package init(_ tensors: [(name: String, tensor: Tensor)]) {
    var finder = PartFinder(tensors)
    finder.find()
    (weights, unknown) = (finder.weights, finder.unknown)
  }

  /// Returns the same findings for the weights with certain names only.
  package func selecting(_ isSelected: (String) -> Bool) -> ParametrizedWeights {
    var result = ParametrizedWeights()
    result.weights = weights.filter { isSelected($0.name) }
    result.unknown = unknown.filter { isSelected($0.name) }
    return result
  }

  /// The weights with the same method and parts of the same names.
  package struct Group: Sendable {
    package let method: Method
    /// The names of the parts below their module.
    package let partNames: [String]
    /// True when the file stores the weights too, beside their parts.
    package let isStored: Bool
    package fileprivate(set) var count: Int

    /// The parts and the function, such as "weight_orig and weight_mask (torch.nn.utils.prune)".
    package var text: String {
      let names = partNames.map(\.escapedForDisplay)
      let list =
        names.count > 1
        ? names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1] : names[0]
      return "\(list) (\(method.rawValue))"
    }
  }

  /// The weights by method and parts, in the order of their first weights.
  package var groups: [Group] {
    var found: [Group] = []
    var places: [[ExactText]: Int] = [:]
    for weight in weights {
      let key = ([weight.method.rawValue] + weight.partNames).map(ExactText.init)
      if let place = places[key] {
        found[place].count += 1
      } else {
        places[key] = found.count
        found.append(
          Group(
            method: weight.method, partNames: weight.partNames, isStored: weight.tensor == nil, count: 1))
      }
    }
    return found
  }

  /// The largest number of groups that a note names.
  private static let mostNamed = 4

  /// Returns a note on the weights that can be computed, such as "53 weights are computed from weight_orig and
  /// weight_mask (torch.nn.utils.prune)"; nil when there are none.
  ///
  /// - Parameter verb: "computed from" or "stored as".
  package func note(_ verb: String) -> String? {
    let groups = groups
    guard !groups.isEmpty else { return nil }
    let clauses = groups.prefix(Self.mostNamed).map { group in
      "\(Format.count(group.count, "weight")) \(group.count == 1 ? "is" : "are") "
        + "\(group.isStored ? "stored beside" : verb) \(group.text)"
    }
    let more = groups.dropFirst(Self.mostNamed).reduce(0) { $0 + $1.count }
    return clauses.joined(separator: "; ") + (more > 0 ? "; and \(Format.count(more)) more" : "")
  }
}

extension StateDict {
  /// Returns the state dict with the weights that PyTorch computes from several tensors: those with pruning masks,
  /// weight norm or spectral norm. Other tensors stay.
  ///
  ///     let weights = try Checkpoint(path: "pruned.pth").stateDict().resolved()
  ///
  /// The parts, such as `conv1.weight_orig` and `conv1.weight_mask`, are replaced by the weight, `conv1.weight`. It is
  /// computed when its elements are read. Parts that are not understood stay as they are. `identify`, `verify` and
  /// ``DecantNetworks/ResNet`` do this by themselves. The result no longer belongs to a file, so writing it keeps only
  /// tensors, no metadata; see `WriteOptions.resolvesWeights`.
  ///
  /// - Throws: ``DecantError`` with the code `duplicateName`, which does not happen for names of PyTorch. O(tensors).
  public func resolved() throws(DecantError) -> StateDict {
    try resolved(by: ParametrizedWeights(entries.map { ($0.name, $0.tensor) }))
  }

  /// Returns the state dict with parts replaced by the weights that were found in it.
  package func resolved(by found: ParametrizedWeights) throws(DecantError) -> StateDict {
    guard !found.weights.isEmpty else { return self }
    var removed: Set<Int> = []
    var weights: [Int: Entry] = [:]
    for weight in found.weights {
      removed.formUnion(weight.parts)
      if let tensor = weight.tensor, let first = weight.parts.first {
        weights[first] = Entry(name: weight.name, tensor: tensor)
      }
    }
    return try StateDict(
      entries.indices.compactMap { weights[$0] ?? (removed.contains($0) ? nil : entries[$0]) })
  }
}

/// Returns the module and the parameter of a name: everything before the last dot, and after it.
private func splitName(_ name: String) -> (module: String, parameter: String) {
  guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return ("", name) }
  return (String(name[..<dot]), String(name[name.utf8.index(after: dot)...]))
}

extension ParametrizedWeights {
  /// Returns true for a key that the name of a part has: most files have none, and need no search.
  package static func isKeyOfPart(_ key: String) -> Bool {
    PartFinder.hasList(key) || PartFinder.hasSuffix(key)
  }
}

/// The search for parametrised weights.
private struct PartFinder {
  private let tensors: [(name: String, tensor: Tensor)]
  private(set) var weights: [ParametrizedWeights.Weight] = []
  private(set) var unknown: [ParametrizedWeights.Unknown] = []
  /// The index of each name. Of two tensors with one name, the first.
  private var indices: [ExactText: Int] = [:]
  /// The possible parts of each weight, in the order of the first.
  private var groups: [Group] = []
  private var places: [Key: Int] = [:]
  /// The names of the weights found.
  private var computed: Set<ExactText> = []

  /// Tensors that may be the parts of one weight.
  private struct Group {
    let name: String
    let isParametrization: Bool
    /// The parts by what distinguishes their names: `_orig`, or `0._u` below `parametrizations.weight`.
    var parts: [(label: String, index: Int)] = []

    /// Returns the index of the part with a label.
    subscript(label: String) -> Int? { parts.first { $0.label == label }?.index }
    /// Returns true when the parts are exactly those with these labels.
    func has(only labels: Set<String>) -> Bool { Set(parts.map(\.label)) == labels }
    func has(_ labels: String...) -> Bool { labels.allSatisfy { self[$0] != nil } }
  }

  private struct Key: Hashable {
    let name: ExactText
    let isParametrization: Bool
  }

  /// The suffixes of the parts that stand beside each other in a module.
  private static let suffixes = ["_orig", "_mask", "_g", "_v", "_u"]
  private static let list = "parametrizations"
  private static let listBytes = Array(list.utf8)

  init(_ tensors: [(name: String, tensor: Tensor)]) {
    self.tensors = tensors
    // Most files have no parts at all.
    let parts = tensors.enumerated().compactMap { index, entry in
      (Self.parametrization(entry.name) ?? Self.suffixed(entry.name)).map { (index: index, part: $0) }
    }
    guard !parts.isEmpty else { return }
    for (index, entry) in tensors.enumerated() {
      if indices[ExactText(entry.name)] == nil { indices[ExactText(entry.name)] = index }
    }
    for (index, part) in parts where indices[ExactText(tensors[index].name)] == index {
      let key = Key(name: ExactText(part.name), isParametrization: part.isParametrization)
      let place = places[key] ?? groups.count
      if place == groups.count {
        places[key] = place
        groups.append(Group(name: part.name, isParametrization: part.isParametrization))
      }
      groups[place].parts.append((part.label, index))
    }
  }

  private typealias Part = (name: String, label: String, isParametrization: Bool)

  /// Returns the weight of `layer.parametrizations.weight.original`; nil for other names.
  private static func parametrization(_ name: String) -> Part? {
    guard hasList(name) else { return nil }
    let keys = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let place = keys.firstIndex(where: { $0 == list }), place + 2 < keys.count else { return nil }
    let owner = (keys[..<place] + [keys[place + 1]]).joined(separator: ".")
    return (owner, keys[(place + 2)...].joined(separator: "."), true)
  }

  /// Returns true when one of a name's keys is `parametrizations`. This is asked of every tensor.
  static func hasList(_ name: String) -> Bool {
    let list = listBytes
    // A search for its rarest letter rules out most names.
    let mayBe = unsafe name.utf8.withContiguousStorageIfAvailable { unsafe $0.contains(UInt8(ascii: "z")) }
    guard mayBe ?? true, name.utf8.count >= list.count else { return false }
    // The number of bytes of the current key that match; nil after one that does not.
    var matched: Int? = 0
    for byte in name.utf8 {
      if byte == UInt8(ascii: ".") {
        if matched == list.count { return true }
        matched = 0
      } else if let count = matched {
        matched = count < list.count && byte == list[count] ? count + 1 : nil
      }
    }
    return matched == list.count
  }

  /// Returns true when a name ends as those of parts do.
  static func hasSuffix(_ name: String) -> Bool {
    // The suffixes' last letters.
    guard let last = name.utf8.last, "gkvu".utf8.contains(last) else { return false }
    return suffixes.contains { name.utf8.suffix($0.utf8.count).elementsEqual($0.utf8) }
  }

  /// Returns the weight of `layer.weight_orig`; nil for other names.
  private static func suffixed(_ name: String) -> Part? {
    guard hasSuffix(name),
      let suffix = suffixes.first(where: { name.utf8.suffix($0.utf8.count).elementsEqual($0.utf8) }),
      let owner = String(name.utf8.dropLast(suffix.utf8.count)), !splitName(owner).parameter.isEmpty
    else { return nil }
    return (owner, suffix, false)
  }

  mutating func find() {
    let chained = chains()
    for (place, group) in groups.enumerated() where !chained.inner.contains(place) {
      // A parameter of this name is what the module uses.
      let stored = indices[ExactText(group.name)]
      if let inner = chained.outer[place] {
        var whole = group
        for other in inner { whole.parts += groups[other].parts }
        addUnknown(whole)
      } else if group.isParametrization {
        if stored == nil { addParametrization(group) }
      } else if stored == nil || group.has(only: ["_orig", "_u"]) {
        addSuffixed(group, isStored: stored != nil)
      }
    }
  }

  /// Finds weights whose parts are parametrised themselves, such as a pruned `weight_g`.
  ///
  /// - Returns: the groups of such parts, and for the group of each weight those of its parts.
  private func chains() -> (inner: Set<Int>, outer: [Int: [Int]]) {
    var inner: Set<Int> = []
    var outer: [Int: [Int]] = [:]
    for (place, group) in groups.enumerated() where !group.isParametrization {
      guard group.has("_orig", "_mask") || group.has("_g", "_v") || group.has("_orig", "_u"),
        indices[ExactText(group.name)] == nil, let part = Self.suffixed(group.name),
        let owner = places[Key(name: ExactText(part.name), isParametrization: false)]
      else { continue }
      inner.insert(place)
      outer[owner, default: []].append(place)
    }
    return (inner, outer)
  }

  // MARK: Kinds of parts

  private mutating func addParametrization(_ group: Group) {
    guard group.parts.contains(where: { $0.label.hasPrefix("original") }) else { return }
    if group.has(only: ["original0", "original1"]) {
      addWeightNorm(group, .weightNormParametrization, "original0", "original1")
    } else if group.has(only: ["original", "0._u", "0._v"]) {
      addSpectralNorm(group, .spectralNormParametrization, "original", "0._u", "0._v")
    } else {
      addUnknown(group)
    }
  }

  /// - Parameter isStored: true when the file also has a tensor of the weight's name.
  private mutating func addSuffixed(_ group: Group, isStored: Bool) {
    let methods = [
      group.has("_orig", "_mask"), group.has("_orig", "_u"), group.has("_g", "_v"),
    ]
    guard methods.contains(true) else { return }
    if group.has(only: ["_orig", "_mask"]) {
      addPruned(group)
    } else if group.has(only: ["_g", "_v"]) {
      addWeightNorm(group, .weightNorm, "_g", "_v")
    } else if group.has(only: ["_orig", "_u", "_v"]) {
      addSpectralNorm(group, .spectralNorm, "_orig", "_u", "_v")
    } else if group.has(only: ["_orig", "_u"]) {
      if isStored {
        add(group, .spectralNorm, ["_orig", "_u"], tensor: nil)
      } else {
        addUnknown(
          group,
          "cannot be computed: the first spectral norm of PyTorch stores it beside \(names(group)), and it is missing"
        )
      }
    } else {
      addUnknown(group)
    }
  }

  /// The types of masks, which PyTorch casts to the weight's.
  private static let masks: Set<DType> = [
    .float64, .float32, .float16, .bfloat16, .int64, .int32, .int16, .int8, .uint8, .bool,
  ]

  private mutating func addPruned(_ group: Group) {
    guard let original = group["_orig"], let mask = group["_mask"] else { return }
    let (weight, factors) = (tensors[original].tensor, tensors[mask].tensor)
    guard weight.shape == factors.shape, Self.masks.contains(factors.dtype) else {
      return addUnfitting(group)
    }
    add(group, .prune, ["_orig", "_mask"], Parametrization.prune, of: weight, factors)
  }

  private mutating func addWeightNorm(
    _ group: Group, _ method: ParametrizedWeights.Method, _ magnitude: String, _ direction: String
  ) {
    guard let g = group[magnitude], let v = group[direction] else { return }
    let (magnitudes, directions) = (tensors[g].tensor, tensors[v].tensor)
    guard magnitudes.dtype == directions.dtype,
      let rule = Self.weightNorm(magnitudes.shape, directions.shape)
    else { return addUnfitting(group) }
    add(group, method, [magnitude, direction], rule, of: directions, magnitudes)
  }

  /// Returns the weight norm of g and v with these shapes; nil when there is none.
  ///
  /// g has one size of v, and 1 elsewhere. With one norm of all elements (`dim=None`) it is a scalar; PyTorch 0.3 gave
  /// it the shape [1].
  private static func weightNorm(_ g: [Int], _ v: [Int]) -> Parametrization? {
    if g.isEmpty || g == [1] && v.count != 1 { return .weightNorm(axis: nil) }
    guard g.count == v.count else { return nil }
    let axis = v.indices.first { axis in
      g[axis] == v[axis] && g.indices.allSatisfy { $0 == axis || g[$0] == 1 }
    }
    return axis.map { .weightNorm(axis: $0) }
  }

  private mutating func addSpectralNorm(
    _ group: Group, _ method: ParametrizedWeights.Method, _ original: String, _ left: String, _ right: String
  ) {
    guard let w = group[original], let u = group[left], let v = group[right] else { return }
    let (weight, rows, columns) = (tensors[w].tensor, tensors[u].tensor, tensors[v].tensor)
    let axes = weight.shape.indices.filter { axis in
      rows.shape == [weight.shape[axis]]
        && columns.shape == [weight.elementCount / max(1, weight.shape[axis])]
    }
    guard weight.shape.count > 1, weight.elementCount > 0, !axes.isEmpty, rows.dtype == weight.dtype,
      columns.dtype == weight.dtype
    else { return addUnfitting(group) }
    add(group, method, [original, left, right], .spectralNorm(axes: axes), of: weight, rows, columns)
  }

  // MARK: Results

  private mutating func add(
    _ group: Group, _ method: ParametrizedWeights.Method, _ labels: [String], _ rule: Parametrization,
    of weight: Tensor, _ others: Tensor...
  ) {
    let isComputable =
      [.float64, .float32, .float16, .bfloat16].contains(weight.dtype)
      && (others + [weight]).allSatisfy { $0.layout == .strided && $0.quantization == nil }
    guard isComputable, let tensor = try? Tensor(rule, of: weight, others) else {
      return addUnfitting(group)
    }
    add(group, method, labels, tensor: tensor)
  }

  private mutating func add(
    _ group: Group, _ method: ParametrizedWeights.Method, _ labels: [String], tensor: Tensor?
  ) {
    // The old and the new parts of one weight cannot both be used.
    guard computed.insert(ExactText(group.name)).inserted else { return addUnknown(group) }
    weights.append(
      ParametrizedWeights.Weight(
        name: group.name, method: method, parts: labels.compactMap { group[$0] },
        partNames: labels.compactMap { label in group[label].map { partName($0, of: group) } }, tensor: tensor
      ))
  }

  /// Adds a weight whose parts have the names of a known method, but other shapes or types.
  private mutating func addUnfitting(_ group: Group) {
    addUnknown(group, "cannot be computed: its parts do not fit each other: \(list(group))")
  }

  private mutating func addUnknown(_ group: Group, _ reason: String? = nil) {
    // Suffixes alone prove little: other tensors than weights may end in _g and _v.
    let parameter = splitName(group.name).parameter
    guard group.isParametrization || parameter.contains("weight") || parameter.contains("bias"),
      let largest = group.parts.map({ tensors[$0.index].tensor }).max(by: {
        $0.elementCount < $1.elementCount
      })
    else { return }
    unknown.append(
      ParametrizedWeights.Unknown(
        name: group.name, parts: group.parts.map(\.index).sorted(),
        reason: reason ?? "is parametrised in a way that is not known: \(list(group))", largest: largest))
  }

  /// Returns a part's name below its module.
  private func partName(_ index: Int, of group: Group) -> String {
    let module = splitName(group.name).module
    let name = tensors[index].name
    return module.isEmpty ? name : String(name.utf8.dropFirst(module.utf8.count + 1)) ?? name
  }

  /// The names of a group's parts.
  private func names(_ group: Group) -> String {
    group.parts.map { partName($0.index, of: group).escapedForDisplay }.joined(separator: " and ")
  }

  /// The first eight parts of a group with their shapes and types.
  private func list(_ group: Group) -> String {
    let parts = group.parts.sorted { $0.index < $1.index }
    return parts.prefix(8).map { part in
      let tensor = tensors[part.index].tensor
      return
        "\(partName(part.index, of: group).escapedForDisplay) (\(tensor.dtype.rawValue) \(Format.shape(tensor.shape)))"
    }.joined(separator: ", ") + (parts.count > 8 ? ", …" : "")
  }
}
