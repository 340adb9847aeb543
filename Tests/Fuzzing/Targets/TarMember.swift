/// A member of a tar archive (POSIX ustar): a header of 512 bytes and the content.
package struct TarMember {
  private static let block = 512
  let header: [UInt8]
  let data: [UInt8]

  /// Creates a regular file.
  package init(name: String, data: [UInt8]) {
    var header = [UInt8](repeating: 0, count: Self.block)
    header.replaceSubrange(0..<min(100, name.utf8.count), with: name.utf8.prefix(100))
    header[156] = UInt8(ascii: "0")
    header.replaceSubrange(257..<265, with: "ustar\u{0}00".utf8)
    self.init(header: header, data: data)
  }

  init(header: [UInt8], data: [UInt8]) {
    self.header = header
    self.data = data
  }

  /// Returns the members up to the first invalid one.
  static func all(in bytes: [UInt8]) -> [TarMember] {
    var members: [TarMember] = []
    var offset = 0
    while bytes.count - offset >= block, members.count < 200 {
      let header = Array(bytes[offset..<offset + block])
      guard header[0] != 0, header[257..<262].elementsEqual("ustar".utf8),
        let size = Int(text(header[124..<135]), radix: 8), size >= 0, size <= bytes.count - offset - block
      else { break }
      members.append(
        TarMember(header: header, data: Array(bytes[offset + block..<offset + block + size])))
      offset += block + (size + block - 1) / block * block
    }
    return members
  }

  /// The name in the header.
  var name: String { Self.text(header[..<100]) }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 && $0 != 0x20 }, as: UTF8.self)
  }

  /// The header and content in blocks of 512 bytes, with a valid size and checksum in the header.
  package var sealed: [UInt8] {
    var header = Array((header + [UInt8](repeating: 0, count: Self.block)).prefix(Self.block))
    func write(_ number: Int, at offset: Int, digits: Int) {
      let text = String(number, radix: 8)
      let field = Array((String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8)
      header.replaceSubrange(offset..<offset + digits, with: field.suffix(digits))
      header[offset + digits] = 0
    }
    write(data.count, at: 124, digits: 11)
    header.replaceSubrange(148..<156, with: repeatElement(0x20, count: 8))
    write(header.reduce(0) { $0 + Int($1) }, at: 148, digits: 6)
    let padding = (Self.block - data.count % Self.block) % Self.block
    return header + data + [UInt8](repeating: 0, count: padding)
  }
}
