package import DecantBytes

/// A metadata value of a GGUF file.
package enum GGUFValue {
  case text(String)
  case bool(Bool)
  /// An integer, with its type by GGUF's name, such as `uint32`.
  case integer(String, Int64)
  case float32(Float)
  case float64(Double)
  /// Values of one type, at least one.
  case array([GGUFValue])
  /// A value that is read from its file on demand.
  case encoded(GGUFEncodedValue)

  /// Reads a value that is neither a text nor an array.
  ///
  /// - Throws: ``DecantError`` for a boolean whose byte is neither 0 nor 1.
  package init(_ type: GGUFValueType, from cursor: inout GGUFCursor) throws(DecantError) {
    switch type {
    case .uint8: self = .integer("uint8", Int64(try cursor.integer(UInt8.self)))
    case .int8: self = .integer("int8", Int64(try cursor.integer(Int8.self)))
    case .uint16: self = .integer("uint16", Int64(try cursor.integer(UInt16.self)))
    case .int16: self = .integer("int16", Int64(try cursor.integer(Int16.self)))
    case .uint32: self = .integer("uint32", Int64(try cursor.integer(UInt32.self)))
    case .int32: self = .integer("int32", Int64(try cursor.integer(Int32.self)))
    case .uint64: self = .integer("uint64", Int64(bitPattern: try cursor.integer(UInt64.self)))
    case .int64: self = .integer("int64", try cursor.integer(Int64.self))
    case .float32: self = .float32(Float(bitPattern: try cursor.integer(UInt32.self)))
    case .float64: self = .float64(Double(bitPattern: try cursor.integer(UInt64.self)))
    case .bool:
      let start = cursor.offset
      let byte = try cursor.integer(UInt8.self)
      guard byte <= 1 else { throw cursor.refusal("a boolean is \(byte), not 0 or 1", at: start) }
      self = .bool(byte == 1)
    case .string, .array: preconditionFailure("texts and arrays are not read as one value")
    }
  }

  /// Creates a value from its listed form; nil when the listing does not show the value.
  package init?(_ object: CheckpointObject) {
    if let encoded = object.encoded {
      self = .encoded(encoded)
      return
    }
    switch (object.type, object.value) {
    case ("string", .string(let text)?): self = .text(text)
    case ("bool", .bool(let value)?): self = .bool(value)
    case ("float32", let value?): self = .float32(value.double.map { Float($0) } ?? .nan)
    case ("float64", let value?): self = .float64(value.double ?? .nan)
    // A number beyond 63 bits is listed as a text.
    case ("uint64", .string(let digits)?):
      guard let number = UInt64(digits) else { return nil }
      self = .integer("uint64", Int64(bitPattern: number))
    case (let type, .integer(let number)?) where Self.integerTypes[type] != nil: self = .integer(type, number)
    case (let type, .string(let digits)?) where Self.integerTypes[type] != nil:
      guard let number = Int64(digits) else { return nil }
      self = .integer(type, number)
    default: return nil
    }
  }

  /// The value in its listed form.
  package var json: JSONValue {
    switch self {
    case .text(let text): .string(text)
    case .bool(let value): .bool(value)
    // A number beyond 63 bits is listed as a text.
    case .integer("uint64", let number) where number < 0: .string(text)
    case .integer(_, let number): .exact(number)
    case .float32(let number): .exact(Double(number))
    case .float64(let number): .exact(number)
    case .array(let elements): .array(elements.map(\.json))
    case .encoded: .null
    }
  }

  /// The value as a text, for formats that hold only texts.
  package var text: String {
    switch self {
    case .text(let text): text
    case .bool(let value): String(value)
    case .integer("uint64", let number): String(UInt64(bitPattern: number))
    case .integer(_, let number): String(number)
    case .float32(let number): String(number)
    case .float64(let number): String(number)
    case .array(let elements):
      JSONValue.array(elements.map { .string($0.text) }).text
    case .encoded: preconditionFailure("ConversionMetadata reads it first")
    }
  }

  /// Appends the value's type code and the value.
  ///
  /// - Throws: ``DecantError`` when a value that is read on demand cannot be read.
  package func append(to bytes: inout [UInt8]) throws(DecantError) {
    bytes.appendLittleEndian(typeCode)
    try appendValue(to: &bytes)
  }

  private var typeCode: UInt32 {
    switch self {
    case .text: 8
    case .bool: 7
    case .integer(let type, _): Self.integerTypes[type]?.code ?? 11
    case .float32: 6
    case .float64: 12
    case .array: 9
    case .encoded(let value): value.type.rawValue
    }
  }

  private func appendValue(to bytes: inout [UInt8]) throws(DecantError) {
    switch self {
    case .text(let text): bytes.appendText(text)
    case .bool(let value): bytes.append(value ? 1 : 0)
    case .integer(let type, let number):
      for place in 0..<(Self.integerTypes[type]?.byteCount ?? 8) {
        bytes.append(UInt8(truncatingIfNeeded: number >> (8 * Int64(place))))
      }
    case .float32(let number): bytes.appendLittleEndian(number.bitPattern)
    case .float64(let number): bytes.appendLittleEndian(number.bitPattern)
    case .array(let elements):
      bytes.appendLittleEndian(elements.first?.typeCode ?? 8)
      bytes.appendLittleEndian(UInt64(elements.count))
      for element in elements { try element.appendValue(to: &bytes) }
    case .encoded(let value): try value.append(to: &bytes)
    }
  }

  /// The integer types, with their codes and numbers of bytes.
  private static let integerTypes: [String: (code: UInt32, byteCount: Int)] = [
    "uint8": (0, 1), "int8": (1, 1), "uint16": (2, 2), "int16": (3, 2), "uint32": (4, 4), "int32": (5, 4),
    "uint64": (10, 8), "int64": (11, 8),
  ]
}

extension JSONValue {
  /// The number of a listed float; floats that are not finite are listed as texts.
  fileprivate var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    case .string(let text): Double(text)
    default: nil
    }
  }
}

extension [UInt8] {
  /// Appends a text as GGUF writes it: its number of bytes, then the bytes.
  package mutating func appendText(_ text: String) {
    appendLittleEndian(UInt64(text.utf8.count))
    self += text.utf8
  }
}
