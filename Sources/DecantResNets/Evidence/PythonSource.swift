internal import DecantBytes

/// Readers of parts of Python source. Nothing is evaluated.
enum PythonSource {
  /// Returns the value of a text that is one literal; otherwise nil.
  static func literal(_ text: some StringProtocol) -> JSONValue? {
    let literal = try? PythonLiteral(parsing: Array(text.unicodeScalars), .settings, depth: 32)
    return literal.map { JSONValue($0) }
  }

  /// Returns the keyword arguments of a call, from the text after its opening parenthesis.
  ///
  /// Arguments that are not literals are left out.
  ///
  /// - Returns: nil when the parenthesis is not closed.
  static func keywords(_ text: some StringProtocol) -> [(key: String, value: JSONValue)]? {
    guard let parts = arguments(text) else { return nil }
    return parts.compactMap { part in
      guard let equal = part.firstIndex(of: "="), let value = literal(part[part.index(after: equal)...])
      else {
        return nil
      }
      let key = part[..<equal].trimmed
      return key.isPythonName ? (key, value) : nil
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
}

extension JSONValue {
  /// Converts a literal. Tuples become arrays, and integers of more than 64 bits become null.
  fileprivate init(_ literal: PythonLiteral) {
    self =
      switch literal {
      case .none, .integer(nil): .null
      case .bool(let value): .bool(value)
      case .integer(let number?): .integer(Int64(number))
      case .float(let number): .number(number)
      case .text(let text): .string(text)
      case .list(let elements), .tuple(let elements): .array(elements.map { JSONValue($0) })
      case .dictionary(let pairs): .object(pairs.map { ($0.key, JSONValue($0.value)) })
      }
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
