package import DecantBytes

/// A zip file's entry as the central directory describes it.
package struct ZipEntry: Sendable {
  package let name: String
  /// The name's bytes, which the local header must repeat.
  package let rawName: [UInt8]
  /// The entry's index in the directory.
  package let index: Int
  package let encoding: ZipLibrary.Encoding
  package let crc32: UInt32
  package let storedByteCount: Int
  package let byteCount: Int
  package let headerOffset: Int
  /// The offset of the next entry's header, or of the directory: this entry must end before it.
  package var bound = 0

  /// Describes an entry.
  package init(
    name: String, rawName: [UInt8], index: Int, encoding: ZipLibrary.Encoding, crc32: UInt32,
    storedByteCount: Int,
    byteCount: Int, headerOffset: Int
  ) {
    self.name = name
    self.rawName = rawName
    self.index = index
    self.encoding = encoding
    self.crc32 = crc32
    self.storedByteCount = storedByteCount
    self.byteCount = byteCount
    self.headerOffset = headerOffset
  }

  /// Returns the entry under another name. ``rawName`` stays the archive's.
  func named(_ name: String) -> ZipEntry {
    var entry = ZipEntry(
      name: name, rawName: rawName, index: index, encoding: encoding, crc32: crc32,
      storedByteCount: storedByteCount,
      byteCount: byteCount, headerOffset: headerOffset)
    entry.bound = bound
    return entry
  }

  /// The compression ratio: bytes of data for each stored byte, rounded up.
  package var inflation: Int { byteCount.dividedRoundingUp(by: storedByteCount) }
  /// The compression ratio as the end of a message.
  var inflationText: String {
    "\(Format.count(storedByteCount, "byte")) to \(Format.count(byteCount)), \(inflation) times as many"
  }

  /// True when the data is in the file as it is.
  package var isStored: Bool { encoding.isStored }

  package static let stored: UInt16 = 0
  package static let deflated: UInt16 = 8
}

/// The central directory of a zip file.
///
/// Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5; docs/formats/zip.md lists what is refused and why.
struct ZipDirectory: Sendable {
  let entries: [ZipEntry]
  /// The index in ``entries`` of each name.
  let places: [[UInt8]: Int]
  /// Warnings about bytes that belong to no part of the archive.
  let warnings: [String]
  /// The archive's comment.
  let comment: [UInt8]

  /// Reads the directory at the end of a file. O(entries log entries).
  ///
  /// - Throws: ``DecantError`` when there is no directory, or when entries are encrypted, truncated, duplicate or
  ///   overlapping.
  init(_ file: ByteSource, limits: Limits) throws(DecantError) {
    let end = try EndRecord(file)
    warnings = end.warnings
    comment = end.comment
    guard end.entryCount <= limits.zipEntries else {
      throw DecantError(
        limits.exceeded(\.zipEntries, need: end.entryCount),
        "the directory announces \(Format.count(end.entryCount, "entry", plural: "entries"))",
        file: file.path)
    }
    // The shortest entry has 46 bytes, so a false count is detected before anything is allocated for it.
    guard end.entryCount <= end.directoryByteCount / 46 else {
      throw damaged(
        file, end.directoryOffset,
        "the directory is too small for the \(Format.count(end.entryCount, "entry", plural: "entries")) it announces"
      )
    }
    // The longest entry bounds the directory's size, so that no bytes are read that cannot be entries.
    let longest = 46 + 3 * 65_535
    guard end.directoryByteCount / longest <= end.entryCount else {
      throw damaged(
        file, end.directoryOffset,
        "the directory has \(Format.count(end.directoryByteCount, "byte")), more than its \(Format.count(end.entryCount, "entry", plural: "entries")) can fill"
      )
    }
    let bytes = try file.bytes(at: end.directoryOffset, count: end.directoryByteCount)
    var fields: [Fields] = []
    fields.reserveCapacity(end.entryCount)
    var cursor = unsafe ByteCursor(bytes.span.bytes)
    do throws(ParsingError) {
      while fields.count < end.entryCount { fields.append(try Fields(&cursor, index: fields.count)) }
      guard cursor.isAtEnd else {
        throw ParsingError(offset: cursor.offset, "\(cursor.remaining) bytes follow the last entry")
      }
    } catch {
      throw damaged(
        file, end.directoryOffset + error.offset, "the central directory is damaged: \(error.reason)")
    }
    var entries: [ZipEntry] = []
    entries.reserveCapacity(fields.count)
    for (index, fields) in fields.enumerated() {
      entries.append(try ZipDirectory.entry(fields, index: index, file: file))
    }
    places = try ZipDirectory.places(of: entries, file)
    self.entries = try ZipDirectory.bounded(entries, directoryOffset: end.directoryOffset, file)
  }

