/// The tensors of a list that share storage elements with other tensors of the list.
package struct Aliases: Sendable {
  /// For every tensor that overlaps an earlier one, the index of the first tensor of its group.
  private var firsts: [Int: Int] = [:]

  /// Finds groups of tensors whose byte ranges overlap in one storage. O(n log n).
  package init(_ tensors: [Tensor]) {
    var spans: [Span] = []
    spans.reserveCapacity(tensors.count)
    for (index, tensor) in tensors.enumerated() where tensor.elementCount > 0 {
      let last = zip(tensor.shape, tensor.strides).reduce(tensor.storageOffset) { $0 + ($1.0 - 1) * $1.1 }
      let end =
        tensor.isContiguous ? tensor.byteOffset + tensor.byteCount : (last + 1) * tensor.dtype.byteCount
      // Compare parts of a storage by their offset in the root storage.
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

  /// The byte range of a tensor in its storage.
  private struct Span {
    let storage: UInt
    let start: Int
    let end: Int
    let index: Int
  }

  /// Returns the index of the first tensor, in list order, that shares elements with this one. Nil when the
  /// tensor is that first one itself or shares no elements.
  package func first(of index: Int) -> Int? { firsts[index] }

  private mutating func close(_ group: [Int]) {
    guard group.count > 1, let first = group.min() else { return }
    for index in group where index != first { firsts[index] = first }
  }
}
