internal import CStandard
internal import DecantBytes
internal import DecantPickle

/// Tests whether bytes begin like a pickle.
enum Sniffing {
  /// True at the bytes of the opcodes that need nothing on the stack. Every pickle begins with one of them.
  private static let beginnings: [Bool] = {
    let opcodes: [PickleOpcode] = [
      .proto, .frame, .mark, .int, .binInt, .binInt1, .binInt2, .long, .long1, .long4, .float, .binFloat,
      .noneValue, .newTrue, .newFalse, .string, .binString, .shortBinString, .unicode, .binUnicode,
      .shortBinUnicode, .binUnicode8, .binBytes, .shortBinBytes, .binBytes8, .byteArray8, .nextBuffer,
      .emptyList, .emptyTuple, .emptyDict, .emptySet, .global, .persID, .ext1, .ext2, .ext4,
    ]
    var result = [Bool](repeating: false, count: 256)
    for opcode in opcodes { result[Int(opcode.rawValue)] = true }
    return result
  }()

  /// Returns true when bytes can be the beginning of a pickle. Most other data fails this test.
  static func mayBePickle(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 2, let first = bytes.byte(0), beginnings[Int(first)] else { return false }
    return first != PickleOpcode.proto.rawValue || (bytes.byte(1) ?? 255) <= 5
  }

  /// Returns true when bytes can be the beginning of a pickle.
  static func mayBePickle(_ bytes: [UInt8]) -> Bool { unsafe mayBePickle(bytes.span.bytes) }

  /// Returns true when bytes begin with the PROTO opcode, as pickles of protocol 2 and later do.
  static func announcesPickle(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 3, bytes.byte(0) == PickleOpcode.proto.rawValue, let version = bytes.byte(1)
    else {
      return false
    }
    return version <= 5
  }
}

/// Bounds-checked reads of bytes that return nil for offsets outside.
extension RawSpan {
  func byte(_ offset: Int) -> UInt8? {
    guard offset >= 0, offset < byteCount else { return nil }
    return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  func little<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, _ offset: Int) -> T? {
    guard offset >= 0, offset <= byteCount - MemoryLayout<T>.size else { return nil }
    return T(littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
  }

  func begins(_ text: String, at offset: Int = 0) -> Bool {
    var place = offset
    for byte in text.utf8 {
      guard self.byte(place) == byte else { return false }
      place += 1
    }
    return true
  }

  func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
    for (step, byte) in bytes.enumerated() where self.byte(offset + step) != byte { return false }
    return true
  }

  /// Returns the bytes in a range, without the parts of the range that lie outside.
  @_lifetime(copy self)
  func part(_ range: Range<Int>) -> RawSpan {
    let lower = Swift.min(Swift.max(range.lowerBound, 0), byteCount)
    let upper = Swift.min(Swift.max(range.upperBound, lower), byteCount)
    return extracting(lower..<upper)
  }

  /// Returns the first offset of a pattern in a range, or nil. O(length).
  func first(_ pattern: [UInt8], in range: Range<Int>) -> Int? {
    guard range.lowerBound >= 0, range.upperBound <= byteCount, range.count >= pattern.count else {
      return nil
    }
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, let first = pattern.first else { return nil }
      var place = range.lowerBound
      let last = range.upperBound - pattern.count
      while place <= last, let found = unsafe cstandard_find(base + place, Int32(first), last - place + 1) {
        place = unsafe UnsafeRawPointer(found) - base
        if begins(pattern, at: place) { return place }
        place += 1
      }
      return nil
    }
  }

  /// Returns the last offset of a pattern in a range, or nil. O(length) unless the pattern occurs often.
  func last(_ pattern: [UInt8], in range: Range<Int>) -> Int? {
    var found: Int?
    var lower = range.lowerBound
    while lower < range.upperBound, let place = first(pattern, in: lower..<range.upperBound) {
      found = place
      lower = place + 1
    }
    return found
  }

  /// Returns true when a range holds printable ASCII, line ends and tabs only.
  func isPlainText(in range: Range<Int>) -> Bool {
    for place in range {
      guard let byte = byte(place), 0x20..<0x7F ~= byte || 0x09...0x0D ~= byte else { return false }
    }
    return true
  }

  /// Returns true when every byte in a range equals a value.
  func holdsOnly(_ value: UInt8, in range: Range<Int>) -> Bool {
    for place in range where byte(place) != value { return false }
    return true
  }
}
