import CLibdeflate
import CTestLibraries
import ByteParsing
@testable import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

/// Zip files that lie, through the public way in: what is refused, in which words.
@Suite struct ZipTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// `{}` in protocol 2: the smallest checkpoint.
  private let emptyDictionary: [UInt8] = [0x80, 2, 0x7D, 0x2E]

  private func refusal(_ zip: ZipBuilder, _ change: ([UInt8]) -> [UInt8] = { $0 }) throws -> String {
    let path = try folder.write("f.pth", change(zip.bytes))
    do throws(DecantError) {
      try Checkpoint(path: path).requireIntact()
      return "accepted"
    } catch { return error.description.replacing(path, with: "FILE") }
  }

  private func valid() -> ZipBuilder {
    ZipBuilder([.init("a/data.pkl", emptyDictionary), .init("a/version", Array("3\n".utf8))])
  }

  @Test func acceptsAPlainOne() throws {
    #expect(try refusal(valid()) == "accepted")
    var commented = valid()
    commented.comment = Array("hello PK\u{5}\u{6} there".utf8)
    #expect(try refusal(commented) == "accepted")
  }

  @Test func refusesByName() throws {
    var zip = valid()
    zip.entries[1].flags |= 1
    #expect(
      try refusal(zip)
        == "FILE, entry a/version: the entry is encrypted. Decrypt the archive first: unzip it with its password and zip it again."
    )
    zip = valid()
    zip.entries.append(zip.entries[0])
    #expect(
      try refusal(zip)
        == "FILE, entry a/data.pkl: two entries have this name, and readers disagree on which one counts. Do not trust the file: no writer of checkpoints makes this."
    )
    zip = valid()
    zip.entries[1].headerOffset = 3
    #expect(try refusal(zip).contains("entry a/data.pkl, offset 0: the entry overlaps a/version"))
    zip = valid()
    zip.entries[0].localName = "a/other.pk"
    #expect(try refusal(zip).contains("the local header has another name, a/other.pk"))
    zip = valid()
    zip.entries[0].localSize = 3
    #expect(
      try refusal(zip).contains("the local header says 3 bytes stored, 3 in all, and the directory 4 and 4"))
    zip = valid()
    zip.entries[0].size = 40_000
    #expect(
      try refusal(zip).contains("entry a/data.pkl, offset 0: the entry ends beyond the data of the archive"))
    zip = valid()
    zip.entries[1].method = 14
    #expect(try refusal(zip).contains("entry a/version: the entry is compressed by method 14"))
    zip = valid()
    zip.announcedCount = 9
    #expect(try refusal(zip).contains("no room for the 9 entries"))
    zip = valid()
    zip.announcedCount = 1
    #expect(try refusal(zip).contains("follow the last entry"))
    #expect(try refusal(ZipBuilder()).contains("is an empty zip archive"))
    #expect(try refusal(ZipBuilder([.init("x/readme", [1])])).contains("a zip archive without a data.pkl"))
    zip = ZipBuilder([
      .init("x/readme", [1]), .init("a/data.pkl", emptyDictionary), .init("b/data.pkl", emptyDictionary),
    ])
    #expect(try refusal(zip).contains("2 folders hold a data.pkl: a/data.pkl, b/data.pkl"))
  }

  /// Wherever the file ends, one sentence and no crash; what may be read of it SalvageTests tell.
  @Test func truncatedAnywhere() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for step in 0..<50 {
      let path = try folder.write("cut.pth", Array(whole[..<(whole.count * step / 50)]))
      #expect(throws: DecantError.self) { try Checkpoint(path: path).requireIntact() }
    }
  }

  /// A byte changed anywhere: an error or the same content, never a crash.
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
    #expect(
      checkpoint.damage.map(\.reason) == [
        "the data's CRC-32 is 0x35a01e70 and the archive records 0x00000001"
      ]
        || checkpoint.damage.count == 1)
    #expect(throws: DecantError.self) { try checkpoint.requireIntact() }
    for index in zip.entries.indices { zip.entries[index].crc32 = 0 }
    path = try folder.write("zero.pth", zip.bytes)
    let unrecorded = try Checkpoint(path: path)
    #expect(unrecorded.damage.isEmpty)
    #expect(
      unrecorded.warnings == ["no CRC-32 is recorded in the archive, so damage to the data cannot be noticed"]
    )
  }

  /// libzip reads the directory and the data of every entry; it is the second opinion.
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
        let (mine, isIntact) = try archive.bytes(of: entry, limit: 1 << 30, named: "the test's limit")
        #expect(isIntact && mine.elementsEqual(bytes.dropLast()))
      }
    }
  }

  /// The tables stand in for libdeflate where it is not installed.
  @Test(arguments: [0, 1, 7, 8, 9, 63, 64, 4_099, 1 << 18])
  func checksumsByTablesAreThoseOfLibdeflate(count: Int) throws {
    try #require(clibdeflate_load() == nil)
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<count + 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let start = UInt32.random(in: 0...UInt32.max, using: &generator)
    bytes.withUnsafeBytes { bytes in
      // From an odd address, too.
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

  /// Parts of one run, checked apart and put together, against the run checked at once.
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
