import Foundation
import TestSupport
import Testing

/// The remedies in the sources: all string literals that are sentences, which no reason of an error is. Interpolations
/// are `*`.
///
/// The typed remedies of `DecantError.Advice` are not among them, nor are help texts and rules of the scanner.
enum RemedyTexts {
  /// Returns the distinct texts, sorted.
  static func all() throws -> [String] {
    var texts: Set<String> = []
    let root = Fixtures.root.appending(path: "Sources")
    let files = try #require(FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
    for case let file as URL in files where file.pathExtension == "swift" {
      // The page of a report has sentences about a file, and gives no remedies.
      guard !others.contains(file.lastPathComponent), !file.pathComponents.contains("DecantReports") else {
        continue
      }
      texts.formUnion(sentences(in: Array(try String(contentsOf: file, encoding: .utf8).unicodeScalars)))
    }
    return texts.sorted()
  }

  /// The files whose sentences are enumerated by type, or are no remedies.
  private static let others = [
    "DecantError+Advice.swift", "DecantError+Command.swift", "DecantError+Code.swift", "ScanRule.swift",
    "ManualPage.swift",
  ]

  private static func sentences(in source: [Unicode.Scalar]) -> [String] {
    var texts: [String] = []
    var index = 0
    while index < source.count {
      if source[index...].starts(with: "//".unicodeScalars) {
        index = source[index...].firstIndex(of: "\n") ?? source.count
      } else if source[index...].starts(with: "\"\"\"".unicodeScalars) {
        index += 3
        while index < source.count, !source[index...].starts(with: "\"\"\"".unicodeScalars) { index += 1 }
        index += 3
      } else if source[index] == "\"" {
        let before = String(String.UnicodeScalarView(source[max(0, index - 80)..<index]))
        let text = literal(in: source, at: &index)
        if isSentence(text), !isHelp(before) { texts.append(text) }
      } else {
        index += 1
      }
    }
    return texts
  }

  private static func isSentence(_ text: String) -> Bool {
    let isCapital = text.first?.isUppercase == true
    guard text.contains(" "), isCapital || text.hasPrefix("*") else { return false }
    return text.hasSuffix(".")
      || isCapital && text.contains(/: (\*|[a-z0-9-]+ (-\S+|\*|FILE|x FILE|install .*)( .*)?)$/)
  }

  /// True for the text before an argument's or a command's description, or a message about a wrong command line.
  private static func isHelp(_ before: String) -> Bool {
    before.contains(/(help:|abstract:|discussion:|ArgumentHelp\(|ValidationError\()[^"]*$/)
  }

  /// Returns the literal whose opening quote is at a position, and moves behind its end.
  private static func literal(in source: [Unicode.Scalar], at index: inout Int) -> String {
    let isRaw = index > 0 && source[index - 1] == "#"
    var text = String.UnicodeScalarView()
    index += 1
    while index < source.count, source[index] != "\n" {
      if source[index] == "\"" {
        index += 1
        return String(text)
      }
      if source[index] == "\\", !isRaw {
        index += 1
        if source[index] == "(" {
          text.append("*")
          skipParentheses(in: source, at: &index)
          continue
        }
      }
      text.append(source[index])
      index += 1
    }
    return String(text)
  }

  private static func skipParentheses(in source: [Unicode.Scalar], at index: inout Int) {
    var depth = 0
    while index < source.count {
      if source[index] == "\"" {
        _ = literal(in: source, at: &index)
        continue
      }
      if source[index] == "(" { depth += 1 }
      if source[index] == ")" { depth -= 1 }
      index += 1
      if depth == 0 { return }
    }
  }
}
