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
}
