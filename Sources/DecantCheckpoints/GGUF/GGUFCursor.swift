internal import DecantBytes
internal import DecantIO

/// Reads the header of a GGUF file, whose length nothing says, in pieces.
///
/// Every read is bounded by the bytes of the file before anything is allocated.
struct GGUFCursor {
  let file: ByteSource
  /// Where the next read begins: bytes from the start of the file.
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

  /// How many bytes of the file are left.
  var remaining: Int { file.byteCount - offset }

  /// An integer in the file's byte order.
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

  /// A count of things that have at least `size` bytes each, so that as many can follow.
  mutating func count(of things: String, size: Int) throws(DecantError) -> Int {
    let start = offset
    let announced = try integer(UInt64.self)
    guard let count = Int(exactly: announced), count <= remaining / size else {
      throw DecantError(
        .truncated, "\(announced) \(things) are announced and \(remaining) bytes follow", file: file.path,
        offset: start,
        remedy: "The file is cut short or damaged: fetch it again.")
    }
    return count
  }

  /// The bytes of a text, which stand after their number.
  mutating func text() throws(DecantError) -> [UInt8] {
    let count = try count(of: "bytes of text", size: 1)
    let start = offset
    offset += count
    if start >= windowStart && start + count <= windowStart + window.count {
      return Array(window[start - windowStart..<start - windowStart + count])
    }
    return try file.bytes(at: start, count: count)
  }

  /// Moves over a text and reads none of it.
  mutating func skipText() throws(DecantError) { offset += try count(of: "bytes of text", size: 1) }

  /// Moves over as many bytes, which must be there.
  mutating func skip(_ count: Int) throws(DecantError) {
    guard count <= remaining else { throw partialDownload(file, of: nil) }
    offset += count
  }
}
