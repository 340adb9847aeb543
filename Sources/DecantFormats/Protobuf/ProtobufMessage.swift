/// A protobuf message under construction. Fields are written in the order in which they are appended.
///
/// Source: Protocol Buffers, encoding. ONNX needs three wire types: 0 is a varint, 2 is length-delimited bytes, 5 is
/// four bytes. A negative integer is the varint of its 64 bits, ten bytes long.
package struct ProtobufMessage: Sendable {
  package private(set) var bytes: [UInt8] = []

  /// Creates an empty message.
  package init() {}

  /// Appends an integer, an enumeration value or a Boolean.
  package mutating func append(_ field: Int, _ value: Int) {
    appendTag(field, wireType: 0)
    appendVarint(UInt64(bitPattern: Int64(value)))
  }

  /// Appends a float.
  package mutating func append(_ field: Int, _ value: Float) {
    appendTag(field, wireType: 5)
    for shift in stride(from: 0, to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift)))
    }
  }

  /// Appends a string.
  package mutating func append(_ field: Int, _ text: String) { append(field, Array(text.utf8)) }

  /// Appends an embedded message.
  package mutating func append(_ field: Int, _ message: ProtobufMessage) { append(field, message.bytes) }

  /// Appends bytes.
  package mutating func append(_ field: Int, _ content: [UInt8]) {
    beginBytes(field, count: content.count)
    bytes += content
  }

  /// Appends the tag and length of a bytes field. The caller writes the bytes themselves.
  package mutating func beginBytes(_ field: Int, count: Int) {
    appendTag(field, wireType: 2)
    appendVarint(UInt64(count))
  }

  private mutating func appendTag(_ field: Int, wireType: Int) {
    appendVarint(UInt64(field << 3 | wireType))
  }

  private mutating func appendVarint(_ value: UInt64) {
    var left = value
    while left >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: left) | 0x80)
      left >>= 7
    }
    bytes.append(UInt8(left))
  }
}
