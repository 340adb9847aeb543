internal import DecantBytes

/// The work that one audit may do, in units of about 100 ns: a value that a pickle makes or that is judged.
///
/// It grows with the bytes that are judged, each counted once. Bytes of tensors are not judged. So a file takes about a
/// second, and one more for each 50 MB of pickles, headers and code.
struct WorkBudget {
  /// The units of work that ordinary pieces of an audit take.
  enum Cost {
    /// A name that is classified, or a finding that is spelled.
    static let name = 20
    /// An entry of an archive.
    static let entry = 30
    /// A pickle, or data that might be one.
    static let stream = 50
    /// The bytes that are read, inflated or searched for one unit.
    static let bytesPerUnit = 64
  }

  /// The bytes that are judged in the time of the base amount.
  static let bytesPerBase = 50_000_000
  /// The work for each byte beyond which a file is made to exhaust a scanner. The corpus takes 0.54 at most, in files of
  /// 20 KB and more, and no opcode more than ten.
  static let mostPerByte = 16

  /// The amount for any file.
  let base: Int
  /// The size of the file, which the judged bytes cannot exceed.
  let fileByteCount: Int
  private(set) var spent = 0
  private(set) var judged = 0

  init(base: Int, fileByteCount: Int) {
    self.base = base
    self.fileByteCount = fileByteCount
  }

  /// The units that may be spent in all.
  var allowance: Int {
    base + Int(Double(base) * Double(min(judged, fileByteCount)) / Double(Self.bytesPerBase))
  }

  /// True when nothing more may be done.
  var isSpent: Bool { spent > allowance }

  /// True when the work cannot be explained by the size of the file.
  var isHostile: Bool { spent / Self.mostPerByte > min(judged, fileByteCount) }

  mutating func spend(_ units: Int) { spent = spent.addingReportingOverflow(max(units, 0)).partialValue }

  mutating func judge(byteCount: Int) {
    judged += byteCount
    spend(byteCount / Cost.bytesPerUnit)
  }
}
