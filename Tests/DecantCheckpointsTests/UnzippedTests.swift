import DecantBytes
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Tests of torch zips that were unzipped, zipped again by other programs, or have other bytes around them.
@Suite struct UnzippedTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let source = "torch/nested.pth"

  /// The entries of the fixture, by their names without the archive's folder.
  private func records() throws -> [(name: String, bytes: [UInt8])] {
    let archive = try ZipArchive(ByteSource(InputFile(Fixtures.path(Self.source))), limits: Limits())
    return try archive.entries.map { entry in
      let name = String(entry.name.drop { $0 != "/" }.dropFirst())
      return (name, try archive.bytes(of: entry, limit: \.pickleBytes).bytes)
    }
  }

  /// Unzips the fixture into a folder, with `separator` in place of slashes below `prefix`.
  private func unzip(to name: String, prefix: String = "", separator: String = "/") throws -> String {
    let root = folder.url.appending(path: name)
    for record in try records() {
      let path = prefix + record.name.replacing("/", with: separator)
      let url = root.appending(path: path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(record.bytes).write(to: url)
    }
    return root.path
  }

  private func expectTheFixture(
    at path: String, warning: String?, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let whole = try Checkpoint(path: Fixtures.path(Self.source))
    let found = try Checkpoint(path: path)
    #expect(found.container == .torchZip, sourceLocation: location)
    #expect(found.tensors.map(\.name) == whole.tensors.map(\.name), sourceLocation: location)
    #expect(
      try found.tensors.map { try $0.tensor.sha256() } == whole.tensors.map { try $0.tensor.sha256() },
      sourceLocation: location)
    #expect(found.truncation == nil, sourceLocation: location)
    try found.verifyChecksums(of: found.tensors)
    #expect(found.warnings == (warning.map { [$0] } ?? []), sourceLocation: location)
  }

  private static let unzippedWarning =
    "the archive was unzipped, so there is no CRC-32 and damaged data cannot be detected"

  @Test func anUnzippedArchiveIsTheArchive() throws {
    let path = try unzip(to: "whole/archive")
    let names = [path, path + "/", path + "/data.pkl", folder.path("whole")]
    for name in names { try expectTheFixture(at: name, warning: Self.unzippedWarning) }
    #expect(try Checkpoint.pickleStreams(path: path).map(\.title) == ["data.pkl"])
  }

  @Test func theFolderOfADownloadMayLieAround() throws {
    _ = try unzip(to: "download/model/archive")
    try Data().write(to: folder.url.appending(path: "download/.DS_Store"))
    try expectTheFixture(at: folder.path("download"), warning: Self.unzippedWarning)
  }

  /// Unzipping an archive of a Windows program on Linux gives files with backslashes in their names.
  @Test func filesWithBackslashes() throws {
    let path = try unzip(to: "flat", prefix: "archive\\", separator: "\\")
    try expectTheFixture(at: path, warning: Self.unzippedWarning)
    try expectTheFixture(at: path + "/archive\\data.pkl", warning: Self.unzippedWarning)
  }

  @Test func aMissingStorageIsNamed() throws {
    let path = try unzip(to: "missing")
    try FileManager.default.removeItem(atPath: path + "/data/1")
    let error = #expect(throws: DecantError.self) { try Checkpoint(path: path) }
    #expect(error?.code == .partMissing && error?.location.entry == "data/1")
    #expect(error?.location.file == path)
  }

  /// A storage that becomes shorter after opening is refused when it is read.
  @Test func aStorageThatChangesIsRefused() throws {
    let path = try unzip(to: "changed")
    let checkpoint = try Checkpoint(path: path)
    try Data([1]).write(to: URL(filePath: path + "/data/0"))
    let tensor = try #require(checkpoint.tensors.first { $0.tensor.storage.key == "0" })
    #expect(throws: DecantError.self) { try tensor.tensor.sha256() }
  }

  @Test func otherFoldersAreNoArchives() throws {
    for name in ["twins/a", "twins/b", "beside/archive"] { _ = try unzip(to: name) }
    try Data(Fixtures.bytes(Self.source)).write(to: folder.url.appending(path: "beside/model.pth"))
    for name in ["twins", "beside"] {
      #expect(throws: DecantError.self) { try Checkpoint(path: folder.path(name)) }
    }
    // A data.pkl without records next to it is a pickle of its own.
    let lone = try folder.write("data.pkl", [0x80, 2, 0x7D, 0x2E])
    #expect(try Checkpoint(path: lone).container == .pickle)
  }

  /// A link out of the folder is not followed.
  @Test func linksOutOfTheFolderAreRefused() throws {
    let path = try unzip(to: "linked")
    let secret = try folder.write("secret", Array(repeating: 1, count: 24))
    try FileManager.default.removeItem(atPath: path + "/data/0")
    try FileManager.default.createSymbolicLink(atPath: path + "/data/0", withDestinationPath: secret)
    #expect(throws: DecantError.self) {
      for entry in try Checkpoint(path: path).tensors { _ = try entry.tensor.sha256() }
    }
  }

  @Test func namesWithBackslashes() throws {
    let entries = try records().map {
      ZipBuilder.Entry("archive\\" + $0.name.replacing("/", with: "\\"), $0.bytes)
    }
    let path = try folder.write("backslash.zip", ZipBuilder(entries).bytes)
    try expectTheFixture(at: path, warning: "the entries' names have backslashes, which were read as slashes")
    #expect(try Checkpoint.pickleStreams(path: path).count == 1)
    // Two names that become one are not renamed.
    let twice = try folder.write(
      "twice.zip", ZipBuilder(entries + [.init("archive\\data/0", [1])]).bytes)
    #expect(throws: DecantError.self) { try Checkpoint(path: twice) }
  }

  // MARK: Bytes around an archive

  @Test(arguments: [1, 100, 4_000, 4_096, 65_535])
  func bytesAfterTheEnd(count: Int) throws {
    let whole = try Fixtures.bytes(Self.source)
    let path = try folder.write("f.pth", whole + [UInt8](repeating: 0, count: count))
    try expectTheFixture(
      at: path,
      warning:
        "\(count == 1 ? "1 byte was" : "\(Format.count(count)) bytes were") skipped after the end of the archive"
    )
  }

  @Test func aCommentThatIsCutShort() throws {
    var bytes = try Fixtures.bytes(Self.source)
    bytes[bytes.count - 2] = 9
    try expectTheFixture(
      at: folder.write("f.pth", bytes + [0x61]),
      warning: "the archive's comment is cut short by the end of the file")
  }

  /// PyTorch counts offsets from the start of the file, so it reads the first of two equal archives.
  @Test func anArchiveTwice() throws {
    let whole = try Fixtures.bytes(Self.source)
    let checkpoint = try Checkpoint(path: folder.write("twice.pth", whole + whole))
    #expect(checkpoint.truncation == nil && checkpoint.tensors.count > 0)
    #expect(checkpoint.warnings.count == 1)
    #expect(checkpoint.warnings.allSatisfy { $0.contains("bytes were skipped between the archive's") })
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
  }

  /// Readers disagree about two archives of one size with different contents, so neither is read silently.
  @Test func twoDifferentArchives() throws {
    func archive(_ value: UInt8) -> [UInt8] {
      ZipBuilder([.init("a/data.pkl", [0x80, 2, 0x4B, value, 0x2E])]).bytes
    }
    let checkpoint = try Checkpoint(path: folder.write("two.pth", archive(1) + archive(2)))
    #expect(checkpoint.truncation?.code == .damaged)
    let same = try Checkpoint(path: folder.write("same.pth", archive(1) + archive(1)))
    #expect(same.truncation == nil)
  }

  @Test func bytesBeforeTheArchive() throws {
    let whole = try Fixtures.bytes(Self.source)
    for junk in [Array("HTTP/1.1 200 OK\r\n\r\n".utf8), [UInt8](repeating: 0, count: 512), [0]] {
      let path = try folder.write("f.pth", junk + whole)
      let error = #expect(throws: DecantError.self) { try Checkpoint(path: path) }
      #expect(error?.reason.contains("begins at byte \(junk.count),") == true)
      // The remedy.
      try expectTheFixture(
        at: folder.write("g.pth", Array((junk + whole).dropFirst(junk.count))), warning: nil)
      #expect(error?.remedy?.contains("tail -c +\(junk.count + 1) ") == true)
    }
  }

  /// The offsets of a self-extracting archive count the bytes before it, so every zip reader agrees about it.
  @Test func aSelfExtractingArchive() throws {
    let stub = Array("#!/bin/sh\n".utf8)
    var zip = ZipBuilder([.init("a/data.pkl", [0x80, 2, 0x7D, 0x2E])])
    zip.entries[0].headerOffset = UInt32(stub.count)
    var bytes = zip.bytes
    bytes[bytes.count - 6] += UInt8(stub.count)
    let checkpoint = try Checkpoint(path: folder.write("f.pth", stub + bytes))
    #expect(checkpoint.container == .torchZip && checkpoint.truncation == nil)
    #expect(
      checkpoint.warnings.last
        == "the archive begins at byte 10; torch.load refuses a file with other bytes before the archive")
  }
}
