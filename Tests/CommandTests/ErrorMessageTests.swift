import Foundation
import TestSupport
import Testing

/// Every refusal is one paragraph on standard error, with exit code 2 and no file written. With `--json` the error is
/// also on standard output. The wording is in `messages.txt`.
@Suite struct ErrorMessageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command on a file with these bytes, checks what all refusals have in common, and returns the JSON error.
  private func refusal(
    _ bytes: [UInt8]?, _ arguments: [String] = ["inspect", "FILE"], status: Int32 = 2
  ) throws -> JSONError {
    if let bytes { _ = try folder.write("FILE", bytes) }
    let before = folder.names
    let plain = try DecantProcess.run(arguments, in: folder.url)
    #expect(plain.status == status && !plain.wasKilled && plain.output.isEmpty)
    #expect(plain.errors.hasPrefix("decant: error: ") && plain.errors.hasSuffix("\n"))
    #expect(plain.errors.dropLast().contains("\n") == false, "one paragraph")
    let json = try DecantProcess.run(arguments + ["--json"], in: folder.url)
    #expect(json.status == status && json.errors == plain.errors)
    #expect(folder.names == before)
    let error = try JSONError(json.output)
    #expect(plain.errors.contains(error.message))
    return error
  }

  @Test func notThere() throws {
    let error = try refusal(nil)
    #expect(error.has("fileNotFound") && error.file == "FILE")
  }

  @Test func aDirectory() throws {
    try FileManager.default.createDirectory(atPath: folder.path("FILE"), withIntermediateDirectories: true)
    #expect(try refusal(nil).has("notACheckpoint", "notAFile"))
  }

  @Test func aPipe() throws {
    #expect(mkfifo(folder.path("FILE"), 0o600) == 0)
    #expect(try refusal(nil).has("notAFile"))
  }

  /// Files of other formats. `messages.txt` has their messages.
  @Test(arguments: FormatSamples.all.map(\.name))
  func foreign(_ name: String) throws {
    let bytes = try #require(FormatSamples.all.first { $0.name == name }).bytes
    let error = try refusal(bytes)
    #expect(
      name.hasPrefix("cut-") ? error.has("truncated") : error.has("notACheckpoint", "unsupportedFormat"),
      "\(error.code)")
  }

  @Test func legacy() throws {
    let whole = try Fixtures.bytes("torch/legacy.pth")
    #expect(try refusal(Array(whole.dropLast()), ["convert", "FILE", "OUT.safetensors"]).has("truncated"))
    var later = whole
    later[18] = 0xEA
    let error = try refusal(later)
    #expect(error.has("unsupportedFormat", "damaged") && error.offset == 15)
  }

  @Test func truncated() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for step in 1..<50 {
      let count = whole.count * step / 50
      let error = try refusal(Array(whole[..<count]), ["convert", "FILE", "OUT.safetensors"])
      // A cut inside data.pkl, then inside the storages, then after the last whole entry.
      #expect(error.has("truncated", "damaged"), "\(count): \(error.code)")
    }
  }

  @Test func aHeaderThatLies() throws {
    let length: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0]
    let error = try refusal(length + Array("{}".utf8))
    #expect(error.has("truncated") && error.offset == 8)
  }

  @Test func anAbsentKey() throws {
    let nested = try Fixtures.bytes("torch/nested.pth")
    #expect(
      try refusal(nested, ["convert", "FILE", "out.safetensors", "--key", "weights"]).has("keyNotFound"))
    #expect(try refusal(nested, ["inspect", "FILE", "--key", "epochs"]).has("keyNotFound"))
    let escaped = try refusal(nested, ["inspect", "FILE", "--key", "\u{1b}[31m"])
    #expect(escaped.has("keyNotFound") && escaped.message.contains(#"\x1b[31m"#))
  }

  @Test func severalStateDicts() throws {
    let error = try refusal(
      try Fixtures.bytes("torch/candidates.pth"), ["verify", "FILE", "--arch", "resnet18"])
    #expect(error.has("ambiguousStateDict") && error.remedy?.contains("--key") == true)
  }

  @Test func noResNet() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/weights.safetensors"), ["verify", "FILE"], status: 1)
        .has("notAResNet"))
  }

  /// A wrong command line: exit code 64, and a hint.
  @Test(arguments: [
    (
      ["verify", "FILE", "--arch", "resnet51"],
      "Unknown architecture 'resnet51': did you mean resnet50, resnet51q or resnet56? decant identify --architectures lists all 139."
    ),
    (
      ["run", "FILE", "--arch", "vgg16", "--input", "x.npy"],
      "Unknown architecture 'vgg16'."
    ),
    (
      ["synthesize", "\u{1b}[31m", "-o", "x.pth"],
      #"Unknown architecture '\x1b[31m'."#
    ),
    (
      ["convert", "FILE", "out.h5"],
      "Unknown output format: 'out.h5'. Use .safetensors, .npz, .npy, .gguf, .pth (or .pt, .bin, .ckpt), .onnx, a path that ends in / for a folder of .npy files, or --format."
    ),
    (
      ["convert", "FILE", "out.safetensors", "--arch", "resnet18"],
      "--arch: only for .onnx or with --fold-bn."
    ),
    (
      ["convert", "FILE", "out.onnx", "--names", "timm"],
      "--names: not for .onnx."
    ),
    (
      ["convert", "FILE", "out.onnx", "--shrink", "--legacy", "--drop-objects"],
      "--drop-objects, --shrink, --legacy: not for .onnx."
    ),
    (
      ["convert", "FILE", "out.npz", "--source-digest"],
      "--source-digest: only for .safetensors, .gguf and .onnx."
    ),
    (
      ["convert", "FILE", "out.safetensors", "--dtype", "int8"],
      "Unknown dtype 'int8'. Use one of: float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz."
    ),
    (["inspect"], "Missing expected argument '<file>'"),
    (["inspect", "FILE", "--nonsense"], "Unknown option '--nonsense'"),
    (
      ["verify", "FILE", "--num-classes=-1"],
      "--num-classes is at least 0 (no head), not -1."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--block-stride", "2x2"],
      "--block-stride is 3x3 or 1x1, not 2x2."
    ),
    (
      ["verify", "FILE", "--stem-pooling", "min"],
      "--stem-pooling is max, 'max over zeros', 'max over the edge', average or none, not min."
    ),
    (
      ["verify", "FILE", "--output-stride", "7"],
      "--output-stride is 1, 2, 4, 8, 16 or 32, not 7."
    ),
    (["inspect", "--json", "-x.pth"], "Unknown option '-x.pth'. For a file of this name, write ./-x.pth"),
    (["synthesize", "resnet18", "-o", "-"], "--output is a .pth file, not '-'."),
    (["run", "FILE", "--input", "x.npy", "--output", "y.txt"], "--output is a .npy file, not 'y.txt'."),
    (
      ["verify", "FILE", "--epsilon", "2"],
      "--epsilon is between 0 and 1, not 2.0."
    ),
    (
      ["identify", "FILE", "--size", "0"],
      "--size is between 1 and 16,384, not 0."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--stride0", "3"],
      "--stride0 is 1 or 2, not 3."
    ),
    (["run", "FILE"], "missing --input FILE (.npy, image or folder)"),
    (
      ["run", "FILE", "--input", "x.npy", "--batch", "0"],
      "--batch is between 1 and 256, not 0."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--engine", "reference", "--numerics", "fast"],
      "--numerics applies only to the engine onednn; the reference engine is always exact."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--float64", "--numerics", "fast"],
      "--numerics applies only to the engine onednn, and --float64 uses the reference engine."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--float64", "--validate"],
      "--validate compares with float64 already; leave out --float64."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--numerics", "quick"],
      "--numerics is exact or fast, not 'quick'."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--top", "0"],
      "--top is at least 1, not 0."
    ),
    (
      ["run", "FILE", "--input", "x.png", "--preprocess", "imagenet"],
      "--preprocess is imagenet-eval, imagenet-raw or none, not imagenet."
    ),
    (
      ["run", "FILE", "--input", "x.png", "--preprocess", "imagenet-eval", "--tile"],
      "--tile cannot be used with --preprocess imagenet-eval, which crops images to 224×224."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--tile", "--stages", "s.safetensors"],
      "--tile averages the output only; leave it out for other stages."
    ),
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
        .has("fileNotFound", "writeFailed"))
    try FileManager.default.createDirectory(
      atPath: folder.path("d.safetensors"), withIntermediateDirectories: true)
    #expect(try refusal(nested, ["convert", "FILE", "d.safetensors"]).has("notAFile"))
    _ = try folder.write("old.safetensors", [1])
    #expect(
      try refusal(nested, ["convert", "FILE", "old.safetensors", "--no-clobber"]).has("outputExists"))
  }

  /// A disk that is full in the middle of the data: the old file is kept and no other file is left.
  @Test func aDiskThatFillsUp() throws {
    _ = try folder.write("old.safetensors", [1, 2, 3])
    let source = Fixtures.path("torch/small_nodown.pth")
    let run = try DecantProcess.shell(
      "ulimit -f 8; decant convert '\(source)' old.safetensors --json", in: folder.url)
    #expect(run.status == 2)
    let error = try JSONError(run.output)
    #expect(error.has("diskFull", "writeFailed") && error.file == "old.safetensors")
    #expect(folder.names == ["old.safetensors"])
    #expect(try Data(contentsOf: folder.url.appending(path: "old.safetensors")) == Data([1, 2, 3]))
  }

  /// A limit of few file descriptors, with which threads and libraries may fail to open files, must not crash the
  /// process.
  @Test(arguments: [
    "diff nested.pth nested.pth", "scan nested.pth deflated.pth", "convert nested.pth out.safetensors",
    "convert deflated.pth out.pth",
  ])
  func fewDescriptors(_ command: String) throws {
    for name in ["nested", "deflated"] {
      _ = try folder.write(name + ".pth", try Fixtures.bytes("torch/\(name).pth"))
    }
    // With a limit of three, the dynamic loader ends the process before the tool starts.
    for limit in 4...8 {
      let run = try DecantProcess.shell("prlimit --nofile=\(limit) decant \(command)", in: folder.url)
      #expect([0, 1, 2].contains(run.status), "\(limit): \(run.errors)")
      if run.status == 2 { #expect(run.errors.contains("Too many open files"), "\(limit): \(run.errors)") }
    }
  }
}
