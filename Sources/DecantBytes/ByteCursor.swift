/// A bounds-checked cursor over bytes: every read returns a value or throws an error with the offset.
///
/// The cursor borrows the bytes and does not copy them. Every read is O(1), except reads that return arrays,
/// which are O(length).
package struct ByteCursor: ~Escapable {
  /// The bytes being read.
  package let bytes: RawSpan
  /// The offset of the next read, in bytes from the start of `bytes`.
  package private(set) var offset: Int

  /// Creates a cursor at `offset`, clamped to the bounds of `bytes`.
  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan, at offset: Int = 0) {
    self.bytes = bytes
    self.offset = min(max(offset, 0), bytes.byteCount)
  }

  /// The number of bytes left.
  package var remaining: Int { bytes.byteCount - offset }

  /// True when no bytes are left.
  package var isAtEnd: Bool { offset == bytes.byteCount }

  /// The next byte, read without moving the cursor; nil at the end.
  package var peek: UInt8? {
    unsafe isAtEnd ? nil : bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  /// Moves to an absolute offset.
  ///
  /// - Throws: ``ParsingError`` when the offset is outside the bytes.
  @_lifetime(self: copy self)
  package mutating func seek(to target: Int) throws(ParsingError) {
    guard target >= 0, target <= bytes.byteCount else {
      throw ParsingError(
        offset: offset, cause: .truncated,
        "offset \(target) is outside the \(Format.count(bytes.byteCount, "byte"))")
    }
    offset = target
  }

  /// Skips `count` bytes.
  @_lifetime(self: copy self)
  package mutating func skip(_ count: Int) throws(ParsingError) {
    try require(count)
    offset += count
  }

  /// Reads one byte.
  @inlinable
  @_lifetime(self: copy self)
  package mutating func readByte() throws(ParsingError) -> UInt8 {
    try readLittleEndian(UInt8.self)
  }

  /// Reads a little-endian integer of the given width.
  @_lifetime(self: copy self)
  package mutating func readLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type)
    throws(ParsingError) -> T
  {
    let size = MemoryLayout<T>.size
    try require(size)
    defer { offset += size }
    return T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
  }

  /// Reads a big-endian integer of the given width.
  @_lifetime(self: copy self)
  package mutating func readBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type)
    throws(ParsingError) -> T
  {
    try readLittleEndian(type).byteSwapped
  }

  /// Copies the next `count` bytes.
  ///
  /// The bounds are checked before anything is allocated.
  @_lifetime(self: copy self)
  package mutating func readBytes(_ count: Int) throws(ParsingError) -> [UInt8] {
    try require(count)
    let start = offset
    offset += count
    return bytes.copy(start..<offset)
  }

  /// Reads up to the next newline and moves past it. The result excludes the newline.
  ///
  /// - Throws: ``ParsingError`` when no newline follows.
  @_lifetime(self: copy self)
  package mutating func readLine() throws(ParsingError) -> [UInt8] {
    var end = offset
    while end < bytes.byteCount, unsafe bytes.unsafeLoad(fromUncheckedByteOffset: end, as: UInt8.self) != 0x0A
    {
      end += 1
    }
    guard end < bytes.byteCount else {
      throw ParsingError(offset: offset, cause: .truncated, "the line does not end with a newline")
    }
    let line = try readBytes(end - offset)
    offset += 1
    return line
  }

  private func require(_ count: Int) throws(ParsingError) {
    guard count >= 0, count <= remaining else {
      throw ParsingError(
        offset: offset, cause: .truncated,
        "\(Format.count(count, "byte", ("is", "are"))) needed, but \(Format.count(remaining)) are left"
      )
    }
  }
}

extension RawSpan {
  /// Copies a range of bytes into an array. The range must lie inside the span. O(length).
  package func copy(_ range: Range<Int>) -> [UInt8] {
    let part = extracting(range)
    return unsafe [UInt8](unsafeUninitializedCapacity: part.byteCount) { buffer, count in
      unsafe part.withUnsafeBytes { source in
        if let base = source.baseAddress, let target = buffer.baseAddress {
          unsafe UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: source.count)
        }
      }
      count = part.byteCount
    }
  }
}
