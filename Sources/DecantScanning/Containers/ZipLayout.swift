internal import DecantBytes
internal import DecantIO

/// The entries of a zip archive, according to both its central directory and its local headers.
///
/// Zip readers differ in what they reject, and a malicious archive needs only one reader that accepts it. So this type
/// rejects nothing: it lists every entry that either source describes, and every contradiction between the two.
struct ZipLayout {
  /// An entry of the central directory, or one that has only a local header.
  struct Entry {
    var name: [UInt8] = []
    var flags: UInt16 = 0
    var method: UInt16 = 0
    var time: UInt32 = 0
    /// The extra field of AES encryption.
    var aes: ZipLibrary.AES?
    var crc32: UInt32 = 0
    var storedByteCount = 0
    var byteCount = 0
    /// The offset of its local header.
    var header = 0
    var isLink = false
    /// The byte range of its stored data; empty when it cannot be located.
    var data = 0..<0
    /// True when the central directory lists it.
    var isListed = true
  }

  /// A contradiction, or data where the format has none.
  struct Fault {
    let severity: ScanSeverity
    let rule: ScanRule
    let offset: Int
    let what: String
  }

  private(set) var entries: [Entry] = []
  private(set) var faults: [Fault] = []
  /// The byte ranges that belong to no entry and are not padding.
  private(set) var gaps: [Range<Int>] = []
  /// The offset where the archive begins. The offsets in its central directory are relative to it.
  private(set) var start = 0
  /// The offset where the archive ends, after its comment.
  private(set) var end = 0
  /// The offset of the central directory.
  private(set) var directory = 0
  /// The offset of another central directory: the one found when the end record's offset is counted from the start of
  /// the file.
  private(set) var otherDirectory: Int?
  /// True when the archive has more entries than `Limits.zipEntries`. The rest were not read.
  private(set) var isCut = false
  /// The offset of the Zip64 end record, if there is one.
  private(set) var wideRecord: Int?
  /// The offset of another Zip64 end record, found when the locator's offset is counted from the start of the file. It
  /// belongs to an earlier archive or is a trap.
  private(set) var otherWideRecord: Int?
  /// True when the archive has a central directory. Without one, no entry counts as hidden.
  private(set) var hasDirectory = false
  /// The byte ranges of headers, tables and comments that were read and agree.
  private(set) var structures: [Range<Int>] = []
  /// True when a part of the archive is not where its headers say, so that other bytes cannot be assigned.
  private(set) var isDamaged = false
  /// True until a search for a matching data descriptor fails, so that at most one search is in vain.
  private var seeksDescriptors = true

  /// Returns the offset of the last end record, or nil when there is none within a comment's length of the end.
  static func endRecord(_ bytes: RawSpan) -> Int? {
    let signature: [UInt8] = [0x50, 0x4B, 5, 6]
    let usual = bytes.byteCount - 22
    if bytes.begins(signature, at: usual) { return usual }
    guard usual > 0 else { return nil }
    return bytes.last(signature, in: max(0, usual - 65_535)..<usual + 4)
  }

  /// Reads the archive that ends where the bytes end. Without a central directory, it reads the local headers alone.
  ///
  /// - Parameter ignoresDirectory: True when the central directory belongs to an archive inside this one.
  init(_ bytes: RawSpan, limits: Limits, ignoresDirectory: Bool = false) {
    var directoryStart = bytes.byteCount
    end = bytes.byteCount
    if !ignoresDirectory, let record = Self.endRecord(bytes) {
      hasDirectory = true
      directoryStart = readDirectory(bytes, record, limits)
    } else {
      damage(0, "the archive has no directory at its end, as after an interrupted download")
    }
    walk(bytes, upTo: directoryStart, limits)
  }

  private mutating func fault(_ severity: ScanSeverity, _ rule: ScanRule, _ offset: Int, _ what: String) {
    if faults.count < 1_000 {
      faults.append(Fault(severity: severity, rule: rule, offset: offset, what: what))
    }
  }

