internal import DecantBytes

/// HTML or SVG text. Its literals are markup; every text put into it is escaped.
///
///     let cell: Markup = "<td>\(name)</td>"
///
/// `name` may hold anything: `<`, `&` and quotes become character references, and control, bidirectional and newline
/// characters are escaped as in every message. No text becomes markup, in an element or in a quoted attribute.
package struct Markup: ExpressibleByStringInterpolation, Sendable {
  package private(set) var text: String

  package init(stringLiteral literal: String) { text = literal }

  package init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

  package struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var text = ""

    package init(literalCapacity: Int, interpolationCount: Int) {
      text.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    package mutating func appendLiteral(_ literal: String) { text += literal }

    /// Appends a text, escaped.
    package mutating func appendInterpolation(_ text: some StringProtocol) {
      Markup.append(String(text).escapedForDisplay, to: &self.text)
    }

    /// Appends a text in which control characters are escaped already, such as a message.
    package mutating func appendInterpolation(escaped text: String) { Markup.append(text, to: &self.text) }

    package mutating func appendInterpolation(_ number: Int) { text += String(number) }

    /// Appends a coordinate, with at most two decimals.
    package mutating func appendInterpolation(_ coordinate: Double) { text += Markup.coordinate(coordinate) }

    package mutating func appendInterpolation(_ markup: Markup) { text += markup.text }

    package mutating func appendInterpolation(_ parts: [Markup]) {
      for part in parts { text += part.text }
    }
  }

  package static func += (left: inout Markup, right: Markup) { left.text += right.text }

  /// Appends a text with the five characters escaped that have a meaning in markup.
  private static func append(_ text: String, to result: inout String) {
    guard text.utf8.contains(where: { [0x26, 0x3C, 0x3E, 0x22, 0x27].contains($0) }) else {
      result += text
      return
    }
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(scalar)
      }
    }
  }

  private static func coordinate(_ value: Double) -> String {
    let text = Format.fixed(value, 2)
    guard text.contains(".") else { return text }
    let trimmed = text.trimmingSuffix { $0 == "0" }
    return String(trimmed.hasSuffix(".") ? trimmed.dropLast() : trimmed)
  }
}

extension String {
  /// The text without its last characters that satisfy a condition.
  fileprivate func trimmingSuffix(_ isDropped: (Character) -> Bool) -> Substring {
    var rest = self[...]
    while let last = rest.last, isDropped(last) { rest.removeLast() }
    return rest
  }
}
