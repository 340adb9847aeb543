internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// Formats of names and numbers in the tool's output.
extension Format {
  /// Returns a name from a file, escaped. It is in quotes when it is empty or has spaces at an end.
  static func name(_ path: [PathKey]) -> String {
    if path.isEmpty { return "(the root)" }
    let name = path.joinedName.escapedForDisplay
    return name.isEmpty || name.hasPrefix(" ") || name.hasSuffix(" ") ? "\"\(name)\"" : name
  }

  /// Returns a quantised tensor's scheme, such as `(q - 3) × 0.0625`, or the number of scales.
  static func quantization(_ quantization: Quantization) -> String {
    switch quantization {
    case .perTensor(let scale, let zeroPoint): "(q - \(zeroPoint)) × \(scale)"
    case .perChannel(let scales, _, let axis, _):
      "\(count(scales.elementCount, "scale")) along axis \(axis)"
    }
  }

  /// Returns the number of bytes in a size such as `5GB`, `500MiB`, `20M` or `1000`, or nil for other text.
  static func byteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let units: [String: Int] = [
      "": 1, "B": 1, "K": 1000, "KB": 1000, "M": 1_000_000, "MB": 1_000_000, "G": 1_000_000_000,
      "GB": 1_000_000_000, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
    ]
    guard let number = Int(digits), let unit = units[text.dropFirst(digits.count).uppercased()] else {
      return nil
    }
    return number.checkedMultiplying(by: unit)
  }

  /// Returns a number of bytes for people, such as `94.3 MB`, in units of 1000.
  static func size(_ byteCount: Int) -> String {
    guard byteCount >= 1000 else { return "\(byteCount) B" }
    var number = Double(byteCount)
    for unit in ["kB", "MB", "GB", "TB", "PB", "EB"] {
      number /= 1000
      // 999.95 would be rounded to 1000.0.
      if number < 999.95 || unit == "EB" { return fixed(number, number < 99.95 ? 1 : 0) + " " + unit }
    }
    return "\(byteCount) B"
  }

  /// Returns a number with a fixed number of decimals.
  static func fixed(_ number: Double, _ decimals: Int) -> String {
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
  static func scientific(_ number: Double) -> String {
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

  /// Returns a duration in seconds.
  static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  /// Returns a duration as text, in milliseconds below one second.
  static func duration(_ duration: Duration) -> String {
    let seconds = seconds(duration)
    return seconds < 1 ? fixed(seconds * 1000, 1) + " ms" : fixed(seconds, 2) + " s"
  }
}