  private mutating func damage(_ offset: Int, _ what: String) {
    isDamaged = true
    fault(.unknown, .zipBroken, offset, what)
  }

  // MARK: - Directory

  /// Reads the central directory and returns the offset where it begins.
  private mutating func readDirectory(_ bytes: RawSpan, _ record: Int, _ limits: Limits) -> Int {
    let comment = Int(bytes.little(UInt16.self, record + 20) ?? 0)
    end = min(bytes.byteCount, record + 22 + comment)
    if record + 22 + comment > bytes.byteCount {
      damage(record, "the archive's comment is longer than the file")
    }
    structures.append(record..<record + 22)
    let note = record + 22..<end
    if bytes.isPlainText(in: note) { structures.append(note) }
    checkSingleDisk(bytes, record)
    var size = Int(bytes.little(UInt32.self, record + 12) ?? 0)
    var offset = Int(bytes.little(UInt32.self, record + 16) ?? 0)
    var count = Int(bytes.little(UInt16.self, record + 10) ?? 0)
    var directoryEnd = record
    if bytes.begins([0x50, 0x4B, 6, 7], at: record - 20) {
      let usual = record - 76
      let told = bytes.little(UInt64.self, record - 12).flatMap { Int(exactly: $0) } ?? usual
      let place = bytes.begins([0x50, 0x4B, 6, 6], at: usual) ? usual : told
      if place > record, bytes.begins([0x50, 0x4B, 6, 6], at: place) {
        fault(.dangerous, .zipHeaders, record, "the zip64 end record follows the end record")
        let other = bytes.little(UInt64.self, place + 48).flatMap { Int(exactly: $0) } ?? 0
        readEntries(bytes, from: other, to: bytes.byteCount, base: 0, limits)
      } else if bytes.begins([0x50, 0x4B, 6, 6], at: place), place < record {
        let wide = (
          count: bytes.little(UInt64.self, place + 32).flatMap { Int(exactly: $0) } ?? 0,
          size: bytes.little(UInt64.self, place + 40).flatMap { Int(exactly: $0) } ?? 0,
          offset: bytes.little(UInt64.self, place + 48).flatMap { Int(exactly: $0) } ?? 0
        )
        if (size != 0xFFFF_FFFF && size != wide.size) || (offset != 0xFFFF_FFFF && offset != wide.offset)
          || (count != 0xFFFF && count != wide.count)
        {
          fault(.dangerous, .zipHeaders, record, "the archive's two end records contradict each other")
          if let other = Int(exactly: offset), bytes.begins([0x50, 0x4B, 1, 2], at: other) {
            readEntries(bytes, from: other, to: record, base: 0, limits)
          }
        }
        wideRecord = place
        structures += [place..<place + 56, record - 20..<record]
        checkSingleDisk(bytes, record, wide: place)
        if told != place, bytes.begins([0x50, 0x4B, 6, 6], at: told) {
          // After a preceding archive, offsets count from this archive's own start, and may by chance point to an end
          // record of the preceding one.
          let ownStart = max(0, place - wide.size - max(wide.offset, 0))
          if ownStart > 0, told.checkedAdding(ownStart) == place {
            otherWideRecord = told
          } else {
            fault(
              .dangerous, .zipHeaders, record,
              "the archive has two zip64 end records, and readers may use either"
            )
            let other = bytes.little(UInt64.self, told + 48).flatMap { Int(exactly: $0) } ?? 0
            readEntries(bytes, from: other, to: record, base: 0, limits)
          }
        }
        (count, size, offset) = wide
        directoryEnd = place
      }
    }
    var directoryStart = directoryEnd - size
    if size < 0 || directoryStart < 0 || size > 0 && !bytes.begins([0x50, 0x4B, 1, 2], at: directoryStart) {
      directoryStart = min(max(offset, 0), directoryEnd)
      damage(record, "the directory is not where the end record says it ends")
    }
    start = max(0, directoryStart - max(offset, 0))
    directory = directoryStart
    if start > 0, bytes.begins([0x50, 0x4B, 1, 2], at: offset) { otherDirectory = offset }
    if let place = wideRecord {
      let told = bytes.little(UInt64.self, record - 12)
      if told != UInt64(place), told != UInt64(place - start) {
        fault(
          .unknown, .zipHeaders, record - 20,
          "the zip64 end record is not where its locator says, and some readers do not find it")
      }
    }
    if offset > directoryStart {
      fault(.dangerous, .zipHeaders, record, "the end record gives a wrong position of the directory")
    }
    let reached = readEntries(bytes, from: directoryStart, to: directoryEnd, base: start, limits)
    let listed = entries.count
    if reached < directoryEnd, !isCut {
      fault(
        .dangerous, .trailingData, reached,
        "\(directoryEnd - reached) bytes after the directory belong to no entry")
      gaps.append(reached..<directoryEnd)
    } else if listed != count, !isCut {
      fault(
        .dangerous, .zipHeaders, record,
        "the end record says \(Format.count(count, "entry", plural: "entries")), but the directory has \(Format.count(listed))"
      )
    }
    return directoryStart
  }