  /// The unchecked fields of one directory entry.
  private struct Fields {
    var flags: UInt16 = 0
    var method: UInt16 = 0
    var time: UInt32 = 0
    var crc32: UInt32 = 0
    var stored: UInt64 = 0
    var size: UInt64 = 0
    var disk: UInt16 = 0
    var header: UInt64 = 0
    var name: [UInt8] = []
    var aes: ZipLibrary.AES?

    init(_ cursor: inout ByteCursor, index: Int) throws(ParsingError) {
      guard try cursor.readLittleEndian(UInt32.self) == 0x0201_4B50 else {
        throw ParsingError(offset: cursor.offset - 4, "entry \(index) does not begin with its signature")
      }
      try cursor.skip(4)
      flags = try cursor.readLittleEndian(UInt16.self)
      method = try cursor.readLittleEndian(UInt16.self)
      time = try cursor.readLittleEndian(UInt32.self)
      crc32 = try cursor.readLittleEndian(UInt32.self)
      stored = UInt64(try cursor.readLittleEndian(UInt32.self))
      size = UInt64(try cursor.readLittleEndian(UInt32.self))
      let nameLength = Int(try cursor.readLittleEndian(UInt16.self))
      let extraLength = Int(try cursor.readLittleEndian(UInt16.self))
      let commentLength = Int(try cursor.readLittleEndian(UInt16.self))
      disk = try cursor.readLittleEndian(UInt16.self)
      try cursor.skip(6)
      header = UInt64(try cursor.readLittleEndian(UInt32.self))
      name = try cursor.readBytes(nameLength)
      try ZipDirectory.readExtra(
        &cursor, extraLength, size: &size, stored: &stored, header: &header, aes: &aes)
      try cursor.skip(commentLength)
    }
  }

  /// Checks an entry's fields and returns the entry.
  private static func entry(_ fields: Fields, index: Int, file: ByteSource) throws(DecantError)
    -> ZipEntry
  {
    let name = String(decoding: fields.name, as: UTF8.self)
    // Neither .truncated nor .damaged: a salvage must not work around a directory that describes its entries wrongly.
    func refuse(_ code: DecantError.Code, _ reason: String, _ remedy: String? = nil) -> DecantError {
      DecantError(code, reason, file: file.path, entry: name, remedy: remedy)
    }
    guard !fields.name.contains(0) else { throw refuse(.deceptive, "the entry's name holds a zero byte") }
    guard fields.disk == 0 || fields.disk == 0xFFFF else {
      throw refuse(.unsupportedFormat, "the entry is on another disk of a split archive")
    }
    let encoding = ZipLibrary.Encoding(
      method: fields.method, flags: fields.flags, time: fields.time, aes: fields.aes)
    do throws(ZipLibrary.Failure) { try ZipLibrary.requireSupport(encoding) } catch {
      throw error.error(file: file.path, entry: name)
    }
    guard let stored = Int(exactly: fields.stored), let size = Int(exactly: fields.size),
      let header = Int(exactly: fields.header)
    else { throw refuse(.deceptive, "the entry's sizes do not fit 63 bits") }
    guard !encoding.isStored || stored == size else {
      throw refuse(
        .deceptive, "the entry is stored without compression, but has two sizes: \(size) and \(stored) bytes")
    }
    return ZipEntry(
      name: name, rawName: fields.name, index: index, encoding: encoding, crc32: fields.crc32,
      storedByteCount: stored, byteCount: size, headerOffset: header)
  }

