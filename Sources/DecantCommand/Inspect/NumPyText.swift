internal import CStandard
internal import DecantBytes
internal import DecantTensors

/// The text that NumPy 2 prints for an array with its default options: at most 8 decimals, lines of 75 columns, and `...`
/// in arrays of more than 1,000 elements.
///
/// The algorithm is that of `numpy/_core/arrayprint.py`.
struct NumPyText {
  private static let lineWidth = 75
  private static let threshold = 1000
  private static let edgeItems = 3

  private let shape: [Int]
  private let words: [String]
  private let isSummary: Bool

  /// - Throws: ``DecantError`` for complex, quantised and packed tensors, and for data that cannot be read.
  init(_ tensor: Tensor) throws {
    shape = tensor.shape
    isSummary = tensor.elementCount > Self.threshold
    // Only the shown elements determine the format.
    let shown = Self.shownIndices(shape, isSummary: isSummary)
    var all: [String] = Array(repeating: "", count: tensor.elementCount)
    let formatted: [String]
    switch tensor.dtype {
    case .bool:
      let numbers = try tensor.elements(as: Double.self)
      let truth = shape.isEmpty ? "True" : " True"
      formatted = shown.map { numbers[$0] == 0 ? "False" : truth }
    case .int64, .int32, .int16, .int8, .uint8:
      let numbers = try tensor.integers()
      formatted = Self.aligned(shown.map { String(numbers[$0]) })
    case .float64, .float32, .float16, .bfloat16:
      let numbers = try tensor.elements(as: Double.self)
      let format = NumPyFloatFormat(shown.map { numbers[$0] }, tensor.dtype)
      formatted =
        shape.isEmpty ? shown.map { format.scalar(numbers[$0]) } : shown.map { format.text(numbers[$0]) }
    case .uint16, .uint32:
      let numbers = try tensor.elements(as: Double.self)
      formatted = Self.aligned(shown.map { String(Int(numbers[$0])) })
    default:
      throw DecantError(
        .unsupportedFormat, "its elements are \(tensor.dtype.rawValue), whose values are not printed")
    }
    for (index, word) in zip(shown, formatted) { all[index] = word }
    words = all
  }

  /// The text, in one or several lines.
  var text: String {
    if words.isEmpty { return "[]" }
    if shape.isEmpty { return words[0] }
    return text(axis: 0, start: 0, indent: " ", width: Self.lineWidth)
  }

  private static func aligned(_ words: [String]) -> [String] {
    let width = words.map(\.utf8.count).max() ?? 0
    return words.map { String(repeating: " ", count: width - $0.utf8.count) + $0 }
  }

  /// Returns the row-major indices of the elements that are printed.
  private static func shownIndices(_ shape: [Int], isSummary: Bool) -> [Int] {
    shape.reduce([0]) { starts, size in
      let places =
        isSummary && size > 2 * edgeItems
        ? Array(0..<edgeItems) + Array((size - edgeItems)..<size) : Array(0..<size)
      return starts.flatMap { start in places.map { start * size + $0 } }
    }
  }

  /// Returns the text of a part of the array.
  ///
  /// - Parameters:
  ///   - start: the index of the part among the parts of its size.
  ///   - indent: the spaces before every line but the first.
  private func text(axis: Int, start: Int, indent: String, width: Int) -> String {
    let size = shape[axis]
    let isCut = isSummary && size > 2 * Self.edgeItems
    let places: [Int?] =
      isCut
      ? Array(0..<Self.edgeItems) + [nil] + Array((size - Self.edgeItems)..<size) : Array(0..<size)
    guard axis + 1 < shape.count else {
      return line(
        places.map { $0.map { words[start * size + $0] } ?? "..." }, indent: indent, width: width - 1)
    }
    let separator = String(repeating: "\n", count: shape.count - axis - 1)
    let parts = places.map { place in
      place.map { text(axis: axis + 1, start: start * size + $0, indent: indent + " ", width: width - 1) }
        ?? "..."
    }
    return "[" + parts.joined(separator: separator + indent) + "]"
  }

  /// Returns the elements of the last axis, in lines of limited width.
  private func line(_ words: [String], indent: String, width: Int) -> String {
    var lines: [String] = []
    var line = indent
    for word in words {
      if line.utf8.count + word.utf8.count > width, line.utf8.count > indent.utf8.count {
        while line.last == " " { line.removeLast() }
        lines.append(line)
        line = indent
      }
      line += word + " "
    }
    line.removeLast()
    lines.append(line)
    return "[" + lines.joined(separator: "\n").dropFirst(indent.utf8.count) + "]"
  }
}

