package import DecantBytes
internal import Synchronization

/// A zip file: its directory, and its entries as contents that are read on demand.
package final class ZipArchive: Sendable {
  package let file: ByteSource
  package let entries: [ZipEntry]
  /// Warnings about bytes of the file that belong to no part of the archive.
  package let warnings: [String]
  /// The archive's comment, at its end.
  package let comment: [UInt8]
  /// The files of the entries, when the archive was unzipped into a folder.
  private let unzipped: UnzippedFiles?
  private let places: [[UInt8]: Int]
  private let limits: Limits
  /// The most recently inflated entry, because consecutive reads are often from the same entry.
  private let inflated = Mutex<(index: Int, content: BytesInMemory)?>(nil)

  /// The number of bytes of entries that were loaded into memory.
  private let allocated = Mutex(0)

  /// Opens an archive by its directory; reads no data.
  package init(_ file: ByteSource, limits: Limits) throws(DecantError) {
    self.file = file
    self.limits = limits
    let directory = try ZipDirectory(file, limits: limits)
    entries = directory.entries
    warnings = directory.warnings
    comment = directory.comment
    unzipped = nil
    places = directory.places
    recordsChecksums =
      entries.contains { $0.crc32 != 0 || $0.encoding.isAuthenticated }
      || entries.allSatisfy { $0.byteCount == 0 }
  }

  /// An archive whose directory is lost, of the entries that were found by their local headers.
  package convenience init(_ file: ByteSource, entries: [ZipEntry], limits: Limits) {
    self.init(file, entries, warnings: [], unzipped: nil, limits)
  }

  /// Creates the archive that was unzipped into a folder. Its files are opened when they are read.
  ///
  /// - Parameter files: the files of the folder with their sizes, each the entry of its name. Backslashes in a name are
  ///   read as slashes.
  package convenience init(
    unzippedInto folder: CheckpointFolder, _ files: [(name: String, byteCount: Int)], limits: Limits
  ) {
    let entries = files.enumerated().map { index, file in
      let name = file.name.replacingBackslashes
      return ZipEntry(
        name: name, rawName: Array(name.utf8), index: index, encoding: .init(method: ZipEntry.stored),
        crc32: 0,
        storedByteCount: file.byteCount, byteCount: file.byteCount, headerOffset: 0)
    }
    self.init(
      ByteSource(BytesInMemory([]), path: folder.path), entries, warnings: [],
      unzipped: UnzippedFiles(folder, files.map(\.name)), limits)
  }

  private init(
    _ file: ByteSource, _ entries: [ZipEntry], warnings: [String], unzipped: UnzippedFiles?, _ limits: Limits
  ) {
    self.file = file
    self.limits = limits
    self.entries = entries
    self.warnings = warnings
    comment = []
    self.unzipped = unzipped
    places = Dictionary(
      entries.map { (Array($0.name.utf8), $0.index) }, uniquingKeysWith: { first, _ in first })
    recordsChecksums =
      entries.contains { $0.crc32 != 0 || $0.encoding.isAuthenticated }
      || entries.allSatisfy { $0.byteCount == 0 }
  }

  /// True when the archive was unzipped into a folder.
  package var isUnzipped: Bool { unzipped != nil }

  /// Returns the archive with slashes in place of the backslashes in its entries' names, as programs for Windows write
  /// them; nil when there are none, or two names would become equal.
  package func replacingBackslashes() -> ZipArchive? {
    guard entries.contains(where: { $0.rawName.contains(UInt8(ascii: "\\")) }) else { return nil }
    let renamed = entries.map { $0.named($0.name.replacingBackslashes) }
    guard Set(renamed.map { Array($0.name.utf8) }).count == entries.count else { return nil }
    return ZipArchive(file, renamed, warnings: warnings, unzipped: unzipped, limits)
  }

  /// True when any checksum was recorded: PyTorch has an option that writes zeros for all of them.
  package let recordsChecksums: Bool

  /// Returns true when an entry's checksum was recorded: a record that was saved without its data has 0, although
  /// others have checksums.
  package func recordsChecksum(of entry: ZipEntry) -> Bool {
    recordsChecksums && (entry.crc32 != 0 || entry.byteCount == 0)
  }

  /// Returns true when a CRC-32 is the one recorded for an entry, or none was recorded.
  package func accepts(_ checksum: UInt32, of entry: ZipEntry) -> Bool {
    !recordsChecksum(of: entry) || checksum == entry.crc32
  }

  /// Returns the entry with a name; nil when there is none.
  package func entry(_ name: String) -> ZipEntry? { places[Array(name.utf8)].map { entries[$0] } }

  /// Returns an entry's bytes, and whether they match the recorded checksum.
  ///
  /// - Throws: ``DecantError`` when the entry is larger than `limit` allows.
  package func bytes(of entry: ZipEntry, limit: KeyPath<Limits, Int>) throws(DecantError) -> (
    bytes: [UInt8], isIntact: Bool
  ) {
    guard entry.byteCount <= limits[keyPath: limit] else {
      throw DecantError(
        limits.exceeded(limit, need: entry.byteCount),
        "the entry has \(Format.count(entry.byteCount, "byte"))",
        file: file.path,
        entry: entry.name)
    }
    try allocate(entry)
    let bytes: [UInt8]
    if entry.isStored {
      let content = try storedContent(of: entry)
      bytes = try ByteSource(content, path: file.path).bytes(at: 0, count: entry.byteCount)
    } else {
      bytes = try inflate(entry).copied
    }
    return (bytes, accepts(CRC32.of(bytes), of: entry))
  }

  /// Returns the bytes of a pickle entry, whether they match the recorded checksum, and the limits for reading them.
  ///
  /// The limits of a deflated pickle depend on its compressed size: a few bytes may not demand more memory than a
  /// file of that size could.
  package func pickle(
    _ entry: ZipEntry
  ) throws(DecantError) -> (bytes: [UInt8], isIntact: Bool, limits: Limits) {
    var limits = limits
    if !entry.isStored {
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

  /// Adds an entry to the bytes loaded into memory; throws beyond the limit `allocation`.
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

  /// Returns the content of an entry that is not compressed: a part of the file, or a file of its own.
  package func storedContent(of entry: ZipEntry) throws(DecantError) -> any StorageContent {
    if let unzipped { return try unzipped.file(of: entry) }
    return try ByteRange(file, offset: dataOffset(of: entry), byteCount: entry.byteCount)
  }

  /// Returns the offset of an entry's data, computed from its local header.
  ///
  /// PyTorch pads the local header's extra field to align the data. The extra field in the directory has another
  /// length and must not be used here.
  package func dataOffset(of entry: ZipEntry) throws(DecantError) -> Int {
    func refuse(_ code: DecantError.Code, _ reason: String) -> DecantError {
      DecantError(
        code, reason, file: file.path, entry: entry.name, offset: entry.headerOffset,
        remedy: "The file is damaged or malicious. Download it again.")
    }
    // The directory reader has checked that the header and its name lie in the file, so one read is enough.
    let header = try file.bytes(at: entry.headerOffset, count: 30 + entry.rawName.count)
    func word(_ place: Int) -> Int { Int(header[place]) | Int(header[place + 1]) << 8 }
    func long(_ place: Int) -> Int { word(place) | word(place + 2) << 16 }
    guard long(0) == 0x0403_4B50 else {
      throw refuse(.damaged, "there is no local header where the directory says")
    }
    let flags = word(6)
    guard flags & 0x2041 == Int(entry.encoding.flags & 0x2041) else {
      throw refuse(.deceptive, "the local header and the directory disagree on the encryption")
    }
    guard word(8) == Int(entry.encoding.method) else {
      throw refuse(.deceptive, "the local header and the directory disagree on the compression")
    }
    guard word(26) == entry.rawName.count, header[30...].elementsEqual(entry.rawName) else {
      let name = String(decoding: header[30...].prefix(word(26)), as: UTF8.self)
      throw refuse(.deceptive, "the local header has another name, \(name.escapedForDisplay)")
    }
    // With bit 3 the sizes follow the data; otherwise they are zero, full (zip64) or equal to the directory's.
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

  /// Returns the bytes of an entry that is compressed or encrypted; the most recent entry stays in memory.
  package func inflate(_ entry: ZipEntry) throws(DecantError) -> BytesInMemory {
    if let content = inflated.withLock({ $0?.index == entry.index ? $0?.content : nil }) { return content }
    let start = try dataOffset(of: entry)
    let isLarge = entry.byteCount > 128 << 20
    guard !entry.encoding.isDeflated || entry.inflation <= Deflate.largestFactor else {
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
        "the entry inflates to \(Format.count(entry.byteCount, "byte"))", file: file.path, entry: entry.name)
    }
    if !entry.encoding.isDeflated {
      let content = try decode(entry, at: start)
      inflated.withLock { $0 = (entry.index, content) }
      return content
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
        "the entry's compressed data is damaged, or does not inflate to \(Format.count(entry.byteCount, "byte"))",
        file: file.path,
        entry: entry.name, remedy: "The file is damaged. Download it again.")
    }
    inflated.withLock { $0 = (entry.index, content) }
    return content
  }
}

extension ZipArchive {
  /// Returns the bytes of an entry that libzip decompresses or decrypts.
  private func decode(_ entry: ZipEntry, at start: Int) throws(DecantError) -> BytesInMemory {
    let data = try file.part(at: start, count: entry.storedByteCount)
    do {
      return try unsafe BytesInMemory(byteCount: entry.byteCount) { target throws(ZipLibrary.Failure) in
        try unsafe ZipLibrary.read(
          data, as: entry.encoding, crc32: entry.crc32, password: file.password, into: target)
        guard entry.encoding.isEncrypted, recordsChecksum(of: entry) else { return }
        // A wrong password passes the check of traditional encryption once in 256 times.
        var crc = CRC32()
        unsafe crc.update(UnsafeRawBufferPointer(target))
        guard crc.value == entry.crc32 else { throw .passwordWrong }
      }
    } catch let failure as ZipLibrary.Failure {
      throw failure.error(file: file.path, entry: entry.name)
    } catch {
      throw DecantError(.readFailed, "cannot be read: \(error)", file: file.path, entry: entry.name)
    }
  }
}

/// A zip entry as a storage's content.
package final class ZipRecord: StorageContent, Sendable {
  package let archive: ZipArchive
  package let entry: ZipEntry
  /// The stored data's byte range, or the inflated bytes after ``mappedBytes()`` was called.
  private let location = Mutex<Location?>(nil)

  private enum Location: Sendable {
    case stored(any StorageContent)
    case memory(BytesInMemory)
  }

  package init(_ archive: ZipArchive, _ entry: ZipEntry) {
    self.archive = archive
    self.entry = entry
  }

  package var byteCount: Int { entry.byteCount }
  package var isRandomAccess: Bool { entry.isStored && archive.file.isRandomAccess }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe content(keep: false).read(into: buffer, at: offset)
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    try unsafe content(keep: true).mappedBytes()
  }

  /// Returns the data's CRC-32 if it differs from the recorded one; nil otherwise. O(length).
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
    return archive.accepts(crc.value, of: entry) ? nil : crc.value
  }

  /// Throws when a checksum differs from the recorded one.
  package func compare(_ crc: CRC32) throws(DecantError) {
    guard archive.accepts(crc.value, of: entry) else {
      throw checksumMismatch(archive.file, entry, found: crc.value)
    }
  }

  private func content(keep: Bool) throws -> any StorageContent {
    try location.withLock { location in
      switch location {
      case .stored(let content): return content
      case .memory(let bytes): return bytes
      case nil: break
      }
      if entry.isStored {
        let content = try archive.storedContent(of: entry)
        location = .stored(content)
        return content
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

/// A part of a zip entry as a storage's content, such as the array data after a `.npy` header.
package final class ZipRecordPart: StorageContent {
  package let record: ZipRecord
  package let byteCount: Int
  package var isRandomAccess: Bool { record.isRandomAccess }
  /// The offset of the part in the entry's data.
  let offset: Int

  /// Creates a content of a part, which must lie inside the entry.
  package init(_ record: ZipRecord, offset: Int, byteCount: Int) {
    precondition(offset >= 0 && byteCount >= 0 && byteCount <= record.byteCount - offset)
    self.record = record
    self.offset = offset
    self.byteCount = byteCount
  }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    try unsafe record.read(into: buffer, at: self.offset + offset)
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    guard let all = try unsafe record.mappedBytes() else { return nil }
    return unsafe UnsafeRawBufferPointer(rebasing: all[offset..<offset + byteCount])
  }
}

/// Returns the error for an entry whose data does not match its checksum.
package func checksumMismatch(_ file: ByteSource, _ entry: ZipEntry, found: UInt32) -> DecantError {
  func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
  }
  return DecantError(
    .checksumMismatch, "CRC-32 mismatch: the data has \(hex(found)), the archive says \(hex(entry.crc32))",
    file: file.path,
    entry: entry.name,
    remedy: "The file is damaged. Download it again.")
}
