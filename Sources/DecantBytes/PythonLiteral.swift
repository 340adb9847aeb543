/// A value in Python source syntax, in which the header of a `.npy` file is written.
///
/// Only the forms that NumPy's writers have used: no comments, no arithmetic, no concatenated strings, only decimal
/// digits.
package enum PythonLiteral: Equatable {
  case none
  case bool(Bool)
  /// An integer; nil when it does not fit 64 bits.
  case integer(Int?)
  case text(String)
  case list([PythonLiteral])
  case tuple([PythonLiteral])
  /// The pairs in the text's order; no key appears twice.
  case dictionary([(key: String, value: PythonLiteral)])

  /// Parses one literal, which only white space may follow. O(length).
  ///
  /// - Parameters:
  ///   - longIntegers: True to accept `3L` as an integer, as Python 2 wrote some.
  ///   - depth: The most levels of nested containers, which bounds the parser's recursion.
  /// - Throws: ``ParsingError`` with the offset in `text`, in characters.
  package init(parsing text: [Unicode.Scalar], allowsLongIntegers: Bool, depth: Int = 16) throws(ParsingError)
  {
    var parser = PythonLiteralParser(text: text, allowsLongIntegers: allowsLongIntegers)
    self = try parser.value(depth)
    parser.skipSpace()
    guard parser.place == text.count else {
      throw ParsingError(offset: parser.place, "something follows the dictionary")
    }
  }

  package static func == (left: PythonLiteral, right: PythonLiteral) -> Bool {
    left.spelling.utf8.elementsEqual(right.spelling.utf8)
  }

  /// The two elements of a tuple of two, as a field's title and name are given; nil for other literals.
  package var title: (title: PythonLiteral, name: PythonLiteral)? {
    if case .tuple(let parts) = self, parts.count == 2 { (parts[0], parts[1]) } else { nil }
  }

  /// The literal as Python prints it.
  package var spelling: String {
    switch self {
    case .none: "None"
    case .bool(let value): value ? "True" : "False"
    case .integer(let number): number.map { String($0) } ?? "…"
    case .text(let text): "'" + text + "'"
    case .list(let elements): "[" + elements.map(\.spelling).joined(separator: ", ") + "]"
    case .tuple(let elements):
      "(" + elements.map(\.spelling).joined(separator: ", ") + (elements.count == 1 ? ",)" : ")")
    case .dictionary(let pairs):
      "{" + pairs.map { "'\($0.key)': \($0.value.spelling)" }.joined(separator: ", ") + "}"
    }
  }
}

private struct PythonLiteralParser {
  let text: [Unicode.Scalar]
  let allowsLongIntegers: Bool
  var place = 0

  private var next: Unicode.Scalar? { place < text.count ? text[place] : nil }

  private func fail(_ reason: String) -> ParsingError { ParsingError(offset: place, reason) }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard next == scalar else { return false }
    place += 1
    return true
  }

  mutating func skipSpace() {
    while let scalar = next, " \t\n\r\u{c}".unicodeScalars.contains(scalar) { place += 1 }
  }

  mutating func value(_ depth: Int) throws(ParsingError) -> PythonLiteral {
    guard depth > 0 else { throw fail("it nests too deep") }
    skipSpace()
    switch next {
    case "{":
      place += 1
      return .dictionary(try pairs(depth))
    case "[":
      place += 1
      return .list(try elements(until: "]", depth).elements)
    case "(":
      place += 1
      let (elements, hasComma) = try elements(until: ")", depth)
      // As in Python, one value in parentheses without a comma is not a tuple.
      return elements.count == 1 && !hasComma ? elements[0] : .tuple(elements)
    case "'", "\"": return .text(try string())
    case let digit? where digit == "-" || ("0"..."9").contains(digit): return .integer(try integer())
    default:
      for (word, value) in [("True", PythonLiteral.bool(true)), ("False", .bool(false)), ("None", .none)]
      where text[place...].starts(with: word.unicodeScalars) {
        place += word.count
        return value
      }
      throw fail("a Python literal is expected")
    }
  }

  private mutating func pairs(_ depth: Int) throws(ParsingError) -> [(key: String, value: PythonLiteral)] {
    var pairs: [(key: String, value: PythonLiteral)] = []
    while true {
      skipSpace()
      if take("}") { return pairs }
      guard next == "'" || next == "\"" else { throw fail("a key is expected") }
      let key = try string()
      guard !pairs.contains(where: { ExactText($0.key) == ExactText(key) }) else {
        throw fail("the key '\(key.escapedForDisplay)' appears twice")
      }
      skipSpace()
      guard take(":") else { throw fail("a colon is expected") }
      pairs.append((key: key, value: try value(depth - 1)))
      skipSpace()
      if take(",") { continue }
      guard take("}") else { throw fail("a comma or } is expected") }
      return pairs
    }
  }

  private mutating func elements(
    until end: Unicode.Scalar, _ depth: Int
  ) throws(ParsingError) -> (elements: [PythonLiteral], hasComma: Bool) {
    var elements: [PythonLiteral] = []
    var hasComma = false
    while true {
      skipSpace()
      if take(end) { return (elements, hasComma) }
      elements.append(try value(depth - 1))
      skipSpace()
      if take(",") {
        hasComma = true
        continue
      }
      guard take(end) else { throw fail("a comma or \(end) is expected") }
      return (elements, hasComma)
    }
  }

  private mutating func integer() throws(ParsingError) -> Int? {
    let isNegative = take("-")
    let start = place
    while let digit = next, ("0"..."9").contains(digit) { place += 1 }
    let digits = String(String.UnicodeScalarView(text[start..<place]))
    guard !digits.isEmpty, digits.utf8.count == 1 || digits.utf8.first != UInt8(ascii: "0") else {
      throw fail("an integer is expected")
    }
    if allowsLongIntegers { _ = take("L") }
    return Int((isNegative ? "-" : "") + digits)
  }

  private mutating func string() throws(ParsingError) -> String {
    let quote = next
    place += 1
    var scalars = String.UnicodeScalarView()
    while let scalar = next {
      place += 1
      if scalar == quote { return String(scalars) }
      switch scalar {
      case "\n": throw fail("a string goes over the end of its line")
      case "\\": scalars.append(try escape())
      default: scalars.append(scalar)
      }
    }
    throw fail("a string does not end")
  }

  private mutating func escape() throws(ParsingError) -> Unicode.Scalar {
    guard let scalar = next else { throw fail("a string does not end") }
    place += 1
    switch scalar {
    case "\\", "'", "\"": return scalar
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "x": return try hexadecimal(2)
    case "u": return try hexadecimal(4)
    case "U": return try hexadecimal(8)
    default: throw fail("an escape is unknown")
    }
  }

  private mutating func hexadecimal(_ count: Int) throws(ParsingError) -> Unicode.Scalar {
    var code: UInt32 = 0
    for _ in 0..<count {
      guard let scalar = next, let digit = Character(scalar).hexDigitValue, scalar.isASCII else {
        throw fail("\(count) hexadecimal digits are expected")
      }
      code = code << 4 | UInt32(digit)
      place += 1
    }
    guard let scalar = Unicode.Scalar(code) else { throw fail("an escape is not a character") }
    return scalar
  }
}
