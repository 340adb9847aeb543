internal import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

extension String {
  /// Returns true when a shell pattern such as `layer4.*` matches the whole text; `*` also matches dots and slashes.
  ///
  /// Source: POSIX fnmatch(3) without flags.
  package func matches(glob pattern: String) -> Bool { unsafe fnmatch(pattern, self, 0) == 0 }

  /// A shell pattern that matches the text. Characters that a pattern, a shell or a terminal treats specially become `?`
  /// or `*`.
  package var asGlob: String {
    var glob = ""
    for scalar in unicodeScalars {
      let text = String(scalar)
      if "*?[]\\'".unicodeScalars.contains(scalar) {
        glob += "?"
      } else {
        glob += text.escapedForDisplay == text ? text : "*"
      }
    }
    return glob
  }
}

extension [String] {
  /// Returns shell patterns that match all of these names and none of the others: one for each name, or one for all names
  /// with the same end when there are many. O(names × patterns).
  package func globs(sparing others: [String]) -> [String] {
    guard count > 4 else { return map(\.asGlob) }
    var patterns: [String] = []
    var known: [String: Bool] = [:]
    for name in self {
      let end = "*." + (name.split(separator: ".").last.map(String.init) ?? name).asGlob
      let isApt =
        known[end]
        ?? (known.count < 64 && !others.contains { $0.matches(glob: end) } && name.matches(glob: end))
      known[end] = isApt
      let pattern = isApt && name.matches(glob: end) ? end : name.asGlob
      if !patterns.contains(pattern) { patterns.append(pattern) }
    }
    return patterns
  }
}
