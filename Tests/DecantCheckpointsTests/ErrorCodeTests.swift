import DecantBytes
import DecantConversion
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Tests of error codes that no format's tests cover: system errors and invalid arguments.
@Suite struct ErrorCodeTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func error(_ body: () throws -> Void) -> DecantError? {
    #expect(throws: DecantError.self, performing: body)
  }

  private func convert(_ name: String, to target: String) -> DecantError? {
    error { _ = try Checkpoint(path: Fixtures.path(name)).convert(to: target) }
  }

  @Test(
    arguments: [
      (ENOENT, .fileNotFound), (ENOTDIR, .fileNotFound), (EACCES, .permissionDenied),
      (EPERM, .permissionDenied), (ENOMEM, .outOfMemory), (EIO, .readFailed), (EMFILE, .readFailed),
    ] as [(Int32, DecantError.Code)])
  func systemErrorsOfReading(_ number: Int32, _ code: DecantError.Code) {
    #expect(DecantError.Code.reading(number) == code)
  }

  @Test(
    arguments: [
      (ENOENT, .fileNotFound), (EACCES, .permissionDenied), (EROFS, .permissionDenied), (ENOSPC, .diskFull),
      (EDQUOT, .diskFull), (EEXIST, .outputExists), (ENOTEMPTY, .outputExists), (EIO, .writeFailed),
      (EFBIG, .writeFailed), (ENOMEM, .outOfMemory),
    ] as [(Int32, DecantError.Code)])
  func systemErrorsOfWriting(_ number: Int32, _ code: DecantError.Code) {
    #expect(DecantError.Code.writing(number) == code)
  }

  @Test func openingWhatIsNoFile() throws {
    let absent = folder.path("absent.pth")
    #expect(error { _ = try Checkpoint(path: absent) }?.code == .fileNotFound)
    let file = try folder.write("file", [1])
    #expect(error { _ = try Checkpoint(path: file + "/inside") }?.code == .fileNotFound)
    #expect(unsafe mkfifo(folder.path("pipe"), 0o600) == 0)
    let pipe = error { _ = try Checkpoint(path: folder.path("pipe")) }
    #expect(pipe?.code == .notAFile && pipe?.location.file == folder.path("pipe"))
  }

  @Test func aFileThatBecomesShorter() throws {
    let path = try folder.write("file", [UInt8](repeating: 1, count: 64))
    let source = ByteSource(try InputFile(path))
    #expect(unsafe truncate(path, 8) == 0)
    let error = error { _ = try source.bytes(at: 0, count: 64) }
    #expect(error?.code == .readFailed && error?.location.offset == 8)
  }

  @Test func writingWhereNothingCanBeWritten() throws {
    let source = "torch/nested.pth"
    #expect(convert(source, to: folder.path("no/o.safetensors"))?.code == .fileNotFound)
    #expect(convert(source, to: folder.path("o.h5"))?.code == .unknownOutputFormat)
    try FileManager.default.createDirectory(
      atPath: folder.path("o.npz"), withIntermediateDirectories: true)
    #expect(convert(source, to: folder.path("o.npz"))?.code == .notAFile)
    let link = folder.path("link.npz")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "absent.npz")
    #expect(convert(source, to: link)?.code == .notAFile)
    let file = try folder.write("file", [1])
    #expect(convert(source, to: file + "/")?.code == .outputExists)
  }

  @Test func anOutputThatDiffers() throws {
    let output = try AtomicOutput(folder.path("o"), overwrite: true)
    let error = output.mismatch("a byte", tensor: "x")
    #expect(error.code == .outputDiffers)
    #expect(error.location.file == folder.path("o") && error.location.tensor == "x")
  }

  @Test func tensorsWithoutData() throws {
    let meta = PickleBytes.tensor(PickleBytes.storage("0", count: 1, location: "meta"), size: 1)
    let path = try folder.write(
      "f.pth", ZipBuilder([.init("a/data.pkl", PickleBytes.stream(PickleBytes.list([meta])))]).bytes)
    let error = error { _ = try Checkpoint(path: path).convert(to: folder.path("o.safetensors")) }
    #expect(error?.code == .noData && error?.location.file == path)
  }

  @Test func choosingWhatIsNotThere() throws {
    let nested = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    let epoch = error { _ = try nested.selection(key: "epoch") }
    #expect(epoch?.code == .keyNotFound && epoch?.advice == .listKeys)
    let empty = try Checkpoint(
      path: folder.write("f.pth", ZipBuilder([.init("a/data.pkl", PickleBytes.stream([0x7D]))]).bytes))
    #expect(error { _ = try empty.onlyStateDict() }?.code == .noStateDict)
    #expect(error { _ = try empty.convert(to: folder.path("o.npz")) }?.code == .noStateDict)
    let shards = try Checkpoint(path: Fixtures.path("folders/shards"))
    #expect(error { _ = try shards.sha256() }?.code == .invalidArgument)
  }

  /// Files with weights in unsupported formats, and files without weights.
  @Test(
    arguments: [
      ([], .notACheckpoint), ([0, 0, 0], .notACheckpoint), (Array("<html>".utf8), .notACheckpoint),
      (Array("{}".utf8), .notACheckpoint), (Array("version https://git-lfs".utf8), .notACheckpoint),
      ([0x89, 0x50, 0x4E, 0x47], .notACheckpoint), (Array("PAR1".utf8), .notACheckpoint),
      ([0x1F, 0x8B, 8, 0], .unsupportedFormat), ([0x89, 0x48, 0x44, 0x46], .unsupportedFormat),
      (Array("lmgg".utf8), .unsupportedFormat), ([0x81, 0xA6] + Array("params".utf8), .unsupportedFormat),
      ([0x78, 0x9C, 1], .unsupportedFormat), (Array("GGUF".utf8) + [1, 0, 0, 0], .unsupportedFormat),
      (Array("GGUF".utf8), .truncated), ([0x50, 0x4B, 3, 4, 0], .truncated), ([0x80, 2, 0x7D], .truncated),
      ([0x80, 2, 0x7D, 0x52, 0x2E], .damaged),
    ] as [([UInt8], DecantError.Code)])
  func filesOfOtherKinds(_ bytes: [UInt8], _ code: DecantError.Code) throws {
    let path = try folder.write("file", bytes)
    let error = error { _ = try Checkpoint(path: path) }
    #expect(error?.code == code && error?.location.file == path)
  }

  /// Other modules validate tensors and pickles: their error codes and remedies reach the caller unchanged.
  @Test func codesSurviveOnTheWayUp() throws {
    var limits = Limits()
    limits.pickleStack = 1
    let stack = error { _ = try Checkpoint(path: Fixtures.path("torch/nested.pth"), limits: limits) }
    #expect(stack?.code == .limitExceeded && stack?.advice == .raiseLimit("pickleStack", to: 2))
    #expect(stack?.location.entry?.hasSuffix("data.pkl") == true)
    limits = Limits()
    limits.rank = 0
    let rank = error { _ = try Checkpoint(path: Fixtures.path("torch/nested.pth"), limits: limits) }
    #expect(rank?.code == .limitExceeded && rank?.location.file?.hasSuffix("nested.pth") == true)
  }

  /// Errors of the library name no command-line option and no command.
  @Test func libraryRemediesNameNoOption() throws {
    for name in ["torch/objects.pth", "torch/sparse.pth", "torch/quantized.pth", "torch/dtypes.pth"] {
      let error = convert(name, to: folder.path("o.\(name.contains("objects") ? "pth" : "safetensors")"))
      let text = try #require(error?.description)
      #expect(!text.contains(" --") && !text.contains("decant "))
    }
  }
}
