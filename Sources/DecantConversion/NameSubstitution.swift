public import DecantBytes

/// A substitution in names in the notation of `sed`: `s/pattern/replacement/`, with a trailing `g` for every match.
///
/// The pattern is a regular expression of Swift's `Regex`. In the replacement, `&` is the match and `\1` to `\9` are
/// its groups. Any character other than a letter, a digit or a backslash can be the separator instead of `/`.
public struct NameSubstitution: Sendable {
  private let pattern: String
  private let replacement: [Piece]
  private let isGlobal: Bool

  private enum Piece: Sendable {
    case text(String)
    /// A group of the pattern; 0 is the whole match.
    case group(Int)
  }

  /// Parses a substitution.
  ///
  /// - Throws: ``DecantError`` with the code `invalidArgument`.
  public init(_ expression: String) throws(DecantError) {
    func refuse(_ reason: String) -> DecantError {
      DecantError(
        .invalidArgument, "\(expression.escapedForDisplay) \(reason)",
        remedy: "Use sed's form: s/pattern/replacement/.")
    }
    let characters = Array(expression)
    guard characters.count > 2, characters[0] == "s" else { throw refuse("is not a substitution") }
    let separator = characters[1]
    guard separator != "\\", !separator.isLetter, !separator.isNumber else {
      throw refuse("has no separator between pattern and replacement")
    }
    var parts = [""]
    var place = 2
    while place < characters.count {
      if characters[place] == "\\", place + 1 < characters.count {
        // An escaped separator stands for the character itself.
        if characters[place + 1] != separator { parts[parts.count - 1].append("\\") }
        parts[parts.count - 1].append(characters[place + 1])
        place += 2
      } else {
        if characters[place] == separator {
          parts.append("")
        } else {
          parts[parts.count - 1].append(characters[place])
        }
        place += 1
      }
    }
    guard parts.count == 3 else {
      throw refuse("has \(parts.count - 1) of the two \(separator) that end pattern and replacement")
    }
    guard ["", "g"].contains(parts[2]) else { throw refuse("has flags other than g") }
    pattern = parts[0]
    isGlobal = parts[2] == "g"
    // The added empty alternative always matches, and its match lists every group of the pattern.
    guard let groups = try? Regex("(?:\(pattern))|").firstMatch(in: "").map({ $0.output.count - 1 }) else {
      throw refuse("has a pattern that is not a regular expression")
    }
    replacement = Self.pieces(parts[1])
    for case .group(let number) in replacement where number > groups {
      throw refuse("refers to group \(number), but the pattern has \(groups)")
    }
  }

  private static func pieces(_ text: String) -> [Piece] {
    var pieces: [Piece] = []
    var literal = ""
    var isEscaped = false
    func close() {
      if !literal.isEmpty { pieces.append(.text(literal)) }
      literal = ""
    }
    for character in text {
      if isEscaped, let digit = character.wholeNumberValue, character.isASCII, 1...9 ~= digit {
        close()
        pieces.append(.group(digit))
      } else if isEscaped {
        literal.append(character)
      } else if character == "&" {
        close()
        pieces.append(.group(0))
      } else if character != "\\" {
        literal.append(character)
      }
      isEscaped = !isEscaped && character == "\\"
    }
    close()
    return pieces
  }

  /// Returns the names after the substitution. O(bytes) for patterns that do not backtrack.
  package func applied(to names: [String]) -> [String] {
    // `init` has checked that the pattern is valid.
    guard let regex = try? Regex(pattern) else { return names }
    return names.map { name in
      name.replacing(regex, maxReplacements: isGlobal ? .max : 1) { match in
        replacement.map { piece in
          switch piece {
          case .text(let text): text
          case .group(let number): match.output[number].substring.map(String.init) ?? ""
          }
        }.joined()
      }
    }
  }
}
