/// Formatting of values as Python's `repr` does.
package enum PythonRepr {
  /// Returns the `repr` of a bytes object.
  package static func bytes(_ bytes: some Collection<UInt8>) -> String {
    self.bytes(bytes, escapesApostrophe: false)
  }

  /// Returns the `repr` of a bytearray, which escapes an apostrophe even between double quotes.
  package static func bytearray(_ bytes: some Collection<UInt8>) -> String {
    "bytearray(\(self.bytes(bytes, escapesApostrophe: true)))"
  }

  private static func bytes(_ bytes: some Collection<UInt8>, escapesApostrophe: Bool) -> String {
    let quote = quote(hasApostrophe: bytes.contains(0x27), hasQuotationMark: bytes.contains(0x22))
    var text: [UInt8] = [UInt8(ascii: "b"), quote]
    text.reserveCapacity(bytes.count + 3)
    for byte in bytes {
      if byte < 0x20 || byte >= 0x7F {
        appendEscape(UInt32(byte), to: &text)
      } else {
        if byte == quote || byte == 0x5C || escapesApostrophe && byte == 0x27 { text.append(0x5C) }
        text.append(byte)
      }
    }
    text.append(quote)
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns the `repr` of a `str`, given as UTF-8 that may contain lone surrogates.
  ///
  /// Characters that Python 3.11 (Unicode 14.0) calls printable are not escaped.
  package static func string(utf8: [UInt8]) -> String {
    let quote = quote(hasApostrophe: utf8.contains(0x27), hasQuotationMark: utf8.contains(0x22))
    var text: [UInt8] = [quote]
    text.reserveCapacity(utf8.count + 2)
    var index = 0
    while index < utf8.count {
      let lead = utf8[index]
      if lead < 0x80 {
        index += 1
        if lead < 0x20 || lead == 0x7F {
          appendEscape(UInt32(lead), to: &text)
        } else {
          if lead == quote || lead == 0x5C { text.append(0x5C) }
          text.append(lead)
        }
        continue
      }
      let length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
      let end = min(index + length, utf8.count)
      var code = UInt32(lead) & (0x7F >> UInt32(length))
      for byte in utf8[(index + 1)..<end] { code = code << 6 | UInt32(byte & 0x3F) }
      if let scalar = Unicode.Scalar(code), isPrintable(scalar) {
        text += utf8[index..<end]
      } else {
        appendEscape(code, to: &text)
      }
      index = end
    }
    text.append(quote)
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns the `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from
  /// 1e16 on.
  package static func float(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // Swift finds the same shortest digits but formats the point and the exponent differently.
    var digits: [UInt8] = []
    var exponent = 0
    var point: Int?
    let spelled = Array(value.magnitude.description.utf8)
    if let mark = spelled.firstIndex(of: UInt8(ascii: "e")) {
      exponent = Int(String(decoding: spelled[(mark + 1)...], as: UTF8.self)) ?? 0
    }
    for byte in spelled.prefix(while: { $0 != UInt8(ascii: "e") }) {
      if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
    }
    // The value is 0.DIGITS × 10^place, once zeros at both ends are removed.
    var place = (point ?? digits.count) + exponent
    let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(leading)
    place -= leading
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    let sign = value.sign == .minus ? "-" : ""
    guard !digits.isEmpty else { return sign + "0.0" }
    let text = String(decoding: digits, as: UTF8.self)
    switch place {
    case -3...0: return sign + "0." + String(repeating: "0", count: -place) + text
    case 1...16:
      if digits.count <= place {
        return sign + text + String(repeating: "0", count: place - digits.count) + ".0"
      }
      return sign + String(text.prefix(place)) + "." + String(text.dropFirst(place))
    default:
      let power = place - 1
      let size = String(power.magnitude)
      return sign + String(text.prefix(1)) + (digits.count > 1 ? "." + String(text.dropFirst()) : "")
        + (power < 0 ? "e-" : "e+") + (size.utf8.count < 2 ? "0" : "") + size
    }
  }

  // MARK: - Parts

  private static func quote(hasApostrophe: Bool, hasQuotationMark: Bool) -> UInt8 {
    hasApostrophe && !hasQuotationMark ? UInt8(ascii: "\"") : UInt8(ascii: "'")
  }

  private static func appendEscape(_ code: UInt32, to text: inout [UInt8]) {
    switch code {
    case 0x09: text += "\\t".utf8
    case 0x0A: text += "\\n".utf8
    case 0x0D: text += "\\r".utf8
    default:
      let (letter, width) = code < 0x100 ? ("x", 2) : code < 0x1_0000 ? ("u", 4) : ("U", 8)
      let hex = String(code, radix: 16)
      text += "\\\(letter)\(String(repeating: "0", count: width - hex.utf8.count))\(hex)".utf8
    }
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    guard let age = scalar.properties.age, age.major <= 14 else { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
      .spaceSeparator:
      return false
    default: return true
    }
  }
}
