import DecantScanning
import TestSupport
import Testing

/// Clean files with one byte changed or inserted outside tensors' data: none is clean, unless every loader reads it as
/// before.
@Suite struct ByteChangeTests {
  /// A byte that may change without another verdict.
  enum Excuse {
    /// The numbers of a tensor or array.
    case data
    /// A pickle or number without a checksum, or compressed data. If it is still valid, then every loader reads the
    /// same value. Other compressed bits can inflate to what the checksum says.
    case content
    /// The time when an entry was changed, in one of its two headers. No loader reads it.
    case time
    /// The program that wrote an entry, and the reader that it needs, up to version 6.3, which all loaders accept.
    case version
    /// How hard the compressor tried (bits 1 and 2 of the flags). No loader reads it.
    case effort
    /// The size of one byte, in place of a zero, in a header whose sizes follow the data.
    case size
    /// The entry's permissions, its kind of text and the like. No loader extracts entries to disk.
    case attributes
    /// A header's text that only the parser of the format can judge.
    case header
  }

  static let zips = [
    "torch/tensor.pth", "torch/no_crc.pth", "torch/deflated.pth", "torch/zip64.pth", "torch/old_layout.pth",
    "arrays/stored.npz", "arrays/deflated.npz",
  ]
  /// The size in bytes of the elements of each storage, in the file's order.
  static let legacies = [
    "torch/legacy.pth": [4, 4, 4, 4, 8, 2], "torch/legacy_storages.pth": [4, 4],
    "torch/legacy_swapped.pth": [8, 8],
  ]
  static let files = zips + legacies.keys.sorted()

  @Test(arguments: files)
  func noOtherByteCounts(_ name: String) throws {
    let file = try Fixtures.bytes(name)
    try #require(verdict(file) == .clean)
    let excuses = Self.legacies[name].map { legacyExcuses(file, $0) } ?? zipExcuses(file)
    for offset in sampled(file.count) {
      for value in [file[offset] ^ 1, file[offset] ^ 0x80] {
        switch excuses[offset] {
        case .data, .content, .time, .attributes, .header: continue
        case .version where value <= 63, .effort where (value ^ file[offset]) & ~6 == 0: continue
        case .size where value == 1: continue
        default: break
        }
        var changed = file
        changed[offset] = value
        #expect(verdict(changed) != .clean, "byte \(offset) is \(value) instead of \(file[offset])")
      }
    }
  }

