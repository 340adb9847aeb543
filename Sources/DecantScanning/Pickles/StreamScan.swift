internal import DecantBytes
internal import DecantPickle

/// Pickle streams: one, several in a row, or the layout of torch's legacy files.
extension ContentScan {
  /// Streams in one place before the rest is left.
  private static let mostStreams = 1_000

  /// Follows streams from the start; false when the bytes are no pickle.
  func scanPickles(_ bytes: RawSpan, in place: String) -> Bool {
    guard Sniffing.mayBePickle(bytes) else { return false }
    let isExpected = isExpected || depth == 0 && Sniffing.announcesPickle(bytes)
    let (graph, error) =
      isExpected ? interpret(bytes) : interpretTentatively(bytes)
    guard isExpected || isPickle(graph, error, bytes) else { return false }
    if isLegacyMagic(graph), error == nil {
      scanLegacy(bytes, first: graph, in: place)
      return true
    }
    let isAlone = error != nil || graph.byteCount == bytes.byteCount
    follow(graph, in: isAlone ? place : join(place, "stream 1"))
    if let error {
      reportBreak(error, graph, bytes, at: 0, in: place)
    } else if !isAlone {
      scanFollowing(bytes, from: graph.byteCount, first: graph, in: place)
    }
    return true
  }

  /// Follows what stands behind the first stream.
  private func scanFollowing(_ bytes: RawSpan, from start: Int, first: PickleGraph, in place: String) {
    var offset = start
    var number = 2
    while offset < bytes.byteCount {
      let rest = bytes.part(offset..<bytes.byteCount)
      let (graph, error) = Sniffing.announcesPickle(rest) ? interpret(rest) : interpretTentatively(rest)
      guard error == nil || Sniffing.announcesPickle(rest) || hasPlausibleImports(graph) else { break }
      let label = join(place, "stream \(number)")
      if number == 2 {
        if case .int(1001) = graph.root, first.object(first.root) != nil {
          audit.report(
            .dangerous, .computedMagic, in: join(place, "stream 1"), at: 0,
            "PyTorch's magic number is computed, so that only who runs the file recognises it")
        }
        audit.report(
          .unknown, .secondStream, in: place, at: offset,
          "another pickle stream follows; who loads again runs it")
      }
      follow(graph, in: label)
      if let error { return reportBreak(error, graph, rest, at: 0, in: label) }
      offset += graph.byteCount
      number += 1
      if number > Self.mostStreams {
        audit.report(
          .unknown, .limit, in: place, at: offset, "more than \(Self.mostStreams) streams follow each other")
        return
      }
    }
    reportTrailing(bytes, from: offset, in: place)
  }

  /// Reports data that no layout has; padding with zeros or line ends is only unusual.
  func reportTrailing(_ bytes: RawSpan, from offset: Int, in place: String) {
    let count = bytes.byteCount - offset
    guard count > 0 else { return }
    let isPadding =
      bytes.holdsOnly(0, in: offset..<min(bytes.byteCount, offset + 65_536)) && count <= 65_536
      || count <= 2 && bytes.byte(offset + count - 1) == 0x0A
    audit.report(
      isPadding ? .unknown : .dangerous, .trailingData, in: place, at: offset,
      "\(count) bytes follow the end of what is loaded\(isPadding ? ", all of them padding" : "")")
  }

  /// Runs a stream and keeps what was made before a break.
  func interpret(_ bytes: RawSpan) -> (graph: PickleGraph, error: PickleError?) {
    PickleMachine.interpretAsFarAsPossible(bytes, limits: audit.limits)
  }

  /// Runs what is probably no pickle, without reading more of it than the machine asks for.
  ///
  /// An argument that leaves the piece looks like one that leaves the stream; a longer piece tells. The pieces grow by
  /// sixteen, so O(length) in the worst case; data that is none fails at its first opcodes.
  func interpretTentatively(_ bytes: RawSpan) -> (graph: PickleGraph, error: PickleError?) {
    var count = 1 << 16
    while true {
      let result = interpret(bytes.part(0..<count))
      guard let error = result.error, count < bytes.byteCount, mayBeCut(error) else { return result }
      count *= 16
    }
  }

  /// Whether a stream that nothing calls a pickle is one: it imports names, or is all there is, or another follows.
  private func isPickle(_ graph: PickleGraph, _ error: PickleError?, _ bytes: RawSpan) -> Bool {
    if hasPlausibleImports(graph) { return true }
    guard error == nil else { return false }
    if hasExtensions(graph) { return true }
    if graph.byteCount == bytes.byteCount { return true }
    let rest = bytes.part(graph.byteCount..<bytes.byteCount)
    guard Sniffing.mayBePickle(rest) else { return false }
    let next = interpretTentatively(rest)
    return next.error == nil || hasPlausibleImports(next.graph)
  }

  /// Whether an error is one that more bytes could mend.
  private func mayBeCut(_ error: PickleError) -> Bool { error.cause == .truncated }

  /// Whether it imports a name that could be one: data that begins like a pickle by chance has none.
  func hasPlausibleImports(_ graph: PickleGraph) -> Bool {
    graph.imports.contains {
      guard let global = graph.global($0.value) else { return false }
      return NameStanding.isPlain(global.module) && NameStanding.isPlain(global.name)
    }
  }

  /// Whether it names something by a number. Data begins so by chance, but seldom ends as a pickle does.
  func hasExtensions(_ graph: PickleGraph) -> Bool {
    graph.nodes.contains { if case .extensionCode = $0 { true } else { false } }
  }

  /// Judges a stream and what it holds.
  @discardableResult
  func follow(_ graph: PickleGraph, in place: String) -> PickleAudit {
    audit.streamCount += 1
    var pickle = PickleAudit(graph, in: place, audit)
    pickle.run()
    pickle.readPersistentIDs()
    for payload in pickle.payloads {
      let before = audit.findings.count
      let inner = join(place, "bytes inside")
      let scan = inside(isExpected: payload.isLoaded)
      let format = unsafe scan.scan(payload.bytes.span.bytes, in: inner)
      if payload.isLoaded, format == nil {
        audit.report(
          .unknown, .brokenPickle, in: inner, at: 0,
          "bytes that are loaded as a file are none that can be followed")
      } else if !payload.isLoaded, let worst = audit.worst(since: before) {
        audit.report(
          worst, .nestedPickle, in: place, at: payload.offset,
          "bytes that are a pickle with findings of its own")
      }
    }
    return pickle
  }

  /// Reports where a stream breaks off, and looks for names behind the break.
  func reportBreak(
    _ error: PickleError, _ graph: PickleGraph, _ bytes: RawSpan, at base: Int, in place: String
  ) {
    let isLimit = if case .limit = error.cause { true } else { false }
    audit.report(
      .unknown, isLimit ? .limit : .brokenPickle, in: place, at: base + error.offset,
      "the pickle cannot be followed \(error.description.escapedForDisplay)")
    NameSearch.report(bytes, from: error.offset, in: place, audit)
  }

  private func isLegacyMagic(_ graph: PickleGraph) -> Bool {
    guard case .longInteger(let bytes) = graph.node(graph.root) else { return false }
    return bytes == [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
  }
}
