/// The room that text takes on a terminal.
extension String {
  /// The number of columns the text takes. Chinese, Japanese, Korean and emoji take two, marks on a letter none. O(n).
  var columnCount: Int {
    if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
    return unicodeScalars.reduce(0) { $0 + $1.columnCount }
  }

  /// Returns the text with its middle replaced by `…` when it takes more than some columns. O(n).
  func elided(to columns: Int) -> String {
    guard columns > 0, columnCount > columns else { return self }
    let tail = (columns - 1) / 2
    return Self.prefix(of: unicodeScalars, columns - 1 - tail) + "…"
      + String(Self.prefix(of: unicodeScalars.reversed(), tail).unicodeScalars.reversed().map(Character.init))
  }

  /// Returns the text with its end replaced by `…` when it takes more than some columns. O(n).
  func truncated(to columns: Int) -> String {
    guard columns > 0, columnCount > columns else { return self }
    return Self.prefix(of: unicodeScalars, columns - 1) + "…"
  }

  private static func prefix(of scalars: some Sequence<Unicode.Scalar>, _ columns: Int) -> String {
    var kept = String.UnicodeScalarView()
    var used = 0
    for scalar in scalars {
      used += scalar.columnCount
      guard used <= columns else { break }
      kept.append(scalar)
    }
    return String(kept)
  }
}

extension Unicode.Scalar {
  /// The columns of East Asian wide characters and emoji (Unicode's EastAsianWidth.txt, W and F, in blocks).
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
    0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
  ]

  fileprivate var columnCount: Int {
    guard value >= 0x300 else { return 1 }
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: return Self.wide.contains { $0 ~= value } ? 2 : 1
    }
  }
}
