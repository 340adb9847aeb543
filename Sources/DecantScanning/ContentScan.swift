internal import DecantBytes
internal import DecantPickle

/// The format of bytes, determined from their content.
enum ContentFormat {
  case zip, tar, npy, safetensors, gguf, pickle
  /// The budget was spent before: nothing is known about the bytes.
  case unjudged
}

/// Determines the format of bytes and scans them: a file, an entry of an archive, or bytes inside a pickle.
///
/// Only the content decides, never a file name. Containers are scanned up to a nesting depth of ``maxDepth``.
struct ContentScan {
  static let maxDepth = 4

  let audit: FileAudit
  /// The nesting depth of this content; 0 for the file itself.
  var depth = 0
  /// True when an entry's name or a call says that the bytes are a pickle. They are then judged as one even when
  /// broken.
  var isExpected = false

  /// Scans bytes and returns their format, or nil when it is not a format that the scanner reads.
  func scan(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    guard depth <= Self.maxDepth else {
      audit.report(
        .unknown, .limit, in: place, at: 0, "it is nested more than \(Self.maxDepth) containers deep")
      return nil
    }
    guard audit.spend(1) else { return .unjudged }
    if let format = scanContainer(bytes, in: place) {
      if Sniffing.mayBePickle(bytes) { checkPolyglot(bytes, in: place) }
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
    if depth == 0 || isExpected, !isMember, ZipLayout.endRecord(bytes) != nil,
      ZipLayout(bytes, limits: audit.limits).entries.contains(where: \.isListed), scanZips(bytes, in: place)
    {
      return .zip
    }
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

  /// Reports a container whose first bytes are also a pickle that imports names.
  private func checkPolyglot(_ bytes: RawSpan, in place: String) {
    let (graph, error) = interpretTentatively(bytes)
    guard
      hasPlausibleImports(graph) || error == nil && hasExtensions(graph) || hidesImports(graph, in: bytes)
    else { return }
    audit.report(
      .dangerous, .polyglot, in: place, at: 0,
      "it is also a valid pickle that imports names, and torch.load and pickle.load read it as one")
    follow(graph, of: bytes, in: join(place, "read as a pickle"))
  }

  /// Returns the location of a part inside another location, joined by ` › `.
  func join(_ place: String, _ part: String) -> String { place.isEmpty ? part : place + " › " + part }

  /// Returns a scan of nested content, one level deeper.
  func inside(isExpected: Bool = false) -> ContentScan {
    ContentScan(audit: audit, depth: depth + 1, isExpected: isExpected)
  }
}
