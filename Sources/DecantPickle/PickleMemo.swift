/// The memo of the pickle machine: values by index.
///
/// Picklers number entries from zero, which suits an array. A stream may use any index, though: `PUT`
/// 4,000,000,000 takes five bytes. An index far beyond the existing entries goes to a dictionary instead of
/// growing the array. Memory thus follows the number of entries, never the size of an index.
struct PickleMemo {
  private var dense: [PickleValue?] = []
  private var sparse: [Int: PickleValue] = [:]
  /// The number of entries. MEMOIZE stores at this index.
  private(set) var count = 0

  /// The value at an index, or nil. O(1).
  subscript(index: Int) -> PickleValue? {
    if index >= 0, index < dense.count, let value = dense[index] { return value }
    return sparse.isEmpty ? nil : sparse[index]
  }

  /// Stores a value, replacing any existing one. Amortised O(1). `index` must not be negative.
  mutating func store(_ value: PickleValue, at index: Int) {
    if index == dense.count, sparse.isEmpty {
      dense.append(value)
      count += 1
    } else if index < dense.count {
      if dense[index] == nil, sparse.isEmpty || sparse.removeValue(forKey: index) == nil { count += 1 }
      dense[index] = value
    } else if index / 2 <= count + 128 {
      dense.append(contentsOf: repeatElement(nil, count: index - dense.count + 1))
      store(value, at: index)
    } else if sparse.updateValue(value, forKey: index) == nil {
      count += 1
    }
  }
}
