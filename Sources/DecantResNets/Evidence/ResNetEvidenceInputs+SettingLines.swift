package import DecantBytes

extension ResNetEvidenceInputs {
  /// Parses a text of `key: value` lines, as in flat YAML files; nil when it is something else.
  ///
  /// Values are literals or words. Lines that are indented or begin with a dash are skipped. There are no anchors,
  /// tags, references or documents, so nothing is expanded.
  package static func settings(inLines text: String) -> JSONValue? {
    var members: [(key: String, value: JSONValue)] = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
      guard let first = line.utf8.first,
        ![0x20, 0x09, UInt8(ascii: "#"), UInt8(ascii: "-"), 0x0D].contains(first)
      else { continue }
      guard let colon = line.firstIndex(of: ":") else { return nil }
      let key = line[..<colon]
      guard key.isPythonName, members.count < 4096 else { return nil }
      var rest = line[line.index(after: colon)...].trimmed
      if let comment = rest.firstRange(of: " #") { rest = rest[..<comment.lowerBound].trimmed }
      if rest.isEmpty { continue }
      members.append((String(key), PythonSource.literal(rest) ?? .string(rest)))
    }
    return members.isEmpty ? nil : .object(members)
  }
}
