package import DecantBytes
internal import Synchronization

/// A zip file: its directory, and its entries as contents that are read when asked for.
package final class ZipArchive: Sendable {
  package let file: ByteSource
  package let entries: [ZipEntry]
  private let places: [[UInt8]: Int]
  private let limits: Limits
  /// The entry inflated last: neighbouring reads want the same one.
  private let inflated = Mutex<(index: Int, content: BytesInMemory)?>(nil)

  /// Bytes of entries that stand in memory for as long as somebody keeps them.
  private let allocated = Mutex(0)

  /// Reads the directory and nothing else.
  package init(_ file: ByteSource, limits: Limits) throws(DecantError) {
    self.file = file
    self.limits = limits
    let directory = try ZipDirectory(file, limits: limits)
    entries = directory.entries
    places = directory.places
    recordsChecksums = entries.contains { $0.crc32 != 0 } || entries.allSatisfy { $0.byteCount == 0 }
  }

  /// An archive whose directory is lost, of the entries that were found by their local headers.
  package init(_ file: ByteSource, entries: [ZipEntry], limits: Limits) {
    self.file = file
    self.limits = limits
    self.entries = entries
    places = Dictionary(entries.map { ($0.rawName, $0.index) }, uniquingKeysWith: { first, _ in first })
    recordsChecksums = entries.contains { $0.crc32 != 0 } || entries.allSatisfy { $0.byteCount == 0 }
  }

  /// Whether any checksum was recorded: PyTorch can be told to write zeros for all of them.
  package let recordsChecksums: Bool

  /// Whether an entry's checksum was recorded: a record that was saved without its data has 0 among others.
  package func recordsChecksum(of entry: ZipEntry) -> Bool {
    recordsChecksums && (entry.crc32 != 0 || entry.byteCount == 0)
  }

  /// The entry of a name.
  package func entry(_ name: String) -> ZipEntry? { places[Array(name.utf8)].map { entries[$0] } }

  /// An entry's bytes in memory, with whether they match the recorded checksum.
  ///
  /// - Throws: ``DecantError`` when the entry is larger than `limit` allows.
  package func bytes(of entry: ZipEntry, limit: KeyPath<Limits, Int>) throws(DecantError) -> (
    bytes: [UInt8], isIntact: Bool
  ) {
    guard entry.byteCount <= limits[keyPath: limit] else {
      throw DecantError(
        limits.exceeded(limit, need: entry.byteCount), "the entry has \(entry.byteCount) bytes",
        file: file.path,
        entry: entry.name)
    }
    try allocate(entry)
    let bytes: [UInt8]
    if entry.method == ZipEntry.stored {
      bytes = try file.bytes(at: try dataOffset(of: entry), count: entry.byteCount)
    } else {
      bytes = try inflate(entry).copied
    }
    return (bytes, !recordsChecksum(of: entry) || CRC32.of(bytes) == entry.crc32)
  }

  /// The bytes of an entry that is a pickle, with whether they match the recorded checksum, and the limits to read
  /// them with: what a few deflated bytes inflate to may ask for no more memory than a file of that size.
  package func pickle(
    _ entry: ZipEntry
  ) throws(DecantError) -> (bytes: [UInt8], isIntact: Bool, limits: Limits) {
    var limits = limits
    if entry.method != ZipEntry.stored {
      func times(_ factor: Int) -> Int {
        let (product, overflow) = entry.storedByteCount.multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
      }
      guard entry.byteCount <= max(4 << 20, times(limits.pickleInflation)) else {
        throw DecantError(
          limits.exceeded(\.pickleInflation, need: entry.inflation),
          "the pickle inflates \(entry.inflationText)",
          file: file.path, entry: entry.name)
      }
      limits.pickleValues = min(limits.pickleValues, max(2_000_000, times(limits.deflatedValues)))
    }
    let (bytes, isIntact) = try bytes(of: entry, limit: \.pickleBytes)
    return (bytes, isIntact, limits)
  }

  /// Counts an entry that is to stand in memory.
  package func allocate(_ entry: ZipEntry) throws(DecantError) {
    let total = allocated.withLock { allocated in
      allocated = allocated.checkedAdding(entry.byteCount) ?? .max
      return allocated
    }
    guard total <= limits.allocation else {
      throw DecantError(
        limits.exceeded(\.allocation, seen: total),
        "the entries to be held in memory take at least \(total) bytes", file: file.path, entry: entry.name)
    }
  }

  /// Where a stored entry's data begins, from its local header.
  ///
  /// PyTorch pads the local header's extra field so that data is aligned; the directory's own copy of the
  /// extra field has another length and must not be used.
  package func dataOffset(of entry: ZipEntry) throws(DecantError) -> Int {
    func refuse(_ code: DecantError.Code, _ reason: String) -> DecantError {
      DecantError(
        code, reason, file: file.path, entry: entry.name, offset: entry.headerOffset,
        remedy: "The file is damaged or made to deceive: fetch it again.")
    }
    // One read for the header and the name it should have; the directory has proved that they lie in the file.
    let header = try file.bytes(at: entry.headerOffset, count: 30 + entry.rawName.count)
    func word(_ place: Int) -> Int { Int(header[place]) | Int(header[place + 1]) << 8 }
    func long(_ place: Int) -> Int { word(place) | word(place + 2) << 16 }
    guard long(0) == 0x0403_4B50 else {
      throw refuse(.damaged, "there is no local header where the directory says")
    }
    let flags = word(6)
    guard flags & 0x2041 == 0 else {
      throw refuse(.deceptive, "the local header says the entry is encrypted")
    }
    guard word(8) == Int(entry.method) else {
      throw refuse(.deceptive, "the local header and the directory disagree on the compression")
    }
    guard word(26) == entry.rawName.count, header[30...].elementsEqual(entry.rawName) else {
      let name = String(decoding: header[30...].prefix(word(26)), as: UTF8.self)
      throw refuse(.deceptive, "the local header has another name, \(name.escapedForDisplay)")
    }
    // With bit 3 the sizes follow the data; otherwise zero, full (zip64) or equal to the directory's.
    let stored = long(18)
    let size = long(22)
    let isKnown = flags & 8 == 0
    guard stored == entry.storedByteCount || stored == 0xFFFF_FFFF || (!isKnown && stored == 0),
      size == entry.byteCount || size == 0xFFFF_FFFF || (!isKnown && size == 0)
    else {
      throw refuse(
        .deceptive,
        "the local header says \(stored) bytes stored, \(size) in all, and the directory \(entry.storedByteCount) and "
          + "\(entry.byteCount)")
    }
    let start = entry.headerOffset + 30 + word(26) + word(28)
    guard let end = start.checkedAdding(entry.storedByteCount), end <= entry.bound else {
      throw refuse(.deceptive, "the entry's data runs into the next entry")
    }
    return start
  }

  /// A deflated entry's bytes; the last one stays in memory.
  package func inflate(_ entry: ZipEntry) throws(DecantError) -> BytesInMemory {
    if let content = inflated.withLock({ $0?.index == entry.index ? $0?.content : nil }) { return content }
    let start = try dataOffset(of: entry)
    let isLarge = entry.byteCount > 128 << 20
    guard entry.inflation <= Deflate.largestFactor else {
      throw DecantError(
        .damaged,
        "the entry inflates \(entry.inflationText), more than DEFLATE can (\(Deflate.largestFactor))",
        file: file.path, entry: entry.name)
    }
    let limit = isLarge ? \Limits.largeInflation : \Limits.inflation
    guard entry.inflation <= limits[keyPath: limit] else {
      throw DecantError(
        limits.exceeded(limit, need: entry.inflation), "the entry inflates \(entry.inflationText)",
        file: file.path, entry: entry.name)
    }
    guard entry.byteCount <= limits.inflatedBytes else {
      throw DecantError(
        limits.exceeded(\.inflatedBytes, need: entry.byteCount),
        "the entry inflates to \(entry.byteCount) bytes", file: file.path, entry: entry.name)
    }
    let deflated = try file.bytes(at: start, count: entry.storedByteCount)
    var isSound = Result<Bool, Deflate.LibraryMissing>.success(false)
    let content = unsafe BytesInMemory(byteCount: entry.byteCount) { buffer in
      isSound = unsafe deflated.withUnsafeBytes { deflated in
        Result { () throws(Deflate.LibraryMissing) in try unsafe Deflate.inflate(deflated, into: buffer) }
      }
    }
    if case .failure(let missing) = isSound {
      throw DecantError(
        .libraryMissing, missing.reason, file: file.path, entry: entry.name,
        remedy: "Install the package \(missing.debianPackage): apt-get install \(missing.debianPackage)")
    }
    guard case .success(true) = isSound else {
      throw DecantError(
        .damaged,
        "the entry's compressed data is damaged, or does not inflate to \(entry.byteCount) bytes",
        file: file.path,
        entry: entry.name, remedy: "The file is damaged: fetch it again.")
    }
    inflated.withLock { $0 = (entry.index, content) }
    return content
  }
}