  @discardableResult
  private mutating func readEntries(
    _ bytes: RawSpan, from start: Int, to end: Int, base: Int, _ limits: Limits
  ) -> Int {
    var place = start
    while place <= end - 46, bytes.begins([0x50, 0x4B, 1, 2], at: place) {
      guard entries.count < limits.zipEntries else {
        isCut = true
        return place
      }
      func short(_ offset: Int) -> UInt16 { bytes.little(UInt16.self, place + offset) ?? 0 }
      func long(_ offset: Int) -> UInt32 { bytes.little(UInt32.self, place + offset) ?? 0 }
      var entry = Entry()
      let nameCount = Int(short(28))
      let extraCount = Int(short(30))
      entry.flags = short(8)
      entry.method = short(10)
      entry.time = long(12)
      entry.aes = readAES(bytes, place + 46 + nameCount, extraCount)
      entry.crc32 = long(16)
      entry.name = bytes.part(place + 46..<place + 46 + nameCount).all
      entry.isLink = short(4) >> 8 == 3 && long(38) >> 28 == 0xA
      var wide = [Int(long(24)), Int(long(20)), Int(long(42))]
      readWide(bytes, place + 46 + nameCount, extraCount, &wide)
      (entry.byteCount, entry.storedByteCount) = (wide[0], wide[1])
      entry.header = base.checkedAdding(wide[2]) ?? .max
      entries.append(entry)
      let tail = place + 46 + nameCount + extraCount
      structures.append(place..<tail)
      let note = tail..<tail + Int(short(32))
      if bytes.isPlainText(in: note) { structures.append(note) }
      if short(6) & 0xFF > 63 || short(34) != 0 && short(34) != 0xFFFF {
        fault(
          .unknown, .zipHeaders, place,
          "\(display(entry.name)) needs a newer reader or another disk, which some readers reject")
      }
      if entry.flags & 0xD790 != 0 {
        fault(
          .unknown, .zipFlags, place,
          "\(display(entry.name)) has the flags 0x\(String(entry.flags, radix: 16)), which have no meaning")
      }
      checkExtraFields(bytes, place + 46 + nameCount..<tail, entry)
      place = tail + Int(short(32))
      if place > end {
        damage(start, "the last entry of the directory reaches beyond its end")
        return end
      }
    }
    return min(place, end)
  }

  /// Returns the range of an extra field's data; nil when the entry has no field of this kind.
  private func extraField(_ kind: UInt16, _ bytes: RawSpan, _ start: Int, _ count: Int) -> Range<Int>? {
    var place = start
    while place + 4 <= start + count {
      let length = Int(bytes.little(UInt16.self, place + 2) ?? 0)
      if bytes.little(UInt16.self, place) == kind { return place + 4..<place + 4 + length }
      place += 4 + length
    }
    return nil
  }

  /// Returns the parameters of AES encryption (extra field 0x9901); nil when the entry has none.
  private func readAES(_ bytes: RawSpan, _ start: Int, _ count: Int) -> ZipLibrary.AES? {
    guard let field = extraField(0x9901, bytes, start, count), field.count == 7 else { return nil }
    return ZipLibrary.AES(bytes.part(field).all)
  }

