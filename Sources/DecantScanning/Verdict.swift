/// The verdict on a whole file, which its worst finding decides.
public enum ScanVerdict: String, Sendable, CaseIterable {
  /// The file has only names that build tensors, used as tensor files use them.
  case clean
  /// The file has names that other libraries define: loading imports the libraries and runs their code.
  case unknown
  /// The file cannot be judged: it is not a checkpoint, or it is encrypted or compressed.
  case unreadable
  /// The file has names that run code, read, write or reach the network, or it disguises the names it uses.
  case dangerous
}

/// The severity of a finding, in ascending order.
public enum ScanSeverity: Int, Sendable, Comparable, CaseIterable {
  case unknown, unreadable, dangerous

  /// The severity's name in the output of `scan`, part of the contract with scripts.
  package var word: String {
    switch self {
    case .unknown: "unknown"
    case .unreadable: "unreadable"
    case .dangerous: "dangerous"
    }
  }

  /// Returns true when the first is less severe.
  public static func < (left: ScanSeverity, right: ScanSeverity) -> Bool { left.rawValue < right.rawValue }
}

/// One reason for a verdict.
public struct ScanFinding: Sendable {
  /// The severity of the finding.
  public let severity: ScanSeverity
  /// The rule that the finding matches; docs/SECURITY-MODEL.md explains each rule.
  public let rule: ScanRule
  /// The stream or entry, such as `archive/data.pkl` or `stream 4`. Empty for the file itself.
  public let place: String
  /// The byte offset of the opcode or header, from the start of the stream or file.
  public let offset: Int
  /// A description of the finding as one clause. Text from the file is escaped.
  public let what: String
  /// The call in Python's notation, shortened. Nil when nothing is called.
  public let call: String?
  /// The number of times the finding occurs in the same stream or entry.
  public internal(set) var count = 1
}

/// The findings of one file.
public struct FileScan: Sendable {
  /// The path as given.
  public let path: String
  /// The findings, worst first, then in file order.
  public let findings: [ScanFinding]
  /// The number of pickle streams scanned.
  public let streamCount: Int
  /// The number of findings beyond ``CheckpointScanner/findingLimit``, which are not kept.
  public let leftOut: Int
  /// True when every byte belongs to a structure that was read to its end. A clean file always is.
  public let isAccounted: Bool
  /// The work of the scan, in values made or judged.
  package let work: Int
  /// The number of bytes that the work is for: pickles, headers and code.
  package let judgedByteCount: Int
  /// False for a file that model folders hold next to weights, such as a text, a vocabulary or a picture. Its verdict is
  /// that of a file which is loaded as a checkpoint all the same.
  public internal(set) var isCheckpoint = true
  /// The path as the file system has it, which need not be UTF-8.
  package internal(set) var pathBytes: [UInt8] = []

  /// The verdict, from the worst finding.
  public var verdict: ScanVerdict {
    switch findings.first?.severity {
    case nil: .clean
    case .unknown: .unknown
    case .unreadable: .unreadable
    case .dangerous: .dangerous
    }
  }
}
