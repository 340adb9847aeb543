internal import ByteParsing
internal import Pickle

/// Looks for names in bytes that could not be followed: behind a break, or behind raw data inside a stream.
///
/// It sees spellings, not streams, so what it finds may be data; it is only asked where the verdict is not clean
/// already. O(length).
enum NameSearch {
  private static let farthest = 64 << 20
  private static let most = 50
  private static let longest = 100

  /// Reports dangerous names spelled as GLOBAL or STACK_GLOBAL would have them.
  static func report(_ bytes: RawSpan, from start: Int, in place: String, _ audit: FileAudit) {
    let end = min(bytes.byteCount, start + farthest)
    var found = 0
    var offset = start
    // The next newline: without one near by, no line of a name begins here.
    var newline = start
    while offset < end, found < most {
      if newline < offset { newline = offset }
      while newline < end, bytes.byte(newline) != 0x0A { newline += 1 }
      let byte = bytes.byte(offset)
      var name: (module: String, name: String)?
      if byte == PickleOpcode.global.rawValue || byte == PickleOpcode.inst.rawValue {
        name = newline - offset <= longest ? lines(bytes, at: offset + 1) : nil
      } else if byte == PickleOpcode.stackGlobal.rawValue {
        name = texts(bytes, before: offset)
      }
      if let name {
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

  /// `module\nname\n`.
  private static func lines(_ bytes: RawSpan, at offset: Int) -> (String, String)? {
    guard let module = word(bytes, from: offset, until: 0x0A),
      let name = word(bytes, from: offset + module.utf8.count + 1, until: 0x0A)
    else { return nil }
    return (module, name)
  }

  private static func word(_ bytes: RawSpan, from offset: Int, until end: UInt8) -> String? {
    var letters: [UInt8] = []
    while letters.count < longest, let byte = bytes.byte(offset + letters.count), byte != end {
      letters.append(byte)
    }
    guard bytes.byte(offset + letters.count) == end, !letters.isEmpty else { return nil }
    let text = String(decoding: letters, as: UTF8.self)
    return NameStanding.isPlain(text) ? text : nil
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
