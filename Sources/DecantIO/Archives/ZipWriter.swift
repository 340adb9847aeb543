package import DecantBytes

/// A writer of zip files with stored entries, laid out as PyTorch's writer does: data at multiples of 64 bytes,
/// padding in the local headers' extra fields, data descriptors, a zip64 end record.
///
/// The output is deterministic: it contains no times and nothing about the machine. Source: PyTorch
/// `caffe2/serialize/inline_container.cc`; docs/formats/torch-zip.md.
package struct ZipWriter {
  private let output: AtomicOutput
  private var directory: [UInt8] = []
  /// The CRC-32 of every entry so far; zero for those that ``settle()`` still has to fill in.
  package private(set) var checksums: [UInt32] = []
  private var late: [Late] = []

  /// An entry whose checksum is known only after everything is written.
  private struct Late {
    let entry: Int
    /// The offset of the checksum field in the file, and below it the index of the field in the directory.
    let place: Int
    let directoryPlace: Int
    let checksum: () -> CRC32
  }

  package init(_ output: AtomicOutput) { self.output = output }

  /// Writes an entry of `byteCount` bytes, which `append` appends to the output.
  package mutating func entry<E: Error>(
    _ name: String, byteCount: Int, append: (AtomicOutput) throws(E) -> EntryChecksum
  ) throws(E) {
    let headerOffset = output.byteCount
    let name = Array(name.utf8)
    let isWide = byteCount >= 0xFFFF_FFFF || headerOffset >= 0xFFFF_FFFF
    // The padding field has a header of four bytes, then enough letters Z that the data begins at a multiple of 64.
    let unpadded = headerOffset + 30 + name.count + 4
    let padding = (64 - unpadded % 64) % 64
    var header: [UInt8] = []
    header.appendLittleEndian(UInt32(0x0403_4B50))
    appendCommon(to: &header, crc32: 0, byteCount: 0, nameCount: name.count, extraCount: 4 + padding)
    header += name
    header += Array("FB".utf8)
    header.appendLittleEndian(UInt16(padding))
    header += [UInt8](repeating: UInt8(ascii: "Z"), count: padding)
    output.write(header)

    let checksum = try append(output)
    var crc = UInt32(0)
    switch checksum {
    case .known(let known): crc = known.value
    case .late(let checksum):
      late.append(
        Late(
          entry: checksums.count, place: output.byteCount + 4, directoryPlace: directory.count + 16,
          checksum: checksum))
    }

    var descriptor: [UInt8] = []
    descriptor.appendLittleEndian(UInt32(0x0807_4B50))
    descriptor.appendLittleEndian(crc)
    for _ in 0..<2 {
      if isWide {
        descriptor.appendLittleEndian(UInt64(byteCount))
      } else {
        descriptor.appendLittleEndian(UInt32(byteCount))
      }
    }
    output.write(descriptor)

    directory.appendLittleEndian(UInt32(0x0201_4B50))
    directory.appendLittleEndian(UInt16(0))
    let narrow = isWide ? 0xFFFF_FFFF : byteCount
    appendCommon(
      to: &directory, crc32: crc, byteCount: narrow, nameCount: name.count, extraCount: isWide ? 28 : 0)
    directory += [UInt8](repeating: 0, count: 10)
    directory.appendLittleEndian(UInt32(isWide ? 0xFFFF_FFFF : headerOffset))
    directory += name
    if isWide {
      directory.appendLittleEndian(UInt16(1))
      directory.appendLittleEndian(UInt16(24))
      for value in [byteCount, byteCount, headerOffset] { directory.appendLittleEndian(UInt64(value)) }
    }
    checksums.append(crc)
  }

  /// Writes an entry from memory.
  package mutating func entry(_ name: String, _ bytes: [UInt8]) {
    entry(name, byteCount: bytes.count) { output in
      output.write(bytes)
      return .known(CRC32(bytes))
    }
  }

  /// Waits until all entries are written, and fills in the checksums that were not known before.
  ///
  /// - Throws: ``DecantError`` when a read or a write has failed.
  package mutating func settle() throws(DecantError) {
    guard !late.isEmpty else { return }
    try output.finish()
    for entry in late {
      let crc = entry.checksum().value
      checksums[entry.entry] = crc
      var bytes: [UInt8] = []
      bytes.appendLittleEndian(crc)
      try output.replace(at: entry.place, with: bytes)
      directory.replaceSubrange(entry.directoryPlace..<entry.directoryPlace + 4, with: bytes)
    }
    late = []
  }

  /// The most bytes of an archive's comment.
  package static let longestComment = 65_535

  /// Writes the directory and the end records, with a comment of at most ``longestComment`` bytes.
  ///
  /// - Throws: Errors of ``settle()``.
  package mutating func finish(comment: [UInt8] = []) throws(DecantError) {
    precondition(comment.count <= Self.longestComment, "the comment is too long for a zip archive")
    try settle()
    let (offset, entryCount) = (output.byteCount, checksums.count)
    output.write(directory)
    let end = output.byteCount
    var record: [UInt8] = []
    record.appendLittleEndian(UInt32(0x0606_4B50))
    record.appendLittleEndian(UInt64(44))
    record.appendLittleEndian(UInt16(0x031E))
    record.appendLittleEndian(UInt16(45))
    record += [UInt8](repeating: 0, count: 8)
    for value in [entryCount, entryCount, directory.count, offset] {
      record.appendLittleEndian(UInt64(value))
    }
    record.appendLittleEndian(UInt32(0x0706_4B50))
    record.appendLittleEndian(UInt32(0))
    record.appendLittleEndian(UInt64(end))
    record.appendLittleEndian(UInt32(1))
    record.appendLittleEndian(UInt32(0x0605_4B50))
    record += [UInt8](repeating: 0, count: 4)
    for _ in 0..<2 { record.appendLittleEndian(UInt16(min(entryCount, 0xFFFF))) }
    for value in [directory.count, offset] { record.appendLittleEndian(UInt32(min(value, 0xFFFF_FFFF))) }
    record.appendLittleEndian(UInt16(comment.count))
    output.write(record + comment)
  }

  /// Appends the fields that local headers and directory entries share: version, flags (data descriptor, UTF-8),
  /// method (stored), no time, checksum, sizes, lengths.
  private func appendCommon(
    to header: inout [UInt8], crc32: UInt32, byteCount: Int, nameCount: Int, extraCount: Int
  ) {
    header.appendLittleEndian(UInt16(0))
    header.appendLittleEndian(UInt16(0x0808))
    header += [UInt8](repeating: 0, count: 6)
    header.appendLittleEndian(crc32)
    header.appendLittleEndian(UInt32(byteCount))
    header.appendLittleEndian(UInt32(byteCount))
    header.appendLittleEndian(UInt16(nameCount))
    header.appendLittleEndian(UInt16(extraCount))
  }
}

/// The CRC-32 of an entry's data.
package enum EntryChecksum {
  case known(CRC32)
  /// A checksum that is computed when everything is written.
  case late(() -> CRC32)

  /// Returns the checksum of `bytes` followed by the data.
  package func behind(_ bytes: [UInt8], dataByteCount: Int) -> EntryChecksum {
    let first = CRC32(bytes)
    func whole(_ data: CRC32) -> CRC32 {
      CRC32([(0, bytes.count, first), (bytes.count, dataByteCount, data)])
    }
    switch self {
    case .known(let data): return .known(whole(data))
    case .late(let data): return .late { whole(data()) }
    }
  }
}
