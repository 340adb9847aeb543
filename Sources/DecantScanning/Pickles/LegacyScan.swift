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
    var storages: [ExactText: (count: Int, elementByteCount: Int?)] = [:]
    var keys: [String]?
    for number in 2...5 {
      let label = join(place, "stream \(number)")
      let rest = bytes.part(offset..<bytes.byteCount)
      let (graph, error) = interpret(rest)
      let pickle = follow(graph, of: rest, in: label)
      if let error { return reportBreak(error, graph, rest, at: 0, in: label) }
      if number == 4 { storages = pickle.storages }
      if number == 5 { keys = graph.list(graph.root)?.map { graph.text($0) ?? "" } }
      offset += graph.byteCount
    }
    guard let keys else {
      audit.report(
        .unknown, .brokenPickle, in: join(place, "stream 5"), at: 0, "the list of storages is not a list")
      return
    }
    // Each storage is its number of elements, in 8 bytes, and then its elements.
    for key in keys {
      guard let storage = storages[ExactText(key)] else {
        audit.report(
          .unknown, .trailingData, in: place, at: offset,
          "data of a storage that no tensor uses, \(String(key.prefix(80)).escapedForDisplay)")
        return
      }
      // When elements share bytes, only the data itself determines its length.
      guard let size = storage.elementByteCount else { return }
      guard let length = storage.count.checkedMultiplying(by: size)?.checkedAdding(8),
        let end = offset.checkedAdding(length), end <= bytes.byteCount
      else {
        audit.report(
          .unknown, .brokenPickle, in: place, at: offset, "the file ends inside the data of its storages")
        return
      }
      offset = end
    }
    let rest = bytes.part(offset..<bytes.byteCount)
    if rest.byteCount > 0, Sniffing.announcesPickle(rest) {
      audit.report(
        .unknown, .secondStream, in: place, at: offset, "another file follows; a second load call runs it")
      _ = inside(isExpected: true).scan(rest, in: join(place, "file at \(offset)"))
    } else {
      reportTrailing(bytes, from: offset, in: place)
    }
  }
}
