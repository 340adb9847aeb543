internal import DecantBytes
internal import DecantPickle

/// The format of bytes, determined from their content.
enum ContentFormat {
  case zip, tar, npy, safetensors, gguf, compressed, pickle
  /// The budget was spent before: nothing is known about the bytes.
  case unjudged
}

/// Determines the format of bytes and scans them: a file, an entry of an archive, or bytes inside a pickle.
///
/// Only the content decides, never a file name. Containers are scanned up to a nesting depth of ``maxDepth``.
struct ContentScan {
  static let maxDepth = 4

  /// How the bytes reach a loader.
  enum Role {
    /// A file, or an entry of an archive that may be extracted. A start like that of a pickle of protocol 2 or later is
    /// judged as a pickle, even when broken.
    case file
    /// An entry's name or a call says that the bytes are loaded as a pickle. They are judged as one even when broken.
    case pickle
    /// The data of a tensor or a byte string of a pickle, which may begin like a pickle by chance.
    case data
  }

  let audit: FileAudit
  /// The nesting depth of this content; 0 for the file itself.
  var depth = 0
  var role = Role.file
  /// Receives what the pickles of this content say about storages; nil when nobody asks.
  var statements: StorageStatements?
  /// The parts of the region that is being scanned which parsers have read to their end.
  private(set) var ledger = ByteLedger(byteCount: 0)

  init(audit: FileAudit, depth: Int = 0, role: Role = .file) {
    self.audit = audit
    self.depth = depth
    self.role = role
  }

  /// Scans bytes and returns their format, or nil when it is not a format that the scanner reads.
  ///
  /// The bytes are a region with a ledger of its own. When their format is known, the bytes that no parser claimed are
  /// reported. Otherwise the caller decides whether they belong to anything.
  func scan(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    region(bytes, in: place) { $0.scanRegion(bytes, in: place) }
  }

  /// Calls a parser with an empty ledger for `bytes`, and reports the bytes that it left unclaimed. Nothing is reported
  /// when the parser returns nil, nor about the data of a tensor, which belongs to the tensor however it looks.
  func region<Result>(
    _ bytes: RawSpan, in place: String, _ parse: (ContentScan) -> Result?
  ) -> Result? {
    var scan = self
    scan.ledger = ByteLedger(byteCount: bytes.byteCount)
    guard let result = parse(scan) else { return nil }
    if role != .data { audit.settle(scan.ledger, bytes, in: place) }
    return result
  }

  private func scanRegion(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    guard depth <= Self.maxDepth else {
      audit.report(
        .unknown, .limit, in: place, at: 0, "it is nested more than \(Self.maxDepth) containers deep")
      return nil
    }
    guard audit.spend(1) else { return .unjudged }
    if let format = scanContainer(bytes, in: place) {
      if Sniffing.mayBePickle(bytes) { checkPolyglot(bytes, as: format, in: place) }
      return format
    }
    return scanPickles(bytes, in: place) ? .pickle : nil
  }

  private func scanContainer(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    if bytes.begins([0x50, 0x4B, 3, 4]) || bytes.begins([0x50, 0x4B, 5, 6]) {
      return scanZips(bytes, in: place) ? .zip : nil
    }
    // A zip archive inside a tar is one of its members, although zip readers, which search from the end, would find it.
    let isMember = TarReader.recognises(bytes) && TarReader.holdsLastArchive(bytes, audit.limits)
    // Bytes may precede a zip archive. Require a listed entry, since other data can contain an end record's signature.
    if depth == 0 || role == .pickle, !isMember, ZipLayout.endRecord(bytes) != nil,
      ZipLayout(bytes, limits: audit.limits).entries.contains(where: \.isListed), scanZips(bytes, in: place)
    {
      return .zip
    }
    if let isKnown = scanCompressed(bytes, in: place) { return isKnown ? .compressed : nil }
    // A tar begins with the name of its first member, which can equal the magic bytes of another format.
    let isTar = TarReader.recognises(bytes) && scanTar(bytes, in: place)
    let other = scanArrays(bytes, in: place)
    if isTar, other != nil {
      audit.report(
        .dangerous, .polyglot, in: place, at: 0,
        "it is also a valid tar archive, which torch.load tries first")
    }
    return isTar ? .tar : other
  }

  /// Scans the formats that hold no code themselves: NPY, GGUF and safetensors.
  private func scanArrays(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    if bytes.begins([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) { return scanNpy(bytes, in: place) ? .npy : nil }
    if bytes.begins("GGUF") { return scanGGUF(bytes, in: place) ? .gguf : nil }
    if bytes.byte(8) == 0x7B { return scanSafetensors(bytes, in: place) ? .safetensors : nil }
    return nil
  }

  /// Returns the location of a part inside another location, joined by ` › `.
  func join(_ place: String, _ part: String) -> String { place.isEmpty ? part : place + " › " + part }

  /// Returns a scan of nested content, one level deeper.
  func inside(as role: Role) -> ContentScan { ContentScan(audit: audit, depth: depth + 1, role: role) }
}