/// The format of the floating-point numbers of one array: positional or scientific, and the width of its parts.
private struct NumPyFloatFormat {
  private static let precision = 8

  private let dtype: DType
  private let isScientific: Bool
  private var left = 0
  private var right = 0
  private var exponentDigits = 2

  init(_ numbers: [Double], _ dtype: DType) {
    self.dtype = dtype
    let finite = numbers.filter(\.isFinite)
    let sizes = finite.filter { $0 != 0 }.map(\.magnitude)
    isScientific =
      sizes.min().map { Self.isScientific(least: $0, greatest: sizes.max() ?? $0, dtype) } ?? false
    for number in finite {
      if isScientific {
        let parts = scientificParts(number)
        left = max(left, parts.whole.utf8.count)
        right = max(right, parts.fraction.utf8.count)
        exponentDigits = max(exponentDigits, parts.exponent.utf8.count)
      } else {
        let (whole, fraction) = positionalParts(number)
        left = max(left, whole.utf8.count)
        right = max(right, fraction.utf8.count)
      }
    }
    if finite.count != numbers.count {
      let padding = isScientific ? right + exponentDigits + 2 : right
      let hasNegative = numbers.contains { $0 == -.infinity }
      let hasInfinity = numbers.contains { $0.isInfinite }
      let hasNaN = numbers.contains { $0.isNaN }
      left = max(
        left, hasNaN ? 3 - padding - 1 : 0,
        hasInfinity || hasNaN ? 3 + (hasNegative ? 1 : 0) - padding - 1 : 0)
    }
  }

  /// NumPy compares in the array's own dtype, and with a power of ten that it holds exactly (since version 2.4).
  private static func isScientific(least: Double, greatest: Double, _ dtype: DType) -> Bool {
    switch dtype {
    case .float64: return greatest >= 1e8 || least < 0.0001 || greatest / least > 1000
    case .float16:
      let (least, greatest) = (Float16(least), Float16(greatest))
      return greatest >= 1e3 || least < Float16(0.0001) || greatest / least > 1000
    default:
      let (least, greatest) = (Float(least), Float(greatest))
      return greatest >= 1e6 || least < 0.0001 || greatest / least > 1000
    }
  }

  /// Returns an element of an array, padded.
  func text(_ number: Double) -> String {
    let padding = isScientific ? right + exponentDigits + 2 : right
    guard number.isFinite else {
      let word = number.isNaN ? "nan" : number < 0 ? "-inf" : "inf"
      return String(repeating: " ", count: max(0, left + padding + 1 - word.utf8.count)) + word
    }
    func padded(_ whole: String) -> String {
      String(repeating: " ", count: max(0, left - whole.utf8.count)) + whole
    }
    if isScientific {
      let parts = scientificParts(number)
      let fraction = parts.fraction + String(repeating: "0", count: max(0, right - parts.fraction.utf8.count))
      let exponent =
        String(repeating: "0", count: max(0, exponentDigits - parts.exponent.utf8.count)) + parts.exponent
      return "\(padded(parts.whole)).\(fraction)e\(parts.sign)\(exponent)"
    }
    let (whole, fraction) = positionalParts(number)
    return padded(whole) + "." + fraction + String(repeating: " ", count: max(0, right - fraction.utf8.count))
  }

  /// Returns a scalar, as `str` prints a NumPy scalar: the shortest digits that give the number.
  func scalar(_ number: Double) -> String {
    guard number.isFinite else { return number.isNaN ? "nan" : number < 0 ? "-inf" : "inf" }
    let (digits, exponent, isNegative) = shortest(number)
    let sign = isNegative ? "-" : ""
    if number == 0 { return sign + "0.0" }
    // About the largest whole number of that many digits which the dtype holds.
    let most = dtype == .float64 ? 1e16 : dtype == .float16 ? 1e3 : 1e6
    if number.magnitude >= most || number.magnitude < 1e-4 {
      let power = String(exponent.magnitude)
      return sign + digits.prefix(1) + (digits.count > 1 ? "." + digits.dropFirst() : "")
        + "e\(exponent < 0 ? "-" : "+")\(power.count < 2 ? "0" : "")\(power)"
    }
    let (whole, fraction) = Self.positional(digits, exponent)
    return sign + whole + "." + (fraction.isEmpty ? "0" : fraction)
  }

