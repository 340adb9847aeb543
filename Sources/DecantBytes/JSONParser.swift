extension JSONValue {
  /// Parses one JSON text strictly by RFC 8259. O(length).
  ///
  /// - Parameter depth: the maximum nesting of arrays and objects, which also bounds the parser's recursion.
  /// - Throws: ``ParsingError`` for invalid JSON, for a key that occurs twice in an object, and for bytes
  ///   other than white space after the value.
  package init(parsing bytes: RawSpan, depth: Int = 64) throws(ParsingError) {
    var parser = JSONParser(cursor: ByteCursor(bytes))
    self = try parser.value(depth)
    parser.skipSpace()
    guard parser.cursor.isAtEnd else {
      throw ParsingError(offset: parser.cursor.offset, "unexpected data after the JSON value")
    }
  }
}

private struct JSONParser: ~Escapable {
  var cursor: ByteCursor

  @_lifetime(copy cursor)
  init(cursor: consuming ByteCursor) { self.cursor = cursor }

  @_lifetime(self: copy self)
  mutating func value(_ depth: Int) throws(ParsingError) -> JSONValue {
    guard depth > 0 else {
      throw ParsingError(offset: cursor.offset, cause: .tooDeep, "the JSON nests too deep")
    }
    skipSpace()
    switch cursor.peek {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try array(depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  @_lifetime(self: copy self)
  private mutating func object(_ depth: Int) throws(ParsingError) -> JSONValue {
    try cursor.skip(1)
    var members: [(key: String, value: JSONValue)] = []
    var keys: Set<ExactText> = []
    skipSpace()
    if try take(UInt8(ascii: "}")) { return .object([]) }
    while true {
      skipSpace()
      let start = cursor.offset
      guard cursor.peek == UInt8(ascii: "\"") else { throw ParsingError(offset: start, "a key is expected") }
      let key = try string()
      guard keys.insert(ExactText(key)).inserted else {
        throw ParsingError(offset: start, "the key \"\(key.escapedForDisplay)\" appears twice")
      }
      skipSpace()
      guard try take(UInt8(ascii: ":")) else {
        throw ParsingError(offset: cursor.offset, "a colon is expected")
      }
      members.append((key: key, value: try value(depth - 1)))
      skipSpace()
      if try take(UInt8(ascii: "}")) { return .object(members) }
      guard try take(UInt8(ascii: ",")) else {
        throw ParsingError(offset: cursor.offset, "a comma or } is expected")
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func array(_ depth: Int) throws(ParsingError) -> JSONValue {
    try cursor.skip(1)
    var elements: [JSONValue] = []
    skipSpace()
    if try take(UInt8(ascii: "]")) { return .array([]) }
    while true {
      elements.append(try value(depth - 1))
      skipSpace()
      if try take(UInt8(ascii: "]")) { return .array(elements) }
      guard try take(UInt8(ascii: ",")) else {
        throw ParsingError(offset: cursor.offset, "a comma or ] is expected")
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func string() throws(ParsingError) -> String {
    let start = cursor.offset
    try cursor.skip(1)
    var bytes: [UInt8] = []
    while true {
      let byte = try cursor.readByte()
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: bytes, as: UTF8.self) else {
          throw ParsingError(offset: start, "the string is not UTF-8")
        }
        return text
      case 0..<0x20: throw ParsingError(offset: cursor.offset - 1, "a string contains a control character")
      case UInt8(ascii: "\\"): try escape(to: &bytes)
      default: bytes.append(byte)
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func escape(to bytes: inout [UInt8]) throws(ParsingError) {
    let start = cursor.offset - 1
    switch try cursor.readByte() {
    case UInt8(ascii: "\""): bytes.append(0x22)
    case UInt8(ascii: "\\"): bytes.append(0x5C)
    case UInt8(ascii: "/"): bytes.append(0x2F)
    case UInt8(ascii: "b"): bytes.append(8)
    case UInt8(ascii: "f"): bytes.append(12)
    case UInt8(ascii: "n"): bytes.append(10)
    case UInt8(ascii: "r"): bytes.append(13)
    case UInt8(ascii: "t"): bytes.append(9)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if 0xD800..<0xDC00 ~= code {
        guard try cursor.readByte() == UInt8(ascii: "\\"), try cursor.readByte() == UInt8(ascii: "u") else {
          throw ParsingError(offset: start, "unpaired surrogate")
        }
        let low = try hexadecimal()
        guard 0xDC00..<0xE000 ~= low else {
          throw ParsingError(offset: start, "unpaired surrogate")
        }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else {
        throw ParsingError(offset: start, "unpaired surrogate")
      }
      bytes.append(contentsOf: String(Character(scalar)).utf8)
    default: throw ParsingError(offset: start, "an escape is unknown")
    }
  }

  @_lifetime(self: copy self)
  private mutating func hexadecimal() throws(ParsingError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(try cursor.readByte())).hexDigitValue else {
        throw ParsingError(offset: cursor.offset - 1, "four hexadecimal digits are expected")
      }
      code = code << 4 | UInt32(digit)
    }
    return code
  }

  /// Parses a number by RFC 8259's grammar: no leading zeros, no plus sign, digits on both sides of the
  /// point.
  @_lifetime(self: copy self)
  private mutating func number() throws(ParsingError) -> JSONValue {
    let start = cursor.offset
    var text = ""
    func fail(_ offset: Int) -> ParsingError { ParsingError(offset: offset, "a JSON value is expected") }
    if try take(UInt8(ascii: "-")) { text += "-" }
    let whole = try digits()
    guard !whole.isEmpty, whole.count == 1 || whole.first != "0" else { throw fail(start) }
    text += whole
    var isInteger = true
    if try take(UInt8(ascii: ".")) {
      let fraction = try digits()
      guard !fraction.isEmpty else { throw fail(start) }
      text += "." + fraction
      isInteger = false
    }
    if cursor.peek == UInt8(ascii: "e") || cursor.peek == UInt8(ascii: "E") {
      try cursor.skip(1)
      text += "e"
      if try take(UInt8(ascii: "-")) { text += "-" } else { _ = try take(UInt8(ascii: "+")) }
      let exponent = try digits()
      guard !exponent.isEmpty else { throw fail(start) }
      text += exponent
      isInteger = false
    }
    if isInteger, let number = Int64(text) { return .integer(number) }
    guard let number = Double(text), number.isFinite else { throw fail(start) }
    return .number(number)
  }

  @_lifetime(self: copy self)
  private mutating func digits() throws(ParsingError) -> String {
    var text = ""
    while let byte = cursor.peek, 0x30...0x39 ~= byte {
      text.unicodeScalars.append(Unicode.Scalar(byte))
      try cursor.skip(1)
    }
    return text
  }

  @_lifetime(self: copy self)
  private mutating func word(_ text: String, _ value: JSONValue) throws(ParsingError) -> JSONValue {
    let start = cursor.offset
    for byte in text.utf8 where try cursor.readByte() != byte {
      throw ParsingError(offset: start, "a JSON value is expected")
    }
    return value
  }

  @_lifetime(self: copy self)
  private mutating func take(_ byte: UInt8) throws(ParsingError) -> Bool {
    guard cursor.peek == byte else { return false }
    try cursor.skip(1)
    return true
  }

  @_lifetime(self: copy self)
  mutating func skipSpace() {
    while let byte = cursor.peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      do throws(ParsingError) { try cursor.skip(1) } catch { return }
    }
  }
}
