/// A value in Python source syntax: in the header of a `.npy` file, in configuration files and in TorchScript code.
///
/// It is parsed and never evaluated: no names, no arithmetic, no concatenated strings, only decimal digits.
package enum PythonLiteral: Equatable {
  case none
  case bool(Bool)
  /// An integer; nil when it does not fit 64 bits.
  case integer(Int?)
  case float(Double)
  case text(String)
  case list([PythonLiteral])
  case tuple([PythonLiteral])
  /// The pairs in the text's order. In a NumPy header, no key appears twice.
  case dictionary([(key: String, value: PythonLiteral)])

  /// The forms that a text may use.
  package enum Grammar {
    /// The syntax of `.npy` headers: integers, strings with escapes, lists, tuples and dictionaries. With
    /// `allowsLongIntegers`, `3L` is an integer, as Python 2 wrote it.
    case numpyHeader(allowsLongIntegers: Bool)
    /// The syntax of configuration files and TorchScript code: also floats, `dict(key=literal)` and the words `true`, `false` and
    /// `null`, but no escapes in strings.
    case settings
  }

  /// Parses one literal, which only white space may follow. O(length).
  ///
  /// - Parameter depth: The most levels of nested containers, which bounds the parser's recursion.
  /// - Throws: ``ParsingError`` with the offset in `text`, in characters.
  package init(parsing text: [Unicode.Scalar], _ grammar: Grammar, depth: Int = 16) throws(ParsingError) {
    var parser = PythonLiteralParser(text: text, grammar: grammar)
    self = try parser.value(depth)
    parser.skipSpace()
    guard parser.offset == text.count else {
      throw ParsingError(offset: parser.offset, "unexpected data after the dictionary")
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
    case .float(let number): "\(number)"
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
  let grammar: PythonLiteral.Grammar
  var offset = 0

  private var next: Unicode.Scalar? { offset < text.count ? text[offset] : nil }

  private var isSettings: Bool { if case .settings = grammar { true } else { false } }

  private func fail(_ reason: String) -> ParsingError { ParsingError(offset: offset, reason) }

  private mutating func take(_ word: String) -> Bool {
    guard text[offset...].starts(with: word.unicodeScalars) else { return false }
    offset += word.utf8.count
    return true
  }

  mutating func skipSpace() {
    while let scalar = next, " \t\n\r\u{c}".unicodeScalars.contains(scalar) { offset += 1 }
  }

  mutating func value(_ depth: Int) throws(ParsingError) -> PythonLiteral {
    guard depth > 0 else { throw fail("it nests too deep") }
    skipSpace()
    switch next {
    case "{":
      offset += 1
      return .dictionary(try pairs(depth))
    case "[":
      offset += 1
      return .list(try elements(until: "]", depth).elements)
    case "(":
      offset += 1
      let (elements, hasComma) = try elements(until: ")", depth)
      // As in Python, one value in parentheses without a comma is not a tuple.
      return elements.count == 1 && !hasComma ? elements[0] : .tuple(elements)
    case "'", "\"": return .text(try string())
    case let digit? where digit == "-" || ("0"..."9").contains(digit) || digit == "." && isSettings:
      return isSettings ? try number() : .integer(try integer())
    default:
      if take("True") || isSettings && take("true") { return .bool(true) }
      if take("False") || isSettings && take("false") { return .bool(false) }
      if take("None") || isSettings && take("null") { return .none }
      if isSettings, take("dict") { return .dictionary(try keywords(depth)) }
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
      guard isSettings || !pairs.contains(where: { ExactText($0.key) == ExactText(key) }) else {
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

  /// Reads the arguments of `dict(key=literal)`.
  private mutating func keywords(_ depth: Int) throws(ParsingError) -> [(key: String, value: PythonLiteral)] {
    var pairs: [(key: String, value: PythonLiteral)] = []
    skipSpace()
    guard take("(") else { throw fail("a Python literal is expected") }
    while true {
      skipSpace()
      if take(")") { return pairs }
      let start = offset
      while let scalar = next, scalar.isPythonName { offset += 1 }
      let key = String(String.UnicodeScalarView(text[start..<offset]))
      guard key.isPythonName else { throw fail("a key is expected") }
      skipSpace()
      guard take("=") else { throw fail("an equals sign is expected") }
      pairs.append((key: key, value: try value(depth - 1)))
      skipSpace()
      if take(",") { continue }
      guard take(")") else { throw fail("a comma or ) is expected") }
      return pairs
    }
  }

  private mutating func elements(
    until end: String, _ depth: Int
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
    let start = offset
    while let digit = next, ("0"..."9").contains(digit) { offset += 1 }
    let digits = String(String.UnicodeScalarView(text[start..<offset]))
    guard !digits.isEmpty, digits.utf8.count == 1 || digits.utf8.first != UInt8(ascii: "0") else {
      throw fail("an integer is expected")
    }
    if case .numpyHeader(allowsLongIntegers: true) = grammar { _ = take("L") }
    return Int((isNegative ? "-" : "") + digits)
  }

  /// Reads an integer or a float. An integer of more than 64 bits is a float, as in JSON.
  private mutating func number() throws(ParsingError) -> PythonLiteral {
    let start = offset
    while let scalar = next, ("0"..."9").contains(scalar) || "-+.eE".unicodeScalars.contains(scalar) {
      offset += 1
    }
    var digits = String(String.UnicodeScalarView(text[start..<offset]))
    if let integer = Int(digits) { return .integer(integer) }
    // Python reads "1." as a float, Swift does not.
    if digits.hasSuffix(".") { digits += "0" }
    guard let number = Double(digits), number.isFinite else { throw fail("a number is expected") }
    return .float(number)
  }

  private mutating func string() throws(ParsingError) -> String {
    let quote = next
    offset += 1
    var scalars = String.UnicodeScalarView()
    while let scalar = next {
      offset += 1
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
    guard !isSettings else { throw fail("an escape is unknown") }
    guard let scalar = next else { throw fail("a string does not end") }
    offset += 1
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
      offset += 1
    }
    guard let scalar = Unicode.Scalar(code) else { throw fail("an escape is not a character") }
    return scalar
  }
}

extension Unicode.Scalar {
  /// True for the ASCII characters that a Python name may contain.
  package var isPythonName: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }
}

extension StringProtocol {
  /// True for a Python name of ASCII characters.
  package var isPythonName: Bool {
    guard let first = unicodeScalars.first, !("0"..."9").contains(first) else { return false }
    return unicodeScalars.allSatisfy(\.isPythonName)
  }
}
