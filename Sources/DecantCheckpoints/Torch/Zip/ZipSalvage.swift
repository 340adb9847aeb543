internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The records of a torch zip whose directory is lost. They are found by their local headers, one after the other
/// from the start of the file.
///
/// The local headers that PyTorch writes contain no sizes. `data.pkl` marks its own end, and names the size of every
/// storage. Small records, and the records before the pickle, end at a data descriptor that matches their length. See
/// docs/formats/zip.md.
struct ZipSalvage {
  /// A record whose data is cut off by the end of the file.
  struct Cut: Sendable {
    let available: ByteRange
  }

  /// The complete records, in the file's order.
  private(set) var entries: [ZipEntry] = []
  private(set) var cut: [ExactText: Cut] = [:]
  /// The number of bytes of the complete file; nil when PyTorch's layout does not determine it.
  private(set) var expectedByteCount: Int?
  /// True when the records end where a directory begins, so that no record is lost.
  private(set) var reachesDirectory = false

  /// The offset where the scan ended: the end of the file, the directory, or bytes that are not a record.
  var end: Int { isCutShort ? file.byteCount : position }

  private let file: ByteSource
  private let limits: Limits
  /// The offset of the next record.
  private var position = 0
  /// True when the file ends inside a header or a descriptor.
  private var isCutShort = false
  /// The folder of `data.pkl`, and below it the number of bytes of each storage by its record's name.
  private var prefix: String?
  private var sizes: [ExactText: Int] = [:]
  private var cutSize: (name: String, start: Int)?

  /// Why the directory cannot be read.
  let reason: DecantError

  /// The archive of the records that were found.
  var archive: ZipArchive { ZipArchive(file, entries: entries, limits: limits) }

  /// Walks a file whose directory is lost or damaged.
  ///
  /// - Throws: `reason` when the directory is arranged to deceive, or when no checkpoint is found.
  static func required(
    for file: ByteSource, after reason: DecantError, limits: Limits
  ) throws(DecantError) -> ZipSalvage {
    guard reason.isSalvageable, let found = try ZipSalvage(file, reason, limits: limits) else { throw reason }
    return found
  }

  /// Walks a file; nil when it holds no whole `data.pkl`, or two records of one name.
  private init?(_ file: ByteSource, _ reason: DecantError, limits: Limits) throws(DecantError) {
    self.file = file
    self.reason = reason
    self.limits = limits
    var names: Set<ExactText> = []
    while entries.count < limits.zipEntries, let name = try step() {
      guard names.insert(ExactText(name)).inserted else { return nil }
    }
    guard prefix != nil else { return nil }
    if !reachesDirectory { expectedByteCount = try expected() }
  }

  private struct Header {
    let name: String
    let rawName: [UInt8]
    let method: UInt16
    let start: Int
    /// The number of stored bytes; nil when only a descriptor after the data contains it.
    let stored: Int?
    let size: Int
    let crc32: UInt32
  }

  /// Reads the record at `position` and returns its name; nil when no record begins there.
  private mutating func step() throws(DecantError) -> String? {
    guard let header = try header(at: position) else { return nil }
    let place = position
    func entry(_ stored: Int, _ size: Int, _ crc: UInt32) -> ZipEntry {
      var entry = ZipEntry(
        name: header.name, rawName: header.rawName, index: entries.count,
        encoding: .init(method: header.method), crc32: crc,
        storedByteCount: stored, byteCount: size, headerOffset: place)
      entry.bound = header.start + stored
      return entry
    }
    if let stored = header.stored {
      guard stored <= file.byteCount - header.start else { return try lose(header, stored) }
      entries.append(entry(stored, header.size, header.crc32))
      position = header.start + stored
      if Self.isPickle(header.name) { try readPickle(header, stored) }
      return header.name
    }
    var length = sizes[ExactText(header.name)]
    if Self.isPickle(header.name), prefix == nil { length = try readPickle(header, nil) }
    if let length, header.method == ZipEntry.stored {
      guard length <= file.byteCount - header.start else { return try lose(header, length) }
      if let found = try descriptor(at: header.start + length, of: header.start) {
        entries.append(entry(found.stored, found.size, found.crc32))
        position = header.start + length + found.byteCount
        return header.name
      }
      if header.start + length + 16 > file.byteCount || length == 0 {
        // The descriptor is cut off or missing: the data is complete, but its checksum is unknown.
        entries.append(entry(length, length, length == 0 ? 0 : try crc32(at: header.start, count: length)))
        position = header.start + length + (length == 0 ? 0 : 16)
        isCutShort = length > 0
        return header.name
      }
    }
    guard let found = try findDescriptor(from: header.start, method: header.method) else {
      return try lose(header, nil)
    }
    entries.append(entry(found.stored, found.size, found.crc32))
    position = header.start + found.stored + found.byteCount
    return header.name
  }

