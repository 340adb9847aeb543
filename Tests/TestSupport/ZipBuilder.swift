/// Builds zip files byte by byte, including invalid ones.
package struct ZipBuilder {
  /// An entry, in which every field can contradict the data.
  package struct Entry {
    package var name: String
    package var data: [UInt8]
    package var method: UInt16 = 0
    package var flags: UInt16 = 0x0800
    package var crc32: UInt32?
    /// The stored size in the headers, when it differs from that of `data`.
    package var size: UInt32?
    /// The inflated size in the headers, when `data` is compressed.
    package var inflatedSize: UInt32?
    package var localSize: UInt32?
    package var localName: String?
    /// The local header's offset in the central directory, when it differs from the real one.
    package var headerOffset: UInt32?

    package init(_ name: String, _ data: [UInt8]) {
      self.name = name
      self.data = data
    }
  }

  package var entries: [Entry] = []
  package var comment: [UInt8] = []
  package var announcedCount: UInt16?

  package init(_ entries: [Entry] = []) { self.entries = entries }

  /// The bytes of the zip file.
  package var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let offset = UInt32(file.count)
      let crc = entry.crc32 ?? Self.crc32(entry.data)
      let name = Array((entry.localName ?? entry.name).utf8)
      let size = entry.size ?? UInt32(entry.data.count)
      file += Self.little(UInt32(0x0403_4B50)) + Self.little(UInt16(20)) + Self.little(entry.flags)
      file += Self.little(entry.method) + Self.little(UInt32(0)) + Self.little(crc)
      file +=
        Self.little(entry.localSize ?? size) + Self.little(entry.localSize ?? entry.inflatedSize ?? size)
      file += Self.little(UInt16(name.count)) + Self.little(UInt16(0)) + name + entry.data
      let directoryName = Array(entry.name.utf8)
      directory += Self.little(UInt32(0x0201_4B50)) + Self.little(UInt16(20)) + Self.little(UInt16(20))
      directory +=
        Self.little(entry.flags) + Self.little(entry.method) + Self.little(UInt32(0)) + Self.little(crc)
      directory +=
        Self.little(size) + Self.little(entry.inflatedSize ?? size) + Self.little(UInt16(directoryName.count))
      directory +=
        [UInt8](repeating: 0, count: 12) + Self.little(entry.headerOffset ?? offset) + directoryName
    }
    let start = UInt32(file.count)
    let count = announcedCount ?? UInt16(entries.count)
    file += directory + Self.little(UInt32(0x0605_4B50)) + Self.little(UInt32(0)) + Self.little(count)
    file += Self.little(count) + Self.little(UInt32(directory.count)) + Self.little(start)
    return file + Self.little(UInt16(comment.count)) + comment
  }

  /// Returns the bytes of an integer, least significant first.
  package static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    stride(from: 0, to: T.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  /// Returns the CRC-32, computed bit by bit: slow, but independent of the tested code.
  package static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in
      (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1
      }
    }
  }
}
