internal import DecantBytes
internal import DecantIO
internal import DecantScanning

/// The JSON of `decant scan --json`, schema 1.
enum ScanJSON {
  static func document(_ results: ScanResults) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "schema", value: 1),
      (
        key: "files",
        value: .array(
          results.files.map { scan in
            .object([
              (key: "file", value: .string(scan.path)),
              (key: "verdict", value: .string(scan.verdict.rawValue)),
              (key: "accounted", value: .bool(scan.isAccounted)),
              (key: "findings", value: .array(scan.findings.map(finding))),
              (key: "left_out", value: .integer(Int64(scan.leftOut))),
            ])
          })
      ),
      (
        key: "verdicts",
        value: .object(
          [ScanVerdict.clean, .unknown, .dangerous, .unreadable].map {
            (key: $0.rawValue, value: .integer(Int64(results.counts[$0] ?? 0)))
          })
      ),
      // Texts, vocabularies and pictures in folders. They have no verdict.
      (key: "not_checkpoints", value: .integer(Int64(results.notCheckpointCount))),
    ]
    if !results.skipped.isEmpty {
      members.append(
        (
          key: "skipped",
          value: .array(
            results.skipped.map {
              .object([
                (key: "file", value: .string($0.path.text)), (key: "reason", value: .string($0.reason)),
                (key: "wanted", value: .bool($0.isWanted)),
              ])
            })
        ))
    }
    // Files that could not be opened or read have no verdict.
    if !results.errors.isEmpty {
      members.append((key: "errors", value: .array(results.errors.map(\.json))))
    }
    return .object(members)
  }

  /// The rules and what each finds.
  static var rules: JSONValue {
    .object([
      (key: "schema", value: 1),
      (
        key: "rules",
        value: .array(
          ScanRule.allCases.map {
            .object([
              (key: "rule", value: .string($0.rawValue)), (key: "meaning", value: .string($0.meaning)),
              (key: "remedy", value: .string($0.commandRemedy)),
            ])
          })
      ),
    ])
  }

  private static func finding(_ finding: ScanFinding) -> JSONValue {
    .object([
      (key: "severity", value: .string(finding.severity.word)),
      (key: "rule", value: .string(finding.rule.rawValue)),
      (key: "offset", value: .exact(Int64(finding.offset))),
      (key: "what", value: .string(finding.what)),
      (key: "call", value: finding.call.map { .string($0) } ?? .null),
      (key: "place", value: .string(finding.place)),
      (key: "count", value: .integer(Int64(finding.count))),
      (key: "remedy", value: .string(finding.rule.commandRemedy)),
    ])
  }
}
