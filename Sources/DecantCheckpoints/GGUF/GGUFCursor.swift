internal import DecantBytes
internal import DecantIO

/// A cursor over the header of a GGUF file, which it reads in pieces because the format does not record the header's
/// length.
///
/// Every read is checked against the file's size before anything is allocated.
package struct GGUFCursor {
  let file: ByteSource
  /// The offset of the next read from the start of the file, in bytes.
  private(set) var offset: Int
  let isBigEndian: Bool
  private var window: [UInt8] = []
  private var windowStart = 0

  private static let windowBytes = 1 << 17

  init(_ file: ByteSource, at offset: Int, isBigEndian: Bool) {
    self.file = file
    self.offset = offset
    self.isBigEndian = isBigEndian
  }

  /// The number of bytes from the cursor to the end of the file.
  var remaining: Int { file.byteCount - offset }

  /// Reads an integer in the file's byte order.
  mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(DecantError) -> T {
    let size = T.bitWidth / 8
    guard size <= remaining else { throw partialDownload(file, of: nil) }
    if offset < windowStart || offset + size > windowStart + window.count {
      window = try file.bytes(at: offset, count: min(GGUFCursor.windowBytes, remaining))
      windowStart = offset
    }
    var value: T = 0
    for place in 0..<size {
      let byte = window[offset - windowStart + (isBigEndian ? place : size - 1 - place)]
      value = value << 8 | T(truncatingIfNeeded: byte)
    }
    offset += size
    return value
  }

  /// Reads a count of elements of at least `size` bytes each; throws when that many cannot follow in the file.
  mutating func count(of things: String, size: Int) throws(DecantError) -> Int {
    let start = offset
    let announced = try integer(UInt64.self)
    guard let count = Int(exactly: announced), count <= remaining / size else {
      throw DecantError(
        .truncated, "the file announces \(announced) \(things), but only \(remaining) bytes follow",
        file: file.path,
        offset: start,
        remedy: "The file is truncated or damaged. Download it again.")
    }
    return count
  }

  /// Reads the bytes of a text, which follow their count.
  mutating func text() throws(DecantError) -> [UInt8] {
    let count = try count(of: "bytes of text", size: 1)
    let start = offset
    offset += count
    if start >= windowStart && start + count <= windowStart + window.count {
      return Array(window[start - windowStart..<start - windowStart + count])
    }
    return try file.bytes(at: start, count: count)
  }

  /// Skips a text without reading it.
  mutating func skipText() throws(DecantError) { offset += try count(of: "bytes of text", size: 1) }

  /// Skips `count` bytes; throws when the file has fewer.
  mutating func skip(_ count: Int) throws(DecantError) {
    guard count <= remaining else { throw partialDownload(file, of: nil) }
    offset += count
  }
}
