/// Which tensors of a list share elements with others.
package struct Aliases: Sendable {
  /// For every tensor that overlaps earlier ones, the first of its group.
  private var firsts: [Int: Int] = [:]

  /// Finds groups of tensors whose spans of one storage overlap. O(n log n).
  package init(_ tensors: [Tensor]) {
    var spans: [Span] = []
    spans.reserveCapacity(tensors.count)
    for (index, tensor) in tensors.enumerated() where tensor.elementCount > 0 {
      let last = zip(tensor.shape, tensor.strides).reduce(tensor.storageOffset) { $0 + ($1.0 - 1) * $1.1 }
      let end =
        tensor.isContiguous ? tensor.byteOffset + tensor.byteCount : (last + 1) * tensor.dtype.byteCount
      // A part of a storage is counted from the start of the whole.
      let storage = UInt(bitPattern: ObjectIdentifier(tensor.storage.root ?? tensor.storage))
      let shift = tensor.storage.rootOffset
      spans.append(
        Span(storage: storage, start: shift + tensor.byteOffset, end: shift + end, index: index))
    }
    spans.sort { ($0.storage, $0.start, $0.index) < ($1.storage, $1.start, $1.index) }
    var group: [Int] = []
    var storage: UInt = 0
    var end = 0
    for span in spans {
      if span.storage != storage || span.start >= end {
        close(group)
        group.removeAll(keepingCapacity: true)
        storage = span.storage
        end = 0
      }
      group.append(span.index)
      end = max(end, span.end)
    }
    close(group)
  }

  /// The bytes of a storage that a tensor spans.
  private struct Span {
    let storage: UInt
    let start: Int
    let end: Int
    let index: Int
  }

  /// The first tensor, in the list's order, of the group a tensor shares elements with; nil when it is that
  /// first one itself or shares none.
  package func first(of index: Int) -> Int? { firsts[index] }

  private mutating func close(_ group: [Int]) {
    guard group.count > 1, let first = group.min() else { return }
    for index in group where index != first { firsts[index] = first }
  }
}
