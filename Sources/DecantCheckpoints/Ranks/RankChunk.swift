internal import DecantBytes
internal import DecantIO
internal import DecantTensors
internal import Synchronization

/// The elements of one box of a tensor that several processes hold, as a view of one process's own tensor.
///
/// When several processes hold the same box, the elements of the first are used. Those of the others are compared
/// with them whenever they are read, so that opening reads no weights.
final class RankChunk: ChunkSource {
  private let elements: RowMajorContent
  private let replicas: [(rank: String, elements: RowMajorContent)]
  private let rank: String
  private let checks: [StorageCheck]

  /// - Parameters:
  ///   - holders: the processes that hold the box, as names for messages, with their views. At least one.
  ///   - checks: the checks of the storages that the views are of.
  init(_ holders: [(rank: String, tensor: Tensor)], checks: [StorageCheck]) {
    rank = holders[0].rank
    elements = RowMajorContent(holders[0].tensor)
    replicas = holders.dropFirst().map { ($0.rank, RowMajorContent($0.tensor)) }
    self.checks = checks
  }

  func content() -> any StorageContent {
    replicas.isEmpty ? elements : ReplicatedContent(elements, rank, replicas)
  }

  func wholeRecord() throws(DecantError) -> ZipRecord? {
    guard replicas.isEmpty, elements.isPlain, let record = elements.tensor.storage.content as? ZipRecord,
      record.byteCount == elements.byteCount
    else { return nil }
    return record
  }

  func damage() throws -> DecantError? {
    for check in checks { if let found = try check.damage() { return found } }
    return nil
  }
}

/// Elements that several processes hold. Every read compares them.
private struct ReplicatedContent: StorageContent {
  private let elements: RowMajorContent
  private let rank: String
  private let replicas: [(rank: String, elements: RowMajorContent)]

  init(
    _ elements: RowMajorContent, _ rank: String, _ replicas: [(rank: String, elements: RowMajorContent)]
  ) {
    self.elements = elements
    self.rank = rank
    self.replicas = replicas
  }

  var byteCount: Int { elements.byteCount }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe elements.read(into: buffer, at: offset)
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: min(buffer.count, 1 << 16), alignment: 64)
    defer { unsafe scratch.deallocate() }
    for replica in replicas {
      var done = 0
      while done < buffer.count {
        let count = min(scratch.count, buffer.count - done)
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
        try unsafe replica.elements.read(into: piece, at: offset + done)
        let read = unsafe UnsafeRawBufferPointer(rebasing: buffer[done..<done + count])
        guard unsafe Self.areEqual(read, UnsafeRawBufferPointer(piece)) else {
          throw DecantError(
            .damaged, "\(rank) and \(replica.rank) hold different values of the same elements",
            remedy: "The files are of different steps or runs. Join the files of one step.")
        }
        done += count
      }
    }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  /// Returns true when two buffers of one size hold the same bytes. O(bytes).
  private static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    let words = a.count / 8
    for index in 0..<words {
      let left = unsafe a.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
      let right = unsafe b.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
      if left != right { return false }
    }
    for index in 8 * words..<a.count where unsafe a[index] != b[index] { return false }
    return true
  }
}

/// The comparison of a storage with its recorded checksum, made once for all tensors that are views of it.
final class StorageCheck: Sendable {
  private let content: any ChecksummedContent
  private let result = Mutex<DecantError??>(nil)

  /// Returns nil when the storage has no checksum.
  init?(_ storage: Storage) {
    guard let content = storage.content as? any ChecksummedContent else { return nil }
    self.content = content
  }

  /// Returns the error of data that differs from its checksum; nil when it matches. O(bytes), once.
  func damage() throws -> DecantError? {
    if let known = result.withLock({ $0 }) { return known }
    let found = try content.damage(stopsAtFirst: true).first
    result.withLock { $0 = .some(found) }
    return found
  }
}

/// The checks of storages, one for each.
struct StorageChecks {
  private var checks: [ObjectIdentifier: StorageCheck?] = [:]

  /// Returns the check of a storage; nil when it has no checksum.
  mutating func check(of storage: Storage) -> StorageCheck? {
    if let known = checks[ObjectIdentifier(storage)] { return known }
    let made = StorageCheck(storage)
    checks[ObjectIdentifier(storage)] = .some(made)
    return made
  }
}