  /// Reads the extra fields: replaces 32-bit values that are full by the 64-bit ones, and returns that of AES.
  private static func readExtra(
    _ cursor: inout ByteCursor, _ length: Int, size: inout UInt64, stored: inout UInt64, header: inout UInt64,
    aes: inout ZipLibrary.AES?
  ) throws(ParsingError) {
    let end = cursor.offset + length
    guard length <= cursor.remaining else {
      throw ParsingError(offset: cursor.offset, "an extra field of \(length) bytes exceeds the directory")
    }
    var isFull = [size == 0xFFFF_FFFF, stored == 0xFFFF_FFFF, header == 0xFFFF_FFFF]
    while end - cursor.offset >= 4 {
      let kind = try cursor.readLittleEndian(UInt16.self)
      let count = Int(try cursor.readLittleEndian(UInt16.self))
      let next = cursor.offset + count
      guard next <= end else { throw ParsingError(offset: cursor.offset, "an extra field exceeds its entry") }
      if kind == 1 {
        if isFull[0] && next - cursor.offset >= 8 {
          size = try cursor.readLittleEndian(UInt64.self)
          isFull[0] = false
        }
        if isFull[1] && next - cursor.offset >= 8 {
          stored = try cursor.readLittleEndian(UInt64.self)
          isFull[1] = false
        }
        if isFull[2] && next - cursor.offset >= 8 {
          header = try cursor.readLittleEndian(UInt64.self)
          isFull[2] = false
        }
      } else if kind == 0x9901, count == 7 {
        aes = ZipLibrary.AES(try cursor.readBytes(count))
      }
      try cursor.seek(to: next)
    }
    try cursor.seek(to: end)
  }

  private static func places(
    of entries: [ZipEntry], _ file: ByteSource
  ) throws(DecantError) -> [[UInt8]: Int] {
    var places: [[UInt8]: Int] = [:]
    places.reserveCapacity(entries.count)
    for entry in entries where places.updateValue(entry.index, forKey: entry.rawName) != nil {
      throw DecantError(
        .deceptive, "two entries have this name, and readers disagree on which one counts", file: file.path,
        entry: entry.name,
        remedy: "Do not trust the file: it may be malicious.")
    }
    return places
  }

  /// Sets the offset that each entry must end before, and throws for entries that overlap or end too late.
  private static func bounded(
    _ entries: [ZipEntry], directoryOffset: Int, _ file: ByteSource
  ) throws(DecantError) -> [ZipEntry] {
    var entries = entries
    let order = entries.indices.sorted { entries[$0].headerOffset < entries[$1].headerOffset }
    for (place, index) in order.enumerated() {
      let next = place + 1 < order.count ? entries[order[place + 1]].headerOffset : directoryOffset
      let entry = entries[index]
      let smallest = entry.headerOffset.checkedAdding(30 + entry.rawName.count)?
        .checkedAdding(entry.storedByteCount)
      guard let smallest, smallest <= directoryOffset else {
        throw DecantError(
          .truncated, "the entry ends beyond the data of the archive", file: file.path, entry: entry.name,
          offset: entry.headerOffset, remedy: "The file is truncated or damaged. Download it again."
        )
      }
      guard smallest <= next else {
        let other = place + 1 < order.count ? entries[order[place + 1]].name : "the directory"
        throw DecantError(
          .deceptive, "the entry overlaps \(other.escapedForDisplay)", file: file.path, entry: entry.name,
          offset: entry.headerOffset, remedy: "Do not trust the file: it may be malicious.")
      }
      entries[index].bound = next
    }
    return entries
  }
}

/// The location of the central directory, from the end record and the zip64 end record.
private struct EndRecord {
  let directoryOffset: Int
  let directoryByteCount: Int
  let entryCount: Int
  /// Bytes that belong to no part of the archive and that every reader skips, as warnings.
  let warnings: [String]
  /// The archive's comment.
  let comment: [UInt8]

