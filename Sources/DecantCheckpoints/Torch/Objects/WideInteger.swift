/// Integers of more than 64 bits, as pickles encode them.
enum WideInteger {
  /// The largest number of bytes of an integer that is written in decimal. The division below takes quadratic time.
  static let maxIntegerByteCount = 1024

  /// Returns a little-endian two's complement integer in decimal. O(length²).
  static func decimal(_ bytes: [UInt8]) -> String {
    let isNegative = (bytes.last ?? 0) & 0x80 != 0
    var magnitude = bytes
    if isNegative {
      var carry = true
      for place in magnitude.indices {
        let (sum, overflow) = (~magnitude[place]).addingReportingOverflow(carry ? 1 : 0)
        magnitude[place] = sum
        carry = overflow
      }
    }
    // Each round yields nine digits, the least significant first.
    var groups: [String] = []
    while let last = magnitude.last {
      if last == 0 {
        magnitude.removeLast()
        continue
      }
      var remainder: UInt64 = 0
      for place in magnitude.indices.reversed() {
        let dividend = remainder << 8 | UInt64(magnitude[place])
        magnitude[place] = UInt8(truncatingIfNeeded: dividend / 1_000_000_000)
        remainder = dividend % 1_000_000_000
      }
      let digits = String(remainder)
      groups.append(String(repeating: "0", count: 9 - digits.count) + digits)
    }
    let digits = groups.reversed().joined().drop { $0 == "0" }
    return (isNegative ? "-" : "") + (digits.isEmpty ? "0" : String(digits))
  }
}
