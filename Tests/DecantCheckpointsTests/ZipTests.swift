import CLibdeflate
import CTestLibraries
import DecantBytes
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Refuses deceptive zip files through the public API, with the location of the error.
@Suite struct ZipTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The pickle of `{}` in protocol 2: the smallest checkpoint.
  private let emptyDictionary: [UInt8] = [0x80, 2, 0x7D, 0x2E]

  private func refusal(_ zip: ZipBuilder) throws -> DecantError? {
    let path = try folder.write("f.pth", zip.bytes)
    do throws(DecantError) {
      try Checkpoint(path: path).requireIntact()
      return nil
    } catch {
      #expect(error.location.file == path)
      return error
    }
  }

  private func expect(
    _ zip: ZipBuilder, _ code: DecantError.Code, entry: String? = nil, offset: Int? = nil,
    _ sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let error = try refusal(zip)
    #expect(error?.code == code, sourceLocation: sourceLocation)
    #expect(error?.location.entry == entry, sourceLocation: sourceLocation)
    #expect(error?.location.offset == offset, sourceLocation: sourceLocation)
  }

  private func valid() -> ZipBuilder {
    ZipBuilder([.init("a/data.pkl", emptyDictionary), .init("a/version", Array("3\n".utf8))])
  }

  @Test func acceptsAPlainOne() throws {
    #expect(try refusal(valid()) == nil)
    var commented = valid()
    commented.comment = Array("hello PK\u{5}\u{6} there".utf8)
    #expect(try refusal(commented) == nil)
  }

  @Test func refusesByName() throws {
    var zip = valid()
    zip.entries[1].flags |= 1
    try expect(zip, .passwordRequired, entry: "a/version")
    zip = valid()
    zip.entries.append(zip.entries[0])
    try expect(zip, .deceptive, entry: "a/data.pkl")
    zip = valid()
    zip.entries[1].headerOffset = 3
    try expect(zip, .deceptive, entry: "a/data.pkl", offset: 0)
    zip = valid()
    zip.entries[0].localName = "a/other.pk"
    try expect(zip, .deceptive, entry: "a/data.pkl", offset: 0)
    zip = valid()
    zip.entries[0].localSize = 3
    try expect(zip, .deceptive, entry: "a/data.pkl", offset: 0)
    zip = valid()
    zip.entries[0].size = 40_000
    try expect(zip, .truncated, entry: "a/data.pkl", offset: 0)
    zip = valid()
    zip.entries[1].method = 14
    try expect(zip, .unsupportedFormat, entry: "a/version")
    zip = valid()
    zip.entries[1].inflatedSize = 5
    try expect(zip, .deceptive, entry: "a/version")
    zip = valid()
    zip.announcedCount = 9
    try expect(zip, .damaged)
    zip = valid()
    zip.announcedCount = 1
    try expect(zip, .damaged)
    try expect(ZipBuilder(), .notACheckpoint)
    try expect(ZipBuilder([.init("x/readme", [1])]), .notACheckpoint)
    zip = ZipBuilder([
      .init("x/readme", [1]), .init("a/data.pkl", emptyDictionary), .init("b/data.pkl", emptyDictionary),
    ])
    try expect(zip, .unsupportedFormat)
  }

  /// An entry that the directory forbids is refused, even where salvage could find it without the directory.
  @Test func salvageDoesNotWorkAroundAnEntryThatIsRefused() throws {
    var (encrypted, foreign, twoSizes) = (valid(), valid(), valid())
    encrypted.entries[1].flags |= 1
    foreign.entries[1].method = 14
    twoSizes.entries[1].inflatedSize = 5
    for zip in [encrypted, foreign, twoSizes] {
      let path = try folder.write("f.pth", zip.bytes)
      #expect(throws: DecantError.self) { try Checkpoint(path: path) }
    }
    var zip = valid()
    zip.announcedCount = 9
    #expect(try Checkpoint(path: folder.write("f.pth", zip.bytes)).truncation?.code == .damaged)
  }

  /// A file cut off anywhere gives an error, never a crash. SalvageTests checks what can still be read.
  @Test func truncatedAnywhere() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for step in 0..<50 {
      let path = try folder.write("cut.pth", Array(whole[..<(whole.count * step / 50)]))
      #expect(throws: DecantError.self) { try Checkpoint(path: path).requireIntact() }
    }
  }

  /// Changing any byte gives an error or the same content, never a crash.
  @Test func flippedAnywhere() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for place in stride(from: 0, to: whole.count, by: 7) {
      var bytes = whole
      bytes[place] ^= 0xFF
      let path = try folder.write("flip.pth", bytes)
      guard let checkpoint = try? Checkpoint(path: path) else { continue }
      for entry in checkpoint.tensors { _ = try? entry.tensor.sha256() }
      _ = try? checkpoint.verifyChecksums(of: checkpoint.tensors)
    }
  }

  @Test func checksums() throws {
    var zip = valid()
    zip.entries[0].crc32 = 1
    var path = try folder.write("bad.pth", zip.bytes)
    let checkpoint = try Checkpoint(path: path)
    #expect(checkpoint.damage.map(\.code) == [.checksumMismatch])
    #expect(checkpoint.damage.map(\.location.entry) == ["a/data.pkl"])
    #expect(throws: DecantError.self) { try checkpoint.requireIntact() }
    for index in zip.entries.indices { zip.entries[index].crc32 = 0 }
    path = try folder.write("zero.pth", zip.bytes)
    let unrecorded = try Checkpoint(path: path)
    #expect(unrecorded.damage.isEmpty)
    #expect(
      unrecorded.warnings == ["the archive has no CRC-32, so damaged data cannot be detected"]
    )
  }

  /// libzip reads the directory and the data of every entry, as an independent check.
  @Test(.enabled(if: ctest_load_libzip(), "libzip is not installed: apt-get install libzip4"))
  func libzipReadsTheSame() throws {
    for name in Fixtures.names(in: "torch", endingIn: ".pth") {
      let path = Fixtures.path("torch/" + name)
      guard let archive = try? ZipArchive(ByteSource(InputFile(path)), limits: Limits()) else { continue }
      let other = try #require(ctest_zip_open(path))
      defer { ctest_zip_close(other) }
      #expect(ctest_zip_count(other) == Int64(archive.entries.count))
      for entry in archive.entries {
        let index = UInt64(entry.index)
        #expect(ctest_zip_name(other, index).map { String(cString: $0) } == entry.name)
        var bytes = [UInt8](repeating: 0, count: entry.byteCount + 1)
        #expect(ctest_zip_read(other, index, &bytes, bytes.count) == Int64(entry.byteCount))
        let (mine, isIntact) = try archive.bytes(of: entry, limit: \.pickleBytes)
        #expect(isIntact && mine.elementsEqual(bytes.dropLast()))
      }
    }
  }

  /// The table-based CRC-32 replaces libdeflate where that is not installed.
  @Test(arguments: [0, 1, 7, 8, 9, 63, 64, 4_099, 1 << 18])
  func checksumsByTablesAreThoseOfLibdeflate(count: Int) throws {
    try #require(clibdeflate_load() == nil)
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<count + 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let start = UInt32.random(in: 0...UInt32.max, using: &generator)
    bytes.withUnsafeBytes { bytes in
      // Odd addresses are tested, too.
      for skipped in 0..<3 {
        let part = UnsafeRawBufferPointer(rebasing: bytes[skipped..<skipped + count])
        let expected = clibdeflate_crc32(start, part.baseAddress, count)
        #expect(clibdeflate_crc32_by_tables(start, part.baseAddress, count) == expected)
      }
    }
    #expect(
      Array("123456789".utf8).withUnsafeBytes { clibdeflate_crc32_by_tables(0, $0.baseAddress, 9) }
        == 0xCBF4_3926)
  }

  /// Checksums of consecutive parts combine to the checksum of the whole.
  @Test(arguments: [[], [0], [1], [7, 0, 4096], [1 << 20, 3, 1 << 20], [255, 65_537, 12_345, 1]])
  func checksumsOfPartsMakeThatOfTheWhole(sizes: [Int]) {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<sizes.reduce(0, +)).map { _ in UInt8.random(in: 0...255, using: &generator) }
    var joined = CRC32()
    var start = 0
    for size in sizes {
      var part = CRC32()
      unsafe Array(bytes[start..<start + size]).withUnsafeBytes { unsafe part.update($0) }
      joined.append(part, byteCount: size)
      start += size
    }
    #expect(joined.value == CRC32.of(bytes))
  }
}
