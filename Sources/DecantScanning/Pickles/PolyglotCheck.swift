internal import DecantBytes
internal import DecantPickle

/// Checks of files that are valid in one format and that pickle loaders read as well.
///
/// `pickle.load`, `numpy.load` and `torch.load` interpret whatever they do not recognise as a container, and
/// `pickle.load` interprets everything. They fail at the first opcode of honest files, before they import a name.
extension ContentScan {
  /// Reads the bytes of a container as the pickles that a loader would find there, one after the other.
  func checkPolyglot(_ bytes: RawSpan, as format: ContentFormat, in place: String) {
    var offset = 0
    for _ in 1...Self.mostStreams {
      let rest = bytes.part(offset..<bytes.byteCount)
      guard Sniffing.mayBePickle(rest) else { return }
      let (graph, error) = interpretTentatively(rest)
      let isLegacy = offset == 0 && error == nil && isLegacyMagic(graph)
      guard
        isLegacy || hasPlausibleImports(graph) || hidesImports(graph, in: rest)
          || error == nil && hasExtensions(graph)
      else {
        if let error { return reportUnfinished(error, rest, at: offset, as: format, in: place) }
        offset += graph.byteCount
        continue
      }
      audit.report(
        .dangerous, .polyglot, in: place, at: offset,
        isLegacy
          ? "it is also a file of torch.save before 1.6, and torch.load and pickle.load read it as one"
          : "it is also a valid pickle that imports names, and torch.load and pickle.load read it as one")
      // The other reading has a ledger of its own.
      let label = join(place, "read as a pickle")
      _ = region(rest, in: label) { scan -> Bool? in
        scan.scanStreams(rest, graph, error, in: label)
        return nil
      }
      return
    }
    audit.report(
      .unknown, .limit, in: place, at: offset,
      "more than \(Self.mostStreams) pickles when it is read as pickles")
  }

  /// Reports a container whose reading as a pickle ended for a reason that does not stop Python.
  private func reportUnfinished(
    _ error: PickleError, _ bytes: RawSpan, at base: Int, as format: ContentFormat, in place: String
  ) {
    if isUnfinished(error), role != .data {
      audit.report(
        .unknown, .polyglot, in: place, at: base + error.offset,
        "it may also be a pickle, which could not be followed \(error.description.escapedForDisplay)")
      NameSearch.report(bytes, from: error.offset, in: join(place, "read as a pickle"), audit)
    } else if role == .pickle, base == 0, format != .zip {
      // Its name or a call says that it is a pickle, and Python stops here, before any import.
      audit.report(
        .unknown, .brokenPickle, in: place, at: error.offset,
        "it is loaded as a pickle, which cannot be parsed \(error.description.escapedForDisplay)")
    }
  }
}