  /// Records that a record's data is cut off by the end of the file.
  private mutating func lose(_ header: Header, _ length: Int?) throws(DecantError) -> String? {
    let range = try ByteRange(file, offset: header.start, byteCount: file.byteCount - header.start)
    if header.method == ZipEntry.stored { cut[ExactText(header.name)] = Cut(available: range) }
    cutSize = (header.name, header.start)
    position = file.byteCount
    return header.name
  }

  private mutating func header(at place: Int) throws(DecantError) -> Header? {
    guard place < file.byteCount else { return nil }
    let signature = try file.bytes(at: place, count: min(4, file.byteCount - place))
    if [0x50, 0x4B, 3, 4].starts(with: signature), place > file.byteCount - 30 { isCutShort = true }
    if signature == [0x50, 0x4B, 1, 2] || signature == [0x50, 0x4B, 6, 6] { reachesDirectory = true }
    guard signature == [0x50, 0x4B, 3, 4], place <= file.byteCount - 30 else { return nil }
    let fixed = try file.bytes(at: place, count: 30)
    func word(_ at: Int) -> Int { Int(fixed[at]) | Int(fixed[at + 1]) << 8 }
    func long(_ at: Int) -> Int { word(at) | word(at + 2) << 16 }
    let (flags, method) = (word(6), UInt16(word(8)))
    let start = place + 30 + word(26) + word(28)
    guard start <= file.byteCount else {
      isCutShort = true
      return nil
    }
    guard flags & 0x2041 == 0, method == ZipEntry.stored || method == ZipEntry.deflated else { return nil }
    let rawName = try file.bytes(at: place + 30, count: word(26))
    guard !rawName.contains(0), let name = String(validating: rawName, as: UTF8.self) else { return nil }
    var (stored, size) = (long(18), long(22))
    if stored == 0xFFFF_FFFF || size == 0xFFFF_FFFF, flags & 8 == 0 {
      let extra = try file.bytes(at: place + 30 + word(26), count: word(28))
      guard let wide = Self.zip64(extra) else { return nil }
      (size, stored) = wide
    }
    guard method != ZipEntry.stored || stored == size else { return nil }
    return Header(
      name: name, rawName: rawName, method: method, start: start, stored: flags & 8 == 0 ? stored : nil,
      size: size, crc32: UInt32(long(14)))
  }

