extension String {
  /// The text with every character that could deceive a reader or steer a terminal written as an escape.
  ///
  /// Control characters (C0, C1, DEL), line separators, bidirectional and other invisible format characters
  /// and the backslash become `\n`, `\x1b` or `\u{202e}`. O(length).
  public var escapedForDisplay: String {
    if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x5C }) { return self }
    var result = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\\": result += "\\\\"
      default:
        let hex = String(scalar.value, radix: 16)
        switch scalar.properties.generalCategory {
        case .control:
          result += "\\x" + (hex.count < 2 ? "0" + hex : hex)
        case .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
          result += "\\u{" + hex + "}"
        default:
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result
  }
}
