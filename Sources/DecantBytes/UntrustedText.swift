/// A string whose equality compares bytes.
///
/// Swift's strings are equal when they are canonically equivalent, such as `é` as one or as two scalars.
/// Names in files are bytes, so two names that only look alike must stay different.
package struct ExactText: Hashable, Sendable {
  package let text: String

  /// Wraps a string.
  package init(_ text: String) { self.text = text }

  package static func == (left: ExactText, right: ExactText) -> Bool {
    var (left, right) = (left.text, right.text)
    return left.withUTF8 { left in right.withUTF8 { right in unsafe left.elementsEqual(right) } }
  }

  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// The text with every character escaped that could deceive a reader or control a terminal.
  ///
  /// Control characters (C0, C1, DEL), line separators, bidirectional and other invisible format characters
  /// and the backslash become `\n`, `\x1b` or `\u{202e}`. O(length).
  package var escapedForDisplay: String {
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

extension String {
  /// The text as one word of a POSIX shell, in quotes where it needs them. Characters that could control a terminal are
  /// escaped, so a text with such characters changes.
  package var shellWord: String {
    let text = escapedForDisplay.replacing(#"\\"#, with: #"\"#)
    let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-")
    if !text.isEmpty, text.allSatisfy(plain.contains) { return text }
    return "'" + text.replacing("'", with: #"'\''"#) + "'"
  }
}
