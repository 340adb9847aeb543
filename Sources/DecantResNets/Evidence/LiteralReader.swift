internal import DecantBytes

/// A parser of Python literals, and of nothing else.
///
/// It reads numbers, strings without escapes, True, False, None, tuples, lists, dictionaries with string keys and
/// `dict(key=literal)`. Anything else gives nil: it is never evaluated.
struct LiteralReader {
  private let bytes: [UInt8]
  private var place = 0
  private static let maxDepth = 32

  private init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

  /// Returns the value of a text that is one literal; otherwise nil.
  static func value(_ text: some StringProtocol) -> JSONValue? {
    var reader = LiteralReader(text)
    guard let value = reader.value(depth: 0) else { return nil }
    reader.skipSpace()
    return reader.place == reader.bytes.count ? value : nil
  }

  /// Returns the keyword arguments of a call, from the text after its opening parenthesis.
  ///
  /// Arguments that are not literals are left out.
  ///
  /// - Returns: nil when the parenthesis is not closed.
  static func keywords(_ text: some StringProtocol) -> [(key: String, value: JSONValue)]? {
    guard let parts = arguments(text) else { return nil }
    return parts.compactMap { part in
      guard let equal = part.firstIndex(of: "="), let value = value(part[part.index(after: equal)...]) else {
        return nil
      }
      let key = part[..<equal].trimmed
      return isName(key) ? (key, value) : nil
    }
  }

  /// Returns the arguments of a call as source text, from the text after its opening parenthesis.
  ///
  /// Parentheses, brackets and quotes are matched. The result is nil when the parenthesis is not closed. O(length).
  static func arguments(_ text: some StringProtocol) -> [String]? {
    var found: [String] = []
    var part: [UInt8] = []
    var depth = 0
    var quote: UInt8?
    var isEscaped = false
    for byte in text.utf8 {
      if let open = quote {
        part.append(byte)
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == open {
          quote = nil
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "'"), UInt8(ascii: "\""): quote = byte
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
        depth -= 1
        if depth < 0 {
          let last = String(decoding: part, as: UTF8.self).trimmed
          return last.isEmpty ? found : found + [last]
        }
      case UInt8(ascii: ",") where depth == 0:
        found.append(String(decoding: part, as: UTF8.self).trimmed)
        part = []
        continue
      default: break
      }
      part.append(byte)
    }
    return nil
  }

  /// Returns true when a text is a Python name of ASCII characters.
  static func isName(_ text: some StringProtocol) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first) else { return false }
    return text.utf8.allSatisfy(isNameByte)
  }

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  // MARK: Reading

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  private mutating func skipSpace() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { place += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard next == byte else { return false }
    place += 1
    return true
  }

  private mutating func word() -> String {
    let start = place
    while let byte = next, Self.isNameByte(byte) { place += 1 }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  private mutating func value(depth: Int) -> JSONValue? {
    guard depth < Self.maxDepth else { return nil }
    skipSpace()
    guard let first = next else { return nil }
    switch first {
    case UInt8(ascii: "("): return sequence(UInt8(ascii: ")"), depth, isTuple: true)
    case UInt8(ascii: "["): return sequence(UInt8(ascii: "]"), depth, isTuple: false)
    case UInt8(ascii: "{"): return dictionary(depth)
    case UInt8(ascii: "'"), UInt8(ascii: "\""): return text().map { .string($0) }
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."): return number()
    default:
      switch word() {
      case "True", "true": return .bool(true)
      case "False", "false": return .bool(false)
      case "None", "null": return .null
      case "dict" where take(UInt8(ascii: "(")): return call(depth)
      default: return nil
      }
    }
  }

  private mutating func sequence(_ end: UInt8, _ depth: Int, isTuple: Bool) -> JSONValue? {
    place += 1
    var elements: [JSONValue] = []
    var commas = 0
    while !take(end) {
      guard let element = value(depth: depth + 1) else { return nil }
      elements.append(element)
      if take(UInt8(ascii: ",")) {
        commas += 1
      } else {
        guard take(end) else { return nil }
        break
      }
    }
    // Parentheses around one value without a comma are not a tuple.
    return isTuple && elements.count == 1 && commas == 0 ? elements[0] : .array(elements)
  }

  private mutating func dictionary(_ depth: Int) -> JSONValue? {
    place += 1
    var members: [(key: String, value: JSONValue)] = []
    while !take(UInt8(ascii: "}")) {
      skipSpace()
      guard let key = text(), take(UInt8(ascii: ":")), let value = value(depth: depth + 1) else { return nil }
      members.append((key, value))
      if !take(UInt8(ascii: ",")) {
        guard take(UInt8(ascii: "}")) else { return nil }
        break
      }
    }
    return .object(members)
  }

  private mutating func call(_ depth: Int) -> JSONValue? {
    var members: [(key: String, value: JSONValue)] = []
    while !take(UInt8(ascii: ")")) {
      skipSpace()
      let key = word()
      guard Self.isName(key), take(UInt8(ascii: "=")), let value = value(depth: depth + 1) else { return nil }
      members.append((key, value))
      if !take(UInt8(ascii: ",")) {
        guard take(UInt8(ascii: ")")) else { return nil }
        break
      }
    }
    return .object(members)
  }

  /// Reads a quoted string without escapes.
  private mutating func text() -> String? {
    guard let quote = next, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
    let start = place + 1
    var end = start
    while end < bytes.count, bytes[end] != quote {
      if bytes[end] == UInt8(ascii: "\\") || bytes[end] == UInt8(ascii: "\n") { return nil }
      end += 1
    }
    guard end < bytes.count else { return nil }
    place = end + 1
    return String(validating: bytes[start..<end], as: UTF8.self)
  }

  private mutating func number() -> JSONValue? {
    let start = place
    while let byte = next,
      UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        || [UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")]
          .contains(byte)
    {
      place += 1
    }
    // Python reads "1." as a float, Swift does not.
    var spelled = String(decoding: bytes[start..<place], as: UTF8.self)
    if let integer = Int64(spelled) { return .integer(integer) }
    if spelled.hasSuffix(".") { spelled += "0" }
    return Double(spelled).flatMap { $0.isFinite ? .number($0) : nil }
  }
}

extension StringProtocol {
  /// The text without white space and line ends around it.
  var trimmed: String {
    let bytes = Array(utf8)
    let isSpace = { (byte: UInt8) in [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
    guard let first = bytes.firstIndex(where: { !isSpace($0) }),
      let last = bytes.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
  }
}
