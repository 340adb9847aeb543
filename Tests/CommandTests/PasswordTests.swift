import CTestLibraries
import Foundation
import TestSupport
import Testing

/// `--password-file` of every command that opens a checkpoint, with an archive that libzip encrypted.
@Suite(.serialized, .enabled(if: ctest_load_libzip(), "libzip is not installed: apt-get install libzip4"))
struct PasswordTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet18", "-o", folder.path("r18.pth")]).status == 0)
    // `unzip` is not a package of the tests, so the archive with the whole file inside is encrypted.
    try encrypt("r18.pth", into: "secret.zip")
    _ = try folder.write("password", Array("päss word\r\nanother line\n".utf8))
    _ = try folder.write("wrong", Array("word".utf8))
    _ = try folder.write("empty", [0x0A])
  }

  /// Writes an encrypted archive with one file of the folder.
  private func encrypt(_ file: String, into archive: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: folder.path(file))))
    let isWritten = bytes.withUnsafeBytes { content in
      file.withCString { name in
        ctest_zip_write(
          folder.path(archive), [name], [content.baseAddress!], [content.count], 1, 8, 0x103, "päss word"
        )
      }
    }
    try #require(isWritten)
  }

  private func run(_ command: String, status: Int32) throws -> DecantRun {
    let run = try DecantProcess.shell(command, in: folder.url)
    #expect(run.status == status, "\(command)\n\(run.errors)")
    return run
  }

  @Test(arguments: [
    "inspect secret.zip", "identify secret.zip", "verify secret.zip --arch resnet18",
    "diff secret.zip r18.pth",
    "convert secret.zip out.safetensors", "convert secret.zip out.onnx", "scan secret.zip",
  ])
  func everyCommand(_ command: String) throws {
    let isScan = command.hasPrefix("scan")
    let refused = try run("decant \(command)", status: isScan ? 1 : 2)
    #expect(
      isScan
        ? refused.output.contains("Pass its password with --password-file.")
        : refused.errors.contains("pass it with --password-file."))
    _ = try run("decant \(command) --password-file password", status: 0)
    _ = try run("decant \(command) --password-file wrong", status: isScan ? 1 : 2)
  }

  /// The files of one run's ranks, in a folder and by their names, and the reference outputs of `run`.
  @Test func everyFile() throws {
    try FileManager.default.createDirectory(atPath: folder.path("ranks"), withIntermediateDirectories: true)
    for rank in 0..<4 {
      _ = try folder.write("piece.pt", Fixtures.bytes("folders/ranks/model_rank_\(rank).pt"))
      try encrypt("piece.pt", into: "ranks/model_rank_\(rank).pt")
    }
    for command in ["inspect ranks", "inspect --join ranks/*.pt", "convert ranks out.npz --key ."] {
      _ = try run("decant \(command)", status: 2)
      _ = try run("decant \(command) --password-file password", status: 0)
    }
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }"
    let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
    _ = try folder.write(
      "x.npy",
      [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(padded.utf8.count))
        + Array(padded.utf8) + [UInt8](repeating: 0, count: 4 * 3 * 32 * 32))
    _ = try run("decant run r18.pth --input x.npy --stages stages.safetensors", status: 0)
    try encrypt("stages.safetensors", into: "stages.zip")
    _ = try run("decant run r18.pth --input x.npy --compare stages.zip", status: 2)
    _ = try run("decant run r18.pth --input x.npy --compare stages.zip --password-file password", status: 0)
  }

  @Test func thePasswordIsTheFirstLine() throws {
    let whole = try run("decant inspect r18.pth --digest --json", status: 0)
    let found = try run("decant inspect secret.zip --digest --json --password-file password", status: 0)
    let start = "\"tensors\": ["
    #expect(whole.output.contains(start))
    #expect(
      found.output.split(separator: start).last?.split(separator: "\"objects\"").first
        == whole.output.split(separator: start).last?.split(separator: "\"objects\"").first)
    // From a pipe, as a password manager gives it.
    _ = try run("printf 'päss word' | decant inspect secret.zip --password-file /dev/stdin", status: 0)
  }

  @Test(arguments: [
    ("missing", "cannot be opened"), ("empty", "the first line is empty"),
    ("r18.pth", "the first line is not text"),
    (".", "cannot be read"),
  ])
  func filesThatHoldNoPassword(name: String, reason: String) throws {
    let refused = try run("decant inspect secret.zip --password-file \(name)", status: 2)
    #expect(refused.errors.contains(reason), "\(refused.errors)")
  }

  @Test func errorsAreTyped() throws {
    for (option, code) in [("", "passwordRequired"), ("--password-file wrong", "wrongPassword")] {
      let error = try JSONError(run("decant inspect secret.zip --json \(option)", status: 2).output)
      #expect(error.code == code && error.file == "secret.zip")
    }
  }
}