  init(_ file: ByteSource) throws(DecantError) {
    // The end record has 22 bytes and a comment of at most 65,535.
    let tailCount = min(file.byteCount, 22 + 65_535)
    let tailOffset = file.byteCount - tailCount
    let tail = try file.bytes(at: tailOffset, count: tailCount)
    guard let place = EndRecord.find(tail) else {
      throw DecantError(
        .truncated, "is a truncated zip archive: it has no directory at its end", file: file.path,
        remedy: "The download was probably interrupted. Download the file again."
      )
    }
    var warnings = EndRecord.warnings(of: tail, place)
    comment = Array(tail[(place + 22)...].prefix(EndRecord.commentByteCount(tail, place)))
    do throws(ParsingError) {
      var cursor = unsafe ByteCursor(tail.span.bytes, at: place + 4)
      let disks = [try cursor.readLittleEndian(UInt16.self), try cursor.readLittleEndian(UInt16.self)]
      var counts = [
        UInt64(try cursor.readLittleEndian(UInt16.self)), UInt64(try cursor.readLittleEndian(UInt16.self)),
      ]
      var size = UInt64(try cursor.readLittleEndian(UInt32.self))
      var offset = UInt64(try cursor.readLittleEndian(UInt32.self))
      var directoryEnd = tailOffset + place
      let locator = tailOffset + place - 20
      if locator >= 0, let wide = try EndRecord.zip64(file, locator: locator) {
        // A 32-bit field must be full, or equal to the 64-bit one.
        let agrees =
          (counts[1] == 0xFFFF || counts[1] == wide.count) && (size == 0xFFFF_FFFF || size == wide.size)
          && (offset == 0xFFFF_FFFF || offset == wide.offset)
        guard agrees else {
          throw ParsingError(offset: place, "its two end records contradict each other")
        }
        counts = [wide.count, wide.count]
        size = wide.size
        offset = wide.offset
        directoryEnd = wide.place
        if let gap = wide.gap { warnings.append(gap) }
      }
      guard disks.allSatisfy({ $0 == 0 || $0 == 0xFFFF }), counts[0] == counts[1] else {
        throw ParsingError(offset: place, "it is one part of a split archive")
      }
      guard let offset = Int(exactly: offset), let size = Int(exactly: size),
        let count = Int(exactly: counts[1]), let end = offset.checkedAdding(size),
        try EndRecord.isOnlyDirectory(file, offset: offset, count: size, ofArchiveEndingAt: directoryEnd)
      else {
        throw ParsingError(
          offset: place,
          "its end record says the directory has \(size) bytes at \(offset), which is not where it ends")
      }
      if end < directoryEnd {
        warnings.append(
          "\(Self.bytes(directoryEnd - end)) skipped between the archive's directory and its end")
      }
      directoryOffset = offset
      directoryByteCount = size
      entryCount = count
      self.warnings = warnings
    } catch {
      throw damaged(file, tailOffset + error.offset, "the archive is damaged: \(error.reason)")
    }
  }

  /// Returns the index of the last signature whose comment ends exactly at the end of the file, or else that of the
  /// last signature, as PyTorch and Python's zipfile do.
  fileprivate static func find(_ tail: [UInt8]) -> Int? {
    guard tail.count >= 22 else { return nil }
    var last: Int?
    for place in stride(from: tail.count - 22, through: 0, by: -1)
    where tail[place] == 0x50 && tail[place + 1] == 0x4B && tail[place + 2] == 5 && tail[place + 3] == 6 {
      if place + 22 + commentByteCount(tail, place) == tail.count { return place }
      last = last ?? place
    }
    return last
  }

  /// Returns the first words of a warning about skipped bytes.
  private static func bytes(_ count: Int) -> String {
    count == 1 ? "1 byte was" : "\(Format.count(count, "byte")) were"
  }

  private static func commentByteCount(_ tail: [UInt8], _ place: Int) -> Int {
    Int(tail[place + 20]) | Int(tail[place + 21]) << 8
  }

  /// Returns the warnings about the end of the file: bytes that follow the archive, or a comment that is cut short.
  private static func warnings(of tail: [UInt8], _ place: Int) -> [String] {
    let end = place + 22 + commentByteCount(tail, place)
    if end > tail.count { return ["the archive's comment is cut short by the end of the file"] }
    if end < tail.count { return ["\(bytes(tail.count - end)) skipped after the end of the archive"] }
    return []
  }

  /// Returns true when a directory lies where the end record says, counted from the start of the file as PyTorch
  /// counts, even if other bytes lie between it and the end record. False when another directory ends at the end
  /// record, where other readers look for it.
  private static func isOnlyDirectory(
    _ file: ByteSource, offset: Int, count: Int, ofArchiveEndingAt end: Int
  ) throws(ParsingError) -> Bool {
    if offset + count == end { return true }
    guard count >= 46, offset + count < end else { return false }
    let start = end - count
    let signature: [UInt8] = [0x50, 0x4B, 1, 2]
    guard try bytes(file, offset, 4) == signature else { return false }
    guard try bytes(file, start, 4) == signature else { return true }
    return try bytes(file, offset, count) == bytes(file, start, count)
  }

