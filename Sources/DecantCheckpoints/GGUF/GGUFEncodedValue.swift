package import DecantBytes
internal import DecantIO

/// The types of metadata values in a GGUF file, by their codes.
package enum GGUFValueType: UInt32 {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// The number of bytes of a value; for texts and arrays, the least that they can have.
  var byteCount: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }
}

/// A metadata value of a GGUF file that is read on demand: an array that is too long to list its elements, or a text
/// that is not listed.
package final class GGUFEncodedValue: Sendable {
  let type: GGUFValueType
  private let file: ByteSource
  private let offset: Int
  private let isBigEndian: Bool
  /// The number of bytes of the value in the file.
  package let byteCount: Int

  /// Creates the value from `offset` to the cursor's offset; the reader has already checked these bytes.
  init(_ type: GGUFValueType, at offset: Int, to cursor: GGUFCursor) {
    self.type = type
    self.offset = offset
    file = cursor.file
    isBigEndian = cursor.isBigEndian
    byteCount = cursor.offset - offset
  }

  /// Appends the value in little-endian encoding. O(bytes).
  func append(to bytes: inout [UInt8]) throws(DecantError) {
    guard isBigEndian else { return bytes += try file.bytes(at: offset, count: byteCount) }
    var cursor = GGUFCursor(file, at: offset, isBigEndian: true)
    try Self.copy(type, from: &cursor, to: &bytes)
  }

  private static func copy(
    _ type: GGUFValueType, from cursor: inout GGUFCursor, to bytes: inout [UInt8]
  ) throws(DecantError) {
    switch type {
    case .string:
      let text = try cursor.text()
      bytes.appendLittleEndian(UInt64(text.count))
      bytes += text
    case .array:
      let (inner, count) = try cursor.array()
      bytes.appendLittleEndian(inner.rawValue)
      bytes.appendLittleEndian(UInt64(count))
      for _ in 0..<count { try copy(inner, from: &cursor, to: &bytes) }
    default:
      switch type.byteCount {
      case 1: bytes.append(try cursor.integer(UInt8.self))
      case 2: bytes.appendLittleEndian(try cursor.integer(UInt16.self))
      case 4: bytes.appendLittleEndian(try cursor.integer(UInt32.self))
      default: bytes.appendLittleEndian(try cursor.integer(UInt64.self))
      }
    }
  }

  /// Returns the value as a text in the form of ``GGUFValue/text``; nil when that has more than `limit` bytes or is
  /// not UTF-8.
  package func text(limit: Int) throws(DecantError) -> String? {
    var cursor = GGUFCursor(file, at: offset, isBigEndian: isBigEndian)
    if type == .string {
      return byteCount <= limit ? String(validating: try cursor.text(), as: UTF8.self) : nil
    }
    var text: [UInt8] = []
    return try Self.spell(type, from: &cursor, to: &text, limit) ? String(decoding: text, as: UTF8.self) : nil
  }

  /// Appends an element as JSON: an array as an array, any other value as a string. False beyond the limit, or for a
  /// text that is not UTF-8.
  private static func spell(
    _ type: GGUFValueType, from cursor: inout GGUFCursor, to text: inout [UInt8], _ limit: Int
  ) throws(DecantError) -> Bool {
    guard text.count <= limit else { return false }
    switch type {
    case .array:
      let (inner, count) = try cursor.array()
      text.append(UInt8(ascii: "["))
      for place in 0..<count {
        if place > 0 { text.append(UInt8(ascii: ",")) }
        guard try spell(inner, from: &cursor, to: &text, limit) else { return false }
      }
      text.append(UInt8(ascii: "]"))
    case .string:
      guard let element = String(validating: try cursor.text(), as: UTF8.self) else { return false }
      text += JSONValue.string(element).utf8
    default: text += JSONValue.string(try GGUFValue(type, from: &cursor).text).utf8
    }
    return true
  }
}

extension GGUFCursor {
  /// Reads the type and number of an array's elements, which precede the elements.
  mutating func array() throws(DecantError) -> (type: GGUFValueType, count: Int) {
    let type = try type()
    return (type, try count(of: "elements of an array", size: type.byteCount))
  }

  /// Reads the code of a type.
  mutating func type() throws(DecantError) -> GGUFValueType {
    let start = offset
    let code = try integer(UInt32.self)
    guard let type = GGUFValueType(rawValue: code) else {
      throw refusal("the metadata has a value of the unknown type \(code)", at: start)
    }
    return type
  }

  /// Returns an error that says the file's header is wrong.
  func refusal(_ reason: String, at offset: Int, _ code: DecantError.Code = .damaged) -> DecantError {
    DecantError(
      code, reason, file: file.path, offset: offset, remedy: "The file is damaged. Download it again.")
  }
}
