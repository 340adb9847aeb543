internal import DecantBytes
internal import DecantIO
internal import Synchronization
internal import DecantTensors

/// Gives a tensor's bytes as they are to be written, compares its storage's checksum, and takes that of what is written.
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
  /// Whether the checksum of what is written is asked for.
  private let takesChecksum: Bool
  private let state: Mutex<State>

  private struct State {
    /// Reads from first to last what cannot be read in any order.
    var reader: RowMajorReader
    /// Checksums of what was read and of what a cast made of it, by place.
    var read: [(offset: Int, byteCount: Int, crc: CRC32)] = []
    var cast: [(offset: Int, byteCount: Int, crc: CRC32)] = []
    var overflowed = 0
    var underflowed = 0
  }

  /// Bytes that are read before their checksum is taken: as many as stay in the second-level cache.
  private static let readByteCount = 1 << 18
  /// Elements that are cast at once: as many as stay in the second-level cache.
  private static let castCount = 1 << 14

  /// - Parameters:
  ///   - comparesChecksum: whether the storage's checksum is compared: while its bytes pass by when all of them
  ///     do, and else before. O(bytes) in the second case.
  ///   - takesChecksum: whether ``checksum`` will be asked for.
  init(_ planned: PlannedTensor, comparesChecksum: Bool, takesChecksum: Bool = false) throws {
    let tensor = planned.tensor
    self.takesChecksum = takesChecksum
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

  /// The CRC-32 of what was written, once every piece was given.
  var checksum: CRC32 { CRC32(state.withLock { casts ? $0.cast : $0.read }) }

  /// Fills `piece` with the bytes that begin at `offset`, both of whole elements.
  func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError) {
    try Self.locating(name) {
      guard let cast else { return try unsafe read(into: piece, at: offset) }
      try unsafe fill(piece, at: offset, by: cast)
    }
  }

  private func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int, by cast: Cast) throws {
    var cast = cast
    var crc = CRC32()
    let (size, sourceSize) = (cast.target.byteCount, cast.source.byteCount)
    try unsafe withUnsafeTemporaryAllocation(byteCount: Self.castCount * sourceSize, alignment: 64) {
      var done = 0
      while done < piece.count {
        let count = min(Self.castCount, (piece.count - done) / size)
        let elements = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<(count * sourceSize)])
        try unsafe read(into: elements, at: (offset + done) / size * sourceSize)
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: piece[done..<done + count * size])
        unsafe cast.convert(UnsafeRawBufferPointer(elements), into: target)
        if takesChecksum { unsafe crc.update(UnsafeRawBufferPointer(target)) }
        done += count * size
      }
    }
    state.withLock {
      if takesChecksum { $0.cast.append((offset, piece.count, crc)) }
      $0.overflowed += cast.overflowed
      $0.underflowed += cast.underflowed
    }
  }

  /// Reads elements as the source has them, from byte `offset` of them.
  private func read(into piece: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let isChecked = record != nil || takesChecksum && !casts
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
      if isChecked { unsafe crc.update(UnsafeRawBufferPointer(part)) }
      done += part.count
    }
    if isChecked { state.withLock { $0.read.append((offset, piece.count, crc)) } }
  }

  /// Compares the checksum when every piece was given.
  func finish() throws(DecantError) {
    guard let record else { return }
    let whole = CRC32(state.withLock { $0.read })
    try Self.locating(name) { try record.compare(whole) }
  }

  private static func locating<R>(_ name: String, _ body: () throws -> R) throws(DecantError) -> R {
    do { return try body() } catch let error as DecantError {
      throw error.located(tensor: name)
    } catch {
      throw DecantError(.readFailed, "cannot be read: \(error)", tensor: name)
    }
  }
}