  /// Reads 64-bit values from the Zip64 extra field in place of 32-bit values that are 0xFFFFFFFF.
  private func readWide(_ bytes: RawSpan, _ start: Int, _ count: Int, _ values: inout [Int]) {
    guard let field = extraField(1, bytes, start, count) else { return }
    var place = field.lowerBound
    for index in values.indices where values[index] == 0xFFFF_FFFF && place + 8 <= field.upperBound {
      values[index] = bytes.little(UInt64.self, place).flatMap { Int(exactly: $0) } ?? .max
      place += 8
    }
  }

  // MARK: - Local headers

  /// Walks through the archive from its start. Every byte belongs to an entry or is reported.
  private mutating func walk(_ bytes: RawSpan, upTo directory: Int, _ limits: Limits) {
    let order = entries.indices.sorted { (entries[$0].header, $0) < (entries[$1].header, $1) }
    var place = start
    var previous: Int?
    for index in order {
      let header = entries[index].header
      guard header <= bytes.byteCount - 30, bytes.begins([0x50, 0x4B, 3, 4], at: header) else {
        damage(
          entries[index].header == .max ? 0 : header,
          "no local header where the directory says: \(display(entries[index].name))")
        continue
      }
      if header < place {
        fault(
          .dangerous, .zipOverlap, header,
          "\(display(entries[index].name)) shares bytes with the entry before it")
      } else {
        examine(bytes, place..<header, after: previous, limits)
      }
      readLocal(bytes, index)
      place = max(place, entries[index].data.upperBound, header + 30)
      previous = index
    }
    if place < directory { examine(bytes, place..<directory, after: previous, limits) }
  }

  private mutating func readLocal(_ bytes: RawSpan, _ index: Int) {
    let entry = entries[index]
    let place = entry.header
    func short(_ offset: Int) -> UInt16 { bytes.little(UInt16.self, place + offset) ?? 0 }
    func long(_ offset: Int) -> Int { Int(bytes.little(UInt32.self, place + offset) ?? 0) }
    let nameCount = Int(short(26))
    let name = bytes.part(place + 30..<place + 30 + nameCount).all
    let start = place + 30 + nameCount + Int(short(28))
    guard let end = start.checkedAdding(entry.storedByteCount), start <= bytes.byteCount,
      end <= bytes.byteCount
    else {
      entries[index].data = min(start, bytes.byteCount)..<bytes.byteCount
      damage(place, "\(display(entry.name)) ends beyond the end of the file")
      return
    }
    entries[index].data = start..<end
    entries[index].flags |= short(6)
    structures.append(place..<start)
    checkExtraFields(bytes, start - Int(short(28))..<start, entry, sizesFollow: short(6) & 8 != 0)
    if entry.method == 0, entry.flags & 1 == 0, entry.storedByteCount != entry.byteCount {
      fault(
        .dangerous, .zipHeaders, place,
        "\(display(entry.name)) is not compressed but has two sizes, and readers may use either")
    }
    // Bits 1 and 2 tell how hard a compressor tried.
    if (short(6) ^ entry.flags) & ~6 != 0 || short(4) & 0xFF > 63 {
      fault(
        .unknown, .zipHeaders, place, "the two headers of \(display(entry.name)) have other flags or versions"
      )
    }
    // With bit 3 the sizes and the checksum follow the data; writers put zeros, or the same values, in the header.
    if short(6) & 8 != 0,
      ![0, Int(entry.crc32)].contains(long(14))
        || ![0, 0xFFFF_FFFF, entry.storedByteCount].contains(long(18))
        || ![0, 0xFFFF_FFFF, entry.byteCount].contains(long(22))
    {
      fault(.unknown, .zipHeaders, place, "the two headers of \(display(entry.name)) have other sizes")
    }
    if name != entry.name {
      fault(
        .dangerous, .zipName, place,
        "the entry is \(display(entry.name)) in the directory but \(display(name)) in its header")
    }
    let isKnown = short(6) & 8 == 0
    let isSame =
      short(8) == entry.method
      && (!isKnown
        || [entry.storedByteCount, 0xFFFF_FFFF].contains(long(18))
          && [entry.byteCount, 0xFFFF_FFFF].contains(long(22)))
      && (!isKnown || long(14) == 0 || entry.crc32 == 0 || long(14) == Int(entry.crc32))
    if !isSame {
      fault(.dangerous, .zipHeaders, place, "the two headers of \(display(entry.name)) contradict each other")
    }
  }

