/// What a scan says of a whole file; the worst finding decides.
package enum ScanVerdict: String, Sendable, CaseIterable {
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
package enum ScanSeverity: Int, Sendable, Comparable, CaseIterable {
  case unknown, unreadable, dangerous

  /// The contract's word.
  package var word: String {
    switch self {
    case .unknown: "unknown"
    case .unreadable: "unreadable"
    case .dangerous: "dangerous"
    }
  }

  package static func < (left: ScanSeverity, right: ScanSeverity) -> Bool { left.rawValue < right.rawValue }
}

/// One reason for a verdict.
package struct ScanFinding: Sendable {
  package let severity: ScanSeverity
  package let rule: ScanRule
  /// Which stream or entry it is in: `archive/data.pkl`, `stream 4`; empty for the file itself.
  package let place: String
  /// Where the opcode or the header begins: bytes from the start of that stream, or of the file.
  package let offset: Int
  /// What was found, as a clause. Text from the file stands in it escaped.
  package let what: String
  /// The call as Python would have made it, shortened; nil where nothing is called.
  package let call: String?
  /// How often the same thing was found in the same place.
  package internal(set) var count = 1
}

/// What a scan says of one file.
package struct FileScan: Sendable {
  /// The path as it was given or found.
  package let path: String
  /// In order of severity, the worst first, then as they stand in the file.
  package let findings: [ScanFinding]
  /// How many pickle streams were followed.
  package let streamCount: Int
  /// Findings beyond ``CheckpointScanner/findingLimit`` that were left out.
  package let leftOut: Int

  /// What the worst finding decides.
  package var verdict: ScanVerdict {
    switch findings.first?.severity {
    case nil: .clean
    case .unknown: .unknown
    case .unreadable: .unreadable
    case .dangerous: .dangerous
    }
  }
}
