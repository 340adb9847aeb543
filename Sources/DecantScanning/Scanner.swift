public import DecantBytes
internal import DecantIO
internal import DecantCheckpoints

/// Finds what loading a file would execute, without loading it.
///
///     let scan = try CheckpointScanner().scan(path: "model.pth")
///     for finding in scan.findings { print(finding.rule.rawValue, finding.what, finding.call ?? "") }
///
/// A file is clean only when every name in it is one that tensor files use, used as they use it. Nothing is imported or called. A
/// scanner holds no state: any number of tasks may use one.
public struct CheckpointScanner: Sendable {
  /// The number of findings kept of one file; dangerous ones are kept before others.
  public static let findingLimit = 1_000

  /// What one file may ask for: less than reading it, since hostile files are what a scanner is given.
  public static let defaultLimits: Limits = {
    var limits = Limits()
    // So the worst pickle costs 200 MB; a checkpoint of 100,000 tensors pushes two million values and makes a million
    // nodes.
    limits.pickleNodes = 1_300_000
    limits.pickleValues = 2_400_000
    limits.pickleMemo = 2_400_000
    limits.pickleStack = 2_400_000
    limits.zipEntries = 200_000
    // All entries of a file together; what they hold is copied once more.
    limits.inflatedBytes = 80 << 20
    limits.headerBytes = 16 << 20
    // An integer costs no more than bytes do, and what stands behind it must be seen.
    limits.longBytes = 1 << 31
    return limits
  }()

  package let limits: Limits

  /// Makes a scanner with limits of its own.
  public init(limits: Limits = CheckpointScanner.defaultLimits) { self.limits = limits }

  /// Files up to this size are read whole; larger ones are mapped, and only what is looked at is read.
  private static let readWhole = 1 << 17

  /// Scans a file. O(bytes of pickles, code and headers); weights are not read.
  ///
  /// - Throws: ``DecantError`` when the file cannot be opened or read. A file that is not a checkpoint has the verdict `unreadable`.
  public func scan(path: String) throws(DecantError) -> FileScan {
    let file = try InputFile(path)
    let audit = FileAudit(limits: limits)
    let isKnown: Bool
    if file.byteCount <= Self.readWhole {
      let bytes = try Self.read(file)
      isKnown = unsafe ContentScan(audit: audit).scan(bytes.span.bytes, in: "") != nil
    } else {
      let bytes = try unsafe Self.map(file)
      isKnown = unsafe ContentScan(audit: audit).scan(RawSpan(_unsafeBytes: bytes), in: "") != nil
    }
    if !isKnown { audit.report(.unreadable, .notACheckpoint, in: "", at: 0, description(of: path)) }
    return audit.result(path: path)
  }

  /// Scans a file's bytes in memory; `name` is what the result calls it. O(bytes).
  public func scan(_ bytes: [UInt8], named name: String) -> FileScan {
    let audit = FileAudit(limits: limits)
    if unsafe ContentScan(audit: audit).scan(bytes.span.bytes, in: "") == nil {
      audit.report(.unreadable, .notACheckpoint, in: "", at: 0, "is not in a format that scan reads")
    }
    return audit.result(path: name)
  }

  private static func read(_ file: InputFile) throws(DecantError) -> [UInt8] {
    var failure: DecantError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: file.byteCount) { buffer, initialized in
      do throws(DecantError) {
        try unsafe file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
        initialized = file.byteCount
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
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

  /// What a file is that no reader of checkpoints takes.
  private func description(of path: String) -> String {
    do throws(DecantError) {
      _ = try Checkpoint(path: path, limits: limits)
      return "is not in a format that scan reads"
    } catch {
      // Other advice is about reading the file, which has a command line's and a library's spelling.
      guard case .text(let remedy)? = error.advice else { return error.reason }
      return "\(error.reason). \(remedy.trimmed)"
    }
  }
}

extension String {
  /// Without a full stop at its end: a finding is a clause.
  fileprivate var trimmed: String { hasSuffix(".") ? String(dropLast()) : self }
}