  /// Examines the bytes between two entries: a data descriptor, nothing, or hidden data.
  private mutating func examine(
    _ bytes: RawSpan, _ gap: Range<Int>, after previous: Int?, _ limits: Limits
  ) {
    guard !gap.isEmpty else { return }
    var gap = gap
    if let previous, entries[previous].flags & 8 != 0 {
      gap = gap.lowerBound + readDescriptor(bytes, gap, of: entries[previous])..<gap.upperBound
    }
    var place = gap.lowerBound
    while let header = bytes.first([0x50, 0x4B, 3, 4], in: place..<gap.upperBound),
      header + 30 <= gap.upperBound
    {
      noteGap(bytes, place..<header)
      guard entries.count < limits.zipEntries else {
        isCut = true
        return
      }
      place = addHidden(bytes, header, until: gap.upperBound)
    }
    noteGap(bytes, place..<gap.upperBound)
  }

  /// Reads the data descriptor at the start of a gap. Returns its length, or 0 when the gap has no descriptor.
  ///
  /// It holds the checksum and both sizes, of 4 or 8 bytes each, usually after a signature. No reader of directories
  /// uses it.
  private mutating func readDescriptor(_ bytes: RawSpan, _ gap: Range<Int>, of entry: Entry) -> Int {
    let hasSignature = bytes.begins([0x50, 0x4B, 7, 8], at: gap.lowerBound)
    let place = gap.lowerBound + (hasSignature ? 4 : 0)
    for width in [8, 4] where place + 4 + 2 * width <= gap.upperBound {
      func size(_ offset: Int) -> Int? {
        width == 8
          ? bytes.little(UInt64.self, offset).flatMap { Int(exactly: $0) }
          : bytes.little(UInt32.self, offset).map { Int($0) }
      }
      guard size(place + 4) == entry.storedByteCount, size(place + 4 + width) == entry.byteCount else {
        continue
      }
      if bytes.little(UInt32.self, place) != entry.crc32 {
        fault(
          .unknown, .zipHeaders, gap.lowerBound,
          "the checksum after the data of \(display(entry.name)) is not that of the directory")
      }
      let end = place + 4 + 2 * width
      structures.append(gap.lowerBound..<end)
      return end - gap.lowerBound
    }
    return 0
  }

  // MARK: - Fields that few readers use

  /// Reports an end record that says that the archive continues in another file.
  private mutating func checkSingleDisk(_ bytes: RawSpan, _ record: Int, wide: Int? = nil) {
    func short(_ offset: Int) -> UInt16 { bytes.little(UInt16.self, offset) ?? 0 }
    func long(_ offset: Int) -> UInt32 { bytes.little(UInt32.self, offset) ?? 0 }
    func huge(_ offset: Int) -> UInt64 { bytes.little(UInt64.self, offset) ?? 0 }
    let isSingle: Bool
    if let wide {
      isSingle =
        huge(wide + 4) == 44 && short(wide + 14) & 0xFF <= 63 && long(wide + 16) == 0 && long(wide + 20) == 0
        && huge(wide + 24) == huge(wide + 32) && long(record - 16) == 0 && long(record - 4) == 1
    } else {
      isSingle =
        [0, 0xFFFF].contains(short(record + 4)) && [0, 0xFFFF].contains(short(record + 6))
        && short(record + 8) == short(record + 10)
    }
    if !isSingle {
      fault(
        .unknown, .zipHeaders, record,
        "the end record describes an archive of several files, or of a newer form")
    }
  }

