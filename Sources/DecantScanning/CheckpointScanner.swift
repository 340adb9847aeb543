public import DecantBytes
internal import DecantFormats
package import DecantIO

/// Finds the code that loading a file would execute, without loading it.
///
///     let scan = try CheckpointScanner().scan(path: "model.pth")
///     for finding in scan.findings { print(finding.rule.rawValue, finding.what, finding.call ?? "") }
///
/// A file is clean only when every name in it is one that tensor files use, used in the way they use it. The scanner
/// imports and calls nothing. It holds no state, so any number of tasks may share one.
public struct CheckpointScanner: Sendable {
  /// The maximum number of findings kept for one file. Dangerous findings are kept before others.
  public static let findingLimit = 1_000

  /// The default limits for one file. They are stricter than those for reading, since scanners are given hostile files.
  public static let defaultLimits: Limits = {
    var limits = Limits()
    // With these limits the worst pickle takes 200 MB. A checkpoint of 100,000 tensors pushes two million values and
    // creates a million nodes.
    limits.pickleNodes = 1_300_000
    limits.pickleValues = 2_400_000
    limits.pickleMemo = 2_400_000
    limits.pickleStack = 2_400_000
    limits.zipEntries = 200_000
    // The sum over all entries of a file. Inflated content is copied once more.
    limits.inflatedBytes = 80 << 20
    limits.headerBytes = 16 << 20
    // An integer takes no more memory than its bytes, and the opcodes after it must be scanned.
    limits.longBytes = 1 << 31
    return limits
  }()

  package let limits: Limits
  private let password: String?

  /// Creates a scanner with the given limits.
  ///
  /// - Parameter password: the password of encrypted zip entries, which are then scanned too.
  public init(limits: Limits = CheckpointScanner.defaultLimits, password: String? = nil) {
    self.limits = limits
    self.password = password
  }

  /// The size in bytes up to which a file is read whole. Larger files are mapped, and only the pages needed are read.
  private static let wholeFileReadLimit = 1 << 17

  /// Scans a file. O(bytes of pickles, code and headers); weights are not read.
  ///
  /// - Throws: ``DecantError`` when the file cannot be opened or read. A file that is not a checkpoint does not throw:
  ///   its verdict is `unreadable`.
  public func scan(path: String) throws(DecantError) -> FileScan { try scan(FilePath(path)) }

  /// Scans a file at a path of any bytes.
  package func scan(_ path: FilePath) throws(DecantError) -> FileScan {
    let file = try InputFile(path)
    if file.byteCount <= Self.wholeFileReadLimit {
      let bytes = try file.contents()
      return unsafe scan(bytes.span.bytes, of: file, at: path)
    }
    let bytes = try unsafe Self.map(file)
    return unsafe scan(RawSpan(_unsafeBytes: bytes), of: file, at: path)
  }

  private func scan(_ bytes: RawSpan, of file: InputFile, at path: FilePath) -> FileScan {
    let audit = FileAudit(limits: limits, password: password, fileByteCount: file.byteCount)
    var scan = ContentScan(audit: audit)
    let stated = StorageStatements()
    scan.statements = stated
    let isPiece = DistributedPiece.scan(bytes, at: path, audit)
    let format = isPiece ? .zip : scan.scan(bytes, in: "")
    if let distributed = stated.distributed { Self.scan(distributed, nextTo: path, audit) }
    var isCompanion = CompanionFile.recognises(bytes, format, audit)
    if format == nil {
      switch UnzippedRecord.standing(path.text, file, limits: limits) {
      case .known: isCompanion = false
      case .misfit:
        isCompanion = false
        audit.report(
          .unknown, .unaccounted, in: "", at: 0, "it is not what the data.pkl next to it says that it is")
      case .other:
        audit.report(.unreadable, .notACheckpoint, in: "", at: 0, Self.description(of: ByteSource(file)))
      }
    }
    var result = audit.result(path: path.text)
    result.pathBytes = path.bytes
    result.isCheckpoint = !isCompanion || result.verdict == .dangerous
    return result
  }

  /// Scans the bytes of a file in memory; `name` becomes the path in the result. O(bytes).
  public func scan(_ bytes: [UInt8], named name: String) -> FileScan {
    let audit = FileAudit(limits: limits, password: password, fileByteCount: bytes.count)
    if unsafe ContentScan(audit: audit).scan(bytes.span.bytes, in: "") == nil {
      audit.report(.unreadable, .notACheckpoint, in: "", at: 0, "is not a format that scan reads")
    }
    return audit.result(path: name)
  }

  /// Judges the items of a distributed checkpoint in the files next to its metadata.
  private static func scan(_ distributed: DistributedItems, nextTo path: FilePath, _ audit: FileAudit) {
    let folder = path.bytes.lastIndex(of: 0x2F).map { path.bytes[...$0] } ?? []
    var files: [InputFile] = []
    unsafe distributed.scan(audit) { name in
      guard let file = try? InputFile(FilePath(bytes: folder + Array(name.utf8))) else { return nil }
      // Keeps the mapping alive while its items are read.
      files.append(file)
      return unsafe try? map(file)
    }
  }

  private static func map(_ file: InputFile) throws(DecantError) -> UnsafeRawBufferPointer {
    do {
      guard let bytes = try unsafe file.mappedBytes() else {
        throw DecantError(.readFailed, "cannot be mapped into memory", file: file.path)
      }
      return unsafe bytes
    } catch {
      throw error as? DecantError
        ?? DecantError(.readFailed, "cannot be mapped into memory: \(error)", file: file.path)
    }
  }

  /// Returns why a file cannot be read as a checkpoint, as a clause.
  private static func description(of file: ByteSource) -> String {
    guard let head = try? file.head(), let tail = try? file.tail() else {
      return "is not a format that scan reads"
    }
    switch FileKind(head, tail: tail, fileByteCount: file.byteCount) {
    case .unsupported(let format), .unknown(let format):
      return "\(format.description). \(format.remedy.trimmed)"
    case .onnx: return "is an ONNX model, which is no pickle: its operators and data are not judged"
    case .coreML: return "is a Core ML model, which is no pickle: its operations and data are not judged"
    default: return "is not a format that scan reads"
    }
  }
}

extension String {
  /// The text without a final full stop, since a finding is a clause.
  fileprivate var trimmed: String { hasSuffix(".") ? String(dropLast()) : self }
}