  /// Returns the shortest digits of a float16. Its description has all digits of a whole number.
  private static func shortest(_ number: Float16) -> String {
    guard number >= 1_000, number.isFinite else { return number.description }
    let texts = (1...5).lazy.map { rounded(Double(number), significant: $0) }
    return texts.first { Double($0).map { Float16($0) } == number } ?? number.description
  }

  /// Returns the shortest decimal digits that give the number in its dtype, the power of ten of the first digit, and the
  /// sign.
  private func shortest(_ number: Double) -> (digits: String, exponent: Int, isNegative: Bool) {
    let text =
      switch dtype {
      case .float64: number.magnitude.description
      case .float16: Self.shortest(Float16(number).magnitude)
      default: Float(number).magnitude.description
      }
    let parts = text.split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    var digits = mantissa[0] + (mantissa.count > 1 ? mantissa[1] : "")
    var exponent = mantissa[0].count - 1 + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.count > 1, digits.first == "0" {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits.last == "0" { digits.removeLast() }
    if digits == "0" { exponent = 0 }
    return (String(digits), exponent, number.sign == .minus)
  }

  /// Returns digits around a decimal point.
  private static func positional(_ digits: String, _ exponent: Int) -> (whole: String, fraction: String) {
    if exponent < 0 { return ("0", String(repeating: "0", count: -exponent - 1) + digits) }
    let padded = digits + String(repeating: "0", count: max(0, exponent + 1 - digits.count))
    return (String(padded.prefix(exponent + 1)), String(padded.dropFirst(exponent + 1)))
  }

  /// Returns the digits before and after the decimal point, at most 8 after it.
  private func positionalParts(_ number: Double) -> (whole: String, fraction: String) {
    let (digits, exponent, isNegative) = shortest(number)
    var (whole, fraction) = Self.positional(digits, exponent)
    if number == 0 { (whole, fraction) = ("0", "") }
    if fraction.utf8.count > Self.precision {
      let rounded = Self.rounded(number.magnitude, decimals: Self.precision).split(separator: ".")
      (whole, fraction) = (String(rounded[0]), String(rounded[1]))
      while fraction.last == "0" { fraction.removeLast() }
    }
    return ((isNegative ? "-" : "") + whole, fraction)
  }

  /// Returns the digits of the mantissa and of the exponent, at most 8 after the point.
  private func scientificParts(_ number: Double) -> (
    whole: String, fraction: String, sign: String, exponent: String
  ) {
    var (digits, exponent, isNegative) = shortest(number)
    if digits.utf8.count > Self.precision + 1 {
      let rounded = Self.rounded(number.magnitude, significant: Self.precision + 1).split(separator: "e")
      digits = String(rounded[0].filter { $0 != "." })
      while digits.utf8.count > 1, digits.last == "0" { digits.removeLast() }
      exponent = Int(rounded[1]) ?? exponent
    }
    let power = String(exponent.magnitude)
    return (
      (isNegative ? "-" : "") + digits.prefix(1), String(digits.dropFirst()), exponent < 0 ? "-" : "+",
      (power.utf8.count < 2 ? "0" : "") + power
    )
  }

  /// Returns a number with a fixed number of decimals, rounded from its exact value, such as `0.10000000`.
  private static func rounded(_ number: Double, decimals: Int) -> String {
    unsafe text { unsafe cstandard_format_fixed(number, Int32(decimals), $0, $1) }
  }

  /// Returns a number with a fixed number of digits, rounded from its exact value, such as `1.0000000e-05`.
  private static func rounded(_ number: Double, significant: Int) -> String {
    unsafe text { unsafe cstandard_format_scientific(number, Int32(significant - 1), $0, $1) }
  }

  /// Returns the text that a function writes into a buffer.
  private static func text(_ write: (UnsafeMutablePointer<CChar>, Int) -> Int32) -> String {
    // The largest double has 309 digits before the point.
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
      guard let base = buffer.baseAddress else { return "" }
      let count = unsafe write(base, buffer.count)
      return unsafe String(
        decoding: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<Int(max(0, count))])),
        as: UTF8.self)
    }
  }
}
