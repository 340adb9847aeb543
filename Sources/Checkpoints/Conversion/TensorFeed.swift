internal import Synchronization
internal import Tensors

/// Gives a tensor's bytes as they are to be written, and compares its storage's checksum.
///
/// Errors name the tensor. Where ``isRandomAccess`` says so, several threads may ask for pieces in any order.
final class TensorFeed: OutputFeed {
  /// Bytes of what is written.
  let byteCount: Int
  /// Whether pieces can be asked for in any order.
  let isRandomAccess: Bool
  private let name: String
  private let cast: Cast?
  private let reader: RowMajorReader
  /// The record whose bytes pass by as they stand.
  private let record: ZipRecord?
  private let state: Mutex<State>

  private struct State {
    /// Reads from first to last what cannot be read in any order.
    var reader: RowMajorReader
    /// Checksums of what has passed, by place.
    var checksums: [(offset: Int, byteCount: Int, crc: CRC32)] = []
    var overflowed = 0
    var underflowed = 0
  }

  /// Bytes that are read before their checksum is taken: as many as stay in the second-level cache.
  private static let readByteCount = 1 << 18
  /// Elements that are cast at once: as many as stay in the second-level cache.
  private static let castCount = 1 << 14

  /// - Parameter comparesChecksum: whether the storage's checksum is compared: while its bytes pass by when all of them
  ///   do, and else before. O(bytes) in the second case.
  init(_ planned: PlannedTensor, comparesChecksum: Bool) throws {
    let tensor = planned.tensor
    name = planned.name
    byteCount = planned.byteCount
    cast = Cast(tensor, to: planned.dtype)
    precondition(cast != nil || tensor.dtype == planned.dtype, "the plan casts what can be cast")
    (reader, record) = try Self.locating(name) {
      let reader = try RowMajorReader(tensor)
      let content = comparesChecksum ? tensor.storage.content as? any ChecksummedContent : nil
      let record = reader.passesStorageUnchanged ? try content?.wholeRecord() : nil
      if record == nil, let first = try content?.damage(stopsAtFirst: true).first { throw first }
      return (reader, record)
    }
    isRandomAccess = reader.isRandomAccess
    state = Mutex(State(reader: reader))
  }

  /// Whether the elements are cast.
  var casts: Bool { cast != nil }

  /// What the cast lost, once every piece was given; nil when it lost nothing.
  var loss: (name: String, overflowed: Int, underflowed: Int)? {
    let (over, under) = state.withLock { ($0.overflowed, $0.underflowed) }
    return over + under > 0 ? (name, over, under) : nil
  }

  /// Fills `piece` with the bytes that begin at `offset`, both of whole elements.
  func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    try Self.locating(name) {
      guard let cast else { return try unsafe read(into: piece, at: offset) }
      try unsafe fill(piece, at: offset, by: cast)
    }
  }

  private func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int, by cast: Cast) throws {
    var cast = cast
    let (size, sourceSize) = (cast.target.byteCount, cast.source.byteCount)
    try unsafe withUnsafeTemporaryAllocation(byteCount: Self.castCount * sourceSize, alignment: 64) {
      var done = 0
      while done < piece.count {
        let count = min(Self.castCount, (piece.count - done) / size)
        let elements = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<(count * sourceSize)])
        try unsafe read(into: elements, at: (offset + done) / size * sourceSize)
        unsafe cast.convert(
          UnsafeRawBufferPointer(elements),
          into: UnsafeMutableRawBufferPointer(rebasing: piece[done..<done + count * size]))
        done += count * size
      }
    }
    state.withLock {
      $0.overflowed += cast.overflowed
      $0.underflowed += cast.underflowed
    }
  }

  /// Reads elements as the source has them, from byte `offset` of them.
  private func read(into piece: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    var crc = CRC32()
    var done = 0
    while done < piece.count {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: piece[done..<min(done + Self.readByteCount, piece.count)])
      if isRandomAccess {
        try unsafe reader.read(into: part, at: offset + done)
      } else {
        // The pieces come in order.
        try state.withLock { try unsafe $0.reader.read(into: part) }
      }
      if record != nil { unsafe crc.update(UnsafeRawBufferPointer(part)) }
      done += part.count
    }
    if record != nil { state.withLock { $0.checksums.append((offset, piece.count, crc)) } }
  }

  /// Compares the checksum when every piece was given.
  func finish() throws(CheckpointError) {
    guard let record else { return }
    var whole = CRC32()
    let parts = state.withLock { $0.checksums.sorted { $0.offset < $1.offset } }
    for part in parts { whole.append(part.crc, byteCount: part.byteCount) }
    try Self.locating(name) { try record.compare(whole) }
  }

  private static func locating<R>(_ name: String, _ body: () throws -> R) throws(CheckpointError) -> R {
    do { return try body() } catch let error as CheckpointError {
      throw error.located(tensor: name)
    } catch let error as TensorError {
      throw CheckpointError(error.reason, tensor: name)
    } catch {
      throw CheckpointError("cannot be read: \(error)", tensor: name)
    }
  }
}
