/// The answer for a whole file; the worst finding decides.
public enum ScanVerdict: String, Sendable, CaseIterable {
  /// Only names that build tensors, used as tensor files use them.
  case clean
  /// Names that other libraries define: loading imports them and runs their code.
  case unknown
  /// It cannot be judged: no checkpoint, or encrypted, or compressed.
  case unreadable
  /// Names that run code, read, write or reach the network, or something that disguises what is named.
  case dangerous
}

/// How bad a finding is, in rising order.
public enum ScanSeverity: Int, Sendable, Comparable, CaseIterable {
  case unknown, unreadable, dangerous

  /// The contract's word.
  package var word: String {
    switch self {
    case .unknown: "unknown"
    case .unreadable: "unreadable"
    case .dangerous: "dangerous"
    }
  }

  /// Returns true when the first is less bad.
  public static func < (left: ScanSeverity, right: ScanSeverity) -> Bool { left.rawValue < right.rawValue }
}

/// One reason for a verdict.
public struct ScanFinding: Sendable {
  /// How bad it is.
  public let severity: ScanSeverity
  /// The rule that found it; docs/SECURITY-MODEL.md explains each.
  public let rule: ScanRule
  /// The stream or entry: `archive/data.pkl`, `stream 4`; empty for the file itself.
  public let place: String
  /// The offset of the opcode or header: bytes from the start of that stream, or of the file.
  public let offset: Int
  /// What was found, as one clause. Text from the file is escaped.
  public let what: String
  /// The call as Python would have made it, shortened; nil where nothing is called.
  public let call: String?
  /// The number of times it was found in the same place.
  public internal(set) var count = 1
}

/// The findings of one file.
public struct FileScan: Sendable {
  /// The path as it was given.
  public let path: String
  /// The findings, worst first, then in the file's order.
  public let findings: [ScanFinding]
  /// The number of pickle streams that were followed.
  public let streamCount: Int
  /// The number of findings beyond ``CheckpointScanner/findingLimit``, which are not kept.
  public let leftOut: Int

  /// The verdict of the worst finding.
  public var verdict: ScanVerdict {
    switch findings.first?.severity {
    case nil: .clean
    case .unknown: .unknown
    case .unreadable: .unreadable
    case .dangerous: .dangerous
    }
  }
}
