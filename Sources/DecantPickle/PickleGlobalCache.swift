/// A cache of recent GLOBAL nodes, keyed by the bytes of their names in the stream.
///
/// It is a direct-mapped table of fixed size. A hostile stream can cause misses but cannot make it grow.
struct PickleGlobalCache {
  private struct Entry {
    let range: Range<Int>
    let value: PickleValue
  }

  private static let size = 256
  private var entries: [Entry?] = []

  /// Returns the cached node for the same bytes, if there is one. O(length).
  func find(_ range: Range<Int>, in bytes: borrowing RawSpan) -> PickleValue? {
    guard !entries.isEmpty, let entry = entries[Self.slot(range, in: bytes)],
      entry.range.count == range.count
    else { return nil }
    for step in 0..<range.count
    where
      bytes[entry.range.lowerBound + step] != bytes[range.lowerBound + step]
    {
      return nil
    }
    return entry.value
  }

  /// Caches a node, replacing any entry in the same slot.
  mutating func insert(_ value: PickleValue, _ range: Range<Int>, in bytes: borrowing RawSpan) {
    if entries.isEmpty { entries = [Entry?](repeating: nil, count: Self.size) }
    entries[Self.slot(range, in: bytes)] = Entry(range: range, value: value)
  }

  /// FNV-1a, folded to the table's size.
  private static func slot(_ range: Range<Int>, in bytes: borrowing RawSpan) -> Int {
    var hash: UInt32 = 0x811C_9DC5
    for offset in range { hash = (hash ^ UInt32(bytes[offset])) &* 0x0100_0193 }
    return Int((hash ^ hash >> 16) & UInt32(size - 1))
  }
}

extension RawSpan {
  /// The byte at an offset inside the span.
  fileprivate subscript(offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
