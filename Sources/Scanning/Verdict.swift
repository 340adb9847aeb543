/// What a scan says of a whole file; the worst finding decides.
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

  public static func < (left: ScanSeverity, right: ScanSeverity) -> Bool { left.rawValue < right.rawValue }
}

/// One reason for a verdict.
public struct ScanFinding: Sendable {
  public let severity: ScanSeverity
  public let rule: ScanRule
  /// Which stream or entry it is in: `archive/data.pkl`, `stream 4`; empty for the file itself.
  public let place: String
  /// Where the opcode or the header begins: bytes from the start of that stream, or of the file.
  public let offset: Int
  /// What was found, as a clause. Text from the file stands in it escaped.
  public let what: String
  /// The call as Python would have made it, shortened; nil where nothing is called.
  public let call: String?
  /// How often the same thing was found in the same place.
  public internal(set) var count = 1
}

/// What a scan says of one file.
public struct FileScan: Sendable {
  /// The path as it was given or found.
  public let path: String
  /// In order of severity, the worst first, then as they stand in the file.
  public let findings: [ScanFinding]
  /// How many pickle streams were followed.
  public let streamCount: Int
  /// Findings beyond ``CheckpointScanner/findingLimit`` that were left out.
  public let leftOut: Int

  /// What the worst finding decides.
  public var verdict: ScanVerdict {
    switch findings.first?.severity {
    case nil: .clean
    case .unknown: .unknown
    case .unreadable: .unreadable
    case .dangerous: .dangerous
    }
  }
}
