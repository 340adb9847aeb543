internal import DecantBytes

/// The tokens of the expressions and statements in a Jinja template, by the rules of Jinja's lexer.
///
/// Source: Jinja 3.1 `jinja2/lexer.py`, with its default delimiters and without line statements.
struct JinjaLexer {
  enum Token: Equatable {
    /// The start of `{% … %}`.
    case statement
    /// The start of `{{ … }}`.
    case output
    /// The end of either.
    case end
    case name(String)
    /// A string literal, decoded.
    case text([UInt8])
    case number
    case symbol(String)
  }

  /// The tokens, each with its offset in the template's bytes.
  private(set) var tokens: [(token: Token, offset: Int)] = []
  /// Where and why Jinja's lexer fails; nil when it reads the template to its end.
  private(set) var fault: ParsingError?
  private let text: [UInt8]
  private var offset = 0
  /// The open brackets of the current tag. A delimiter inside brackets does not end the tag.
  private var open: [UInt8] = []

  /// The most tokens of a template. Those of large models have a few thousand.
  private static let mostTokens = 200_000

  /// Reads a template, up to where Jinja's lexer fails. O(length).
  init(_ text: [UInt8]) {
    self.text = text
    do throws(ParsingError) { try read() } catch { fault = error }
  }

  private mutating func read() throws(ParsingError) {
    while let delimiter = nextDelimiter() {
      switch delimiter {
      case 0x23: try skipComment()
      case 0x25:
        if !(try skipRaw()) { try readTag(.statement, end: 0x25) }
      default: try readTag(.output, end: 0x7D)
      }
    }
  }

  /// Returns true when a text has a delimiter of Jinja, so that rendering it does more than copying.
  static func holdsTags(_ text: [UInt8]) -> Bool {
    text.indices.dropLast().contains { text[$0] == 0x7B && (text[$0 + 1] == 0x7B || text[$0 + 1] == 0x25) }
  }

  private func byte(_ ahead: Int = 0) -> UInt8? {
    offset + ahead < text.count ? text[offset + ahead] : nil
  }

  private func fail(_ reason: String) -> ParsingError { ParsingError(offset: offset, reason) }

