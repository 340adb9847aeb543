/// The format of numbers, counts and shapes in messages.
package enum Format {
  /// Formats a shape for people: `64×3×7×7`, or `scalar`.
  package static func shape(_ shape: [Int]) -> String {
    shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "×")
  }

  /// Formats an integer with commas between thousands.
  package static func count(_ number: some BinaryInteger) -> String {
    var digits = Array(String(number.magnitude).utf8)
    for place in stride(from: digits.count - 3, to: 0, by: -3) {
      digits.insert(UInt8(ascii: ","), at: place)
    }
    return (number < 0 ? "-" : "") + String(decoding: digits, as: UTF8.self)
  }

  /// Formats a count with its noun: `1 tensor`, `2 tensors`, `2 entries`.
  ///
  /// - Parameter plural: the noun's plural; nil when it ends in an s.
  package static func count(_ number: some BinaryInteger, _ noun: String, plural: String? = nil) -> String {
    count(number) + " " + (number == 1 ? noun : plural ?? noun + "s")
  }

  /// Formats a count with its noun and the verb that agrees: `1 byte follows`, `2 bytes follow`.
  package static func count(
    _ number: some BinaryInteger, _ noun: String, _ verb: (one: String, many: String)
  ) -> String {
    count(number, noun) + " " + (number == 1 ? verb.one : verb.many)
  }

  /// Returns a number with a fixed number of decimals.
  package static func fixed(_ number: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    // Beyond 2^53 a double has no decimals.
    guard number.isFinite, number.magnitude * scale < 0x1p53 else { return number.description }
    let whole = (number.magnitude * scale).rounded()
    let digits = String(Int(whole))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let sign = number < 0 && whole > 0 ? "-" : ""
    return decimals == 0 ? sign + padded : sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }

  /// Returns a number in scientific notation with three significant digits, such as `4.88e-07`.
  package static func scientific(_ number: Double) -> String {
    guard number.isFinite, number != 0 else { return number == 0 ? "0" : number.description }
    var exponent = 0
    var mantissa = number.magnitude
    while mantissa >= 9.995 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 0.9995 {
      mantissa *= 10
      exponent -= 1
    }
    let digits = String(exponent.magnitude)
    return (number < 0 ? "-" : "") + fixed(mantissa, 2) + "e" + (exponent < 0 ? "-" : "+")
      + String(repeating: "0", count: max(0, 2 - digits.count)) + digits
  }

  /// Returns a number of bytes for people, such as `94.3 MB`, in units of 1000.
  package static func size(_ byteCount: Int) -> String {
    guard byteCount >= 1000 else { return "\(byteCount) B" }
    var number = Double(byteCount)
    for unit in ["kB", "MB", "GB", "TB", "PB", "EB"] {
      number /= 1000
      // 999.95 would be rounded to 1000.0.
      if number < 999.95 || unit == "EB" { return fixed(number, number < 99.95 ? 1 : 0) + " " + unit }
    }
    return "\(byteCount) B"
  }
}