  @Test(arguments: files)
  func noByteIsInserted(_ name: String) throws {
    let file = try Fixtures.bytes(name)
    let excuses = Self.legacies[name].map { legacyExcuses(file, $0).filter { $0.value == .content } } ?? [:]
    for offset in sampled(file.count + 1) where excuses[offset] == nil {
      for value: UInt8 in [0, 0x41] {
        #expect(
          verdict(Array(file[..<offset]) + [value] + file[offset...]) != .clean,
          "\(value) before byte \(offset)")
      }
    }
  }

  /// Half of a file is never clean, wherever it ends.
  @Test(arguments: files)
  func noBeginningIsClean(_ name: String) throws {
    let file = try Fixtures.bytes(name)
    for count in sampled(file.count) where count > 0 {
      #expect(verdict(Array(file[..<count])) != .clean, "the first \(count) bytes")
    }
  }

  /// Every byte of a tar's headers is in their checksum, and all others but the member's are zeros.
  @Test func noByteOfATarCounts() {
    let content = Stream.storage(4).bytes
    let file = tar([("a.pkl", "0", content)])
    #expect(verdict(file) == .clean)
    for offset in 0..<file.count where !(512..<512 + content.count).contains(offset) {
      for value in [file[offset] ^ 1, file[offset] ^ 0x80] {
        var changed = file
        changed[offset] = value
        #expect(verdict(changed) != .clean, "byte \(offset) is \(value) instead of \(file[offset])")
      }
      for value: UInt8 in [0, 0x41] {
        let longer = Array(file[..<offset]) + [value] + file[offset...]
        #expect(verdict(longer) != .clean, "\(value) before byte \(offset)")
      }
    }
  }

  private func verdict(_ bytes: [UInt8]) -> ScanVerdict {
    CheckpointScanner().scan(bytes, named: "file").verdict
  }

  /// Every offset of small files, and about 800 of larger ones.
  private func sampled(_ count: Int) -> some Sequence<Int> {
    stride(from: 0, to: count, by: max(1, count / 800))
  }

  /// The excused offsets of a legacy file: its pickles, and the elements after each number of elements.
  private func legacyExcuses(_ file: [UInt8], _ sizes: [Int]) -> [Int: Excuse] {
    // The list of storages is the last stream.
    guard let list = file.indices.last(where: { file[$0...].starts(with: [0x65, 0x2E]) }) else { return [:] }
    var excuses: [Int: Excuse] = [:]
    for offset in 0..<list + 2 { excuses[offset] = .content }
    var offset = list + 2
    for size in sizes {
      // Little-endian, or big-endian.
      let count = Int(max(file[offset], file[offset + 7]))
      for place in offset + 8..<offset + 8 + count * size { excuses[place] = .data }
      offset += 8 + count * size
    }
    return excuses
  }

  /// The excused offsets of a zip archive, found by a reader of its own.
  private func zipExcuses(_ file: [UInt8]) -> [Int: Excuse] {
    func number(_ offset: Int, _ count: Int) -> Int {
      (0..<count).reduce(0) { $0 | Int(file[offset + $1]) << (8 * $1) }
    }
    var excuses: [Int: Excuse] = [:]
    func excuse(_ range: Range<Int>, _ excuse: Excuse) { for offset in range { excuses[offset] = excuse } }
    var place = number(file.count - 6, 4)
    let wide = file.count - 22 - 20 - 56
    if Array(file[wide..<wide + 4]) == [0x50, 0x4B, 6, 6] {
      place = number(wide + 48, 8)
      excuse(wide + 12..<wide + 16, .attributes)
      excuse(wide + 14..<wide + 15, .version)
    }
    let hasChecksums = file[place + 16..<place + 20].contains { $0 != 0 }
    while Array(file[place..<place + 4]) == [0x50, 0x4B, 1, 2] {
      let (nameCount, extraCount) = (number(place + 28, 2), number(place + 30, 2))
      let name = String(decoding: file[place + 46..<place + 46 + nameCount], as: UTF8.self)
      // Zip64 has the values that are all ones in an extra field, in this order.
      var extra = place + 46 + nameCount + 4
      func wide(_ offset: Int) -> Int {
        guard number(offset, 4) == 0xFFFF_FFFF else { return number(offset, 4) }
        extra += 8
        return number(extra - 8, 8)
      }
      _ = wide(place + 24)
      let count = wide(place + 20)
      let local = wide(place + 42)
      let start = local + 30 + number(local + 26, 2) + number(local + 28, 2)
      // The upper bytes tell the system, or nothing.
      excuse(place + 4..<place + 8, .attributes)
      excuse(place + 6..<place + 7, .version)
      excuse(place + 8..<place + 9, .effort)
      excuse(place + 12..<place + 16, .time)
      excuse(place + 36..<place + 42, .attributes)
      excuse(local + 4..<local + 5, .version)
      excuse(local + 5..<local + 6, .attributes)
      excuse(local + 6..<local + 7, .effort)
      if number(local + 6, 2) & 8 != 0 {
        excuse(local + 18..<local + 19, .size)
        excuse(local + 22..<local + 23, .size)
      }
      excuse(local + 10..<local + 14, .time)
      let data = start..<start + count
      if name.contains("/data/") {
        excuse(data, .data)
      } else if name.hasSuffix(".npy") {
        excuse(data, .header)
      } else if !hasChecksums || number(place + 10, 2) == 8 {
        excuse(data, .content)
      }
      place += 46 + nameCount + extraCount + number(place + 32, 2)
    }
    return excuses
  }
}
