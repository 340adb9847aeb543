internal import DecantBytes
internal import DecantScanning

/// The JSON of `decant scan --json`, schema 1.
enum ScanJSON {
  static func document(_ scans: [FileScan], _ errors: [DecantError]) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "schema", value: 1),
      (
        key: "files",
        value: .array(
          scans.map { scan in
            .object([
              (key: "file", value: .string(scan.path)),
              (key: "verdict", value: .string(scan.verdict.rawValue)),
              (key: "accounted", value: .bool(scan.isAccounted)),
              (key: "findings", value: .array(scan.findings.map(finding))),
              (key: "left_out", value: .integer(Int64(scan.leftOut))),
            ])
          })
      ),
    ]
    // Files that could not be opened or read have no verdict.
    if !errors.isEmpty { members.append((key: "errors", value: .array(errors.map(\.json)))) }
    return .object(members)
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
