import CTestLibraries
import DecantBytes
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Entries that libzip reads: bzip2, and encrypted ones.
@Suite(.enabled(if: ctest_load_libzip(), "libzip is not installed: apt-get install libzip4"))
struct ZipLibraryTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let source = "torch/nested.pth"

  private struct Way: CustomTestStringConvertible {
    let method: Int32
    let encryption: UInt16
    var testDescription: String { "method \(method), encryption \(String(encryption, radix: 16))" }
  }

  private static let ways: [Way] = [Int32(0), 8, 12].flatMap { method in
    [UInt16(0), 1, 0x101, 0x102, 0x103].map { Way(method: method, encryption: $0) }
  }

  /// Writes entries with libzip.
  private func write(
    _ name: String, _ entries: [(name: String, bytes: [UInt8])], _ way: Way, password: String = "secret"
  ) throws -> String {
    let path = folder.path(name)
    let names = entries.map { strdup($0.name) }
    let contents = entries.map { entry in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, entry.bytes.count), alignment: 1)
      copy.copyBytes(from: entry.bytes)
      return copy
    }
    defer {
      names.forEach { free($0) }
      contents.forEach { $0.deallocate() }
    }
    let isWritten = ctest_zip_write(
      path, names.map { UnsafePointer($0!) }, contents.map { UnsafeRawPointer($0.baseAddress!) },
      entries.map(\.bytes.count), entries.count, way.method, way.encryption, password)
    try #require(isWritten)
    return path
  }

  private func records() throws -> [(name: String, bytes: [UInt8])] {
    let archive = try ZipArchive(ByteSource(InputFile(Fixtures.path(Self.source))), limits: Limits())
    return try archive.entries.map { ($0.name, try archive.bytes(of: $0, limit: \.pickleBytes).bytes) }
  }

  private func digests(_ checkpoint: Checkpoint) throws -> [String] {
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
    return try checkpoint.tensors.map { "\($0.name) \(try $0.tensor.sha256())" }
  }

  private func error(_ path: String, password: String? = nil, limits: Limits = Limits()) -> DecantError? {
    #expect(throws: DecantError.self) {
      let checkpoint = try Checkpoint(path: path, limits: limits, password: password)
      try checkpoint.requireIntact()
      for entry in checkpoint.tensors { _ = try entry.tensor.sha256() }
    }
  }

  @Test(arguments: ways)
  private func readsTheSame(_ way: Way) throws {
    let path = try write("f.pth", records(), way)
    let checkpoint = try Checkpoint(path: path, password: "secret")
    #expect(try digests(checkpoint) == digests(Checkpoint(path: Fixtures.path(Self.source))))
    #expect(checkpoint.container == .torchZip && checkpoint.warnings.isEmpty)
    let streams = try Checkpoint.pickleStreams(path: path, password: "secret")
    #expect(streams.count == 1)
    guard way.encryption != 0 else { return }
    let missing = error(path)
    #expect(missing?.code == .passwordRequired && missing?.advice == .givePassword)
    #expect(missing?.location.entry != nil && missing?.location.file == path)
    let wrong = error(path, password: "Secret")
    #expect(wrong?.code == .wrongPassword && wrong?.advice == .givePassword)
    #expect(error(path, password: "")?.code == .passwordRequired)
  }

  /// An archive inside another is read in place.
  @Test func anArchiveInsideAnother() throws {
    let inner = try Data(
      contentsOf: URL(filePath: write("inner.pth", records(), Way(method: 12, encryption: 0x103))))
    for (name, method) in [("stored.zip", Int32(0)), ("bzip2.zip", 12)] {
      let outer = try write(name, [("inner.pth", Array(inner))], Way(method: method, encryption: 1))
      let checkpoint = try Checkpoint(path: outer, password: "secret")
      #expect(try digests(checkpoint) == digests(Checkpoint(path: Fixtures.path(Self.source))))
      #expect(error(outer)?.code == .passwordRequired)
    }
  }

  @Test(arguments: [
    Way(method: 12, encryption: 0), Way(method: 0, encryption: 1), Way(method: 12, encryption: 0x103),
  ])
  private func damageIsFound(_ way: Way) throws {
    let path = try write(
      "f.pth", [("a/data.pkl", [0x80, 2, 0x7D, 0x2E] + Array(repeating: 7, count: 300))], way)
    let whole = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let archive = try ZipArchive(ByteSource(InputFile(path)), limits: Limits())
    let start = try archive.dataOffset(of: archive.entries[0])
    for place in start..<start + archive.entries[0].storedByteCount {
      var bytes = whole
      bytes[place] ^= 0x10
      _ = try folder.write("damaged.pth", bytes)
      let found = error(folder.path("damaged.pth"), password: "secret")
      #expect([.damaged, .wrongPassword, .checksumMismatch].contains(found?.code), "byte \(place)")
    }
  }

  /// Changing any byte of the headers gives an error or the same content, never a crash.
  @Test(arguments: [Way(method: 12, encryption: 0), Way(method: 8, encryption: 0x102)])
  private func flippedAnywhere(_ way: Way) throws {
    let path = try write("f.pth", records().filter { $0.name.contains("data.pkl") }, way)
    let whole = [UInt8](try Data(contentsOf: URL(filePath: path)))
    for place in whole.indices {
      var bytes = whole
      bytes[place] ^= 0xFF
      _ = try? Checkpoint(path: folder.write("flip.pth", bytes), password: "secret")
    }
  }

  /// The directory's size is a promise: an entry that decompresses to more or fewer bytes is refused at that size.
  @Test(arguments: [-1, 1, -300, 20_000])
  func falseSizesAreRefused(difference: Int) throws {
    let data = [UInt8]([0x80, 2, 0x7D, 0x2E]) + Array(repeating: 7, count: 2_000)
    let path = try write("f.pth", [("a/data.pkl", data)], Way(method: 12, encryption: 0))
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let size = ZipBuilder.little(UInt32(data.count))
    let claimed = ZipBuilder.little(UInt32(data.count + difference))
    for place in bytes.indices.dropLast(4) where bytes[place..<place + 4].elementsEqual(size) {
      bytes.replaceSubrange(place..<place + 4, with: claimed)
    }
    #expect(try error(folder.write("false.pth", bytes))?.code == .damaged)
  }

  /// A few bytes of bzip2 can become gigabytes. The limits of inflated entries hold before anything is allocated.
  @Test func bombs() throws {
    let zeros = [UInt8](repeating: 0, count: 4 << 20)
    let path = try write(
      "f.pth", [("a/data.pkl", [0x80, 2, 0x7D, 0x2E]), ("a/data/0", zeros)], Way(method: 12, encryption: 0))
    let archive = try ZipArchive(ByteSource(InputFile(path)), limits: Limits())
    let entry = try #require(archive.entry("a/data/0"))
    let refused = #expect(throws: DecantError.self) { try archive.bytes(of: entry, limit: \.pickleBytes) }
    #expect(refused?.code == .limitExceeded && refused?.reason.contains("inflation") == true)
    var limits = Limits()
    limits.inflation = 1 << 20
    let open = try ZipArchive(ByteSource(InputFile(path)), limits: limits)
    #expect(try open.bytes(of: entry, limit: \.pickleBytes).bytes == zeros)
    limits.inflatedBytes = 1 << 20
    let small = try ZipArchive(ByteSource(InputFile(path)), limits: limits)
    #expect(throws: DecantError.self) { try small.bytes(of: entry, limit: \.pickleBytes) }
  }

  @Test(arguments: [
    (1, "Shrink"), (6, "Implode"), (9, "Deflate64"), (97, "WavPack"), (98, "PPMd"), (77, "method 77"),
    (99, "AES without the fields of AES"),
  ])
  func otherMethodsAreNamed(method: UInt16, name: String) throws {
    var zip = ZipBuilder([.init("a/data.pkl", [0x80, 2, 0x7D, 0x2E])])
    zip.entries[0].method = method
    let refused = try error(folder.write("f.pth", zip.bytes))
    #expect(refused?.code == .unsupportedFormat && refused?.reason.contains(name) == true)
    zip.entries[0].method = 0
    zip.entries[0].flags |= 0x41
    let strong = try error(folder.write("f.pth", zip.bytes))
    #expect(strong?.code == .unsupportedFormat && strong?.reason.contains("strong encryption") == true)
  }

  /// Headers that disagree on the encryption have two meanings.
  @Test func contradictoryFlagsAreRefused() throws {
    let path = try write("f.pth", [("a/data.pkl", [0x80, 2, 0x7D, 0x2E])], Way(method: 0, encryption: 1))
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    bytes[6] &= ~1
    #expect(try error(folder.write("g.pth", bytes), password: "secret")?.code == .deceptive)
  }
}
