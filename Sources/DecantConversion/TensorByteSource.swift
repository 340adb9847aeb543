internal import DecantBytes
internal import DecantIO
internal import DecantTensors
internal import Synchronization

/// Reads one tensor in row-major order for a writer. It casts the elements if requested, verifies the source's CRC-32
/// and computes the CRC-32 of the output.
///
/// Errors name the tensor. If ``isRandomAccess`` is true, several threads may request pieces in any order.
final class TensorByteSource: BlockSource {
  /// The number of bytes to write.
  let byteCount: Int
  /// True when pieces can be requested in any order.
  let isRandomAccess: Bool
  private let name: String
  private let cast: Cast?
  private let reader: RowMajorReader
  /// The zip record whose bytes are written unchanged, so that its checksum is verified during the write.
  private let record: ZipRecord?
  /// True when the checksum of the output is needed.
  private let computesChecksum: Bool
  private let state: Mutex<State>

  private struct State {
    /// The sequential reader, for storages without random access.
    var reader: RowMajorReader
    /// The checksums of the pieces that were read, and of the pieces that a cast produced, by byte offset.
    var read: [(offset: Int, byteCount: Int, crc: CRC32)] = []
    var cast: [(offset: Int, byteCount: Int, crc: CRC32)] = []
    var overflowed = 0
    var underflowed = 0
  }

  /// The number of bytes that are read before their checksum is updated: they stay in the second-level cache.
  private static let readByteCount = 1 << 18
  /// The number of elements that are cast at once: they stay in the second-level cache.
  private static let castCount = 1 << 14

  /// - Parameters:
  ///   - verifiesChecksum: True to verify the storage's checksum: during the write when all of the storage's bytes
  ///     are written unchanged, otherwise here, in O(bytes).
  ///   - computesChecksum: True when ``checksum`` will be needed.
  init(_ planned: PlannedTensor, verifiesChecksum: Bool, computesChecksum: Bool = false) throws {
    let tensor = planned.tensor
    self.computesChecksum = computesChecksum
    name = planned.name
    byteCount = planned.byteCount
    cast = Cast(tensor, to: planned.dtype)
    precondition(cast != nil || tensor.dtype == planned.dtype, "the plan casts what can be cast")
    (reader, record) = try Self.locating(name) {
      let reader = try RowMajorReader(tensor)
      let content = verifiesChecksum ? tensor.storage.content as? any ChecksummedContent : nil
      let record = reader.isStorageUnchanged ? try content?.wholeRecord() : nil
      if record == nil, let first = try content?.damage(stopsAtFirst: true).first { throw first }
      return (reader, record)
    }
    isRandomAccess = reader.isRandomAccess
    state = Mutex(State(reader: reader))
  }

  /// True when the elements are cast.
  var casts: Bool { cast != nil }

  /// The elements that the cast lost, valid after every piece was read; nil when it lost nothing.
  var loss: (name: String, overflowed: Int, underflowed: Int)? {
    let (over, under) = state.withLock { ($0.overflowed, $0.underflowed) }
    return over + under > 0 ? (name, over, under) : nil
  }

  /// The CRC-32 of the output, valid after every piece was read.
  var checksum: CRC32 { CRC32(state.withLock { casts ? $0.cast : $0.read }) }

  /// Fills `piece` with the bytes that begin at `offset`; both must be whole elements.
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
        if computesChecksum { unsafe crc.update(UnsafeRawBufferPointer(target)) }
        done += count * size
      }
    }
    state.withLock {
      if computesChecksum { $0.cast.append((offset, piece.count, crc)) }
      $0.overflowed += cast.overflowed
      $0.underflowed += cast.underflowed
    }
  }

  /// Reads source elements before any cast, beginning at byte `offset`.
  private func read(into piece: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let isChecked = record != nil || computesChecksum && !casts
    var crc = CRC32()
    var done = 0
    while done < piece.count {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: piece[done..<min(done + Self.readByteCount, piece.count)])
      if isRandomAccess {
        try unsafe reader.read(into: part, at: offset + done)
      } else {
        // Without random access, the caller requests the pieces in order.
        try state.withLock { try unsafe $0.reader.read(into: part) }
      }
      if isChecked { unsafe crc.update(UnsafeRawBufferPointer(part)) }
      done += part.count
    }
    if isChecked { state.withLock { $0.read.append((offset, piece.count, crc)) } }
  }

  /// Verifies the storage's checksum after every piece was read.
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
