/// A JSON value whose objects keep the order of their members.
///
/// Foundation's JSON reader loses the order and accepts duplicate keys. The safetensors format forbids both
/// (docs/adr/0003).
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case integer(Int64)
  /// Any other number.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([(key: String, value: JSONValue)])

  /// Returns the value of an object's member; nil when the value is not an object or has no such member.
  /// O(members).
  package subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The text of a string; nil for other values.
  package var string: String? { if case .string(let text) = self { text } else { nil } }

  /// The elements of an array; nil for other values.
  package var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

  /// The number, when it is a non-negative integer; otherwise nil.
  package var size: Int? { if case .integer(let number) = self, number >= 0 { Int(number) } else { nil } }

  /// Returns true when both values print the same JSON text. O(size).
  public static func == (left: JSONValue, right: JSONValue) -> Bool { left.text == right.text }

  /// Returns an integer as JSON. Beyond 2^53 it is a string, because readers that use doubles would round it.
  package static func exact(_ number: Int64) -> JSONValue {
    number.magnitude <= 1 << 53 ? .integer(number) : .string(String(number))
  }

  /// Returns a number as JSON. Infinities and NaN are strings, because JSON has no such numbers.
  package static func exact(_ number: Double) -> JSONValue {
    if number.isNaN { return .string("NaN") }
    return number.isFinite ? .number(number) : .string(number < 0 ? "-Infinity" : "Infinity")
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// Creates a string.
  public init(stringLiteral text: String) { self = .string(text) }
  /// Creates an integer.
  public init(integerLiteral number: Int64) { self = .integer(number) }
  /// Creates `true` or `false`.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// Creates an array.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// Creates an object that keeps the order of its members.
  public init(dictionaryLiteral members: (String, JSONValue)...) {
    self = .object(members.map { (key: $0.0, value: $0.1) })
  }
}

extension JSONValue {
  /// The JSON text on one line, without spaces. O(size).
  public var text: String { String(decoding: utf8, as: UTF8.self) }

  /// The UTF-8 bytes of ``text``.
  package var utf8: [UInt8] {
    var text: [UInt8] = []
    write(to: &text, indent: nil, level: 0)
    return text
  }

  /// Returns an object's ``text`` as UTF-8, built member by member, so that memory is O(bytes) for any number
  /// of members.
  package static func utf8<E: Error>(
    ofObject add: ((_ key: String, _ value: JSONValue) -> Void) throws(E) -> Void
  ) throws(E) -> [UInt8] {
    var text = [UInt8(ascii: "{")]
    try add { key, value in
      if text.count > 1 { text.append(UInt8(ascii: ",")) }
      quote(key, to: &text)
      text.append(UInt8(ascii: ":"))
      value.write(to: &text, indent: nil, level: 1)
    }
    text.append(UInt8(ascii: "}"))
    return text
  }

  /// The JSON text over several lines. Arrays of scalars stay on one line.
  package var indentedText: String {
    var text: [UInt8] = []
    write(to: &text, indent: "  ", level: 0)
    return String(decoding: text, as: UTF8.self)
  }

  private func write(to text: inout [UInt8], indent: String?, level: Int) {
    switch self {
    case .null: text += "null".utf8
    case .bool(let value): text += (value ? "true" : "false").utf8
    case .integer(let number): JSONValue.append(number, to: &text)
    case .number(let number): text += JSONValue.spelling(number).utf8
    case .string(let value): JSONValue.quote(value, to: &text)
    case .array(let elements):
      let isFlat = elements.allSatisfy(\.isScalar)
      JSONValue.list(elements, "[", "]", to: &text, isFlat ? nil : indent, level, space: indent != nil) {
        $0.write(to: &$1, indent: indent, level: level + 1)
      }
    case .object(let members):
      let isFlat = level > 1 && members.allSatisfy { $0.value.isFlat }
      JSONValue.list(members, "{", "}", to: &text, isFlat ? nil : indent, level, space: indent != nil) {
        JSONValue.quote($0.key, to: &$1)
        $1.append(UInt8(ascii: ":"))
        if indent != nil { $1.append(UInt8(ascii: " ")) }
        $0.value.write(to: &$1, indent: indent, level: level + 1)
      }
    }
  }

  private static func list<Element>(
    _ elements: [Element], _ open: Unicode.Scalar, _ close: Unicode.Scalar, to text: inout [UInt8],
    _ indent: String?, _ level: Int, space: Bool, _ write: (Element, inout [UInt8]) -> Void
  ) {
    func newLine(_ level: Int) {
      guard let indent else { return }
      text.append(UInt8(ascii: "\n"))
      for _ in 0..<level { text += indent.utf8 }
    }
    text.append(UInt8(ascii: open))
    for (place, element) in elements.enumerated() {
      if place > 0 { text.append(UInt8(ascii: ",")) }
      if place > 0, indent == nil, space { text.append(UInt8(ascii: " ")) }
      newLine(level + 1)
      write(element, &text)
    }
    if !elements.isEmpty { newLine(level) }
    text.append(UInt8(ascii: close))
  }

  private var isScalar: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  private var isFlat: Bool {
    if case .array(let elements) = self { return elements.allSatisfy(\.isScalar) }
    return isScalar
  }

  /// Appends an integer's digits, without making a string of them.
  private static func append(_ number: Int64, to text: inout [UInt8]) {
    if number < 0 { text.append(UInt8(ascii: "-")) }
    let digits = number.magnitude
    var unit: UInt64 = 1
    while digits / unit > 9 { unit *= 10 }
    while unit > 0 {
      text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digits / unit % 10))
      unit /= 10
    }
  }

  /// Returns the shortest decimal that reads back to the same double.
  private static func spelling(_ number: Double) -> String {
    precondition(
      number.isFinite, "JSON has no number that is not finite; JSONValue.exact makes a string of it")
    return number.description
  }

  /// Writes a quoted string. Escapes every character that a terminal or a reader could misinterpret.
  private static func quote(_ value: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    var value = value
    let isPlain = value.withUTF8 { bytes in
      guard unsafe bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) else {
        return false
      }
      unsafe text.append(contentsOf: bytes)
      return true
    }
    if !isPlain {
      for scalar in value.unicodeScalars {
        switch scalar {
        case "\"": text += "\\\"".utf8
        case "\\": text += "\\\\".utf8
        case "\n": text += "\\n".utf8
        case "\r": text += "\\r".utf8
        case "\t": text += "\\t".utf8
        default:
          switch scalar.properties.generalCategory {
          case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
            for unit in UTF16.encode(scalar)! {
              let hex = String(unit, radix: 16)
              text += ("\\u" + String(repeating: "0", count: 4 - hex.count) + hex).utf8
            }
          default: text += String(scalar).utf8
          }
        }
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}
