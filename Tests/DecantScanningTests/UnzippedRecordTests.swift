import DecantIO
import DecantScanning
import Foundation
import TestSupport
import Testing

/// Scans of torch zips that were unzipped, and of those whose names have backslashes.
@Suite struct UnzippedRecordTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private let pickle = Stream.storage(4).bytes

  /// An archive that was unzipped and zipped one folder deeper is the archive to a scan as well.
  @Test(arguments: ["outer/archive/", "a/b/archive/"])
  func zippedDeeper(_ prefix: String) throws {
    func scan(_ pickle: [UInt8], _ others: [ZipBuilder.Entry] = []) throws -> FileScan {
      let zip = ZipBuilder(
        [
          .init(prefix + "data.pkl", pickle), .init(prefix + ".format_version", Array("1".utf8)),
          .init(prefix + "byteorder", Array("little".utf8)), .init(prefix + "data/0", [1, 2, 3, 4]),
          .init(prefix + "version", Array("3\n".utf8)),
        ] + others)
      return try CheckpointScanner().scan(path: folder.write("in.zip", zip.bytes))
    }
    #expect(try scan(pickle).verdict == .clean)
    #expect(try scan(Array("cos\nsystem\n(S'id'\ntR.".utf8)).verdict == .dangerous)
    #expect(try scan(pickle, [.init("outer/other.bin", [1, 2, 3])]).verdict != .clean)
  }

  @Test(
    arguments: [
      ("archive/data/0", [1, 2, 3, 4]), ("archive\\data\\0", [1, 2, 3, 4]),
      ("archive/version", [0x33, 0x0A]),
      ("archive\\.data\\serialization_id", [0x30, 0x31]),
    ] as [(String, [UInt8])])
  func recordsNextToAPickle(_ name: String, _ content: [UInt8]) throws {
    let isFlat = name.contains("\\")
    let url = folder.url.appending(path: name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(content).write(to: url)
    let scanner = CheckpointScanner()
    // Without a data.pkl next to it, nothing is known about such a file.
    #expect(try scanner.scan(path: url.path).verdict == .unreadable)
    let data = isFlat ? "archive\\data.pkl" : "archive/data.pkl"
    try Data(pickle).write(to: folder.url.appending(path: data))
    #expect(try scanner.scan(path: url.path).verdict == .clean)
    // The pickle states the size of a storage, and versions are numbers.
    try Data(content + [0x21]).write(to: url)
    #expect(try scanner.scan(path: url.path).verdict == .unknown)
    // A pickle among the storages is still scanned.
    try Data(Array("cos\nsystem\n(S'x'\ntR.".utf8)).write(to: url)
    #expect(try scanner.scan(path: url.path).verdict == .dangerous)
  }

  @Test func otherFilesNextToAPickle() throws {
    _ = try folder.write("data.pkl", pickle)
    let other = try folder.write("notes.bin", [1, 2, 3, 4])
    #expect(try CheckpointScanner().scan(path: other).verdict == .unreadable)
  }

  @Test func backslashesOfAWindowsProgram() {
    func verdict(_ names: String...) -> ScanVerdict {
      let zip = ZipBuilder(names.map { .init($0, $0.hasSuffix("pkl") ? pickle : [1, 2, 3, 4]) })
      return CheckpointScanner().scan(zip.bytes, named: "f.zip").verdict
    }
    #expect(verdict("archive\\data.pkl", "archive\\data\\0") == .clean)
    #expect(verdict("archive\\data.pkl", "archive\\..\\..\\0") == .dangerous)
    #expect(verdict("archive\\data.pkl", "archive/data/0") == .dangerous)
    #expect(verdict("other\\file.pkl") == .dangerous)
  }
}
