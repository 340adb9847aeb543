internal import DecantCheckpoints
import DecantIO
internal import TestSupport

/// A file split into the contents of its container, which can be changed and then put together again.
struct ContainerParts {
  /// The contents, in file order.
  var parts: [[UInt8]]
  private let seal: ([[UInt8]]) -> [UInt8]

  /// Splits a zip, tar, safetensors, NPY or PNG file; nil for other bytes.
  init?(_ bytes: [UInt8]) {
    guard
      let envelope = ContainerParts(zip: bytes) ?? ContainerParts(tar: bytes) ?? ContainerParts(
        safetensors: bytes)
        ?? ContainerParts(npy: bytes) ?? ContainerParts(png: bytes)
    else { return nil }
    self = envelope
  }

  private init(parts: [[UInt8]], seal: @escaping ([[UInt8]]) -> [UInt8]) {
    self.parts = parts
    self.seal = seal
  }

  /// Returns the container with the current parts and valid lengths and checksums.
  func sealed() -> [UInt8] { seal(parts) }

  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = CRC32()
    bytes.withUnsafeBytes { crc.update($0) }
    return crc.value
  }

  // MARK: - Zip

  /// Splits a zip into its entries, by the central directory at the end of the file. Deflated data stays deflated.
  private init?(zip bytes: [UInt8]) {
    guard bytes.starts(with: [0x50, 0x4B]), bytes.count >= 22 else { return nil }
    let last = bytes.count - 22
    guard
      let end = stride(from: last, through: max(0, last - 512), by: -1).first(where: {
        bytes[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 5, 6])
      })
    else { return nil }
    var place = Int(bytes.little(4, at: end + 16) ?? .max)
    var entries: [ZipBuilder.Entry] = []
    while bytes.little(4, at: place) == 0x0201_4B50, entries.count < 200 {
      guard let method = bytes.little(2, at: place + 10), let crc = bytes.little(4, at: place + 16),
        let stored = bytes.little(4, at: place + 20), let size = bytes.little(4, at: place + 24),
        let name = bytes.little(2, at: place + 28), let extra = bytes.little(2, at: place + 30),
        let comment = bytes.little(2, at: place + 32), let header = bytes.little(4, at: place + 42),
        let localName = bytes.little(2, at: Int(header) + 26),
        let localExtra = bytes.little(2, at: Int(header) + 28),
        place + 46 + Int(name) <= bytes.count
      else { return nil }
      let start = Int(header) + 30 + Int(localName) + Int(localExtra)
      guard start + Int(stored) <= bytes.count else { return nil }
      var entry = ZipBuilder.Entry(
        String(decoding: bytes[place + 46..<place + 46 + Int(name)], as: UTF8.self),
        Array(bytes[start..<start + Int(stored)]))
      entry.method = UInt16(method)
      if method != 0 {
        entry.crc32 = UInt32(crc)
        entry.inflatedSize = UInt32(size)
      }
      entries.append(entry)
      place += 46 + Int(name) + Int(extra) + Int(comment)
    }
    guard !entries.isEmpty else { return nil }
    self.init(parts: entries.map(\.data)) { parts in
      ZipBuilder(
        zip(entries, parts).map { entry, data in
          var entry = entry
          entry.data = data
          if entry.method == 0 {
            entry.crc32 = Self.crc32(data)
          }
          return entry
        }
      ).bytes
    }
  }

  // MARK: - Tar

  /// Splits a tar into alternating headers and contents. Only sizes and checksums are corrected afterwards.
  private init?(tar bytes: [UInt8]) {
    let members = TarMember.all(in: bytes)
    guard !members.isEmpty else { return nil }
    self.init(parts: members.flatMap { [$0.header, $0.data] }) { parts in
      let members = stride(from: 0, to: parts.count - 1, by: 2).map {
        TarMember(header: parts[$0], data: parts[$0 + 1]).sealed
      }
      return members.flatMap(\.self) + [UInt8](repeating: 0, count: 1024)
    }
  }

  // MARK: - PNG

  /// Splits a PNG into chunks, each with its name and content.
  private init?(png bytes: [UInt8]) {
    let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    guard bytes.starts(with: signature) else { return nil }
    var chunks: [[UInt8]] = []
    var place = signature.count
    while bytes.count - place >= 12, chunks.count < 200 {
      let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= bytes.count - place - 12 else { break }
      chunks.append(Array(bytes[place + 4..<place + 8 + length]))
      place += 12 + length
    }
    guard !chunks.isEmpty else { return nil }
    self.init(parts: chunks) { parts in
      parts.reduce(into: signature) { file, part in
        let crc = Self.crc32(part)
        file += ZipBuilder.little(UInt32(Swift.max(0, part.count - 4))).reversed() + part
        file += ZipBuilder.little(crc).reversed()
      }
    }
  }

  // MARK: - Headers preceded by a length

  private init?(safetensors bytes: [UInt8]) {
    guard let length = bytes.little(8, at: 0), length <= UInt64(bytes.count - 8), bytes.count > 9,
      bytes[8] == UInt8(ascii: "{")
    else { return nil }
    let end = 8 + Int(length)
    self.init(parts: [Array(bytes[8..<end]), Array(bytes[end...])]) { parts in
      ZipBuilder.little(UInt64(parts[0].count)) + parts[0] + parts[1]
    }
  }

  private init?(npy bytes: [UInt8]) {
    guard bytes.starts(with: [0x93] + Array("NUMPY".utf8)), bytes.count > 12 else { return nil }
    let width = bytes[6] == 1 ? 2 : 4
    guard let length = bytes.little(width, at: 8), Int(length) <= bytes.count - 8 - width else { return nil }
    let end = 8 + width + Int(length)
    self.init(parts: [Array(bytes[(8 + width)..<end]), Array(bytes[end...])]) { parts in
      Array(bytes[..<8]) + ZipBuilder.little(UInt64(parts[0].count)).prefix(width) + parts[0] + parts[1]
    }
  }
}

extension [UInt8] {
  /// Returns the little-endian number of `width` bytes at an offset, or nil when it does not fit.
  fileprivate func little(_ width: Int, at offset: Int) -> UInt64? {
    guard offset >= 0, offset <= count - width else { return nil }
    return self[offset..<offset + width].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
  }
}
