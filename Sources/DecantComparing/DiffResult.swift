internal import DecantBytes
package import DecantTensors

/// The differences between two files.
package struct DiffResult {
  /// Two tensors that were compared.
  package struct Compared {
    package let left: DiffFile.Item
    package let right: DiffFile.Item
    package let reason: TensorMatching.Reason
    package let difference: TensorDifference?
    package let remark: String
    package let hint: PairVerdict.Hint?
    /// The permutation of A's axes that was compared; nil when it is the file's own order.
    package let axes: [Int?]?

    /// True when the names are equal, possibly after a recognised prefix.
    package var hasOneName: Bool { reason == .name }

    /// The remark for people; ``remark`` is the one of the JSON.
    package var plainRemark: String {
      switch remark {
      case "rounded once":
        "exact \(DType.coarser(left.tensor.dtype, right.tensor.dtype).rawValue) rounding"
      case "the same numbers": "equal values, different dtype"
      default: remark
      }
    }
  }

  package private(set) var identicalCount = 0
  /// Pairs with equal data under two names.
  package private(set) var renamed: [Compared] = []
  /// Pairs with equal data in two shapes.
  package private(set) var reshaped: [Compared] = []
  /// Pairs that differ beyond the tolerance.
  package private(set) var changed: [Compared] = []
  /// Pairs that differ within the tolerance.
  package private(set) var tolerated: [Compared] = []
  package let onlyA: [DiffFile.Item]
  package let onlyB: [DiffFile.Item]
  package let prefixes: [NameMatching.Prefixes]
  package let ignoresNames: Bool

  package init(
    _ a: DiffFile, _ b: DiffFile, _ matching: TensorMatching, _ verdicts: [PairVerdict], ignoresNames: Bool,
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
        if isTolerant, let difference, difference.toleranceExceededCount == 0 {
          tolerated.append(compared(difference, remark, hint: hint))
        } else {
          changed.append(compared(difference, remark, hint: hint))
        }
      }
    }
  }

  /// The verdict on the changed tensors; nil when there are none that can be measured.
  package var verdict: DiffVerdict? { DiffVerdict(changed) }

  /// The changed tensors, the largest difference first: those that have no measure, then by the absolute difference.
  package var changedLargestFirst: [Compared] {
    func size(_ pair: Compared) -> Double { pair.difference?.maxAbsolute ?? .infinity }
    return changed.enumerated().sorted { one, two in
      let (left, right) = (size(one.element), size(two.element))
      return left == right ? one.offset < two.offset : left > right
    }.map(\.element)
  }

  /// True when there are no differences other than those the caller allows.
  package var isSame: Bool {
    isSameData && (ignoresNames || (renamed.isEmpty && tolerated.allSatisfy(\.hasOneName)))
  }

  /// True when only names differ, or values within the tolerance.
  package var isSameData: Bool { changed.isEmpty && reshaped.isEmpty && onlyA.isEmpty && onlyB.isEmpty }
}
