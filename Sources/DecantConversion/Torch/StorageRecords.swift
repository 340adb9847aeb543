internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The storage records of a `.pth` file, and each tensor as a view of one of them.
///
/// Tensors that share a storage in the source still share one. A storage is written whole, as PyTorch does, or only
/// the parts that tensors use. If all its tensors are cast to the same dtype, the storage is cast as a whole. A
/// tensor that can no longer be a view of it is written as a record of its own in row-major order: a lazy conjugate
/// or negation, or tensors of one storage that are cast to different dtypes.
package struct StorageRecords {
  /// A tensor as a view of a record; offset and strides are in elements.
  package struct View {
    package let record: Int
    package let offset: Int
    package let shape: [Int]
    package let strides: [Int]
  }

  /// The bytes of one storage.
  package struct Record {
    /// The elements of the record, in the order in which they are written.
    package let elements: PlannedTensor
    /// True when no typed storage can hold the elements; the persistent id then counts bytes.
    let isUntyped: Bool

    package var byteCount: Int { elements.byteCount }
    /// The count in the persistent id: elements, or bytes if untyped.
    package var count: Int { isUntyped ? byteCount : byteCount / elements.dtype.byteCount }
  }

  private let tensors: [PlannedTensor]
  private let shrinks: Bool
  private let allowsUntyped: Bool
  private var placed: [View?]
  private(set) var records: [Record] = []

  /// Plans the records without reading data. O(n log n).
  ///
  /// - Parameters:
  ///   - tensors: Strided tensors, and the parts of the tensors that are not strided.
  ///   - shrinks: True to write only the parts of storages that tensors use.
  ///   - takesUntyped: True when the format has storages without a type.
  /// - Throws: ``DecantError`` when a storage cannot be described, which does not happen for storages read from a
  ///   file.
  init(_ tensors: [PlannedTensor], shrinks: Bool, allowsUntyped: Bool) throws {
    self.tensors = tensors
    self.shrinks = shrinks
    self.allowsUntyped = allowsUntyped
    placed = [View?](repeating: nil, count: tensors.count)
    var groups: [ObjectIdentifier: Int] = [:]
    var members: [[Int]] = []
    for (index, tensor) in tensors.enumerated() {
      let storage = tensor.tensor.storage
      let group = groups[ObjectIdentifier(storage.root ?? storage), default: members.count]
      if group == members.count {
        groups[ObjectIdentifier(storage.root ?? storage)] = group
        members.append([])
      }
      members[group].append(index)
    }
    for group in members { try place(group) }
  }

  /// Returns the view for the tensor at `index` of the list.
  package subscript(index: Int) -> View {
    guard let view = placed[index] else { preconditionFailure("every tensor was placed") }
    return view
  }

  // MARK: One storage

  private mutating func place(_ group: [Int]) throws {
    var sharing: [Int] = []
    for index in group {
      let tensor = tensors[index].tensor
      if tensor.isConjugated || tensor.isNegated { alone([index]) } else { sharing.append(index) }
    }
    guard let first = sharing.first else { return }
    guard canShare(sharing) else {
      for index in sharing { alone([index]) }
      return
    }
    let storage = tensors[first].tensor.storage.root ?? tensors[first].tensor.storage
    let isPacked = tensors[first].tensor.dtype.elementsPerByte > 1
    guard shrinks, !isPacked else {
      return try together(sharing, in: storage, bytes: 0..<storage.byteCount)
    }
    for cluster in clusters(sharing) {
      if cluster.isCompacted {
        alone(cluster.members)
      } else {
        try together(cluster.members, in: storage, bytes: cluster.bytes)
      }
    }
  }

  /// Returns true when the tensors can be views of one written storage.
  private func canShare(_ group: [Int]) -> Bool {
    let tensors = group.map { self.tensors[$0] }
    guard let first = tensors.first else { return false }
    let isOneType = tensors.allSatisfy { $0.tensor.dtype == first.tensor.dtype && $0.dtype == first.dtype }
    if isOneType { return tensors.allSatisfy { rootOffset($0.tensor) % $0.tensor.dtype.byteCount == 0 } }
    // Tensors of several dtypes share the storage only if its bytes are written unchanged.
    return allowsUntyped
      && tensors.allSatisfy {
        $0.dtype == $0.tensor.dtype && $0.tensor.storage.byteOrder == .little
          && $0.tensor.dtype.elementsPerByte == 1
          && rootOffset($0.tensor) % $0.tensor.dtype.byteCount == 0
      }
  }

  private func rootOffset(_ tensor: Tensor) -> Int {
    tensor.storage.root == nil ? 0 : tensor.storage.rootOffset
  }

  /// Adds a range of a storage as one record, and makes the tensors of `group` views of it.
  private mutating func together(_ group: [Int], in storage: Storage, bytes: Range<Int>) throws {
    let first = tensors[group[0]]
    let isOneType = group.allSatisfy { tensors[$0].tensor.dtype == first.tensor.dtype }
    let dtype = isOneType ? first.tensor.dtype : .uint8
    let elements = try Tensor(
      dtype: dtype, shape: [bytes.count / dtype.byteCount * dtype.elementsPerByte], storage: storage,
      storageOffset: bytes.lowerBound / dtype.byteCount * dtype.elementsPerByte)
    let target = isOneType ? first.dtype : .uint8
    let planned = PlannedTensor(name: first.name, entry: first.entry, tensor: elements, dtype: target)
    for index in group {
      let tensor = tensors[index].tensor
      let (size, perByte) = (tensor.dtype.byteCount, tensor.dtype.elementsPerByte)
      let start = (rootOffset(tensor) - bytes.lowerBound) / size * perByte + tensor.storageOffset
      placed[index] = View(
        record: records.count, offset: start, shape: tensor.shape, strides: tensor.strides)
    }
    add(planned, isMixed: !isOneType)
  }

  /// Adds a record with the first tensor's elements in row-major order. The other tensors of `group` are equal views
  /// and share it.
  private mutating func alone(_ group: [Int]) {
    for index in group {
      let shape = tensors[index].tensor.shape
      placed[index] = View(
        record: records.count, offset: 0, shape: shape, strides: Tensor.contiguousStrides(shape))
    }
    add(tensors[group[0]], isMixed: false)
  }

  private mutating func add(_ elements: PlannedTensor, isMixed: Bool) {
    let isUntyped = isMixed || StorageTypes.typedStorageName(elements.dtype) == nil
    records.append(Record(elements: elements, isUntyped: isUntyped))
  }

  // MARK: Parts of a storage

  /// Tensors whose byte ranges overlap, and the storage's bytes from the first to the last.
  private struct Cluster {
    var members: [Int]
    var bytes: Range<Int>
    /// True when all members are the same view and it has gaps, which are not written.
    var isCompacted = false
  }

  private func clusters(_ group: [Int]) -> [Cluster] {
    var spans: [(index: Int, bytes: Range<Int>)] = group.map { index in
      let tensor = tensors[index].tensor
      let size = tensor.dtype.byteCount
      let start = rootOffset(tensor) + tensor.storageOffset * size
      guard tensor.elementCount > 0 else { return (index, start..<start) }
      let last = zip(tensor.shape, tensor.strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
      return (index, start..<start + (last + 1) * size)
    }
    spans.sort { ($0.bytes.lowerBound, $0.index) < ($1.bytes.lowerBound, $1.index) }
    var clusters: [Cluster] = []
    var empty: [Cluster] = []
    for (index, bytes) in spans {
      if bytes.isEmpty {
        empty.append(Cluster(members: [index], bytes: bytes, isCompacted: true))
      } else if let last = clusters.last, bytes.lowerBound < last.bytes.upperBound {
        clusters[clusters.count - 1].members.append(index)
        clusters[clusters.count - 1].bytes =
          last.bytes.lowerBound..<max(last.bytes.upperBound, bytes.upperBound)
      } else {
        // Views of several dtypes may share the cluster: start at a multiple of 16 bytes, which every element size
        // divides.
        clusters.append(Cluster(members: [index], bytes: bytes.lowerBound / 16 * 16..<bytes.upperBound))
        if isOneType(group) { clusters[clusters.count - 1].bytes = bytes }
      }
    }
    for place in clusters.indices {
      let members = clusters[place].members
      let first = tensors[members[0]].tensor
      clusters[place].isCompacted =
        first.byteCount < clusters[place].bytes.count
        && members.allSatisfy {
          let other = tensors[$0].tensor
          return other.dtype == first.dtype && other.shape == first.shape && other.strides == first.strides
            && other.storageOffset == first.storageOffset && rootOffset(other) == rootOffset(first)
        }
      clusters[place].members.sort()
    }
    return (clusters + empty).sorted { $0.members[0] < $1.members[0] }
  }

  private func isOneType(_ group: [Int]) -> Bool {
    group.allSatisfy { tensors[$0].tensor.dtype == tensors[group[0]].tensor.dtype }
  }
}
