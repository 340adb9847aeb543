internal import DecantBytes
internal import DecantCheckpoints
package import DecantResNets
internal import DecantTensors

/// The pairs of tensors of two files to compare with each other.
package struct TensorMatching {
  /// The reason why two tensors are a pair.
  package enum Reason: String {
    /// Their names are equal, directly or after a recognised prefix.
    case name
    /// Their names in two libraries mean the same tensor of a ResNet.
    case dialect
    /// Their data is the same.
    case data
  }

  /// Two tensors, by their indices in the two sides' items.
  package struct Pair {
    package let a: Int
    package let b: Int
    package let reason: Reason
    /// The axis of A's tensor for each axis in B's naming convention, as ``Tensor/permuted(_:)`` expects it.
    package var axes: [Int?]?
  }

  package private(set) var pairs: [Pair] = []
  package let prefixes: [NameMatching.Prefixes]
  /// The naming conventions of both sides, when names were matched by them.
  package private(set) var dialects: (a: ResNetDialect, b: ResNetDialect)?
  package private(set) var onlyA: [Int] = []
  package private(set) var onlyB: [Int] = []

  /// Matches tensors by names, then by naming conventions. No tensor data is read.
  ///
  /// - Parameter exactNames: true to pair only names that are equal without removing a prefix.
  package init(_ a: DiffFile, _ b: DiffFile, exactNames: Bool) {
    let names = NameMatching(
      a.items.map(\.name), b.items.map(\.name), leftKeys: a.stateDictKeys, rightKeys: b.stateDictKeys,
      findsPrefixes: !exactNames)
    prefixes = names.prefixes
    pairs = names.pairs.map { Pair(a: $0.left, b: $0.right, reason: .name) }
    onlyA = names.unmatchedLeft
    onlyB = names.unmatchedRight
    if !exactNames, !onlyA.isEmpty, !onlyB.isEmpty { matchByDialect(a, b) }
  }

  /// Adds pairs of tensors with equal data.
  package mutating func add(_ found: [Pair]) {
    guard !found.isEmpty else { return }
    pairs += found
    let (a, b) = (Set(found.map(\.a)), Set(found.map(\.b)))
    onlyA.removeAll { a.contains($0) }
    onlyB.removeAll { b.contains($0) }
    pairs.sort { $0.a < $1.a }
  }

  /// Pairs the tensors of two files that hold the same ResNet under two naming conventions, by their canonical names.
  ///
  /// This takes precedence over equal names, which may have two meanings: `layer1.0.downsample.1.weight` is a
  /// convolution in timm's names and a normalization in CLIP's.
  private mutating func matchByDialect(_ a: DiffFile, _ b: DiffFile) {
    guard let left = Self.naming(a, onlyA), let right = Self.naming(b, onlyB) else { return }
    let (ofA, ofB) = (Self.places(left, in: a), Self.places(right, in: b))
    var partner: [Int: (b: Int, axes: [Int?])] = [:]
    for (canonical, place) in ofA {
      guard let other = ofB[canonical] else { continue }
      let tensor = a.items[place].tensor
      let axes = right.dialect.axes(from: left.dialect, of: canonical, rank: tensor.shape.count)
      partner[place] = (other, Self.fitting(axes, tensor.shape, rank: b.items[other].tensor.shape.count))
    }
    let taken = Set(partner.values.map(\.b))
    let isNew = onlyA.contains { partner[$0] != nil }
    guard isNew else { return }
    var kept: [Pair] = []
    for pair in pairs {
      if partner[pair.a]?.b == pair.b || (partner[pair.a] == nil && !taken.contains(pair.b)) {
        kept.append(pair)
        partner[pair.a] = nil
      }
    }
    kept += partner.map { Pair(a: $0.key, b: $0.value.b, reason: .dialect, axes: $0.value.axes) }
    let (usedA, usedB) = (Set(kept.map(\.a)), Set(kept.map(\.b)))
    pairs = kept.sorted { $0.a < $1.a }
    onlyA = a.items.indices.filter { !usedA.contains($0) }
    onlyB = b.items.indices.filter { !usedB.contains($0) }
    dialects = (left.dialect, right.dialect)
  }

  /// Returns the tensor names of the only ResNet of a side: in all its tensors, or in those without a partner.
  private static func naming(_ side: DiffFile, _ unmatchedLeft: [Int]) -> ResNetTensorNameMap? {
    if let whole = try? ResNetTensorNameMap.onlyIfAny(in: side.stateDict) { return whole }
    let entries = unmatchedLeft.map { side.items[$0] }
    guard
      let rest = try? StateDict(entries.map { StateDict.Entry(name: $0.name, tensor: $0.entry.tensor) })
    else { return nil }
    return try? ResNetTensorNameMap.onlyIfAny(in: rest)
  }

  /// Returns the item index of each of a network's tensors by canonical name.
  private static func places(_ naming: ResNetTensorNameMap, in side: DiffFile) -> [String: Int] {
    var canonical: [ExactText: String] = [:]
    for entry in naming.entries { canonical[ExactText(entry.name)] = entry.canonical }
    var places: [String: Int] = [:]
    for (place, item) in side.items.enumerated() {
      if let name = canonical[ExactText(item.name)] { places[name] = place }
    }
    return places
  }

  /// Returns the axes with trailing axes of size 1 added or removed to match the other tensor's rank.
  private static func fitting(_ axes: [Int?], _ shape: [Int], rank: Int) -> [Int?] {
    var axes = axes
    while axes.count > rank, let last = axes.last, last.map({ shape[$0] == 1 }) ?? true { axes.removeLast() }
    while axes.count < rank, axes.count < 4 { axes.append(nil) }
    return axes
  }
}
