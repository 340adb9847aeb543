internal import DecantBytes

/// The findings in one file so far, and the resources that its scan may still use.
///
/// Not thread-safe: one thread scans one file, and audits share nothing.
final class FileAudit {
  let limits: Limits
  /// The password of encrypted entries; nil when none was given.
  let password: String?
  private(set) var findings: [ScanFinding] = []
  private(set) var leftOut = 0
  /// The number of findings that are less severe than dangerous.
  private var milder = 0
  /// The number of pickle streams scanned so far.
  var streamCount = 0
  /// The number of bytes that deflated entries may still inflate to.
  var inflationLeft: Int
  /// True while every byte of the regions scanned so far belongs to a structure that was read to its end.
  private(set) var isAccounted = true
  /// The work done so far, and how much is allowed.
  private(set) var work: WorkBudget
  /// The number of equal calls that the findings reported now stand for.
  var weight = 1
  /// The number of values and nodes in the pickles that contain the one which is judged now.
  var heldNodes = 0
  /// The worst finding in each byte string that was judged, by content.
  var payloads: [PayloadKey: ScanSeverity?] = [:]
  private var places: [Key: Int] = [:]
  private var standings: [ExactText: NameClass] = [:]

  /// The key that equal findings share: the same rule, location and subject.
  private struct Key: Hashable {
    let rule: ScanRule
    let place: ExactText
    let subject: ExactText
  }

  init(limits: Limits, password: String?, fileByteCount: Int) {
    self.limits = limits
    self.password = password
    work = WorkBudget(base: limits.scanWork, fileByteCount: fileByteCount)
    inflationLeft = limits.inflatedBytes
  }

  /// Adds a finding or, when an equal one exists, increases its count. The call distinguishes dangerous findings only.
  func report(
    _ severity: ScanSeverity, _ rule: ScanRule, in place: String, at offset: Int, _ what: String,
    call: String? = nil
  ) {
    if rule.leavesBytesUnread { isAccounted = false }
    let subject = severity == .dangerous ? what + (call ?? "") : what
    let key = Key(rule: rule, place: ExactText(place), subject: ExactText(subject))
    if let index = places[key] {
      findings[index].count += weight
    } else if findings.count < CheckpointScanner.findingLimit || severity == .dangerous && isFullOfMilder {
      if findings.count >= CheckpointScanner.findingLimit,
        let last = findings.lastIndex(where: { $0.severity < .dangerous })
      {
        // Milder findings must not displace dangerous ones.
        findings.remove(at: last)
        milder -= 1
        places = places.filter { $0.value < last }
        leftOut += 1
      }
      places[key] = findings.count
      if severity < .dangerous { milder += 1 }
      findings.append(
        ScanFinding(
          severity: severity, rule: rule, place: place, offset: offset, what: what, call: call, count: weight)
      )
    } else {
      leftOut += weight
    }
  }

  private var isFullOfMilder: Bool { milder > 0 }

  /// Returns true, and counts the finding as left out, when the list is full and would not keep it.
  func omitsFinding(_ severity: ScanSeverity) -> Bool {
    guard findings.count >= CheckpointScanner.findingLimit, severity < .dangerous || milder == 0 else {
      return false
    }
    leftOut += weight
    return true
  }

  /// Takes work from the budget. Returns false when it is spent, and reports it the first time.
  @discardableResult
  func spend(_ units: Int) -> Bool {
    let wasSpent = work.isSpent
    work.spend(units)
    return checkBudget(wasSpent)
  }

  /// Adds bytes of the file that are judged, which may take more work.
  func judge(byteCount: Int) {
    let wasSpent = work.isSpent
    work.judge(byteCount: byteCount)
    checkBudget(wasSpent)
  }

  /// True when the rest of the file is not judged.
  var isSpent: Bool { work.isSpent }

  @discardableResult
  private func checkBudget(_ wasSpent: Bool) -> Bool {
    guard work.isSpent else { return true }
    if wasSpent { return false }
    if work.isHostile {
      report(
        .dangerous, .exhaustsScanner, in: "", at: 0,
        "it takes more work to judge than any honest file of its size; the rest was not judged")
    } else {
      report(
        .unknown, .limit, in: "", at: 0,
        "it takes more work to judge than the limit scanWork allows (\(limits.scanWork)); the rest was not judged. Pass --limit scanWork=\(limits.exceeded(\.scanWork).advised)"
      )
    }
    return false
  }

  /// Returns the class of a name. Caches up to 10,000 names.
  func standing(module: String, name: String) -> NameClass {
    guard module.utf8.count + name.utf8.count <= NameClass.longest else {
      return NameClass.of(module: module, name: name)
    }
    let key = ExactText(module + "\n" + name)
    if let known = standings[key] { return known }
    spend(WorkBudget.Cost.name)
    let standing = NameClass.of(module: module, name: name)
    if standings.count < 10_000 { standings[key] = standing }
    return standing
  }

  /// Returns the worst severity among the findings from an index on, or nil when there are none.
  func worst(since index: Int) -> ScanSeverity? {
    findings.dropFirst(index).map(\.severity).max()
  }

  /// Reports the bytes of a region that no parser claimed and that no finding explains.
  func settle(_ ledger: ByteLedger, _ bytes: RawSpan, in place: String) {
    guard !ledger.isComplete else { return }
    isAccounted = false
    for gap in ledger.unexplained() {
      let isPadding =
        gap.count <= Self.longestPadding && bytes.holdsOnly(0, in: gap)
      report(
        isPadding ? .unknown : .dangerous, .unaccounted, in: place, at: gap.lowerBound,
        "\(Format.count(gap.count, "byte", ("belongs", "belong"))) to nothing that was read\(isPadding ? ", all zero" : "")"
      )
    }
  }

  /// The maximum number of zeros that count as padding. Tape blocks, pages and sectors are shorter.
  private static let longestPadding = 65_536

  /// Returns the result, with the worst findings first.
  func result(path: String) -> FileScan {
    // A clean file is one that was read to its end. This holds whatever a parser forgot to report.
    if !isAccounted, findings.isEmpty {
      report(.unknown, .unaccounted, in: "", at: 0, "a part of the file was not read")
    }
    let order = findings.indices.sorted {
      (findings[$1].severity, $0) < (findings[$0].severity, $1)
    }
    return FileScan(
      path: path, findings: order.map { findings[$0] }, streamCount: streamCount, leftOut: leftOut,
      isAccounted: isAccounted, work: work.spent, judgedByteCount: work.judged)
  }
}
