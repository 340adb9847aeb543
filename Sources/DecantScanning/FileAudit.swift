internal import DecantBytes

/// What is being found in one file, and what the file may still ask for.
///
/// One thread scans one file; nothing is shared.
final class FileAudit {
  let limits: Limits
  private(set) var findings: [ScanFinding] = []
  private(set) var leftOut = 0
  /// Findings that are less than dangerous.
  private var milder = 0
  /// Pickle streams followed so far.
  var streamCount = 0
  /// Bytes that deflated entries may still inflate to.
  var inflationLeft: Int
  private var places: [Key: Int] = [:]
  private var standings: [ExactText: NameStanding] = [:]

  /// Findings are the same when they say the same of the same place.
  private struct Key: Hashable {
    let rule: ScanRule
    let place: ExactText
    let subject: ExactText
  }

  init(limits: Limits) {
    self.limits = limits
    inflationLeft = limits.inflatedBytes
  }

  /// Adds a finding, or counts it with its like: dangerous ones by their call, others by what they are.
  func report(
    _ severity: ScanSeverity, _ rule: ScanRule, in place: String, at offset: Int, _ what: String,
    call: String? = nil
  ) {
    let subject = severity == .dangerous ? what + (call ?? "") : what
    let key = Key(rule: rule, place: ExactText(place), subject: ExactText(subject))
    if let index = places[key] {
      findings[index].count += 1
    } else if findings.count < CheckpointScanner.findingLimit || severity == .dangerous && isFullOfMilder {
      if findings.count >= CheckpointScanner.findingLimit,
        let last = findings.lastIndex(where: { $0.severity < .dangerous })
      {
        // The worst must not be crowded out by what is mild.
        findings.remove(at: last)
        milder -= 1
        places = places.filter { $0.value < last }
        leftOut += 1
      }
      places[key] = findings.count
      if severity < .dangerous { milder += 1 }
      findings.append(
        ScanFinding(severity: severity, rule: rule, place: place, offset: offset, what: what, call: call))
    } else {
      leftOut += 1
    }
  }

  private var isFullOfMilder: Bool { milder > 0 }

  /// Counts a finding of no new kind where nothing more is kept; false when it should be reported.
  func leavesOut(_ severity: ScanSeverity) -> Bool {
    guard findings.count >= CheckpointScanner.findingLimit, severity < .dangerous || milder == 0 else {
      return false
    }
    leftOut += 1
    return true
  }

  /// How a name stands; looked up once a file.
  func standing(module: String, name: String) -> NameStanding {
    let key = ExactText(module + "\n" + name)
    if let known = standings[key] { return known }
    let standing = NameStanding.of(module: module, name: name)
    if standings.count < 10_000 { standings[key] = standing }
    return standing
  }

  /// The worst severity among the findings from an index up.
  func worst(since index: Int) -> ScanSeverity? {
    findings.dropFirst(index).map(\.severity).max()
  }

  /// The result, the worst findings first.
  func result(path: String) -> FileScan {
    let order = findings.indices.sorted {
      (findings[$1].severity, $0) < (findings[$0].severity, $1)
    }
    return FileScan(
      path: path, findings: order.map { findings[$0] }, streamCount: streamCount, leftOut: leftOut)
  }
}
