/// Which tensors of a list share elements with others.
public struct Aliases: Sendable {
  /// For every tensor that overlaps earlier ones, the first of its group.
  private var firsts: [Int: Int] = [:]

  /// Finds groups of tensors whose spans of one storage overlap. O(n log n).
  public init(_ tensors: [Tensor]) {
    var byStorage: [ObjectIdentifier: [(start: Int, end: Int, index: Int)]] = [:]
    for (index, tensor) in tensors.enumerated() where tensor.elementCount > 0 {
      let last = zip(tensor.shape, tensor.strides).reduce(tensor.storageOffset) { $0 + ($1.0 - 1) * $1.1 }
      let end =
        tensor.isContiguous ? tensor.byteOffset + tensor.byteCount : (last + 1) * tensor.dtype.byteCount
      byStorage[ObjectIdentifier(tensor.storage), default: []].append(
        (start: tensor.byteOffset, end: end, index: index))
    }
    for var spans in byStorage.values where spans.count > 1 {
      spans.sort { ($0.start, $0.index) < ($1.start, $1.index) }
      var group: [Int] = []
      var end = 0
      for span in spans {
        if span.start >= end {
          close(group)
          group = []
        }
        group.append(span.index)
        end = max(end, span.end)
      }
      close(group)
    }
  }

  /// The first tensor, in the list's order, of the group a tensor shares elements with; nil when it is that
  /// first one itself or shares none.
  public func first(of index: Int) -> Int? { firsts[index] }

  private mutating func close(_ group: [Int]) {
    guard group.count > 1, let first = group.min() else { return }
    for index in group where index != first { firsts[index] = first }
  }
}
