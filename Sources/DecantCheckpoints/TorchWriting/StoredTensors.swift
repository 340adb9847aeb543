internal import DecantBytes
internal import DecantTensors

/// Which records of a `.pth` file hold the tensors, and which view of its record each tensor is.
///
/// Tensors that share a storage go on sharing one. A storage is kept whole, as PyTorch keeps it, or only the parts of it
/// that tensors use; it is cast whole where all its tensors are cast alike. What cannot be a view of it any more (a
/// lazy conjugate, one of two types that are cast apart) is written for itself in row-major order.
struct StoredTensors {
  /// A tensor as a view of a record, in elements.
  struct View {
    let record: Int
    let offset: Int
    let shape: [Int]
    let strides: [Int]
  }

  /// The bytes of a storage.
  struct Record {
    /// The elements as they are written, from first to last.
    let elements: PlannedTensor
    /// Whether no typed storage can hold it, and it counts bytes.
    let isUntyped: Bool

    var byteCount: Int { elements.byteCount }
    /// What a persistent id counts.
    var count: Int { isUntyped ? byteCount : byteCount / elements.dtype.byteCount }
  }

  private let tensors: [PlannedTensor]
  private let shrinks: Bool
  private let takesUntyped: Bool
  private var placed: [View?]
  private(set) var records: [Record] = []

  /// Plans the records; reads nothing. O(n log n).
  ///
  /// - Parameters:
  ///   - tensors: strided ones; the parts of those that are not.
  ///   - shrinks: whether only what tensors use of a storage is written.
  ///   - takesUntyped: whether the format has storages without a type.
  /// - Throws: ``DecantError`` when a storage cannot be described, which no storage that was read is.
  init(_ tensors: [PlannedTensor], shrinks: Bool, takesUntyped: Bool) throws {
    self.tensors = tensors
    self.shrinks = shrinks
    self.takesUntyped = takesUntyped
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

  /// The view that a tensor of the list is.
  subscript(index: Int) -> View {
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

  /// Whether tensors can be views of one written storage.
  private func canShare(_ group: [Int]) -> Bool {
    let tensors = group.map { self.tensors[$0] }
    guard let first = tensors.first else { return false }
    let isOneType = tensors.allSatisfy { $0.tensor.dtype == first.tensor.dtype && $0.dtype == first.dtype }
    if isOneType { return tensors.allSatisfy { rootOffset($0.tensor) % $0.tensor.dtype.byteCount == 0 } }
    // Views of several types share bytes as they stand.
    return takesUntyped
      && tensors.allSatisfy {
        $0.dtype == $0.tensor.dtype && $0.tensor.storage.byteOrder == .little
          && $0.tensor.dtype.elementsPerByte == 1
          && rootOffset($0.tensor) % $0.tensor.dtype.byteCount == 0
      }
  }

  private func rootOffset(_ tensor: Tensor) -> Int {
    tensor.storage.root == nil ? 0 : tensor.storage.rootOffset
  }

  /// Writes some bytes of a storage as one record and makes tensors views of it.
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

  /// Writes a tensor's elements in row-major order as a record of its own; the others are equal views.
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

  /// Tensors whose spans overlap, and the bytes of the storage from the first to the last.
  private struct Cluster {
    var members: [Int]
    var bytes: Range<Int>
    /// Whether the members are one view with gaps, which are left out.
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
        // Views of several types may share it: a whole number of each from the start.
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
