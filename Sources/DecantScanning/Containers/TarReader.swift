internal import DecantBytes

/// Reads the headers of a tar archive (POSIX ustar), leniently.
struct TarReader {
  struct Member {
    let name: [UInt8]
    let kind: UInt8
    let header: Int
    let data: Range<Int>
    /// The size in the header. Links, folders and devices have no data, whatever the size.
    let announced: Int
    /// The offset after the zeros that fill the last block.
    var end: Int { data.lowerBound + (data.count + 511) / 512 * 512 }
  }

  /// The offset of the archive's end mark, or nil when it has none.
  private(set) var end: Int?
  private(set) var fault: (rule: ScanRule, offset: Int, what: String)?
  /// Headers that readers may read in different ways.
  private(set) var oddities: [(offset: Int, what: String)] = []
  private static let mostMembers = 100_000

  /// Returns true when bytes begin with a tar header, which has the magic bytes `ustar` or a valid checksum. The oldest
  /// archives have no magic bytes, and Python does not require them.
  static func recognises(_ bytes: RawSpan) -> Bool {
    bytes.begins("ustar", at: 257) || hasChecksum(bytes)
  }

  private static func hasChecksum(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 512, let told = number(bytes, 148, 8) else { return false }
    var unsigned = 8 * 0x20
    var signed = 8 * 0x20
    for place in 0..<512 where !(148..<156).contains(place) {
      let byte = bytes.byte(place) ?? 0
      unsigned += Int(byte)
      signed += Int(Int8(bitPattern: byte))
    }
    return told == unsigned || told == signed
  }

  /// Returns true when the last zip archive in a tar fills one of its members, such as a packed checkpoint. Also true
  /// when there is no zip archive.
  static func holdsLastArchive(_ bytes: RawSpan, _ limits: Limits) -> Bool {
    guard ZipLayout.endRecord(bytes) != nil else { return true }
    var reader = TarReader()
    let layout = ZipLayout(bytes, limits: limits)
    return reader.members(bytes).contains {
      $0.data.lowerBound == layout.start && $0.data.upperBound == layout.end
    }
  }

  mutating func members(_ bytes: RawSpan) -> [Member] {
    var members: [Member] = []
    var place = 0
    while place + 512 <= bytes.byteCount {
      guard members.count < Self.mostMembers else {
        fault = (.limit, place, "more than \(Self.mostMembers) members")
        break
      }
      if bytes.byte(place) == 0, bytes.holdsOnly(0, in: place..<place + 512) {
        end = place
        break
      }
      guard Self.recognises(bytes.part(place..<bytes.byteCount)),
        let announced = Self.number(bytes, place + 124, 12), announced >= 0
      else {
        fault = (.brokenPickle, place, "a member's header is missing here")
        break
      }
      checkHeader(bytes, place)
      var name = bytes.copy(place..<place + 100).prefix { $0 != 0 }
      let prefix = bytes.copy(place + 345..<place + 500).prefix { $0 != 0 }
      if !prefix.isEmpty {
        if !bytes.begins([0x75, 0x73, 0x74, 0x61, 0x72, 0], at: place + 257) {
          oddities.append((place, "a member's name has a prefix, which only some readers use"))
        }
        name = prefix + [0x2F] + name
      }
      var kind = bytes.byte(place + 156) ?? 0
      // Python treats an old member whose name ends with a slash as a folder, which has no data.
      if kind == 0, name.last == 0x2F { kind = UInt8(ascii: "5") }
      let size = (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(kind) ? 0 : announced
      guard size <= bytes.byteCount - place - 512 else {
        fault = (.brokenPickle, place, "the archive ends inside a member")
        members.append(
          Member(
            name: Array(name), kind: kind, header: place, data: place + 512..<bytes.byteCount,
            announced: announced))
        break
      }
      members.append(
        Member(
          name: Array(name), kind: kind, header: place, data: place + 512..<place + 512 + size,
          announced: announced))
      place += 512 + (size + 511) / 512 * 512
    }
    return members
  }

  /// Notes a header whose checksum is wrong, or whose texts hide bytes after their end.
  private mutating func checkHeader(_ bytes: RawSpan, _ place: Int) {
    guard oddities.count < Self.mostMembers else { return }
    let header = bytes.part(place..<place + 512)
    if !Self.hasChecksum(header) {
      oddities.append((place, "a member's header has a wrong checksum, and some readers stop there"))
    }
    // The mode, the owner, the size, the time, the checksum and the device, in octal digits or to the base of 256.
    for field in [100..<108, 108..<116, 116..<124, 124..<136, 136..<148, 148..<156, 329..<337, 337..<345]
    where header.byte(field.lowerBound).map({ $0 < 0x80 }) ?? false {
      let digits = header.copy(field).prefix { $0 != 0 }
      if !header.copy(field).dropFirst(digits.count).allSatisfy({ $0 == 0 || $0 == 0x20 }) {
        oddities.append((place + field.lowerBound, "a member's header holds bytes after the end of a number"))
      }
    }
    // The name, the link's name, the owner's names and the prefix. The format ends with 12 zeros.
    for field in [0..<100, 157..<257, 265..<297, 297..<329, 345..<500, 500..<512] {
      let text = header.copy(field).prefix { $0 != 0 }
      if !header.holdsOnly(0, in: field.lowerBound + text.count..<field.upperBound)
        || field.lowerBound == 500 && !text.isEmpty
      {
        oddities.append((place + field.lowerBound, "a member's header holds bytes after the end of a text"))
      }
    }
  }

  /// Returns a number as Python's tarfile reads it, or nil when the field is not a number. The field is octal, with the
  /// characters that Python's `int` allows around and between digits, and may be empty for zero. If its first byte is
  /// 0x80 or 0xFF, the field is in base 256.
  private static func number(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> Int? {
    if let first = bytes.byte(offset), first == 0x80 || first == 0xFF {
      var value = first == 0xFF ? -1 : 0
      for place in offset + 1..<offset + count {
        guard let byte = bytes.byte(place), abs(value) < 1 << 54 else { return nil }
        value = value << 8 | Int(byte)
      }
      return value
    }
    // The ASCII characters that str.strip() removes in Python.
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte || 0x1C...0x1F ~= byte }
    var text = bytes.copy(offset..<min(offset + count, bytes.byteCount)).prefix { $0 != 0 }
    text = text.drop(while: isSpace)
    while let last = text.last, isSpace(last) { text.removeLast() }
    let isNegative = text.first == 0x2D
    if isNegative || text.first == 0x2B { text.removeFirst() }
    if text.starts(with: "0o".utf8) || text.starts(with: "0O".utf8) { text.removeFirst(2) }
    var value = 0
    for byte in text where byte != 0x5F {
      guard byte >= 0x30, byte <= 0x37, value < 1 << 55 else { return nil }
      value = value << 3 | Int(byte - 0x30)
    }
    return isNegative ? -value : value
  }
}
