import Foundation
import TestSupport
import Testing

/// Every text a user can meet when the file or the request is wrong: one paragraph with the remedy on standard
/// error, exit 2, nothing written.
@Suite struct ErrorMessageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command on a file of these bytes; checks what every refusal has in common; returns its text.
  private func refusal(_ bytes: [UInt8]?, _ arguments: [String] = ["inspect", "FILE"], status: Int32 = 2)
    throws -> String
  {
    let path = folder.path("FILE")
    if let bytes { _ = try folder.write("FILE", bytes) }
    let before = folder.names
    let run = try DecantProcess.run(arguments, in: folder.url)
    #expect(run.status == status && !run.wasKilled)
    #expect(run.output.isEmpty)
    #expect(folder.names == before)
    #expect(run.errors.hasPrefix("decant: error: ") && run.errors.hasSuffix("\n"))
    #expect(run.errors.dropLast().contains("\n") == false, "one paragraph")
    return String(run.errors.dropLast().dropFirst("decant: error: ".count)).replacing(path, with: "FILE")
  }

  @Test func notThere() throws {
    #expect(try refusal(nil) == "FILE: cannot be opened: No such file or directory. Check the path.")
  }

  @Test func aDirectory() throws {
    try FileManager.default.createDirectory(atPath: folder.path("FILE"), withIntermediateDirectories: true)
    #expect(try refusal(nil) == "FILE: is a directory, not a checkpoint file. Name a file inside it.")
  }

  @Test func aPipe() throws {
    #expect(mkfifo(folder.path("FILE"), 0o600) == 0)
    #expect(
      try refusal(nil)
        == "FILE: is not a regular file. Copy its contents to a regular file first: reading needs to seek.")
  }

  @Test(
    arguments: [
      ([], "is empty. The download or copy failed: fetch the file again."),
      (
        Array("version https://git-lfs.github.com/spec/v1\n".utf8),
        "is a Git LFS pointer, not the file itself. Run git lfs pull in its repository to fetch the file."
      ),
      (
        Array("<!DOCTYPE html>".utf8),
        "is a web page (HTML or XML), as a download that needed a login leaves behind. Open the address in a browser to see what it says, then fetch the file itself."
      ),
      (Array(#"{"a": 1}"#.utf8), "is JSON text, not a checkpoint. Name the file with the weights."),
      ([0x1F, 0x8B, 8, 0], "is compressed by gzip. Decompress it first: gunzip FILE.gz"),
      (
        [0x89, 0x48, 0x44, 0x46],
        "is an HDF5 file, as Keras writes, not a PyTorch checkpoint. Name a .pth file."
      ),
      ([0x37, 0x7A, 0xBC, 0xAF], "is a 7z archive. Extract it first: 7z x FILE"),
      (
        [0xDE, 0xAD, 0xBE, 0xEF, 1],
        "is no checkpoint: it begins with the bytes de ad be ef. Name a .pth file written by torch.save, or a .safetensors file."
      ),
      (
        [0x80, 2, 0x7D, 0x2E],
        "is a bare pickle, which is not read yet. decant inspect --pickle shows what it holds."
      ),
      (Array("GGUF".utf8), "is a GGUF file, which is not read yet. Name the checkpoint it was made from."),
      (
        [0x50, 0x4B, 3, 4, 0],
        "begins like a zip archive and has no directory at its end. The file is truncated, as after a download that broke off: fetch it again."
      ),
    ] as [([UInt8], String)])
  func wrongKind(_ bytes: [UInt8], _ text: String) throws {
    #expect(try refusal(bytes) == "FILE: " + text)
  }

  @Test func legacy() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/legacy.pth"))
        == "FILE: is a PyTorch file in the format of versions before 1.6, which is not read yet. In Python: torch.save(torch.load(FILE, weights_only=True), NEW) writes one that is read."
    )
  }

  @Test func truncated() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for step in 1..<50 {
      let text = try refusal(Array(whole[..<(whole.count * step / 50)]))
      #expect(
        text
          == "FILE: begins like a zip archive and has no directory at its end. The file is truncated, as after a download that broke off: fetch it again."
      )
    }
  }

  @Test func aHeaderThatLies() throws {
    let length: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0]
    #expect(
      try refusal(length + Array("{}".utf8))
        == "FILE, offset 8: the header has 255 bytes and only 2 follow. The file is truncated: fetch it again."
    )
  }

  @Test func anAbsentKey() throws {
    let nested = try Fixtures.bytes("torch/nested.pth")
    #expect(
      try refusal(nested, ["convert", "FILE", "out.safetensors", "--key", "weights"])
        == "FILE: has no key weights. Keys that hold a state dict: model.")
    #expect(
      try refusal(nested, ["inspect", "FILE", "--key", "epoch"])
        == "FILE: no tensor stands under the key epoch; what stands there is no tensor. decant inspect lists the keys that hold tensors."
    )
    #expect(
      try refusal(nested, ["inspect", "FILE", "--key", "\u{1b}[31m"])
        == #"FILE: has no key \x1b[31m. Keys that hold a state dict: model."#)
  }

  @Test func severalStateDicts() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/candidates.pth"), ["verify", "FILE", "--arch", "resnet18"])
        == "FILE: holds 2 state dicts: state_dict (6 tensors), state_dict_ema (6 tensors). Choose one with --key."
    )
  }

  @Test func noResNet() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/weights.safetensors"), ["verify", "FILE"])
        .contains("cannot be taken for a ResNet: there is no layer1.0.conv1.weight"))
  }

  /// A command line that is wrong: exit 64, and a hint.
  @Test(arguments: [
    (
      ["verify", "FILE", "--arch", "resnet51"],
      "No architecture is called 'resnet51'. There are: resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x4d, resnext101_32x8d, wide_resnet50_2, wide_resnet101_2, resnet50nodown."
    ),
    (["run", "FILE", "--arch", "vgg16", "--input", "x.npy"], "No architecture is called 'vgg16'."),
    (["synthesize", "\u{1b}[31m", "-o", "x.pth"], #"No architecture is called '\x1b[31m'."#),
    (
      ["convert", "FILE", "out.h5"],
      "The output's extension chooses the format, and .safetensors is the one that is written: out.h5"
    ),
    (
      ["convert", "FILE", "out.safetensors", "--dtype", "int8"],
      "--dtype takes float64, float32, float16, bfloat16, not int8."
    ),
    (["inspect"], "Missing expected argument '<file>'"),
    (["inspect", "FILE", "--nonsense"], "Unknown option '--nonsense'"),
    (["verify", "FILE", "--num-classes", "0"], "--num-classes is at least 1, not 0."),
    (["run", "FILE", "--input", "x.npy", "--stride0", "3"], "--stride0 is 1 or 2, not 3."),
  ])
  func usage(_ arguments: [String], _ text: String) throws {
    let run = try DecantProcess.run(arguments, in: folder.url)
    #expect(run.status == 64)
    #expect(run.errors.contains("Error: " + text), "\(run.errors)")
    #expect(folder.names.isEmpty)
  }

  @Test func outputsThatCannotBeWritten() throws {
    let nested = try Fixtures.bytes("torch/nested.pth")
    #expect(
      try refusal(nested, ["convert", "FILE", "no/such/folder/out.safetensors"])
        == "no/such/folder/out.safetensors: cannot be written: No such file or directory. Make the folder first: mkdir -p no/such/folder"
    )
    try FileManager.default.createDirectory(
      atPath: folder.path("d.safetensors"), withIntermediateDirectories: true)
    #expect(
      try refusal(nested, ["convert", "FILE", "d.safetensors"])
        == "d.safetensors: is a directory. Name the file to write.")
    _ = try folder.write("old.safetensors", [1])
    #expect(
      try refusal(nested, ["convert", "FILE", "old.safetensors", "--no-clobber"])
        == "old.safetensors: exists already. Leave out --no-clobber to replace it.")
  }

  /// A full disk in the middle of the data: the old file stays, and nothing else does.
  @Test func aDiskThatFillsUp() throws {
    _ = try folder.write("old.safetensors", [1, 2, 3])
    let source = Fixtures.path("torch/small_nodown.pth")
    let run = try DecantProcess.shell(
      "ulimit -f 8; decant convert '\(source)' old.safetensors", in: folder.url)
    #expect(run.status == 2)
    #expect(
      run.errors.contains("old.safetensors, offset ")
        && run.errors.contains("cannot be written: File too large. Nothing was changed."))
    #expect(folder.names == ["old.safetensors"])
    #expect(try Data(contentsOf: folder.url.appending(path: "old.safetensors")) == Data([1, 2, 3]))
  }
}
