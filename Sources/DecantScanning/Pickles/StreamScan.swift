internal import DecantBytes
internal import DecantPickle

/// Scans of pickle streams: one, several in a row, or the layout of torch's legacy files.
extension ContentScan {
  /// The maximum number of consecutive streams that are scanned.
  static let mostStreams = 1_000

  /// Scans streams from the start. Returns false when the bytes are not a pickle.
  func scanPickles(_ bytes: RawSpan, in place: String) -> Bool {
    guard Sniffing.mayBePickle(bytes) else { return false }
    let isExpected = role == .pickle || role == .file && Sniffing.announcesPickle(bytes)
    let (graph, error) =
      isExpected ? interpret(bytes) : interpretTentatively(bytes)
    guard isExpected || isPickle(graph, error, bytes) else { return false }
    scanStreams(bytes, graph, error, in: place)
    return true
  }

  /// Judges the first stream, which was interpreted already, and scans what follows.
  func scanStreams(_ bytes: RawSpan, _ graph: PickleGraph, _ error: PickleError?, in place: String) {
    if isLegacyMagic(graph), error == nil { return scanLegacy(bytes, first: graph, in: place) }
    if Self.usesJoblib(graph) { return scanJoblib(bytes, plain: (graph, error), in: place) }
    let isAlone = error != nil || graph.byteCount == bytes.byteCount
    follow(graph, of: bytes, in: isAlone ? place : join(place, "stream 1"))
    if let error {
      ledger.markUnread(0..<bytes.byteCount)
      reportBreak(error, graph, bytes, at: 0, in: place)
    } else {
      ledger.claim(0..<graph.byteCount, as: .pickle)
      scanFollowing(bytes, from: graph.byteCount, first: graph, in: place)
    }
  }

