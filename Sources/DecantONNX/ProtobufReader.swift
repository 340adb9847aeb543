internal import DecantBytes
internal import DecantIO
internal import DecantCheckpoints

/// Reads the fields of a protobuf message one after another. The contents of bytes fields are read only on request.
///
/// Source: Protocol Buffers, encoding. It supports the wire types that ``ProtobufMessage`` writes.
struct ProtobufReader {
  enum Value {
    case number(UInt64)
    /// The byte range of the field in the source: a string, packed numbers, or a message.
    case bytes(Range<Int>)
  }

  private let source: ByteSource
  private var offset: Int
  private let end: Int

  /// Creates a reader of the message at `range`, by default the whole source.
  init(_ source: ByteSource, _ range: Range<Int>? = nil) {
    self.source = source
    offset = range?.lowerBound ?? 0
    end = range?.upperBound ?? source.byteCount
  }

  /// Returns the next field; nil at the end of the message.
  ///
  /// - Throws: ``DecantError`` for an invalid field, and when the file cannot be read.
  mutating func next() throws(DecantError) -> (number: Int, value: Value)? {
    guard offset < end else { return nil }
    let start = offset
    let tag = try varint()
    switch tag & 7 {
    case 0: return (Int(tag >> 3), .number(try varint()))
    case 2:
      let count = try varint()
      guard count <= UInt64(end - offset) else { throw broken(start) }
      let range = offset..<offset + Int(count)
      offset = range.upperBound
      return (Int(tag >> 3), .bytes(range))
    case 5:
      guard end - offset >= 4 else { throw broken(start) }
      offset += 4
      return (Int(tag >> 3), .bytes(offset - 4..<offset))
    default: throw broken(start)
    }
  }

  /// Returns the bytes of a field as a string.
  func text(_ range: Range<Int>) throws(DecantError) -> String {
    String(decoding: try source.bytes(at: range.lowerBound, count: range.count), as: UTF8.self)
  }

  private mutating func varint() throws(DecantError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    for (place, byte) in try source.bytes(at: offset, count: min(end - offset, 10)).enumerated() {
      value |= UInt64(byte & 0x7F) << UInt64(7 * place)
      if byte < 0x80 {
        offset += place + 1
        return value
      }
    }
    throw broken(start)
  }

  private func broken(_ offset: Int) -> DecantError {
    DecantError(.damaged, "is not a protobuf message", file: source.path, offset: offset)
  }
}