  /// Returns the sizes in a local zip64 field: the data's first, then the stored data's.
  private static func zip64(_ extra: [UInt8]) -> (Int, Int)? {
    var at = 0
    while at + 4 <= extra.count {
      let kind = Int(extra[at]) | Int(extra[at + 1]) << 8
      let count = Int(extra[at + 2]) | Int(extra[at + 3]) << 8
      if kind == 1, count >= 16, at + 20 <= extra.count {
        func long(_ place: Int) -> Int? {
          Int(exactly: extra[place..<place + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        guard let size = long(at + 4), let stored = long(at + 12) else { return nil }
        return (size, stored)
      }
      at += 4 + count
    }
    return nil
  }

  // MARK: Pickle

  private static func isPickle(_ name: String) -> Bool {
    name == "data.pkl" || name.hasSuffix("/data.pkl") && name.utf8.count { $0 == UInt8(ascii: "/") } == 1
  }

  /// Interprets `data.pkl` and records the storages that it names.
  ///
  /// - Returns: The pickle's length; nil when it is cut off or damaged.
  @discardableResult
  private mutating func readPickle(_ header: Header, _ stored: Int?) throws(DecantError) -> Int? {
    guard header.method == ZipEntry.stored else { return nil }
    let most = min(stored ?? .max, file.byteCount - header.start, limits.pickleBytes)
    var count = min(most, 1 << 20)
    while true {
      let bytes = try file.bytes(at: header.start, count: count)
      let (graph, error) = PickleMachine.interpretAsFarAsPossible(unsafe bytes.span.bytes, limits: limits)
      if error == nil {
        prefix = String(header.name.dropLast("data.pkl".count))
        note(graph)
        return graph.byteCount
      }
      // Eight times as many bytes in each round: reading them again costs at most an eighth more.
      guard count < most else { return nil }
      count = min(most, count.multipliedReportingOverflow(by: 8).overflow ? most : count * 8)
    }
  }

  private mutating func note(_ graph: PickleGraph) {
    for node in graph.nodes {
      guard case .persistentID(let id) = node, let parts = graph.tuple(id), parts.count >= 5,
        graph.text(parts[0]) == "storage", let key = graph.text(parts[2]), graph.text(parts[3]) != "meta",
        case .int(let count) = parts[4], let count = Int(exactly: count), count >= 0,
        let storageClass = graph.global(parts[1]).flatMap(StorageTypes.storageClass)
      else { continue }
      var width = 1
      if case .typed(let dtype) = storageClass { width = dtype.byteCount }
      guard let byteCount = count.checkedMultiplying(by: width) else { continue }
      sizes[ExactText((prefix ?? "") + "data/" + key)] = byteCount
    }
  }

  // MARK: Descriptors

  private struct Descriptor {
    let crc32: UInt32
    let stored: Int
    let size: Int
    let byteCount: Int
  }

  /// Returns the descriptor at an offset; nil unless it describes data that begins at `start`.
  private func descriptor(at place: Int, of start: Int, method: UInt16 = ZipEntry.stored)
    throws(DecantError)
    -> Descriptor?
  {
    let bytes = try file.bytes(at: place, count: min(24, file.byteCount - place))
    return Self.descriptor(bytes[...], distance: place - start, method: method)
  }

  private static func descriptor(_ bytes: ArraySlice<UInt8>, distance: Int, method: UInt16) -> Descriptor? {
    guard bytes.count >= 16, bytes.starts(with: [0x50, 0x4B, 7, 8]) else { return nil }
    let base = bytes.startIndex
    func number(_ at: Int, _ count: Int) -> UInt64 {
      bytes[base + at..<base + at + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let crc = UInt32(number(4, 4))
    for width in [4, 8] where bytes.count >= 8 + 2 * width {
      let (stored, size) = (number(8, width), number(8 + width, width))
      guard stored == UInt64(distance), method == ZipEntry.deflated || size == stored,
        let size = Int(exactly: size)
      else { continue }
      return Descriptor(crc32: crc, stored: distance, size: size, byteCount: 8 + 2 * width)
    }
    return nil
  }

  /// Searches for the descriptor that ends the data beginning at `start`. O(data).
  private func findDescriptor(from start: Int, method: UInt16) throws(DecantError) -> Descriptor? {
    var place = start
    while place < file.byteCount {
      // Pieces overlap by a descriptor's length, so that no descriptor is split.
      let piece = try file.bytes(at: place, count: min(1 << 20, file.byteCount - place))
      let isLast = place + piece.count == file.byteCount
      let end = isLast ? piece.count : piece.count - 24
      var index = 0
      while index < end {
        if piece[index] == 0x50, piece.count - index >= 16, piece[index + 1] == 0x4B,
          let found = Self.descriptor(
            piece[index..<min(index + 24, piece.count)], distance: place + index - start, method: method)
        {
          return found
        }
        index += 1
      }
      if isLast { break }
      place += end
    }
    return nil
  }

  private func crc32(at start: Int, count: Int) throws(DecantError) -> UInt32 {
    var crc = CRC32()
    var done = 0
    while done < count {
      let piece = try file.bytes(at: start + done, count: min(1 << 20, count - done))
      unsafe piece.withUnsafeBytes { unsafe crc.update($0) }
      done += piece.count
    }
    return crc.value
  }

  // MARK: Size of the complete file

  /// Returns the size that PyTorch's writer would have given the complete file; nil when it cannot be determined.
  ///
  /// It is the sum of the records that are there, the missing storages, `version` and, since 2.1,
  /// `.data/serialization_id`, the directory and the end records.
  private func expected() throws(DecantError) -> Int? {
    guard let prefix, entries.first?.name == prefix + "data.pkl" else { return nil }
    func text(_ name: String) throws(DecantError) -> String? {
      guard let entry = entries.first(where: { $0.name == prefix + name }), entry.byteCount <= 64 else {
        return nil
      }
      let bytes = try file.bytes(at: entry.bound - entry.byteCount, count: entry.byteCount)
      return String(decoding: bytes, as: UTF8.self)
    }
    let alignment = try text(".storage_alignment").flatMap { Int($0) } ?? 64
    guard 1...65_536 ~= alignment else { return nil }
    let isNumeric = try text(".format_version") != nil
    let there = Set(entries.map { ExactText($0.name) })
    // Without any storage, other records may be missing too: PyTorch's versions write different ones before the first
    // storage.
    guard sizes.isEmpty || sizes.keys.contains(where: { there.contains($0) || cut[$0] != nil }) else {
      return nil
    }
    var rest = sizes.filter { !there.contains($0.key) }.map { (name: $0.key.text, size: $0.value) }
    rest.sort { left, right in
      let first = prefix.utf8.count + 5
      if isNumeric, let a = Int(left.name.dropFirst(first)), let b = Int(right.name.dropFirst(first)) {
        return a < b
      }
      return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }
    var names = entries.map(\.name)
    for (name, size) in [("version", 2)]
      + (try text("byteorder") == nil ? [] : [(".data/serialization_id", 40)])
    where !there.contains(ExactText(prefix + name)) {
      rest.append((prefix + name, size))
    }
    var end = position
    if let (name, start) = cutSize {
      guard let first = rest.firstIndex(where: { $0.name == name }) else { return nil }
      end = start
      guard let data = end.checkedAdding(rest[first].size + 16) else { return nil }
      end = data
      names.append(name)
      rest.remove(at: first)
    }
    for (name, size) in rest {
      let unaligned = end + 30 + name.utf8.count + 4
      guard let data = ((unaligned + alignment - 1) / alignment * alignment).checkedAdding(size),
        data < 0xFFFF_FFFF,
        size < 0xFFFF_FFFF
      else { return nil }
      end = data + (size == 0 ? 0 : 16)
      names.append(name)
    }
    return end + names.map { 46 + $0.utf8.count }.saturatingSum + 56 + 20 + 22
  }
}
