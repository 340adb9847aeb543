internal import DecantBytes
package import DecantTensors

/// What two files have in common and what they have not.
package struct DiffResult {
  /// Two tensors that were compared.
  package struct Compared {
    package let left: DiffSide.Item
    package let right: DiffSide.Item
    package let reason: TensorMatching.Reason
    package let difference: TensorDifference?
    package let remark: String
    package let hint: PairVerdict.Hint?
    /// The order of axes by which A's tensor was read, where it is not the file's own.
    package let axes: [Int?]?

    /// Whether the names are equal, perhaps behind a prefix that was recognised.
    package var hasOneName: Bool { reason == .name }
  }

  package private(set) var identicalCount = 0
  /// Pairs whose data is the same under two names.
  package private(set) var renamed: [Compared] = []
  /// Pairs whose data is the same in two shapes.
  package private(set) var reshaped: [Compared] = []
  /// Pairs that differ, and no tolerance allows it.
  package private(set) var changed: [Compared] = []
  /// Pairs that differ within the tolerances.
  package private(set) var tolerated: [Compared] = []
  package let onlyA: [DiffSide.Item]
  package let onlyB: [DiffSide.Item]
  package let prefixes: [NameMatching.Prefixes]
  package let ignoresNames: Bool

  package init(
    _ a: DiffSide, _ b: DiffSide, _ matching: TensorMatching, _ verdicts: [PairVerdict], ignoresNames: Bool,
    isTolerant: Bool
  ) {
    onlyA = matching.onlyA.map { a.items[$0] }
    onlyB = matching.onlyB.map { b.items[$0] }
    prefixes = matching.prefixes
    self.ignoresNames = ignoresNames
    for (pair, verdict) in zip(matching.pairs, verdicts) {
      func compared(
        _ difference: TensorDifference? = nil, _ remark: String = "", hint: PairVerdict.Hint? = nil,
        axes: [Int]? = nil
      ) -> Compared {
        let item = a.items[pair.a]
        let isFilesOrder = pair.axes.map { $0 == Array(item.tensor.shape.indices) } ?? true
        return Compared(
          left: item, right: b.items[pair.b], reason: pair.reason, difference: difference, remark: remark,
          hint: hint,
          axes: axes ?? (isFilesOrder ? nil : pair.axes))
      }
      switch verdict {
      case .identical where pair.reason == .name: identicalCount += 1
      case .identical: renamed.append(compared())
      case .reshaped(let axes): reshaped.append(compared(axes: axes))
      case .changed(let difference, let remark, let hint):
        if isTolerant, let difference, difference.beyondCount == 0 {
          tolerated.append(compared(difference, remark, hint: hint))
        } else {
          changed.append(compared(difference, remark, hint: hint))
        }
      }
    }
  }

  /// Whether nothing differs but what the caller allows.
  package var isSame: Bool {
    isSameData && (ignoresNames || (renamed.isEmpty && tolerated.allSatisfy(\.hasOneName)))
  }

  /// Whether nothing differs but names and what the tolerances allow.
  package var isSameData: Bool { changed.isEmpty && reshaped.isEmpty && onlyA.isEmpty && onlyB.isEmpty }
}
