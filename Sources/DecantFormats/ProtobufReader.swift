package import DecantBytes
package import DecantIO

/// Reads the fields of a protobuf message one after another. The contents of bytes fields are read only on request.
///
/// Source: Protocol Buffers, encoding. Groups (wire types 3 and 4) are errors: no model format uses them.
package struct ProtobufReader {
  package enum Value {
    case number(UInt64)
    /// The byte range of the field in the source: a string, packed numbers, a message, or the bytes of a float.
    case bytes(Range<Int>)
  }

  private let source: ByteSource
  private var offset: Int
  private let end: Int
  private let isHead: Bool

  /// Creates a reader of the message at `range`, by default the whole source.
  ///
  /// - Parameter isHead: true when the source is only the head of a message, so that bytes fields may end behind it.
  package init(_ source: ByteSource, _ range: Range<Int>? = nil, isHead: Bool = false) {
    self.source = source
    self.isHead = isHead
    offset = range?.lowerBound ?? 0
    end = min(range?.upperBound ?? .max, source.byteCount)
  }

  /// Returns the next field; nil at the end of the message.
  ///
  /// - Throws: ``DecantError`` for an invalid field, and when the file cannot be read.
  package mutating func next() throws(DecantError) -> (number: Int, value: Value)? {
    guard offset < end else { return nil }
    let start = offset
    let tag = try varint()
    let number = Int(tag >> 3)
    switch tag & 7 {
    case 0: return (number, .number(try varint()))
    case 1: return (number, .bytes(try skip(8, from: start)))
    case 2: return (number, .bytes(try skip(varint(), from: start)))
    case 5: return (number, .bytes(try skip(4, from: start)))
    default: throw broken(start)
    }
  }

  /// Returns the bytes of a field as a string.
  package func text(_ range: Range<Int>) throws(DecantError) -> String {
    String(decoding: try source.bytes(at: range.lowerBound, count: range.count), as: UTF8.self)
  }

  /// Moves behind the next `count` bytes and returns their range.
  private mutating func skip(_ count: UInt64, from start: Int) throws(DecantError) -> Range<Int> {
    guard let count = Int(exactly: count), let after = offset.checkedAdding(count), isHead || after <= end
    else {
      throw broken(start)
    }
    defer { offset = after }
    return offset..<after
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
