public import DecantBytes
internal import DecantCheckpoints
public import DecantTensors

extension StateDict {
  /// Compares these tensors with others. Formats, naming conventions, prefixes and dtypes may differ.
  ///
  ///     let difference = try weights.diff(converted)
  ///     if !difference.isSame { print(difference.changed) }
  ///
  /// - Returns: every tensor that was added, removed, renamed or changed.
  /// - Throws: ``DecantError`` for data that cannot be read, for tensors without data, and for a quantised or sparse
  ///   tensor paired with one that is not. O(bytes), at most twice for tensors that differ.
  public func diff(_ other: StateDict) throws(DecantError) -> StateDictDifference {
    try DecantError.mapping {
      let (a, b) = try (DiffFile("A", self), DiffFile("B", other))
      var matching = TensorMatching(a, b, exactNames: false)
      for side in [a, b] { try side.verifyChecksums() }
      let comparison = PairComparison(a: a, b: b, tolerance: Tolerance(), toDense: false, threads: 1)
      if !matching.onlyA.isEmpty, !matching.onlyB.isEmpty {
        matching.add(try comparison.pairsOfEqualData(matching.onlyA, matching.onlyB))
      }
      return StateDictDifference(
        DiffResult(
          a, b, matching, try comparison.verdicts(matching.pairs), ignoresNames: false, isTolerant: false))
    }
  }
}

extension DiffFile {
  /// Creates a side from a state dict, read from a file or made in memory.
  fileprivate init(_ letter: String, _ stateDict: StateDict) throws(DecantError) {
    if let part = stateDict.part {
      try self.init(letter, part.checkpoint, StateDictChoice(selection: part.selection), TensorQuery())
    } else {
      let checkpoint = Checkpoint(holding: stateDict)
      try self.init(letter, checkpoint, StateDictChoice(selection: .all(of: checkpoint)), TensorQuery())
    }
  }
}

/// The differences between two state dicts.
public struct StateDictDifference: Sendable {
  /// Two tensors with the same name, or names that mean the same, and different contents.
  public struct Change: Sendable {
    /// The name in the first state dict.
    public let name: String
    /// The largest absolute difference between two elements; nil when shapes or dtypes cannot be compared.
    public let maxAbsolute: Double?
    /// The largest difference in ULPs of the less precise dtype; nil when it has no meaning.
    public let maxULP: UInt64?
  }

  /// True when every tensor has a partner with the same name, dtype, shape and bits. A prefix such as `module.` on one
  /// side does not count as a difference.
  public let isSame: Bool
  /// The number of tensors that are equal bit by bit under the same name, ignoring such a prefix.
  public let identicalCount: Int
  /// Equal tensors under two names, such as those of two libraries.
  public let renamed: [(first: String, second: String)]
  /// Tensors that differ.
  public let changed: [Change]
  /// The names of tensors with equal elements in another shape.
  public let reshaped: [String]
  /// Names that only the first state dict has.
  public let onlyInFirst: [String]
  /// Names that only the second state dict has.
  public let onlyInSecond: [String]

  init(_ result: DiffResult) {
    isSame = result.isSame
    identicalCount = result.identicalCount
    renamed = result.renamed.map { ($0.left.name, $0.right.name) }
    changed = result.changed.map {
      Change(
        name: $0.left.name, maxAbsolute: $0.difference?.maxAbsolute,
        maxULP: $0.difference?.maxULP.map { UInt64(clamping: $0) })
    }
    reshaped = result.reshaped.map(\.left.name)
    onlyInFirst = result.onlyA.map(\.name)
    onlyInSecond = result.onlyB.map(\.name)
  }
}
