internal import DecantBytes
internal import DecantPickle

/// What bytes turned out to be.
enum ContentFormat {
  case zip, tar, npy, safetensors, gguf, pickle
}

/// Recognises what bytes are and follows them: a file, an entry of an archive, bytes inside a pickle.
///
/// It sniffs content and never believes a name. Containers hold each other no deeper than ``deepest``.
struct ContentScan {
  static let deepest = 4

  let audit: FileAudit
  /// How deep this content lies.
  var depth = 0
  /// Whether something calls it a pickle, a name or a call: then it is judged as one even when it is broken.
  var isExpected = false

  /// Follows bytes; nil when they are nothing that is followed.
  func scan(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    guard depth <= Self.deepest else {
      audit.report(
        .unknown, .limit, in: place, at: 0, "it lies deeper than \(Self.deepest) containers in each other")
      return nil
    }
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
    // An archive inside a tar is a member of it, though readers that look from the end would find it.
    let isMember = TarReader.recognises(bytes) && TarReader.holdsLastArchive(bytes, audit.limits)
    // Something before an archive: its end record must have a directory, or data would look like one by chance.
    if depth == 0 || isExpected, !isMember, ZipLayout.endRecord(bytes) != nil,
      ZipLayout(bytes, limits: audit.limits).entries.contains(where: \.isListed), scanZips(bytes, in: place)
    {
      return .zip
    }
    // A tar's first member may have any name: the magic bytes of another format, too.
    let isTar = TarReader.recognises(bytes) && scanTar(bytes, in: place)
    let other = scanArrays(bytes, in: place)
    if isTar, other != nil {
      audit.report(
        .dangerous, .polyglot, in: place, at: 0,
        "read as a tar archive, which torch.load does first, it is one")
    }
    return isTar ? .tar : other
  }

  /// Formats without code of their own.
  private func scanArrays(_ bytes: RawSpan, in place: String) -> ContentFormat? {
    if bytes.begins([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) { return scanNpy(bytes, in: place) ? .npy : nil }
    if bytes.begins("GGUF") { return scanGGUF(bytes, in: place) ? .gguf : nil }
    if bytes.byte(8) == 0x7B { return scanSafetensors(bytes, in: place) ? .safetensors : nil }
    return nil
  }

  /// A container whose first bytes are also a pickle that imports something.
  private func checkPolyglot(_ bytes: RawSpan, in place: String) {
    let (graph, error) = interpretTentatively(bytes)
    guard hasPlausibleImports(graph) || error == nil && hasExtensions(graph) else { return }
    audit.report(
      .dangerous, .polyglot, in: place, at: 0,
      "read as a pickle, which torch.load and pickle.load do, it imports names")
    follow(graph, in: join(place, "read as a pickle"))
  }

  /// The place of something inside another place.
  func join(_ place: String, _ part: String) -> String { place.isEmpty ? part : place + " › " + part }

  /// A scan of what lies inside.
  func inside(isExpected: Bool = false) -> ContentScan {
    ContentScan(audit: audit, depth: depth + 1, isExpected: isExpected)
  }
}
