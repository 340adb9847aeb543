/// The parts of a region that parsers have read to their end: a file, the data of an archive's entry, or bytes inside a
/// pickle.
///
/// A region is clean only when every byte of it is claimed. A parser claims a structure after it has read and judged
/// all of it, padding only when it has the value that the format demands, and a tensor's data only when a record
/// states its length. ``ContentScan/region(_:in:_:)`` reports the bytes that are left.
final class ByteLedger {
  /// The kind of structure that a range belongs to.
  enum Owner {
    /// Headers, tables and other fixed structures of a container.
    case structure
    /// A pickle stream that was interpreted up to its STOP.
    case pickle
    /// The data of a tensor or storage, whose length a record states.
    case tensor
    /// Content with a ledger of its own, such as an entry of an archive.
    case nested
    /// A short text whose form is known, such as an archive's version number.
    case text
    /// Code that loading or calling runs, which is never clean.
    case program
    /// Bytes that the format demands as padding, and that have the value it demands.
    case padding
  }

  let byteCount: Int
  /// The claimed ranges in the order of the claims. They may overlap.
  private var claims: [(range: Range<Int>, owner: Owner)] = []
  /// The ranges that a finding already reports as not read.
  private var unread: [Range<Int>] = []

  init(byteCount: Int) { self.byteCount = byteCount }

  /// Adds a range that a parser has read to its end. The parts outside the region are ignored.
  func claim(_ range: Range<Int>, as owner: Owner) {
    guard !range.isEmpty else { return }
    // Parsers read in order, so that most ranges continue the one before.
    if let last = claims.last, last.owner == owner, last.range.upperBound == range.lowerBound {
      claims[claims.count - 1].range = last.range.lowerBound..<range.upperBound
    } else {
      claims.append((range, owner))
    }
  }

  /// Adds a range that a finding reports as not read, damaged or out of place, so that it is not reported twice.
  func markUnread(_ range: Range<Int>) {
    if !range.isEmpty { unread.append(range) }
  }

  /// True when every byte is claimed, and none is marked as unread.
  var isComplete: Bool { unread.isEmpty && Self.gaps(in: claims.map(\.range), byteCount).isEmpty }

  /// Returns the ranges that are neither claimed nor marked as unread, in ascending order. O(n log n) of the claims.
  func unexplained() -> [Range<Int>] { Self.gaps(in: claims.map(\.range) + unread, byteCount) }

  private static func gaps(in ranges: [Range<Int>], _ byteCount: Int) -> [Range<Int>] {
    var gaps: [Range<Int>] = []
    var reached = 0
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      guard range.lowerBound < byteCount else { break }
      if range.lowerBound > reached { gaps.append(reached..<range.lowerBound) }
      reached = max(reached, range.upperBound)
    }
    if reached < byteCount { gaps.append(reached..<byteCount) }
    return gaps
  }
}
