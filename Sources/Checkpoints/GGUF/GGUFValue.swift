internal import ByteParsing

/// A value of a GGUF file's metadata.
enum GGUFValue {
  case text(String)
  case bool(Bool)
  /// An integer of a type by GGUF's name: `uint32`.
  case integer(String, Int64)
  case float32(Float)
  case float64(Double)
  /// Values of one type, at least one.
  case array([GGUFValue])

  /// A value as the reader lists it; nil for those that it does not keep, such as long arrays.
  init?(_ object: CheckpointObject) {
    switch (object.type, object.value) {
    case ("string", .string(let text)?): self = .text(text)
    case ("bool", .bool(let value)?): self = .bool(value)
    case ("float32", let value?): self = .float32(value.double.map { Float($0) } ?? .nan)
    case ("float64", let value?): self = .float64(value.double ?? .nan)
    // Beyond 63 bits a text stands for the number.
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

  /// The value as a text, for formats that hold no others.
  var text: String {
    switch self {
    case .text(let text): text
    case .bool(let value): String(value)
    case .integer("uint64", let number): String(UInt64(bitPattern: number))
    case .integer(_, let number): String(number)
    case .float32(let number): String(number)
    case .float64(let number): String(number)
    case .array(let elements):
      JSONValue.array(elements.map { .string($0.text) }).text
    }
  }

  /// Appends type and value.
  func append(to bytes: inout [UInt8]) {
    bytes.appendLittleEndian(typeCode)
    appendValue(to: &bytes)
  }

  private var typeCode: UInt32 {
    switch self {
    case .text: 8
    case .bool: 7
    case .integer(let type, _): Self.integerTypes[type]?.code ?? 11
    case .float32: 6
    case .float64: 12
    case .array: 9
    }
  }

  private func appendValue(to bytes: inout [UInt8]) {
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
      for element in elements { element.appendValue(to: &bytes) }
    }
  }

  /// The integer types: number and bytes.
  private static let integerTypes: [String: (code: UInt32, byteCount: Int)] = [
    "uint8": (0, 1), "int8": (1, 1), "uint16": (2, 2), "int16": (3, 2), "uint32": (4, 4), "int32": (5, 4),
    "uint64": (10, 8), "int64": (11, 8),
  ]
}

extension JSONValue {
  /// The number of a value as the reader lists floats: one that is not finite is a text.
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
  /// Appends a text as GGUF writes it: the number of its bytes, and those.
  mutating func appendText(_ text: String) {
    appendLittleEndian(UInt64(text.utf8.count))
    self += text.utf8
  }
}
