/// Finds the known names that are most like a misspelt word.
package enum NearestName {
  /// The most names that a message offers.
  private static let mostOffered = 3
  /// The longest word that is compared, which bounds the time for names from a file.
  private static let longestWord = 200

  /// Returns the candidates with the smallest distance to `word`, in their order; empty when none is near.
  ///
  /// `word` itself is never returned. Case and the separators `-`, `_` and space do not count. A word of three or more
  /// letters also matches a candidate that it begins, if it begins no other. O(candidates × length²).
  package static func all(to word: String, among candidates: [String]) -> [String] {
    let letters = plain(word)
    guard !letters.isEmpty, letters.count <= longestWord else { return [] }
    let allowed = letters.count < 3 ? 0 : letters.count < 5 ? 1 : letters.count < 9 ? 2 : 3
    var least = allowed
    var nearest: [String] = []
    for candidate in candidates where candidate != word {
      let other = plain(candidate)
      guard abs(other.count - letters.count) <= least else { continue }
      let distance = distance(letters, other)
      if distance < least { nearest = [] }
      if distance <= least, !nearest.contains(candidate) {
        least = distance
        nearest.append(candidate)
      }
    }
    if nearest.isEmpty, letters.count >= 3 {
      let longer = candidates.filter { $0 != word && plain($0).starts(with: letters) }
      if longer.count == 1 { nearest = longer }
    }
    return Array(nearest.prefix(mostOffered))
  }

  /// Returns a question such as "did you mean layer3 or layer4?"; nil when no candidate is near.
  package static func question(for word: String, among candidates: [String]) -> String? {
    let nearest = all(to: word, among: candidates).map(\.escapedForDisplay)
    guard let last = nearest.last else { return nil }
    let others = nearest.dropLast().joined(separator: ", ")
    return "did you mean \(others.isEmpty ? "" : others + " or ")\(last)?"
  }

  /// Returns a name's bytes in lower case without separators.
  private static func plain(_ name: String) -> [UInt8] {
    name.lowercased().utf8.filter { !"-_ ".utf8.contains($0) }
  }

  /// Returns the number of insertions, deletions, substitutions and swaps of neighbours that turn one text into the
  /// other (optimal string alignment).
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before: [Int] = []
    var previous = Array(0...b.count)
    for (row, letter) in a.enumerated() {
      var current = [row + 1]
      for (column, other) in b.enumerated() {
        var least = min(
          previous[column + 1] + 1, current[column] + 1, previous[column] + (letter == other ? 0 : 1))
        if row > 0, column > 0, letter == b[column - 1], a[row - 1] == other {
          least = min(least, before[column - 1] + 1)
        }
        current.append(least)
      }
      (before, previous) = (previous, current)
    }
    return previous[b.count]
  }
}
