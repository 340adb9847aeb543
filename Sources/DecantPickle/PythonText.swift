/// A slice of bytes, used for text arguments.
typealias ByteSlice = ArraySlice<UInt8>

extension ArraySlice<UInt8> {
  /// Trims the white space of C's `isspace`, as Python's `int` and `float` do.
  init(trimming text: some Collection<UInt8>) {
    var rest = ArraySlice(text)
    while let first = rest.first, isSpace(first) { rest.removeFirst() }
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    self = rest
  }
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

/// Returns the value of a hexadecimal digit; nil for other characters.
func hexadecimalValue(_ byte: UInt8) -> UInt8? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
  default: nil
  }
}

/// Decoding of text as Python's codecs do it.
enum PythonText {
  /// A decoding error: the range of the input that is invalid, and CPython's reason.
  struct Fault: Error, Equatable {
    let range: Range<Int>
    let reason: String
  }

  /// Parses a float as Python's `float(text)` does; nil where Python raises.
  ///
  /// The grammar is checked here. The conversion is correctly rounded and independent of the locale. Literals
  /// beyond the range become infinite, as in Python.
  static func float(_ text: some Collection<UInt8>) -> Double? {
    var rest = ByteSlice(trimming: text)
    var literal = ""
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      if sign == UInt8(ascii: "-") { literal = "-" }
      rest.removeFirst()
    }
    let isNegative = !literal.isEmpty
    switch String(decoding: rest.prefix(9).map { $0 | 0x20 }, as: UTF8.self) {
    case "inf", "infinity": return isNegative ? -.infinity : .infinity
    case "nan": return isNegative ? -.nan : .nan
    default: break
    }
    // digits [. digits] | . digits, then [e [sign] digits]; an underscore only between two digits.
    var mantissaDigits = 0
    var previousIsDigit = false
    func parseDigits() -> Int? {
      var count = 0
      while let byte = rest.first {
        if byte == UInt8(ascii: "_") {
          guard previousIsDigit, let next = rest.dropFirst().first, isDigit(next) else { return nil }
        } else if isDigit(byte) {
          literal.unicodeScalars.append(Unicode.Scalar(byte))
          count += 1
        } else {
          break
        }
        previousIsDigit = byte != UInt8(ascii: "_")
        rest.removeFirst()
      }
      previousIsDigit = false
      return count
    }
    guard let whole = parseDigits() else { return nil }
    mantissaDigits = whole
    if rest.first == UInt8(ascii: ".") {
      if whole == 0 { literal += "0" }
      rest.removeFirst()
      literal += "."
      guard let fraction = parseDigits() else { return nil }
      if fraction == 0 { literal += "0" }
      mantissaDigits += fraction
    }
    guard mantissaDigits > 0 else { return nil }
    if let mark = rest.first, mark | 0x20 == UInt8(ascii: "e") {
      rest.removeFirst()
      literal += "e"
      if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
        literal.unicodeScalars.append(Unicode.Scalar(sign))
        rest.removeFirst()
      }
      guard let exponent = parseDigits(), exponent > 0 else { return nil }
    }
    return rest.isEmpty ? Double(literal) : nil
  }

  /// Resolves the escapes of a Python bytes literal, as `codecs.escape_decode` does.
  static func unescaped(_ text: ByteSlice) throws(Fault) -> [UInt8] {
    guard text.contains(UInt8(ascii: "\\")) else { return Array(text) }
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      index += 1
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      guard index < text.endIndex else {
        throw Fault(range: text.count - 1..<text.count, reason: "Trailing \\ in string")
      }
      let letter = text[index]
      index += 1
      switch letter {
      case 0x0A: break
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(letter)
      case UInt8(ascii: "a"): result.append(0x07)
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "v"): result.append(0x0B)
      case UInt8(ascii: "f"): result.append(0x0C)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "0")...UInt8(ascii: "7"):
        var code = UInt16(letter - UInt8(ascii: "0"))
        var digits = 1
        while digits < 3, index < text.endIndex, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(text[index])
        {
          code = code << 3 | UInt16(text[index] - UInt8(ascii: "0"))
          index += 1
          digits += 1
        }
        result.append(UInt8(truncatingIfNeeded: code))
      case UInt8(ascii: "x"):
        let high = index < text.endIndex ? hexadecimalValue(text[index]) : nil
        let low = index + 1 < text.endIndex ? hexadecimalValue(text[index + 1]) : nil
        guard let high, let low else {
          let place = index - text.startIndex - 2
          throw Fault(range: place..<place + 1, reason: "invalid \\x escape at position \(place)")
        }
        result.append(high << 4 | low)
        index += 2
      default:
        result.append(UInt8(ascii: "\\"))
        result.append(letter)
      }
    }
    return result
  }

  /// Decodes Python's raw-unicode-escape to UTF-8 that may contain lone surrogates.
  ///
  /// Only `\uXXXX` and `\UXXXXXXXX` are escapes. Any other byte stands for the character U+00XX of its value.
  static func rawUnicodeEscape(_ text: ByteSlice) throws(Fault) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      let start = index
      index += 1
      guard byte == UInt8(ascii: "\\"), index < text.endIndex else {
        appendUTF8(UInt32(byte), to: &result)
        continue
      }
      let letter = text[index]
      index += 1
      guard letter == UInt8(ascii: "u") || letter == UInt8(ascii: "U") else {
        result.append(byte)
        appendUTF8(UInt32(letter), to: &result)
        continue
      }
      let width = letter == UInt8(ascii: "u") ? 4 : 8
      let escape = letter == UInt8(ascii: "u") ? "\\uXXXX" : "\\UXXXXXXXX"
      var code: UInt32 = 0
      for _ in 0..<width {
        guard index < text.endIndex, let digit = hexadecimalValue(text[index]) else {
          throw Fault(
            range: start - text.startIndex..<index - text.startIndex, reason: "truncated \(escape) escape")
        }
        code = code << 4 | UInt32(digit)
        index += 1
      }
      guard code <= 0x10FFFF else {
        throw Fault(
          range: start - text.startIndex..<index - text.startIndex, reason: "\\Uxxxxxxxx out of range")
      }
      appendUTF8(code, to: &result)
    }
    return result
  }

  /// Appends the UTF-8 encoding of a code point, surrogates included.
  static func appendUTF8(_ code: UInt32, to bytes: inout [UInt8]) {
    func tail(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: code >> shift & 0x3F) }
    switch code {
    case ..<0x80: bytes.append(UInt8(truncatingIfNeeded: code))
    case ..<0x800: bytes += [0xC0 | UInt8(truncatingIfNeeded: code >> 6), tail(0)]
    case ..<0x1_0000: bytes += [0xE0 | UInt8(truncatingIfNeeded: code >> 12), tail(6), tail(0)]
    default: bytes += [0xF0 | UInt8(truncatingIfNeeded: code >> 18), tail(12), tail(6), tail(0)]
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
