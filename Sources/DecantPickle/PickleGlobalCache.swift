/// The nodes of names met lately, by their bytes in the stream.
///
/// A direct-mapped table of fixed size: a hostile stream can make it miss, never grow.
struct PickleGlobalCache {
  private struct Entry {
    let range: Range<Int>
    let value: PickleValue
  }

  private static let size = 256
  private var entries: [Entry?] = []

  /// The node made for the same bytes, if it is still here. O(length).
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

  /// Remembers a node in place of whatever stood in its slot.
  mutating func insert(_ value: PickleValue, _ range: Range<Int>, in bytes: borrowing RawSpan) {
    if entries.isEmpty { entries = [Entry?](repeating: nil, count: Self.size) }
    entries[Self.slot(range, in: bytes)] = Entry(range: range, value: value)
  }

  /// FNV-1a, folded.
  private static func slot(_ range: Range<Int>, in bytes: borrowing RawSpan) -> Int {
    var hash: UInt32 = 0x811C_9DC5
    for offset in range { hash = (hash ^ UInt32(bytes[offset])) &* 0x0100_0193 }
    return Int((hash ^ hash >> 16) & UInt32(size - 1))
  }
}

extension RawSpan {
  /// The byte at an offset, which must lie inside.
  fileprivate subscript(offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