  /// Scans the bytes after the first stream.
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
            "PyTorch's magic number is computed, so that only loading reveals the format")
        }
        audit.report(
          .unknown, .secondStream, in: place, at: offset,
          "another pickle stream follows; a second load call runs it")
      }
      follow(graph, of: rest, in: label)
      if let error {
        ledger.markUnread(offset..<bytes.byteCount)
        return reportBreak(error, graph, rest, at: 0, in: label)
      }
      ledger.claim(offset..<offset + graph.byteCount, as: .pickle)
      offset += graph.byteCount
      number += 1
      if number > Self.mostStreams {
        ledger.markUnread(offset..<bytes.byteCount)
        audit.report(
          .unknown, .limit, in: place, at: offset, "more than \(Self.mostStreams) pickle streams")
        return
      }
    }
    reportTrailing(bytes, from: offset, in: place)
  }

  /// Reports data after the end of the layout. Padding with zeros or line ends is only unknown, other data dangerous.
  func reportTrailing(_ bytes: RawSpan, from offset: Int, in place: String) {
    let count = bytes.byteCount - offset
    guard count > 0 else { return }
    ledger.markUnread(offset..<bytes.byteCount)
    let isPadding =
      bytes.holdsOnly(0, in: offset..<min(bytes.byteCount, offset + 65_536)) && count <= 65_536
      || count <= 2 && bytes.byte(offset + count - 1) == 0x0A
    audit.report(
      isPadding ? .unknown : .dangerous, .trailingData, in: place, at: offset,
      "\(Format.count(count, "byte", ("follows", "follow"))) the end of the loaded data\(isPadding ? ", all padding" : "")"
    )
  }

  /// Interprets a stream, and keeps the values made before an error.
  func interpret(
    _ bytes: RawSpan, frames: PickleFrameReading = .straight,
    dataAfterBuild: PickleMachine.DataAfterBuild? = nil
  ) -> (graph: PickleGraph, error: PickleError?) {
    let result = PickleMachine.audit(
      bytes, limits: limits(for: bytes.byteCount), frames: frames, dataAfterBuild: dataAfterBuild)
    audit.spend(result.graph.valueCount + result.graph.byteCount / WorkBudget.Cost.bytesPerUnit)
    return result
  }

  /// The limits of one pickle: more for a longer one, and less by what the pickles around it hold.
  private func limits(for byteCount: Int) -> Limits {
    var limits = audit.limits
    let scale = 1 + byteCount / WorkBudget.bytesPerBase
    limits.pickleNodes = limits.pickleNodes * scale - audit.heldNodes
    limits.pickleValues = limits.pickleValues * scale - audit.heldNodes
    return limits
  }

  /// Interprets data that is probably not a pickle, without reading more of it than necessary.
  ///
  /// A prefix of the data cannot show whether an argument exceeds the stream or only the prefix, so a longer prefix is
  /// tried. Each is 16 times as long as the one before, which is O(length) in the worst case. Data that is not a pickle
  /// fails at its first opcodes.
  func interpretTentatively(_ bytes: RawSpan) -> (graph: PickleGraph, error: PickleError?) {
    var count = 1 << 16
    while true {
      let result = interpret(bytes.part(0..<count))
      guard count < bytes.byteCount,
        let error = result.error ?? result.graph.refusal, mayBeCut(error)
      else { return result }
      count *= 16
    }
  }

  /// Returns true when a stream without a pickle's name is one: it imports names or uses extension codes, fills the
  /// bytes, or another stream follows.
  private func isPickle(_ graph: PickleGraph, _ error: PickleError?, _ bytes: RawSpan) -> Bool {
    if hasPlausibleImports(graph) || hidesImports(graph, in: bytes) { return true }
    if let error { return role != .data && isUnfinished(error) }
    if hasExtensions(graph) { return true }
    if graph.byteCount == bytes.byteCount { return true }
    let rest = bytes.part(graph.byteCount..<bytes.byteCount)
    guard Sniffing.mayBePickle(rest) else { return false }
    let next = interpretTentatively(rest)
    return next.error.map(isUnfinished) ?? true || hasPlausibleImports(next.graph)
  }

  /// Returns true when an error stops this scanner but not Python, which reads on and runs what follows.
  func isUnfinished(_ error: PickleError) -> Bool {
    switch error.cause {
    case .limit: true
    case .invalid, .truncated, .unsupported: false
    }
  }

  /// Returns true when more bytes could resolve an error.
  private func mayBeCut(_ error: PickleError) -> Bool { error.cause == .truncated }

  /// Returns true when a stream imports a plausible name. Data that begins like a pickle by chance does not.
  func hasPlausibleImports(_ graph: PickleGraph) -> Bool {
    graph.imports.contains {
      guard let global = graph.global($0.value) else { return false }
      return NameClass.isPlain(global.module) && NameClass.isPlain(global.name)
    }
  }

  /// Returns true when a stream that crosses a frame imports names in another reading of its frames.
  func hidesImports(_ graph: PickleGraph, in bytes: RawSpan) -> Bool {
    guard graph.frameCrossing?.kind == .argument else { return false }
    return [PickleFrameReading.dropsRest, .dropsRestAlways].contains {
      hasPlausibleImports(interpret(bytes, frames: $0).graph)
    }
  }

  /// Returns true when a stream uses an extension code. Other data can contain one, but seldom ends as a pickle does.
  func hasExtensions(_ graph: PickleGraph) -> Bool {
    graph.nodes.contains { if case .extensionCode = $0 { true } else { false } }
  }

  /// Judges a stream, under every reading of its frames, and scans the byte strings in it.
  @discardableResult
  func follow(_ graph: PickleGraph, of bytes: RawSpan, in place: String) -> PickleAudit {
    let pickle = follow(graph, in: place)
    guard let crossing = graph.frameCrossing else { return pickle }
    audit.report(
      .dangerous, .frameCrossed, in: place, at: crossing.offset,
      "\(crossing.description); versions of CPython read what follows differently")
    guard crossing.kind == .argument else { return pickle }
    for (frames, reader) in [(PickleFrameReading.dropsRest, "3.8"), (.dropsRestAlways, "3.4")] {
      let (other, error) = interpret(bytes, frames: frames)
      let place = join(place, "as CPython \(reader) reads frames")
      _ = follow(other, in: place)
      if let error, case .limit = error.cause { reportBreak(error, other, bytes, at: 0, in: place) }
    }
    return pickle
  }

  private func follow(_ graph: PickleGraph, in place: String) -> PickleAudit {
    audit.streamCount += 1
    audit.judge(byteCount: graph.byteCount)
    var pickle = PickleAudit(graph, in: place, audit)
    pickle.run()
    pickle.readPersistentIDs()
    statements?.add(pickle)
    audit.heldNodes += graph.nodes.count
    defer { audit.heldNodes -= graph.nodes.count }
    for payload in pickle.payloads {
      if audit.isSpent { break }
      let key = PayloadKey(payload.bytes, isLoaded: payload.isLoaded, depth: depth)
      audit.spend(payload.bytes.count / WorkBudget.Cost.bytesPerUnit)
      if let worst = audit.payloads[key] {
        if !payload.isLoaded, let worst { reportNested(worst, payload, in: place) }
        continue
      }
      let before = audit.findings.count
      let inner = join(place, "bytes inside")
      let scan = inside(as: payload.isLoaded ? .pickle : .data)
      let format = unsafe scan.scan(payload.bytes.span.bytes, in: inner)
      if payload.isLoaded, format == nil {
        audit.report(
          .unknown, .brokenPickle, in: inner, at: 0,
          "bytes that are loaded as a file cannot be parsed")
      } else if !payload.isLoaded, let worst = audit.worst(since: before) {
        reportNested(worst, payload, in: place)
      }
      audit.payloads[key] = .some(audit.worst(since: before))
    }
    return pickle
  }

  private func reportNested(_ worst: ScanSeverity, _ payload: PickleAudit.Payload, in place: String) {
    audit.report(
      worst, .nestedPickle, in: place, at: payload.offset, "bytes that are a pickle with findings of its own")
  }

  /// Reports the error that ends a stream, and searches the bytes after it for names.
  func reportBreak(
    _ error: PickleError, _ graph: PickleGraph, _ bytes: RawSpan, at base: Int, in place: String
  ) {
    let isLimit = if case .limit = error.cause { true } else { false }
    audit.report(
      .unknown, isLimit ? .limit : .brokenPickle, in: place, at: base + error.offset,
      "the pickle cannot be parsed \(error.description.escapedForDisplay)")
    NameSearch.report(bytes, from: error.offset, in: place, audit)
  }

  func isLegacyMagic(_ graph: PickleGraph) -> Bool {
    guard case .longInteger(let bytes) = graph.node(graph.root) else { return false }
    return bytes == [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
  }
}
