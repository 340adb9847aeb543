package import DecantBytes

/// The members of a tar archive in ustar format, with the pax keywords `path` and `size`.
///
/// Source: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Interchange Format".
package struct TarArchive {
  /// A regular file in the archive.
  package struct Member {
    package let name: String
    /// The offset of the file's data from the start of the archive.
    package let offset: Int
    package let byteCount: Int
  }

  package private(set) var members: [Member] = []

  private static let blockByteCount = 512
  /// The most bytes of a pax header; those that PyTorch writes hold one timestamp.
  private static let paxBytes = 1 << 16

  /// Returns true when a file begins like a tar archive.
  package static func recognises(_ head: [UInt8]) -> Bool {
    head.count >= 262 && head[257..<262].elementsEqual("ustar".utf8)
  }

  /// Reads every header. O(members).
  ///
  /// - Throws: ``DecantError`` for a header with a wrong checksum or an invalid number, and for a member that extends
  ///   beyond the archive.
  package init(_ source: ByteSource, limits: Limits) throws(DecantError) {
    var offset = 0
    var announced: (name: String?, byteCount: Int?) = (nil, nil)
    var headers = 0
    while source.byteCount - offset >= Self.blockByteCount {
      let block = try source.bytes(at: offset, count: Self.blockByteCount)
      if block.allSatisfy({ $0 == 0 }) { break }
      headers += 1
      guard headers <= limits.zipEntries else {
        throw DecantError(
          limits.exceeded(\.zipEntries), "the archive has at least \(headers) members", file: source.path)
      }
      func refuse(_ reason: String, truncated: Bool = false) -> DecantError {
        DecantError(
          truncated ? .truncated : .damaged, reason, file: source.path, entry: Self.name(block),
          offset: offset,
          remedy: truncated
            ? "The file is truncated. Download it again." : "The file is damaged. Download it again.")
      }
      guard block[257..<262].elementsEqual("ustar".utf8), Self.hasRightChecksum(block) else {
        throw refuse("there is no tar header with a correct checksum here")
      }
      guard let size = Self.number(block[124..<136]) else {
        throw refuse("the member's size is not a valid number")
      }
      let kind = block[156]
      let isRegular = [0, UInt8(ascii: "0"), UInt8(ascii: "7")].contains(kind)
      let byteCount = isRegular ? announced.byteCount ?? size : size
      let start = offset + Self.blockByteCount
      guard byteCount <= source.byteCount - start else {
        throw refuse(
          "the member has \(Format.count(byteCount, "byte")), but the archive has \(Format.count(source.byteCount - start)) there",
          truncated: true)
      }
      switch kind {
      case UInt8(ascii: "x"):
        guard byteCount <= Self.paxBytes else {
          throw refuse("a pax header has \(Format.count(byteCount, "byte"))")
        }
        guard let records = Self.pax(try source.bytes(at: start, count: byteCount)) else {
          throw refuse("a pax header is malformed")
        }
        announced = records
      case UInt8(ascii: "g"): break
      default:
        if isRegular {
          members.append(
            Member(name: announced.name ?? Self.name(block), offset: start, byteCount: byteCount))
        }
        announced = (nil, nil)
      }
      // The last member's padding may be missing.
      let padded = byteCount.checkedAdding(Self.blockByteCount - 1).map { $0 / Self.blockByteCount }
      offset = min(source.byteCount, start + (padded ?? 0) * Self.blockByteCount)
    }
  }

  /// Returns a member's name: the prefix, a slash and the name field.
  private static func name(_ block: [UInt8]) -> String {
    func text(_ range: Range<Int>) -> String {
      String(decoding: block[range].prefix { $0 != 0 }, as: UTF8.self)
    }
    let prefix = text(345..<500)
    return prefix.isEmpty ? text(0..<100) : prefix + "/" + text(0..<100)
  }

  /// Returns true when the header's checksum is right: the sum of all bytes, with spaces in the checksum field. Some
  /// writers summed signed bytes, so both sums are accepted.
  private static func hasRightChecksum(_ block: [UInt8]) -> Bool {
    guard let recorded = number(block[148..<156]) else { return false }
    var unsigned = 0
    var signed = 0
    for (place, byte) in block.enumerated() {
      let byte = 148..<156 ~= place ? 0x20 : byte
      unsigned += Int(byte)
      signed += Int(Int8(bitPattern: byte))
    }
    return recorded == unsigned || recorded == signed
  }

  /// Returns a number in octal with spaces or zeros around it, or in GNU's base-256 form, which begins with a byte of
  /// 0x80; nil for other fields.
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    var value = 0
    if let first = field.first, first & 0x80 != 0 {
      guard first == 0x80 else { return nil }
      for byte in field.dropFirst() {
        guard let next = value.checkedMultiplying(by: 256) else { return nil }
        value = next + Int(byte)
      }
      return value
    }
    var digits = field.drop { $0 == 0x20 }
    while let last = digits.last, last == 0 || last == 0x20 { digits.removeLast() }
    guard !digits.isEmpty else { return nil }
    for byte in digits {
      guard (0x30...0x37).contains(byte) else { return nil }
      value = value * 8 + Int(byte - 0x30)
    }
    return value
  }

  /// Returns the `path` and `size` of a pax header, which consists of lines `length key=value`; nil when it is
  /// malformed.
  private static func pax(_ bytes: [UInt8]) -> (name: String?, byteCount: Int?)? {
    var found: (name: String?, byteCount: Int?) = (nil, nil)
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let space = rest.firstIndex(of: 0x20),
        let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
        length > space - rest.startIndex + 1, length <= rest.count,
        rest[rest.startIndex + length - 1] == 0x0A
      else { return nil }
      let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
      rest = rest.dropFirst(length)
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { return nil }
      let value = String(decoding: record[(equals + 1)...], as: UTF8.self)
      switch String(decoding: record[..<equals], as: UTF8.self) {
      case "path": found.name = value
      case "size":
        guard let size = Int(value), size >= 0 else { return nil }
        found.byteCount = size
      default: break
      }
    }
    return found
  }
}