/// One entry of a zip file as a storage's content.
package final class ZipRecord: StorageContent, Sendable {
  package let archive: ZipArchive
  package let entry: ZipEntry
  /// The stored data's place, or the inflated bytes once somebody has asked to keep them.
  private let location = Mutex<Location?>(nil)

  private enum Location: Sendable {
    case source(ByteRange)
    case memory(BytesInMemory)
  }

  package init(_ archive: ZipArchive, _ entry: ZipEntry) {
    self.archive = archive
    self.entry = entry
  }

  package var byteCount: Int { entry.byteCount }
  package var isRandomAccess: Bool { entry.method == ZipEntry.stored && archive.file.isRandomAccess }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe content(keep: false).read(into: buffer, at: offset)
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    try unsafe content(keep: true).mappedBytes()
  }

  /// The data's CRC-32 when it is not the recorded one; O(length).
  package func wrongChecksum() throws -> UInt32? {
    guard archive.recordsChecksum(of: entry) else { return nil }
    var crc = CRC32()
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: min(byteCount, 1 << 18), alignment: 64)
    defer { unsafe piece.deallocate() }
    var done = 0
    while done < byteCount {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: piece[..<min(piece.count, byteCount - done)])
      try unsafe read(into: part, at: done)
      unsafe crc.update(UnsafeRawBufferPointer(part))
      done += part.count
    }
    return crc.value == entry.crc32 ? nil : crc.value
  }

  /// Throws when the data's checksum is not the recorded one; O(length).
  package func verifyChecksum() throws {
    if let found = try wrongChecksum() { throw checksumMismatch(archive.file, entry, found: found) }
  }

  /// Throws unless a checksum is the recorded one.
  package func compare(_ crc: CRC32) throws(DecantError) {
    guard !archive.recordsChecksum(of: entry) || crc.value == entry.crc32 else {
      throw checksumMismatch(archive.file, entry, found: crc.value)
    }
  }

  private func content(keep: Bool) throws -> any StorageContent {
    try location.withLock { location in
      switch location {
      case .source(let range): return range
      case .memory(let bytes): return bytes
      case nil: break
      }
      if entry.method == ZipEntry.stored {
        let range = try ByteRange(
          archive.file, offset: try archive.dataOffset(of: entry), byteCount: entry.byteCount)
        location = .source(range)
        return range
      }
      let bytes = try archive.inflate(entry)
      if keep {
        try archive.allocate(entry)
        location = .memory(bytes)
      }
      return bytes
    }
  }
}

