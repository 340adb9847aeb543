internal import DecantBytes
internal import DecantPickle

/// Searches for names in bytes that cannot be interpreted: after a broken opcode, or after raw data inside a stream.
///
/// It matches byte patterns and does not run opcodes, so a match may be data. It is used only when the verdict is
/// already not clean. O(length).
enum NameSearch {
  private static let farthest = 64 << 20
  private static let most = 50
  private static let longest = 100
  /// The maximum length of the top-level modules that are dangerous by their name.
  private static let longestFamily = 32
  /// The maximum number of candidates judged. No data has as many by chance.
  private static let mostSpellings = 200_000

  /// Reports dangerous names that are encoded as for GLOBAL, INST or STACK_GLOBAL.
  static func report(_ bytes: RawSpan, from start: Int, in place: String, _ audit: FileAudit) {
    let end = min(bytes.byteCount, start + farthest)
    guard audit.spend(max(0, end - start) / 16) else { return }
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
            "more than \(mostSpellings) names follow the damage")
        }
        switch audit.standing(module: name.module, name: name.name) {
        case .dangerous(_, let reason):
          audit.report(
            .dangerous, .nameAfterBreak, in: place, at: offset,
            "\(name.module).\(name.name) is named after the damage: \(reason)",
            call: "from \(name.module) import \(name.name)")
          found += 1
        default: break
        }
      }
      offset += 1
    }
  }

  /// A line that may end with a module, and the next line, which is then the name.
  private struct Line {
    let end: Int
    /// The offset where the identifier characters at the line's end begin.
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
        NameClass.isPlain(byte)
      {
        letters.append(byte)
      }
      let isName = end < limit && !letters.isEmpty && bytes.byte(end + 1 + letters.count) == 0x0A
      name = isName ? String(decoding: letters, as: UTF8.self) : nil
      namesFunction = name.map(DangerousNames.namesFunction) ?? false
      guard isName else { return }
      while plain > start, end - plain < NameSearch.longest, let byte = bytes.byte(plain - 1),
        NameClass.isPlain(byte)
      {
        plain -= 1
      }
    }

    /// Returns the module and the name of `module\nname\n` when the module begins at `start`.
    func name(_ bytes: RawSpan, from start: Int) -> (String, String)? {
      guard let name, start >= plain, start < end else { return nil }
      let isShort =
        bytes.first([0x2E], in: start..<min(end, start + NameSearch.longestFamily)) != nil
        || end - start <= NameSearch.longestFamily
      guard isShort || namesFunction || name.utf8.contains(0x2E) else { return nil }
      return (String(decoding: bytes.copy(start..<end), as: UTF8.self), name)
    }
  }

  /// Returns the two SHORT_BINUNICODE texts directly before an opcode, with or without MEMOIZE.
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
        return NameClass.isPlain(text) ? (text, start - 2) : nil
      }
      guard let byte = bytes.byte(start), byte < 0x80 else { return nil }
    }
    return nil
  }
}