  private static func bytes(
    _ file: ByteSource, _ offset: Int, _ count: Int
  ) throws(ParsingError) -> [UInt8] {
    do throws(DecantError) { return try file.bytes(at: offset, count: count) } catch {
      throw ParsingError(offset: 0, error.reason)
    }
  }

  /// Returns the values of the zip64 end record that a locator points to; nil when there is no locator.
  private static func zip64(
    _ file: ByteSource, locator: Int
  ) throws(ParsingError) -> (place: Int, count: UInt64, size: UInt64, offset: UInt64, gap: String?)? {
    let locatorBytes = try bytes(file, locator, 20)
    var cursor = unsafe ByteCursor(locatorBytes.span.bytes)
    guard try cursor.readLittleEndian(UInt32.self) == 0x0706_4B50 else { return nil }
    try cursor.skip(4)
    let place = try cursor.readLittleEndian(UInt64.self)
    guard let place = Int(exactly: place), place <= locator - 56 else {
      throw ParsingError(offset: 0, "its zip64 locator points outside the archive")
    }
    let recordBytes = try bytes(file, place, 56)
    var record = unsafe ByteCursor(recordBytes.span.bytes)
    guard try record.readLittleEndian(UInt32.self) == 0x0606_4B50 else {
      throw ParsingError(offset: 0, "its zip64 locator does not point to an end record")
    }
    var gap: String?
    if try record.readLittleEndian(UInt64.self) != UInt64(locator - place - 12) {
      // The record of an archive before this one, which must say the same as the one that other readers use.
      let usual = try bytes(file, locator - 56, 56)
      guard recordBytes[4..<12].elementsEqual([44, 0, 0, 0, 0, 0, 0, 0]),
        !usual.starts(with: recordBytes[..<4]) || usual == recordBytes
      else { throw ParsingError(offset: 0, "its zip64 end record has a wrong length") }
      gap = "\(Self.bytes(locator - place - 56)) skipped between the archive's two end records"
    }
    try record.skip(20)
    let count = try record.readLittleEndian(UInt64.self)
    return (
      place, count, try record.readLittleEndian(UInt64.self), try record.readLittleEndian(UInt64.self), gap
    )
  }
}

extension ZipArchive {
  /// Returns the number of bytes before an archive at the end of a file whose offsets count from the archive's own
  /// start; nil when there is no such archive.
  package static func byteCountBefore(archiveIn file: ByteSource) throws(DecantError) -> Int? {
    let tailCount = min(file.byteCount, 22 + 65_535)
    let tail = try file.bytes(at: file.byteCount - tailCount, count: tailCount)
    guard let place = EndRecord.find(tail) else { return nil }
    func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int? {
      Int(exactly: bytes[at..<at + count].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
    var end = file.byteCount - tailCount + place
    var (size, offset) = (number(tail, place + 12, 4), number(tail, place + 16, 4))
    if end >= 76 {
      let wide = try file.bytes(at: end - 76, count: 76)
      if wide.starts(with: [0x50, 0x4B, 6, 6]), wide[56...].starts(with: [0x50, 0x4B, 6, 7]) {
        end -= 76
        (size, offset) = (number(wide, 40, 8), number(wide, 48, 8))
      }
    }
    guard let size, let offset, let used = size.checkedAdding(offset), used < end else { return nil }
    return try file.bytes(at: end - used, count: 4) == [0x50, 0x4B, 3, 4] ? end - used : nil
  }
}

/// Returns an error that says a zip file is damaged.
private func damaged(_ file: ByteSource, _ offset: Int?, _ reason: String) -> DecantError {
  DecantError(
    .damaged, reason, file: file.path, offset: offset, remedy: "Download the file again."
  )
}

extension DecantError {
  /// True when the directory is lost or damaged, and the entries may still be found without it. A deceptive directory
  /// is never worked around.
  package var isSalvageable: Bool { code == .truncated || code == .damaged }
}
