internal import DecantBytes

/// The tensors of a list that share storage elements with other tensors of the list.
package struct Aliases: Sendable {
  /// For every tensor that overlaps an earlier one, the index of the first tensor of its group.
  private var firsts: [Int: Int] = [:]

  /// Finds groups of tensors whose byte ranges overlap in one storage. O(n log n).
  package init(_ tensors: [Tensor]) {
    Self.forEachGroup(tensors) { group in
      guard group.count > 1 else { return }
      let first = group.map(\.index).min() ?? 0
      for span in group where span.index != first { firsts[span.index] = first }
    }
  }

  /// Calls a closure with each group of tensors with elements whose byte ranges overlap in one storage. O(n log n).
  private static func forEachGroup(_ tensors: [Tensor], _ body: (ArraySlice<Span>) -> Void) {
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
    var (first, end) = (0, 0)
    for (place, span) in spans.enumerated() {
      if place > first, spans[first].storage == span.storage, span.start < end {
        end = max(end, span.end)
      } else {
        if place > first { body(spans[first..<place]) }
        (first, end) = (place, span.end)
      }
    }
    if first < spans.count { body(spans[first...]) }
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
}

extension Aliases {
  /// Returns the number of elements and of stored bytes of all tensors; what several tensors share counts once.
  /// O(n log n).
  package static func distinctSize(_ tensors: [Tensor]) -> (elementCount: Int, byteCount: Int) {
    var (elements, bytes) = (0, 0)
    func add(_ elementCount: Int, _ byteCount: Int) {
      elements = elements.checkedAdding(elementCount) ?? .max
      bytes = bytes.checkedAdding(byteCount) ?? .max
    }
    forEachGroup(tensors) { group in
      let first = tensors[group[group.startIndex].index]
      guard group.count > 1 else { return add(first.elementCount, first.storedByteCount) }
      var seen: Set<TensorIdentity> = []
      let members = group.map { tensors[$0.index] }.filter { seen.insert($0.identity).inserted }
      let elementCount = members.map(\.elementCount).saturatingSum
      let byteCount = members.map(\.storedByteCount).saturatingSum
      guard members.count > 1, !first.isSparse else { return add(elementCount, byteCount) }
      // Views that overlap partly, such as the parts of a flat parameter and the whole.
      let covered = (group.map(\.end).max() ?? 0) - (group.map(\.start).min() ?? 0)
      add(min(elementCount, covered / (members.map(\.dtype.byteCount).min() ?? 1)), min(byteCount, covered))
    }
    return (elements, bytes)
  }
}

/// The data that a tensor is a view of. Tensors with equal identities are the same, as tied weights are.
package struct TensorIdentity: Hashable, Sendable {
  private let storage: ObjectIdentifier
  private let offset: Int
  private let shape: [Int]
  private let strides: [Int]

  fileprivate init(_ tensor: Tensor) {
    storage = ObjectIdentifier(tensor.storage)
    offset = tensor.storageOffset
    (shape, strides) = (tensor.shape, tensor.strides)
  }
}

extension Tensor {
  /// The data that the tensor is a view of.
  package var identity: TensorIdentity { TensorIdentity(self) }

  /// True for the sparse layouts of PyTorch.
  package var isSparse: Bool { !layout.partNames.isEmpty }

  /// The number of bytes in the file: for a sparse tensor those of its indices and values.
  package var storedByteCount: Int {
    isSparse ? parts.map(\.tensor.byteCount).saturatingSum : byteCount
  }

  /// The number of stored elements or blocks of a sparse tensor, as PyTorch's `_nnz()` returns it; nil for other tensors.
  package var nonZeroCount: Int? {
    isSparse && parts.count > 1 ? parts[parts.count - 2].tensor.shape.last : nil
  }
}
