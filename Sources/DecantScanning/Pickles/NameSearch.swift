internal import DecantBytes
internal import DecantPickle

/// Looks for names in bytes that could not be followed: behind a break, or behind raw data inside a stream.
///
/// It sees spellings, not streams, so what it finds may be data; it is only asked where the verdict is not clean
/// already. O(length).
enum NameSearch {
  private static let farthest = 64 << 20
  private static let most = 50
  private static let longest = 100
  /// No top-level module that is judged dangerous by its name is longer.
  private static let longestFamily = 32
  /// Spellings judged: no data has so many by chance.
  private static let mostSpellings = 200_000

  /// Reports dangerous names spelled as GLOBAL or STACK_GLOBAL would have them.
  static func report(_ bytes: RawSpan, from start: Int, in place: String, _ audit: FileAudit) {
    let end = min(bytes.byteCount, start + farthest)
    var found = 0
    var spellings = 0
    var offset = start
    var line = Line(bytes, from: start, until: end)
    while offset < end, found < most {
      if line.end < offset { line = Line(bytes, from: offset, until: end) }
      let byte = bytes.byte(offset)
      var name: (module: String, name: String)?
      if byte == PickleOpcode.global.rawValue || byte == PickleOpcode.inst.rawValue {
        name = line.name(bytes, from: offset + 1)
      } else if byte == PickleOpcode.stackGlobal.rawValue {
        name = texts(bytes, before: offset)
      }
      if let name {
        spellings += 1
        guard spellings <= mostSpellings else {
          return audit.report(
            .unknown, .limit, in: place, at: offset,
            "more than \(mostSpellings) names are spelled behind the break")
        }
        switch audit.standing(module: name.module, name: name.name) {
        case .dangerous(_, let reason):
          audit.report(
            .dangerous, .nameAfterBreak, in: place, at: offset,
            "\(name.module).\(name.name) is named behind the break: \(reason)",
            call: "from \(name.module) import \(name.name)")
          found += 1
        default: break
        }
      }
      offset += 1
    }
  }

  /// A line whose end may be a module, and the line behind it, which is the name then.
  private struct Line {
    let end: Int
    /// Where the plain letters at its end begin.
    private var plain: Int
    private let name: String?
    private let namesFunction: Bool

    init(_ bytes: RawSpan, from start: Int, until limit: Int) {
      var end = start
      while end < limit, bytes.byte(end) != 0x0A { end += 1 }
      self.end = end
      plain = end
      var letters: [UInt8] = []
      while letters.count < NameSearch.longest, let byte = bytes.byte(end + 1 + letters.count),
        NameStanding.isPlain(byte)
      {
        letters.append(byte)
      }
      let isName = end < limit && !letters.isEmpty && bytes.byte(end + 1 + letters.count) == 0x0A
      name = isName ? String(decoding: letters, as: UTF8.self) : nil
      namesFunction = name.map(RunningNames.namesFunction) ?? false
      guard isName else { return }
      while plain > start, end - plain < NameSearch.longest, let byte = bytes.byte(plain - 1),
        NameStanding.isPlain(byte)
      {
        plain -= 1
      }
    }

    /// `module\nname\n`, when the module begins here.
    func name(_ bytes: RawSpan, from start: Int) -> (String, String)? {
      guard let name, start >= plain, start < end else { return nil }
      let isShort =
        bytes.first([0x2E], in: start..<min(end, start + NameSearch.longestFamily)) != nil
        || end - start <= NameSearch.longestFamily
      guard isShort || namesFunction || name.utf8.contains(0x2E) else { return nil }
      return (String(decoding: bytes.copy(start..<end), as: UTF8.self), name)
    }
  }

  /// Two texts of one length byte right before an opcode, with or without MEMOIZE.
  private static func texts(_ bytes: RawSpan, before offset: Int) -> (String, String)? {
    guard let (name, start) = text(bytes, endingAt: offset), let (module, _) = text(bytes, endingAt: start)
    else {
      return nil
    }
    return (module, name)
  }

  private static func text(_ bytes: RawSpan, endingAt end: Int) -> (String, Int)? {
    let end = bytes.byte(end - 1) == PickleOpcode.memoize.rawValue ? end - 1 : end
    for length in 1..<longest {
      let start = end - length
      guard start >= 2 else { return nil }
      if bytes.byte(start - 1) == UInt8(length),
        bytes.byte(start - 2) == PickleOpcode.shortBinUnicode.rawValue
      {
        let text = String(decoding: bytes.copy(start..<end), as: UTF8.self)
        return NameStanding.isPlain(text) ? (text, start - 2) : nil
      }
      guard let byte = bytes.byte(start), byte < 0x80 else { return nil }
    }
    return nil
  }
}
