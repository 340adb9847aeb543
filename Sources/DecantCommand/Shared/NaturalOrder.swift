/// The order in which people expect names with numbers: `layer10` after `layer9`.
enum NaturalOrder {
  /// Returns true when one name comes before another. Runs of digits compare as numbers, other bytes as bytes. O(n).
  static func precedes(_ first: String, _ second: String) -> Bool {
    var (left, right) = (first.utf8[...], second.utf8[...])
    while let a = left.first, let b = right.first {
      if isDigit(a), isDigit(b) {
        let (x, y) = (number(&left), number(&right))
        // The longer number is larger, since neither has leading zeros.
        if x.count != y.count { return x.count < y.count }
        if !x.elementsEqual(y) { return x.lexicographicallyPrecedes(y) }
      } else if a != b {
        return a < b
      } else {
        left.removeFirst()
        right.removeFirst()
      }
    }
    // Equal but for leading zeros, or one is the beginning of the other.
    if left.isEmpty, right.isEmpty { return first.utf8.lexicographicallyPrecedes(second.utf8) }
    return left.isEmpty
  }

  private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }

  /// Removes the digits at the beginning and returns them without leading zeros.
  private static func number(_ text: inout Substring.UTF8View) -> Substring.UTF8View {
    let digits = text.prefix(while: isDigit)
    text = text.dropFirst(digits.count)
    return digits.drop { $0 == 0x30 }
  }
}