/// A part of a zip entry as a storage's content: an array behind its header.
package final class ZipRecordPart: StorageContent {
  package let record: ZipRecord
  package let byteCount: Int
  package var isRandomAccess: Bool { record.isRandomAccess }
  private let offset: Int

  /// Takes a part that must lie inside the entry.
  package init(_ record: ZipRecord, offset: Int, byteCount: Int) {
    precondition(offset >= 0 && byteCount >= 0 && byteCount <= record.byteCount - offset)
    self.record = record
    self.offset = offset
    self.byteCount = byteCount
  }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard offset >= 0, offset <= byteCount, buffer.count <= byteCount - offset else {
      throw DecantError(
        .invalidArgument, "\(buffer.count) bytes at \(offset) are outside a storage of \(byteCount) bytes")
    }
    try unsafe record.read(into: buffer, at: self.offset + offset)
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    guard let all = try unsafe record.mappedBytes() else { return nil }
    return unsafe UnsafeRawBufferPointer(rebasing: all[offset..<offset + byteCount])
  }
}

/// The error of an entry whose data is not what was written.
package func checksumMismatch(_ file: ByteSource, _ entry: ZipEntry, found: UInt32) -> DecantError {
  func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
  }
  return DecantError(
    .checksumMismatch, "the data's CRC-32 is \(hex(found)) and the archive records \(hex(entry.crc32))",
    file: file.path,
    entry: entry.name,
    remedy: "The data changed after it was written: fetch the file again.")
}
