internal import DecantBytes

extension Format {
  /// Returns a number with three significant digits for people, such as `0.0312`, `−1.25` or `4.88e-07`.
  static func significant(_ number: Double) -> String {
    guard number.isFinite, number != 0 else { return number == 0 ? "0" : number.description }
    let text: String
    switch number.magnitude {
    case 999.5..<1e6: text = count(Int(number.rounded()))
    case 99.95..<999.5: text = fixed(number, 0)
    case 9.995..<99.95: text = fixed(number, 1)
    case 0.9995..<9.995: text = fixed(number, 2)
    case 0.09995..<0.9995: text = fixed(number, 3)
    case 0.009995..<0.09995: text = fixed(number, 4)
    case 0.0009995..<0.009995: text = fixed(number, 5)
    default: text = scientific(number)
    }
    return text.hasPrefix("-") ? "−" + text.dropFirst() : text
  }

  /// Returns a share in percent.
  static func percent(_ part: Int, of whole: Int) -> String {
    fixed(100 * Double(part) / Double(max(whole, 1)), 1) + " %"
  }
}
