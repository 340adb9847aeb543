internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// Writes tensors to an output one after the other: casts them, verifies their storages' checksums and counts lost
/// elements.
package struct TensorPipeline {
  private var feeds: [TensorByteSource] = []
  private var verified: Set<ObjectIdentifier> = []
  private var doneByteCount = 0
  /// The number of bytes of all tensors.
  let totalByteCount: Int
  private let progress: WriteOptions.Progress?

  /// The size from which a worker thread reads a tensor. For a smaller one, passing it to the thread takes as long as
  /// reading it.
  private static let deferredByteCount = 1 << 16

  /// - Throws: Errors of `progress`, which is called once at the start.
  init(_ tensors: [PlannedTensor], progress: WriteOptions.Progress? = nil) throws {
    totalByteCount = tensors.reduce(0) { $0 + $1.byteCount }
    self.progress = progress
    verified.reserveCapacity(tensors.count)
    try progress?(0, totalByteCount)
  }

  /// The elements that casts lost, by tensor; valid after everything is written.
  var losses: [(name: String, overflowed: Int, underflowed: Int)] { feeds.compactMap(\.loss) }

  /// Writes one tensor to `sink`, which requests all its bytes in order, in pieces of whole elements.
  mutating func pour<R>(
    _ planned: PlannedTensor,
    _ sink: (_ byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> R
  ) throws -> R {
    try unsafe pour(feed(planned), sink)
  }

  /// Appends one tensor to a file. Worker threads read a large tensor.
  mutating func pour(_ planned: PlannedTensor, into output: AtomicOutput) throws {
    let feed = try feed(planned)
    guard feed.isRandomAccess, planned.byteCount >= Self.deferredByteCount else {
      return try unsafe pour(feed) { count, fill in try unsafe output.append(byteCount: count, fill: fill) }
    }
    try hand(feed, to: output)
  }

  /// Appends one tensor as the data of a zip entry.
  mutating func pour(_ planned: PlannedTensor, intoEntryOf output: AtomicOutput) throws -> EntryChecksum {
    let feed = try feed(planned, computesChecksum: true)
    // A stream cannot seek, so its data descriptor needs the checksum right after the data.
    guard feed.isRandomAccess, planned.byteCount >= Self.deferredByteCount, !output.isStream else {
      try unsafe pour(feed) { count, fill in try unsafe output.append(byteCount: count, fill: fill) }
      return .known(feed.checksum)
    }
    try hand(feed, to: output)
    return .late { feed.checksum }
  }

  private mutating func hand(_ feed: TensorByteSource, to output: AtomicOutput) throws {
    let start = doneByteCount
    try output.append(feed) { try progress?(start + $0, totalByteCount) }
    doneByteCount += feed.byteCount
  }

  private mutating func pour<R>(
    _ feed: TensorByteSource,
    _ sink: (_ byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> R
  ) throws -> R {
    var done = 0
    let result = try unsafe sink(feed.byteCount) { piece in
      try unsafe feed.fill(piece, at: done)
      done += piece.count
      try progress?(doneByteCount + done, totalByteCount)
    }
    doneByteCount += done
    try feed.finish()
    return result
  }

  private mutating func feed(_ planned: PlannedTensor, computesChecksum: Bool = false) throws
    -> TensorByteSource
  {
    let isNew = verified.insert(ObjectIdentifier(planned.tensor.storage)).inserted
    try verifySources(of: planned)
    let feed = try TensorByteSource(planned, verifiesChecksum: isNew, computesChecksum: computesChecksum)
    if feed.casts { feeds.append(feed) }
    return feed
  }

  /// Verifies the checksums of the other tensors that a tensor is read from. O(bytes).
  private mutating func verifySources(of planned: PlannedTensor) throws {
    for source in planned.tensor.otherSources where verified.insert(ObjectIdentifier(source.storage)).inserted
    {
      guard let content = source.storage.content as? any ChecksummedContent else { continue }
      do { if let first = try content.damage(stopsAtFirst: true).first { throw first } } catch let error
        as DecantError
      { throw error.located(tensor: planned.name) }
    }
  }
}
