internal import DecantBytes
internal import DecantIO
internal import DecantScanning

/// The text output of `decant scan`.
enum ScanReport {
  /// Prints every file, the most dangerous first, and the totals.
  static func print(_ results: ScanResults) {
    let order: [ScanVerdict] = [.dangerous, .unreadable, .unknown, .clean]
    for verdict in order {
      for scan in results.files where scan.verdict == verdict { print(scan) }
    }
    printTotals(results)
  }

  /// Prints a file's verdict, then every finding with its location and call, then the advice for the worst one.
  private static func print(_ scan: FileScan) {
    StandardStreams.line(
      "\(scan.verdict.rawValue.styled(scan.verdict.style))  \(FilePath(bytes: scan.pathBytes).escapedForDisplay)"
    )
    for finding in folded(scan.findings) {
      let place = finding.first.place.isEmpty ? "" : finding.first.place + ", "
      let times = finding.count > 1 ? " (\(Format.count(finding.count)) times)" : ""
      StandardStreams.line(
        "  \(finding.first.severity.word): \(finding.first.what)\(times)  [\(finding.first.rule.rawValue)]")
      StandardStreams.line(
        "    at \(place)byte \(finding.first.offset)" + (finding.first.call.map { ": " + $0 } ?? ""))
    }
    if scan.leftOut > 0 { StandardStreams.line("  and \(Format.count(scan.leftOut, "more finding"))") }
    if let worst = scan.findings.first { StandardStreams.line("  → \(worst.rule.commandRemedy)") }
  }

  /// Returns the findings, with equal ones in different places folded into the first of them.
  private static func folded(_ findings: [ScanFinding]) -> [(first: ScanFinding, count: Int)] {
    struct Key: Hashable {
      let severity: ScanSeverity
      let rule: ScanRule
      let what: ExactText
      let call: ExactText
    }
    var folded: [(first: ScanFinding, count: Int)] = []
    var indices: [Key: Int] = [:]
    for finding in findings {
      let key = Key(
        severity: finding.severity, rule: finding.rule, what: ExactText(finding.what),
        call: ExactText(finding.call ?? ""))
      if let index = indices[key] {
        folded[index].count += finding.count
      } else {
        indices[key] = folded.count
        folded.append((finding, finding.count))
      }
    }
    return folded
  }

  private static func printTotals(_ results: ScanResults) {
    let total = results.counts.values.reduce(0, +)
    let parts = ScanVerdict.allCases.compactMap { verdict in
      results.counts[verdict].map { "\(Format.count($0)) \(verdict.rawValue)" }
    }
    var line = Format.count(total, "file") + (parts.isEmpty ? "" : ": " + parts.joined(separator: ", "))
    if results.notCheckpointCount > 0 {
      line +=
        "; \(Format.count(results.notCheckpointCount, "other file", ("is not a checkpoint", "are not checkpoints")))"
    }
    StandardStreams.line(line)
  }

  /// Prints the table of rules.
  static func printRules() {
    var table = TextTable([("rule", .left), ("finds", .left)])
    for rule in ScanRule.allCases { table.row(rule.rawValue, rule.meaning) }
    table.show()
  }
}
