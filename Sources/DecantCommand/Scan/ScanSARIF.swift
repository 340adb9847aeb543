internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantScanning

/// The output of a scan as SARIF 2.1.0 (OASIS), which code scanning services read.
enum ScanSARIF {
  private static let schema = "https://json.schemastore.org/sarif-2.1.0.json"

  static func document(_ results: ScanResults) -> JSONValue {
    let scans = results.files
    let rules: [JSONValue] = ScanRule.allCases.map { rule in
      .object([
        (key: "id", value: .string(rule.rawValue)),
        (key: "shortDescription", value: text(rule.meaning)),
        (key: "help", value: text(rule.commandRemedy)),
      ])
    }
    let driver: JSONValue = .object([
      (key: "name", value: "decant"),
      (key: "version", value: .string(Decant.configuration.version)),
      (key: "rules", value: .array(rules)),
    ])
    let invocation: JSONValue = .object([
      (key: "executionSuccessful", value: .bool(results.errors.isEmpty)),
      (
        key: "toolExecutionNotifications",
        value: .array(
          results.errors.map {
            .object([(key: "level", value: "error"), (key: "message", value: text($0.commandText))])
          }
            + results.skipped.map {
              .object([
                (key: "level", value: $0.isWanted ? "note" : "warning"),
                (key: "message", value: text("not scanned: \($0.path.text) \($0.reason)")),
              ])
            })
      ),
    ])
    let run: JSONValue = .object([
      (key: "tool", value: .object([(key: "driver", value: driver)])),
      (key: "invocations", value: .array([invocation])),
      (key: "artifacts", value: .array(scans.map { .object([(key: "location", value: location($0))]) })),
      (
        key: "results",
        value: .array(
          scans.enumerated().flatMap { index, scan in scan.findings.map { result($0, scan, index) } })
      ),
      (key: "columnKind", value: "unicodeCodePoints"),
    ])
    return .object([
      (key: "$schema", value: .string(schema)), (key: "version", value: "2.1.0"),
      (key: "runs", value: .array([run])),
    ])
  }

  private static func result(_ finding: ScanFinding, _ scan: FileScan, _ artifact: Int) -> JSONValue {
    let place = finding.place.isEmpty ? "" : " in \(finding.place)"
    let call = finding.call.map { ": \($0)" } ?? ""
    let physical: JSONValue = .object([
      (
        key: "artifactLocation",
        value: .object([
          (key: "uri", value: .string(uri(scan.pathBytes))), (key: "index", value: .integer(Int64(artifact))),
        ])
      ),
      // Offsets count from the start of the stream, which in a container is not the start of the file.
      (key: "region", value: .object([(key: "byteOffset", value: .integer(Int64(max(0, finding.offset))))])),
    ])
    var parts: [(key: String, value: JSONValue)] = [(key: "physicalLocation", value: physical)]
    if !finding.place.isEmpty {
      parts.append(
        (
          key: "logicalLocations",
          value: .array([.object([(key: "fullyQualifiedName", value: .string(finding.place))])])
        ))
    }
    return .object([
      (key: "ruleId", value: .string(finding.rule.rawValue)),
      (key: "ruleIndex", value: .integer(Int64(ScanRule.allCases.firstIndex(of: finding.rule) ?? 0))),
      (key: "level", value: finding.severity == .unknown ? "warning" : "error"),
      (key: "message", value: text("\(finding.what)\(call) (byte \(finding.offset)\(place))")),
      (key: "locations", value: .array([.object(parts)])),
      (
        key: "properties",
        value: .object([
          (key: "severity", value: .string(finding.severity.word)),
          (key: "count", value: .integer(Int64(finding.count))),
        ])
      ),
    ])
  }

  private static func text(_ text: String) -> JSONValue { .object([(key: "text", value: .string(text))]) }

  private static func location(_ scan: FileScan) -> JSONValue {
    .object([(key: "uri", value: .string(uri(scan.pathBytes)))])
  }

  /// Returns a path as a URI reference. All bytes but RFC 3986's unreserved characters and slashes are percent-encoded.
  private static func uri(_ path: [UInt8]) -> String {
    var result = path.first == 0x2F ? "file://" : ""
    for byte in path {
      switch byte {
      case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x2E, 0x5F, 0x7E, 0x2F:
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let hex = String(byte, radix: 16, uppercase: true)
        result += "%" + (hex.utf8.count < 2 ? "0" : "") + hex
      }
    }
    return result
  }
}
