internal import DecantBytes
internal import DecantPickle

/// Scans of the files that `torch.save` wrote before 1.6: five pickles in a row, then the data of the storages.
///
/// Source: PyTorch `torch/serialization.py`, `_legacy_save` and `_legacy_load`.
extension ContentScan {
  /// Scans a legacy file whose first stream is the magic number.
  func scanLegacy(_ bytes: RawSpan, first: PickleGraph, in place: String) {
    var offset = first.byteCount
    follow(first, of: bytes, in: join(place, "stream 1"))
    ledger.claim(0..<offset, as: .pickle)
    var storages: [ExactText: StatedStorage] = [:]
    var keys: [String]?
    for number in 2...5 {
      let label = join(place, "stream \(number)")
      let rest = bytes.part(offset..<bytes.byteCount)
      let (graph, error) = interpret(rest)
      let pickle = follow(graph, of: rest, in: label)
      if let error {
        ledger.markUnread(offset..<bytes.byteCount)
        return reportBreak(error, graph, rest, at: 0, in: label)
      }
      if number == 4 { storages = pickle.storages }
      if number == 5 { keys = graph.list(graph.root)?.map { graph.text($0) ?? "" } }
      ledger.claim(offset..<offset + graph.byteCount, as: .pickle)
      offset += graph.byteCount
    }
    guard let keys else {
      return reportUnread(bytes, from: offset, .brokenPickle, "the list of storages is not a list", in: place)
    }
    for key in keys {
      let name = String(key.prefix(80)).escapedForDisplay
      guard let storage = storages[ExactText(key)] else {
        return reportUnread(
          bytes, from: offset, .trailingData, "data of a storage that no tensor uses, \(name)", in: place)
      }
      guard let end = end(of: storage, name, at: offset, bytes, in: place) else { return }
      ledger.claim(offset..<end, as: .tensor)
      offset = end
    }
    scanBehindLegacy(bytes, from: offset, in: place)
  }

  /// Returns the offset after a storage: its number of elements, in 8 bytes, and then its elements. Returns nil, and
  /// reports it, when the end is not certain.
  private func end(
    of storage: StatedStorage, _ name: String, at offset: Int, _ bytes: RawSpan, in place: String
  ) -> Int? {
    func fail(_ what: String) -> Int? {
      reportUnread(bytes, from: offset, .brokenPickle, what, in: place)
      return nil
    }
    if storage.isContradicted {
      audit.report(
        .dangerous, .oddUse, in: place, at: offset,
        "two tensors disagree about the size of their storage \(name), so a second load call reads on inside its data"
      )
      return fail("where the storage \(name) ends is not certain")
    }
    guard let byteCount = storage.byteCount else {
      return fail("the element size of the storage \(name) is unknown, and so is where it ends")
    }
    guard let end = byteCount.checkedAdding(8).flatMap(offset.checkedAdding), end <= bytes.byteCount else {
      return fail("the file ends inside the data of its storages")
    }
    // PyTorch on big-endian machines once wrote big-endian numbers before little-endian data.
    guard let count = bytes.little(Int64.self, offset),
      count == Int64(storage.elementCount) || count.byteSwapped == Int64(storage.elementCount)
    else {
      return fail("the storage \(name) has another number of elements than its tensors say")
    }
    return end
  }

  /// Reports why the rest of a file is not read, and searches it for names.
  private func reportUnread(
    _ bytes: RawSpan, from offset: Int, _ rule: ScanRule, _ what: String, in place: String
  ) {
    ledger.markUnread(offset..<bytes.byteCount)
    audit.report(.unknown, rule, in: place, at: offset, what)
    NameSearch.report(bytes, from: offset, in: place, audit)
  }

  /// Scans what follows the storages. A second load call on the same open file reads it.
  private func scanBehindLegacy(_ bytes: RawSpan, from offset: Int, in place: String) {
    let rest = bytes.part(offset..<bytes.byteCount)
    guard rest.byteCount > 0 else { return }
    let format = inside(as: .file).scan(rest, in: join(place, "file at \(offset)"))
    guard format != nil else { return reportTrailing(bytes, from: offset, in: place) }
    ledger.claim(offset..<bytes.byteCount, as: .nested)
    audit.report(
      Sniffing.announcesPickle(rest) ? .unknown : .dangerous, .secondStream, in: place, at: offset,
      "another file follows; a second load call runs it")
  }
}
