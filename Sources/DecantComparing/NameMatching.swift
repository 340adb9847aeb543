internal import DecantBytes

/// Pairs of equal names in two lists, ignoring prefixes, by the names alone.
///
/// Names are compared as bytes. Equal names are paired first. Among the rest, it finds prefixes such that at least
/// half of the names of one side are equal without them: `model.` of a file whose state dict has a key, `module.` of a
/// wrapped network. Only one side may have a prefix, except for keys of state dicts and for wrappers: `module.` and
/// `_orig_mod.` are one network, `fc.` and `head.` are two names.
package struct NameMatching {
  /// A prefix on each side, and the number of pairs found without them.
  package struct Prefixes: Equatable {
    package let left: String
    package let right: String
    package fileprivate(set) var count: Int
  }

  /// The indices of paired names in the two lists, in the order of the left one.
  package private(set) var pairs: [(left: Int, right: Int)] = []
  package private(set) var prefixes: [Prefixes] = []
  /// The indices of the names without a partner.
  package private(set) var unmatchedLeft: [Int] = []
  package private(set) var unmatchedRight: [Int] = []

  /// The most pairs of prefixes to find. A student and a teacher under other names are two.
  private static let mostPrefixes = 8
  /// The most name components in a prefix. ``mostPlaces`` is the most prefixes to remember for one remainder of a
  /// name.
  private static let mostSteps = 12
  private static let mostPlaces = 8

  /// Matches two lists of unique names. O(names × components).
  ///
  /// - Parameters:
  ///   - leftKeys: the keys of state dicts in the left list, each with its dot: `model.`.
  ///   - rightKeys: the keys of state dicts in the right list, in the same form.
  package init(
    _ left: [String], _ right: [String], leftKeys: [String] = [], rightKeys: [String] = [],
    findsPrefixes: Bool = true
  ) {
    unmatchedLeft = Array(left.indices)
    unmatchedRight = Array(right.indices)
    pair(left, right, Prefixes(left: "", right: "", count: 0))
    while findsPrefixes, prefixes.count < Self.mostPrefixes, !unmatchedLeft.isEmpty, !unmatchedRight.isEmpty,
      let found = best(unmatchedLeft.map { left[$0] }, unmatchedRight.map { right[$0] }, leftKeys, rightKeys)
    {
      let before = pairs.count
      pair(left, right, found)
      guard pairs.count > before else { break }
      prefixes.append(Prefixes(left: found.left, right: found.right, count: pairs.count - before))
    }
    pairs.sort { $0.left < $1.left }
  }

  /// Pairs the unpaired names that are equal after two prefixes are removed.
  private mutating func pair(_ left: [String], _ right: [String], _ prefixes: Prefixes) {
    var places: [ExactText: Int] = [:]
    places.reserveCapacity(unmatchedRight.count)
    for place in unmatchedRight {
      if let rest = Self.rest(right[place], prefixes.right) { places[ExactText(rest)] = place }
    }
    var taken: Set<Int> = []
    unmatchedLeft = unmatchedLeft.filter { place in
      guard let rest = Self.rest(left[place], prefixes.left), let other = places[ExactText(rest)] else {
        return true
      }
      pairs.append((place, other))
      taken.insert(other)
      return false
    }
    if !taken.isEmpty { unmatchedRight = unmatchedRight.filter { !taken.contains($0) } }
  }

  private static func rest(_ name: String, _ prefix: String) -> String? {
    if prefix.isEmpty { return name }
    guard name.utf8.starts(with: prefix.utf8) else { return nil }
    return String(Substring(name.utf8.dropFirst(prefix.utf8.count)))
  }

  /// Returns the prefixes without which the most names are equal; of several, the shortest. Nil when no prefixes match
  /// at least half of the names of one side.
  private func best(
    _ left: [String], _ right: [String], _ leftKeys: [String], _ rightKeys: [String]
  ) -> Prefixes? {
    var places: [ExactText: [String]] = [:]
    for name in right {
      for (prefix, rest) in Self.splits(name) {
        let key = ExactText(rest)
        if places[key]?.count ?? 0 < Self.mostPlaces { places[key, default: []].append(prefix) }
      }
    }
    struct Votes: Hashable {
      let left: ExactText
      let right: ExactText
    }
    var votes: [Votes: Int] = [:]
    for name in left {
      // The longest common remainder: the prefixes before it have no common ending.
      for (prefix, rest) in Self.splits(name) {
        guard let others = places[ExactText(rest)] else { continue }
        for other in others {
          votes[Votes(left: ExactText(prefix), right: ExactText(other)), default: 0] += 1
        }
        break
      }
    }
    func rank(_ entry: (key: Votes, value: Int)) -> (Int, Int, String, String) {
      let (left, right) = (entry.key.left.text, entry.key.right.text)
      return (-entry.value, left.utf8.count + right.utf8.count, left, right)
    }
    let needed = min(left.count, right.count)
    let allowed = votes.filter { entry in
      entry.value * 2 >= needed
        && Self.canIgnore(
          Self.withoutWrappers(entry.key.left.text), leftKeys,
          Self.withoutWrappers(entry.key.right.text), rightKeys)
        // A network has one prefix, so a prefix that is already paired cannot be paired again.
        && !prefixes.contains {
          ExactText($0.left) == entry.key.left || ExactText($0.right) == entry.key.right
        }
    }
    guard let best = allowed.min(by: { rank($0) < rank($1) }) else { return nil }
    let (prefix, other) = (best.key.left.text, best.key.right.text)
    return Prefixes(left: prefix, right: other, count: best.value)
  }

  /// Returns true when two prefixes, without wrappers, are equal, or one of them is empty or a state dict's key.
  private static func canIgnore(
    _ left: String, _ leftKeys: [String], _ right: String, _ rightKeys: [String]
  ) -> Bool {
    ExactText(left) == ExactText(right) || isKey(left, leftKeys) || isKey(right, rightKeys)
  }

  /// The attributes in which PyTorch's wrappers hold a module: data parallel training and averaging; `torch.compile`;
  /// sharding; activation checkpointing.
  private static let wrappers = [
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
  ]

  /// Returns a prefix without the names of wrappers: `model.` of `model.module.`.
  private static func withoutWrappers(_ prefix: String) -> String {
    prefix.split(separator: ".", omittingEmptySubsequences: false).filter { !wrappers.contains(String($0)) }
      .joined(separator: ".")
  }

  /// Returns true when a prefix is empty or the key of a state dict.
  private static func isKey(_ prefix: String, _ keys: [String]) -> Bool {
    prefix.isEmpty || keys.contains { $0.utf8.elementsEqual(prefix.utf8) }
  }

  /// Returns a name's splits after each of its first dots, the longest remainder first: `("", "a.b")`, `("a.", "b")`.
  private static func splits(_ name: String) -> [(prefix: String, rest: String)] {
    var splits = [(prefix: "", rest: name)]
    var place = name.utf8.startIndex
    while splits.count <= mostSteps, let dot = name.utf8[place...].firstIndex(of: 0x2E) {
      place = name.utf8.index(after: dot)
      splits.append((String(name[..<place]), String(name[place...])))
    }
    return splits
  }
}
