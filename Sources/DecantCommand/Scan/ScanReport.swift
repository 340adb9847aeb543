internal import DecantBytes
internal import DecantScanning

/// The text output of `decant scan`.
struct ScanReport {
  let isQuiet: Bool
  private var counts: [ScanVerdict: Int] = [:]

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  mutating func count(_ scan: FileScan) { counts[scan.verdict, default: 0] += 1 }

  /// Returns true when a verdict reached the threshold at which the answer is no.
  func fails(_ threshold: ScanCommand.Threshold) -> Bool {
    counts.contains { verdict, _ in
      switch verdict {
      case .clean: false
      case .unknown: threshold == .unknown
      case .unreadable, .dangerous: true
      }
    }
  }

  /// Prints a file's verdict, then every finding with its location, call and advice.
  func print(_ scan: FileScan) {
    if isQuiet && scan.verdict == .clean { return }
    StandardStreams.line("\(scan.verdict.rawValue)  \(scan.path.escapedForDisplay)")
    var remedies: [String] = []
    for finding in scan.findings {
      let place = finding.place.isEmpty ? "" : finding.place + ", "
      let times = finding.count > 1 ? " (\(Format.count(finding.count)) times)" : ""
      StandardStreams.line("  \(finding.severity.word): \(finding.what)\(times)  [\(finding.rule.rawValue)]")
      StandardStreams.line(
        "    at \(place)byte \(finding.offset)" + (finding.call.map { ": " + $0 } ?? ""))
      if !remedies.contains(finding.rule.commandRemedy) { remedies.append(finding.rule.commandRemedy) }
    }
    if scan.leftOut > 0 { StandardStreams.line("  and \(Format.count(scan.leftOut, "more finding"))") }
    for remedy in remedies.prefix(3) { StandardStreams.line("  → \(remedy)") }
  }

  func printTotals() {
    let total = counts.values.reduce(0, +)
    let parts = ScanVerdict.allCases.compactMap { verdict in
      counts[verdict].map { "\(Format.count($0)) \(verdict.rawValue)" }
    }
    StandardStreams.line(
      Format.count(total, "file") + (parts.isEmpty ? "" : ": " + parts.joined(separator: ", ")))
  }

  /// Prints the table of rules.
  static func printRules() {
    var table = TextTable([("rule", .left), ("finds", .left)])
    for rule in ScanRule.allCases { table.row(rule.rawValue, rule.meaning) }
    table.show()
  }
}