  private mutating func checkExtraFields(
    _ bytes: RawSpan, _ range: Range<Int>, _ entry: Entry, sizesFollow: Bool? = nil
  ) {
    guard range.upperBound <= bytes.byteCount,
      !ZipExtraFields.areSound(bytes, range, of: entry, sizesFollow: sizesFollow)
    else { return }
    fault(
      .unknown, .zipHeaders, range.lowerBound,
      "an extra field of \(display(entry.name)) is unknown or contradicts the entry")
  }

  private mutating func noteGap(_ bytes: RawSpan, _ gap: Range<Int>) {
    guard !gap.isEmpty,
      !bytes.holdsOnly(0, in: gap.lowerBound..<min(gap.upperBound, gap.lowerBound + 65_536))
        || gap.count > 65_536
    else { return }
    if gaps.count < 1_000 { gaps.append(gap) }
    // Without a central directory, an entry's size may be missing too, and the bytes after it may be its own.
    fault(
      hasDirectory ? .dangerous : .unknown, .trailingData, gap.lowerBound,
      "\(Format.count(gap.count, "byte")) between the entries belong to no entry")
  }

  /// Returns the offset of the data descriptor whose size equals its distance from the data's start. Descriptors of an
  /// archive inside the entry do not match and are skipped.
  private mutating func descriptor(_ bytes: RawSpan, behind start: Int, until end: Int) -> Int? {
    var place = start
    while seeksDescriptors, place < end, let found = bytes.first([0x50, 0x4B, 7, 8], in: place..<end) {
      let count = found - start
      if bytes.little(UInt32.self, found + 8).map({ Int($0) }) == count
        || bytes.little(UInt64.self, found + 8).flatMap({ Int(exactly: $0) }) == count
      {
        return found
      }
      place = found + 1
    }
    seeksDescriptors = false
    return nil
  }

  /// Adds an entry that only its local header describes, and returns the offset where it ends.
  private mutating func addHidden(_ bytes: RawSpan, _ place: Int, until end: Int) -> Int {
    func short(_ offset: Int) -> UInt16 { bytes.little(UInt16.self, place + offset) ?? 0 }
    func long(_ offset: Int) -> Int { Int(bytes.little(UInt32.self, place + offset) ?? 0) }
    var entry = Entry()
    let nameCount = Int(short(26))
    entry.name = bytes.part(place + 30..<place + 30 + nameCount).all
    entry.flags = short(6)
    entry.method = short(8)
    entry.header = place
    entry.isListed = false
    let start = min(end, place + 30 + nameCount + Int(short(28)))
    // The sizes may follow the data or be in the extra field. Then the next header marks the end.
    var stop = start + long(18)
    if entry.flags & 8 != 0 || stop > end || long(18) == 0xFFFF_FFFF {
      stop = bytes.first([0x50, 0x4B, 3, 4], in: start..<end) ?? end
      if !hasDirectory, let fitting = descriptor(bytes, behind: start, until: end) {
        stop = fitting
      } else if let descriptor = bytes.last([0x50, 0x4B, 7, 8], in: max(start, stop - 24)..<stop) {
        stop = descriptor
      }
    }
    entry.data = start..<max(start, stop)
    entry.storedByteCount = entry.data.count
    entry.byteCount = entry.method == 0 ? entry.data.count : long(22)
    entries.append(entry)
    // A data descriptor after the data belongs to the entry.
    var next = entry.data.upperBound
    if bytes.begins([0x50, 0x4B, 7, 8], at: next) {
      next = bytes.first([0x50, 0x4B, 3, 4], in: next..<min(end, next + 28)) ?? min(end, next + 16)
    }
    return max(next, place + 30)
  }

  /// Returns a name as text for messages, escaped and cut to 200 bytes.
  func display(_ name: [UInt8]) -> String {
    let text = String(decoding: name.prefix(200), as: UTF8.self).escapedForDisplay
    return text.isEmpty ? "an entry without a name" : text
  }
}

extension RawSpan {
  /// A copy of all bytes.
  var all: [UInt8] { copy(0..<byteCount) }
}