  /// The UTF-8 of white space beyond ASCII, which Python's regular expressions skip as well.
  private static let wideSpaces: [[UInt8]] =
    ([0x85, 0xA0, 0x1680] + Array(0x2000...0x200A) + [0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
    .compactMap { Unicode.Scalar($0).map { Array(String($0).utf8) } }

  /// Returns the number of bytes of the white space character at an offset; 0 for other characters.
  private func spaceLength(at place: Int) -> Int {
    guard place < text.count else { return 0 }
    let byte = text[place]
    if byte == 0x20 || 0x09...0x0D ~= byte || 0x1C...0x1F ~= byte { return 1 }
    guard byte >= 0xC2 else { return 0 }
    return Self.wideSpaces.first { text[place...].starts(with: $0) }?.count ?? 0
  }

  private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }

  /// True for characters of names. Jinja's are those of Python; all beyond ASCII are taken here.
  private static func isName(_ byte: UInt8) -> Bool {
    isDigit(byte) || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || byte == 0x5F || byte >= 0x80
  }

  /// Moves to the next `{{`, `{%` or `{#` and returns its second byte; nil at the end.
  private mutating func nextDelimiter() -> UInt8? {
    while offset + 1 < text.count {
      if text[offset] == 0x7B, [0x7B, 0x25, 0x23].contains(text[offset + 1]) { return text[offset + 1] }
      offset += 1
    }
    return nil
  }

  private mutating func skipComment() throws(ParsingError) {
    let start = offset
    offset += 2
    while offset + 1 < text.count {
      if text[offset] == 0x23, text[offset + 1] == 0x7D {
        offset += 2
        return
      }
      offset += 1
    }
    throw ParsingError(offset: start, "a comment does not end")
  }

  /// Skips `{% raw %} … {% endraw %}`. Returns false when the statement at the offset is not `raw`.
  private mutating func skipRaw() throws(ParsingError) -> Bool {
    let start = offset
    guard let begin = afterTag("raw", at: offset) else { return false }
    offset = begin
    while let delimiter = nextDelimiter() {
      if delimiter == 0x25, let end = afterTag("endraw", at: offset) {
        offset = end
        return true
      }
      offset += 1
    }
    throw ParsingError(offset: start, "a raw block does not end")
  }

  /// Returns the offset after `{% word %}` at an offset; nil for anything else.
  private func afterTag(_ word: String, at start: Int) -> Int? {
    var place = start + 2
    func skipSpace() {
      while case let count = spaceLength(at: place), count > 0 { place += count }
    }
    func take(_ bytes: String.UTF8View) -> Bool {
      guard text[place...].starts(with: bytes) else { return false }
      place += bytes.count
      return true
    }
    if !take("-".utf8) { _ = take("+".utf8) }
    skipSpace()
    guard take(word.utf8) else { return nil }
    skipSpace()
    if !take("-".utf8) { _ = take("+".utf8) }
    return take("%}".utf8) ? place : nil
  }

  private mutating func add(_ token: Token, at start: Int) throws(ParsingError) {
    guard tokens.count < Self.mostTokens else { throw fail("it has more than \(Self.mostTokens) tokens") }
    tokens.append((token, start))
  }

  /// Reads the tokens of a tag, whose closing delimiter is a byte and `}`.
  private mutating func readTag(_ kind: Token, end: UInt8) throws(ParsingError) {
    let start = offset
    try add(kind, at: start)
    offset += 2
    if byte() == 0x2D || byte() == 0x2B { offset += 1 }
    open = []
    while let next = byte() {
      let place = offset
      if open.isEmpty, let count = closing(end) {
        try add(.end, at: place)
        offset += count
        return
      }
      let space = spaceLength(at: offset)
      if space > 0 {
        offset += space
      } else if Self.isDigit(next) {
        readNumber()
        try add(.number, at: place)
      } else if Self.isName(next) {
        while let byte = byte(), Self.isName(byte), spaceLength(at: offset) == 0 { offset += 1 }
        try add(.name(String(decoding: text[place..<offset], as: UTF8.self)), at: place)
      } else if next == 0x27 || next == 0x22 {
        let text = try readText(quote: next)
        try add(.text(text), at: place)
      } else {
        let symbol = try readSymbol(next)
        try add(.symbol(symbol), at: place)
      }
    }
    throw ParsingError(offset: start, "a tag does not end")
  }

  /// Returns the length of the closing delimiter at the offset; nil when there is none.
  private func closing(_ end: UInt8) -> Int? {
    if byte() == end, byte(1) == 0x7D { return 2 }
    let allowsPlus = end == 0x25
    if byte() == 0x2D || allowsPlus && byte() == 0x2B, byte(1) == end, byte(2) == 0x7D { return 3 }
    return nil
  }

  /// Moves past an integer or a float. A name may follow without a space.
  private mutating func readNumber() {
    if byte() == 0x30, let base = byte(1).map({ $0 | 0x20 }), [0x62, 0x6F, 0x78].contains(base) {
      offset += 2
      return skipDigits(isHexadecimal: base == 0x78)
    }
    skipDigits()
    // A point belongs to a number when a digit follows; otherwise an attribute follows.
    if byte() == 0x2E, let next = byte(1), Self.isDigit(next) {
      offset += 1
      skipDigits()
    }
    if let mark = byte(), mark | 0x20 == 0x65 {
      let sign = byte(1) == 0x2B || byte(1) == 0x2D ? 1 : 0
      guard let next = byte(1 + sign), Self.isDigit(next) else { return }
      offset += 1 + sign
      skipDigits()
    }
  }

  private mutating func skipDigits(isHexadecimal: Bool = false) {
    while let byte = byte(),
      Self.isDigit(byte) || byte == 0x5F && (self.byte(1).map(Self.isDigit) ?? false)
        || isHexadecimal && 0x61...0x66 ~= byte | 0x20
    {
      offset += 1
    }
  }

  private mutating func readSymbol(_ first: UInt8) throws(ParsingError) -> String {
    for symbol in ["//", "**", "==", "!=", ">=", "<="] where text[offset...].starts(with: symbol.utf8) {
      offset += 2
      return symbol
    }
    let closers: [UInt8: UInt8] = [0x28: 0x29, 0x5B: 0x5D, 0x7B: 0x7D]
    if let closer = closers[first] {
      open.append(closer)
    } else if closers.values.contains(first) {
      guard open.popLast() == first else { throw fail("a bracket does not match") }
    } else if !"+-/*%~><=.:|,;".utf8.contains(first) {
      throw fail("an unexpected character")
    }
    offset += 1
    return String(UnicodeScalar(first))
  }

  // MARK: - String literals

  /// Reads a string literal. Jinja decodes its escapes as Python's `unicode-escape` does.
  private mutating func readText(quote: UInt8) throws(ParsingError) -> [UInt8] {
    let start = offset
    offset += 1
    var result: [UInt8] = []
    while let next = byte() {
      offset += 1
      if next == quote { return result }
      if next == 0x5C { try readEscape(into: &result) } else { result.append(next) }
    }
    throw ParsingError(offset: start, "a string does not end")
  }

  private mutating func readEscape(into result: inout [UInt8]) throws(ParsingError) {
    guard let next = byte() else { throw fail("a string does not end") }
    offset += 1
    switch next {
    case 0x0A: break
    case 0x61: result.append(0x07)
    case 0x62: result.append(0x08)
    case 0x66: result.append(0x0C)
    case 0x6E: result.append(0x0A)
    case 0x72: result.append(0x0D)
    case 0x74: result.append(0x09)
    case 0x76: result.append(0x0B)
    case 0x30...0x37:
      var code = UInt32(next - 0x30)
      for _ in 0..<2 {
        guard let digit = byte(), 0x30...0x37 ~= digit else { break }
        code = code << 3 | UInt32(digit - 0x30)
        offset += 1
      }
      try append(code, to: &result)
    case 0x78: try append(try hexadecimal(2), to: &result)
    case 0x75: try append(try hexadecimal(4), to: &result)
    case 0x55: try append(try hexadecimal(8), to: &result)
    case 0x4E:
      // A character by its name, such as \N{LOW LINE}, which no template needs: it counts as an underscore.
      while let byte = byte(), byte != 0x7D { offset += 1 }
      offset = min(offset + 1, text.count)
      result.append(0x5F)
    case 0x5C, 0x27, 0x22: result.append(next)
    default: result += [0x5C, next]
    }
  }

  private mutating func hexadecimal(_ count: Int) throws(ParsingError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<count {
      guard let digit = byte(), let value = Character(UnicodeScalar(digit)).hexDigitValue else {
        throw fail("\(count) hexadecimal digits are expected")
      }
      code = code << 4 | UInt32(value)
      offset += 1
    }
    return code
  }

  private func append(_ code: UInt32, to result: inout [UInt8]) throws(ParsingError) {
    // Python keeps lone surrogates, which are in no name.
    guard code <= 0x10FFFF else { throw fail("an escape is not a character") }
    result += Array(String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8)
  }
}
