/// Parsing and formatting of Python integers.
package enum PythonInteger {
  /// The number of decimal digits beyond which CPython refuses to convert between text and integers.
  ///
  /// The conversion takes quadratic time. CPython 3.11 has the same default
  /// (`sys.int_info.default_max_str_digits`).
  static let maximumDigits = 4300

  /// The rule that determines a literal's base.
  enum Notation {
    /// Base 10, whatever the prefix: Python's `int(text)`.
    case decimal
    /// `0x`, `0o` and `0b` select the base: Python's `int(text, 0)`.
    ///
    /// With `legacyOctal`, a leading zero also selects octal, as in C's `strtol`.
    case prefixed(legacyOctal: Bool)
  }

  /// The result of parsing a literal.
  enum Parsed: Equatable {
    case small(Int64)
    /// Two's complement, little-endian, shortest form, more than eight bytes.
    case large([UInt8])
    case invalid
    /// A decimal literal with more than ``maximumDigits`` digits. The value is its digit count.
    case tooManyDigits(Int)
  }

  /// Parses a literal. White space around it, a sign, and single underscores between digits are allowed.
  static func parse(_ text: some Collection<UInt8>, _ notation: Notation) -> Parsed {
    var rest = ByteSlice(trimming: text)
    var isNegative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      isNegative = sign == UInt8(ascii: "-")
      rest.removeFirst()
    }
    var base: UInt64 = 10
    if case .prefixed(let legacyOctal) = notation, rest.first == UInt8(ascii: "0"), rest.count > 1 {
      switch rest[rest.startIndex + 1] | 0x20 {
      case UInt8(ascii: "x"): base = 16
      case UInt8(ascii: "o"): base = 8
      case UInt8(ascii: "b"): base = 2
      default:
        // Python allows leading zeros only for zero itself. strtol reads them as octal.
        if rest.contains(where: { $0 != UInt8(ascii: "0") && $0 != UInt8(ascii: "_") }) {
          guard legacyOctal, !rest.contains(UInt8(ascii: "_")) else { return .invalid }
          base = 8
        }
      }
      if base == 16 || base == 2 || (rest[rest.startIndex + 1] | 0x20) == UInt8(ascii: "o") {
        rest.removeFirst(2)
        if rest.first == UInt8(ascii: "_") { rest.removeFirst() }
      }
    }
    guard let digits = digits(rest, base: base), !digits.isEmpty else { return .invalid }
    if base == 10, digits.count > maximumDigits { return .tooManyDigits(digits.count) }
    return value(digits, base: base, isNegative: isNegative)
  }

  /// Returns the shortest two's complement form of little-endian bytes of any length.
  static func shortest(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
    var end = bytes.count
    while end > 1 {
      let isRedundant =
        bytes[end - 1] == 0x00 && bytes[end - 2] < 0x80 || bytes[end - 1] == 0xFF && bytes[end - 2] >= 0x80
      guard isRedundant else { break }
      end -= 1
    }
    return bytes[..<end]
  }

  /// Returns the integer in two's complement bytes; nil when it does not fit 64 bits.
  static func small(_ shortest: ArraySlice<UInt8>) -> Int64? {
    guard shortest.count <= 8 else { return nil }
    var bits: UInt64 = (shortest.last ?? 0) >= 0x80 ? .max : 0
    for byte in shortest.reversed() { bits = bits << 8 | UInt64(byte) }
    return Int64(bitPattern: bits)
  }

  /// Returns the decimal text of two's complement bytes; nil when it has more than ``maximumDigits`` digits.
  ///
  /// O(n²) in the number of bytes. More than 1,800 bytes are refused.
  package static func decimal(_ bytes: some Collection<UInt8>) -> String? {
    var magnitude = Array(bytes)
    // 10^4300 takes 1,786 bytes.
    guard magnitude.count <= 1_800 else { return nil }
    let isNegative = (magnitude.last ?? 0) >= 0x80
    if isNegative { negate(&magnitude) }
    var limbs = [UInt64](repeating: 0, count: magnitude.count / 8 + 1)
    for (index, byte) in magnitude.enumerated() { limbs[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8) }
    var groups: [UInt64] = []
    while let last = limbs.last {
      if last == 0 {
        limbs.removeLast()
        continue
      }
      var remainder: UInt64 = 0
      for index in limbs.indices.reversed() {
        (limbs[index], remainder) = groupBase.dividingFullWidth((remainder, limbs[index]))
      }
      groups.append(remainder)
    }
    var text = String(groups.last ?? 0)
    for group in groups.dropLast().reversed() {
      let part = String(group)
      text += String(repeating: "0", count: groupDigits - part.utf8.count) + part
    }
    return text.utf8.count > maximumDigits ? nil : (isNegative ? "-" : "") + text
  }

  // MARK: - Parts

  private static let groupDigits = 18
  private static let groupBase: UInt64 = 1_000_000_000_000_000_000

  /// Returns the digit values; nil for other characters or a misplaced underscore.
  private static func digits(_ text: ByteSlice, base: UInt64) -> [UInt8]? {
    var digits: [UInt8] = []
    digits.reserveCapacity(text.count)
    var allowsUnderscore = false
    for byte in text {
      if byte == UInt8(ascii: "_") {
        guard allowsUnderscore else { return nil }
        allowsUnderscore = false
        continue
      }
      guard let digit = hexadecimalValue(byte), UInt64(digit) < base else { return nil }
      digits.append(digit)
      allowsUnderscore = true
    }
    return allowsUnderscore ? digits : nil
  }

  private static func value(_ digits: [UInt8], base: UInt64, isNegative: Bool) -> Parsed {
    // Least significant limb first. Powers of two take linear time, and the length of decimals is bounded.
    var limbs: [UInt64] = []
    switch base {
    case 10:
      var next = digits.startIndex
      while next < digits.endIndex {
        let group = digits[next..<min(next + groupDigits, digits.endIndex)]
        next = group.endIndex
        var factor: UInt64 = 1
        var carry: UInt64 = 0
        for digit in group {
          factor *= 10
          carry = carry * 10 + UInt64(digit)
        }
        for index in limbs.indices {
          let (high, low) = limbs[index].multipliedFullWidth(by: factor)
          let (sum, overflow) = low.addingReportingOverflow(carry)
          limbs[index] = sum
          carry = overflow ? high + 1 : high
        }
        if carry != 0 { limbs.append(carry) }
      }
    default:
      let width = base.trailingZeroBitCount
      limbs = [UInt64](repeating: 0, count: digits.count * width / 64 + 1)
      for (place, digit) in digits.reversed().enumerated() {
        let bit = place * width
        limbs[bit / 64] |= UInt64(digit) << UInt64(bit % 64)
        if bit % 64 + width > 64, bit / 64 + 1 < limbs.count {
          limbs[bit / 64 + 1] |= UInt64(digit) >> UInt64(64 - bit % 64)
        }
      }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(limbs.count * 8 + 1)
    for limb in limbs {
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: limb >> shift))
      }
    }
    bytes.append(0)
    if isNegative { negate(&bytes) }
    let form = shortest(bytes)
    return small(form).map { .small($0) } ?? .large(Array(form))
  }

  /// Negates a two's complement number in place. The most negative number of a width becomes its unsigned
  /// magnitude.
  private static func negate(_ bytes: inout [UInt8]) {
    var carry = true
    for index in bytes.indices {
      let inverted = ~bytes[index]
      bytes[index] = carry ? inverted &+ 1 : inverted
      carry = carry && inverted == 0xFF
    }
  }
}
