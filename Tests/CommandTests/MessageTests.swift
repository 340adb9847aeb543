import Foundation
import TestSupport
import Testing

/// The wording of errors: the command prints every message exactly as `messages.txt` shows it.
///
/// `UPDATE_MESSAGES=1 swift test --filter MessageTests` rewrites the file. Read the difference as prose: each message
/// must say what happened, where, and what to do.
///
/// Every command that a message offers is run, as the message prints it, and must succeed.
@Suite struct MessageTests {
  static let path = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "messages.txt")

  @Test func everyMessage() throws {
    let folder = try TemporaryFolder()
    try Self.fill(folder)
    var text =
      "Messages of failing commands. MessageTests.swift compares them and says how to write them anew.\n"
    for (title, commands) in Self.sections {
      text += "\n# \(title)\n"
      for command in commands {
        let run = try DecantProcess.shell(command, in: folder.url)
        #expect(!run.wasKilled, "\(command)")
        text += "\n$ \(command)\n"
        // The number of bytes written before the disk was full depends on the writer's threads.
        text += run.errors.replacing(/offset \d+: cannot be written/, with: "offset N: cannot be written")
        text += "exit \(run.status)\n"
        for command in try Self.remedy(of: command, run, in: folder)?.commands ?? [] {
          text += "remedy: \(command)\n"
          var remedied = try DecantProcess.shell(command, in: folder.url)
          // What is counted while it is read needs no more than the number after some doublings.
          for _ in 0..<20 {
            guard let next = remedied.errors.firstMatch(of: /--limit \w+=\d+/)?.0 else { break }
            remedied = try DecantProcess.shell("\(command) \(next)", in: folder.url)
          }
          // These commands answer a question, and "no" is an answer.
          let isQuestion = command.contains(/^decant (verify|identify|diff|scan)/)
          // A damaged pickle is shown up to the damage.
          let isListing = command.hasPrefix("decant inspect --pickle") && !remedied.output.isEmpty
          #expect(
            remedied.status == 0 || isQuestion && remedied.status == 1 || isListing,
            "\(command): \(remedied.errors)")
        }
      }
    }
    if ProcessInfo.processInfo.environment["UPDATE_MESSAGES"] != nil {
      try text.write(to: Self.path, atomically: true, encoding: .utf8)
    }
    let expected = try String(contentsOf: Self.path, encoding: .utf8)
    for (found, expected) in zip(text.split(separator: "\n\n"), expected.split(separator: "\n\n")) {
      #expect(found == expected)
    }
    #expect(text == expected)
  }

  /// Returns the remedy of a message; nil when it has none.
  private static func remedy(of command: String, _ run: DecantRun, in folder: TemporaryFolder) throws
    -> Remedy?
  {
    guard run.status != 0, run.status != 64, !command.hasPrefix("(") else { return nil }
    let json = try DecantProcess.shell(command + " --json", in: folder.url).output
    if json.contains(/^\{\s*"schema": 1,\s*"error"/) {
      let error = try JSONError(json)
      return error.remedy.map { Remedy(failed: command, text: $0, file: error.file) }
    }
    // Not every command prints JSON. A remedy is what follows the first sentence.
    let sentences = run.errors.dropLast().split(separator: ". ", maxSplits: 1)
    return sentences.count < 2 ? nil : Remedy(failed: command, text: String(sentences[1]))
  }

  /// Creates the files that the commands name.
  private static func fill(_ folder: TemporaryFolder) throws {
    try FileManager.default.createSymbolicLink(
      at: folder.url.appending(path: "fixtures"),
      withDestinationURL: Fixtures.root.appending(path: "fixtures"))
    let nested = try Fixtures.bytes("torch/nested.pth")
    let weights = try Fixtures.bytes("torch/weights.safetensors")
    let photo = try Fixtures.bytes("pictures/photo.jpg")
    let png = try Fixtures.bytes("pictures/colours.png")
    var swapped = try Fixtures.bytes("torch/legacy.pth")
    swapped[18] = 0xEA
    var wrong = nested
    if let data = wrong.firstRange(of: Array("archive/data/0".utf8)) { wrong[data.upperBound + 80] ^= 1 }
    var encrypted = ZipBuilder([.init("a/data.pkl", Array(nested.prefix(40)))])
    encrypted.entries[0].flags |= 1
    encrypted.entries[0].inflatedSize = 28
    var method = ZipBuilder([.init("a/data.pkl", [0x80, 2, 0x7D, 0x2E])])
    method.entries[0].method = 98
    let gguf = String(decoding: try Fixtures.bytes("arrays/tensors.gguf"), as: UTF8.self)
    try FileManager.default.createDirectory(atPath: folder.path("files"), withIntermediateDirectories: true)
    let files: [(String, [UInt8])] = [
      ("half.pth", Array(nested.prefix(nested.count / 2))), ("wrong.pth", wrong),
      ("cut.safetensors", Array(weights.prefix(weights.count / 2))),
      ("header.safetensors", [0xFF, 0, 0, 0, 0, 0, 0, 0] + Array("{}".utf8)),
      ("version.pth", swapped), ("cut.jpg", Array(photo.prefix(photo.count / 2))),
      ("cut.png", Array(png.prefix(png.count / 2))), ("picture.gif", Array("GIF89a".utf8)),
      ("encrypted.pth", encrypted.bytes), ("method.pth", method.bytes), ("text.gguf", Array(gguf.utf8)),
      ("before.pth", Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + nested),
      ("two.txt", Array("cat\ndog\n".utf8)), ("old.safetensors", [1]),
      ("nhwc.npy", try npy([1, 64, 64, 3], elementBytes: 4, "<f4")),
    ]
    for (name, bytes) in files + FormatSamples.all.map({ ("files/" + $0.name, $0.bytes) }) {
      _ = try folder.write(name, bytes)
    }
    for name in ["folder", "out.safetensors.d", "d.safetensors"] {
      try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    try fillWithCheckpoints(folder)
    _ = mkfifo(folder.path("pipe.pth"), 0o600)
    for arguments in [
      ["synthesize", "resnet18", "-o", "resnet18.pth"],
      ["synthesize", "resnet50nodown", "-o", "detector.pth"], ["synthesize", "resnet20", "-o", "cifar.pth"],
      ["convert", "resnet18.pth", "r18.safetensors", "--key", "model"],
      [
        "run", "r18.safetensors", "--arch", "resnet18", "--input", "fixtures/inputs/input_97x131.npy",
        "--stage", "stem",
        "--output", "stem.npy",
      ],
      ["convert", "inputs.pth", "inputs.safetensors"],
      ["convert", "deep-turn.pth", "turned.safetensors", "--layout", "nhwc", "--layout-only", "conv.weight"],
      ["convert", "r18.safetensors", "wide.safetensors", "--dtype", "float64"],
      ["convert", "tracked.pth", "untracked.pth", "--except", "*running_*"],
    ] { #expect(try DecantProcess.run(arguments, in: folder.url).status == 0) }
    _ = try DecantProcess.shell(
      "mkdir mixed && cp fixtures/folders/ranks/*.pt fixtures/folders/sharded_tensors/*.pt mixed/",
      in: folder.url)
    for (name, command) in [
      ("gzip", "gzip -c"), ("xz", "xz -c"), ("bzip2", "bzip2 -c"), ("lzma", "xz --format=lzma -c"),
    ] {
      let run = try DecantProcess.shell(
        "\(command) < fixtures/torch/nested.pth > nested.\(name)", in: folder.url)
      #expect(run.status == 0)
    }
    // A weight that is infinite as float32.
    let wide = try FileHandle(forUpdating: folder.url.appending(path: "wide.safetensors"))
    try wide.seek(toOffset: try wide.seekToEnd() - 16)
    var large = 1e300
    try wide.write(contentsOf: unsafe Data(bytes: &large, count: 8))
    try wide.close()
  }

  /// Returns an array of zeros.
  private static func npy(_ shape: [Int], elementBytes: Int, _ type: String) throws -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ", ")
    let header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sizes)), }"
    let padded = header + String(repeating: " ", count: 117 - header.count) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(padded.utf8.count), 0] + Array(padded.utf8)
      + [UInt8](repeating: 0, count: shape.reduce(elementBytes, *))
  }

  /// Creates checkpoints that cannot be written or used as they are.
  private static func fillWithCheckpoints(_ folder: TemporaryFolder) throws {
    func write(_ name: String, _ make: (inout TorchFile) -> TorchFile.Value) throws {
      var file = TorchFile()
      let root = make(&file)
      _ = try folder.write(name, file.bytes(root))
    }
    let long = String(repeating: "transformer_block.", count: 4)
    try write("clash.pth") { .mapping(["a": $0.tensor([2, 2]), "b": $0.tensor([2, 2]), "c": .int(1)]) }
    try write("list.pth") { .mapping(["a": $0.tensor([2, 2]), "l": .list([$0.tensor([2, 2])])]) }
    try write("deep.pth") { .mapping(["conv.weight": $0.tensor([2, 2, 1, 1, 1]), "b": $0.tensor([2])]) }
    try write("deep-turn.pth") { .mapping(["conv.weight": $0.tensor([2, 2, 3, 3])]) }
    try write("all-deep.pth") { .mapping(["conv.weight": $0.tensor([2, 2, 1, 1, 1])]) }
    try write("long.pth") { file in
      .mapping([long + "0.weight": file.tensor([2, 2]), long + "1.weight": file.tensor([2, 2])])
    }
    try write("reserved.pth") { .mapping(["__metadata__": $0.tensor([2, 2]), "b": $0.tensor([2])]) }
    try write("slash.pth") { .mapping(["a/b": $0.tensor([2, 2]), ".c": $0.tensor([2])]) }
    try write("averaged.pth") { file in
      .mapping([
        "module.a": file.tensor([2, 2]), "module.b": file.tensor([2]), "n_averaged": file.tensor([]),
      ])
    }
    try write("twins.pth") { file in
      .mapping([
        "model": .mapping(["a": file.tensor([2, 2])]), "n\n": .mapping(["a": file.tensor([2, 2])]),
        "": .mapping(["a": file.tensor([2, 2])]), "--x": .mapping(["a": file.tensor([2, 2])]),
        "o.p": .mapping(["a": file.tensor([2, 2])]),
        "o": .mapping(["p": .mapping(["a": file.tensor([2, 2])])]),
      ])
    }
    try write("bank.pth") { file in
      .mapping(["model": .mapping(["a": file.tensor([2, 2])]), "bank": .list([file.tensor([2, 2])])])
    }
    try write("root-bank.pth") { file in
      .mapping(["a": file.tensor([2, 2]), "b": file.tensor([2, 2]), "bank": .list([file.tensor([2, 2])])])
    }
    try write("adapter.pth") {
      $0.resnet(["layer1.0.adapter.down.weight": [4, 8], "layer1.0.adapter.up.weight": [8, 4]])
    }
    try write("meta.pth") { file in
      let call = TorchFile.Value.global("torch._utils", "_rebuild_tensor_v2")
      return .mapping([
        "a": file.tensor([2, 2]), "b": .call(call, file.tensorArguments([2, 2], location: "meta")),
      ])
    }
    try write("pair.pth") { .mapping(["model": $0.resnet(), "ema": $0.resnet()]) }
    try write("same.pth") { .mapping(["net": $0.resnet(), "net.bn1.weight": $0.tensor([8])]) }
    try write("inputs.pth") {
      .mapping([
        "first": $0.tensor([1, 3, 64, 64]), "second": $0.tensor([1, 3, 64, 64]), "mean": $0.tensor([3]),
      ])
    }
    try write("wide-head.pth") {
      $0.resnet(["fc.weight": [16, 32], "fc.bias": [16], "fc2.weight": [3, 16], "fc2.bias": [3]])
    }
    try write("head.pth") { file in file.resnet(["fc.0.weight": [16, 32], "fc.3.weight": [3, 16]]) }
    try write("tracked.pth") { $0.resnet(["fc.weight": [3, 32], "fc.bias": [3]]) }
    try write("apart.pth") { file in file.resnet(["age.weight": [4, 32], "sex.weight": [2, 32]]) }
    _ = try folder.write("small.npy", npy([1, 3, 64, 64], elementBytes: 4, "<f4"))
  }

  private static let sections: [(String, [String])] = [
    (
      "Files that cannot be opened or are not checkpoints",
      [
        "decant inspect missing.pth", "decant inspect folder", "decant inspect -r folder",
        "decant inspect pipe.pth",
        "decant scan missing.pth", "decant diff missing.pth resnet18.pth",
      ] + FormatSamples.all.map { "decant inspect files/\($0.name)" }
    ),
    (
      "Files that are cut short, damaged or too large",
      [
        "decant convert half.pth out.safetensors",
        "decant verify half.pth --arch resnet18", "decant inspect header.safetensors",
        "decant convert cut.safetensors out.npz", "decant inspect version.pth",
        "decant convert wrong.pth out.safetensors",
        "decant inspect --pickle files/cut-pickle",
        "decant inspect --pickle fixtures/pickles/malformed-put-mark.pkl",
        "decant inspect fixtures/pickles/malformed-protocol-9.pkl",
        "decant inspect encrypted.pth", "decant inspect encrypted.pth --password-file two.txt",
        "decant inspect method.pth", "decant inspect before.pth",
        "decant inspect nested.gzip", "decant inspect nested.xz", "decant inspect nested.bzip2",
        "decant inspect nested.lzma",
        "decant inspect fixtures/folders/dcp/__0_0.distcp",
        "decant inspect text.gguf", "decant inspect --pickle fixtures/torch/weights.safetensors",
        "decant inspect fixtures/torch/nested.pth --limit pickleNodes=3",
        "decant inspect fixtures/torch/nested.pth --limit zipEntries=2",
        "decant inspect --pickle fixtures/pickles/hand-lists.pkl --limit pickleStack=1",
      ]
    ),
    (
      "Keys, names and tensors",
      [
        "decant convert fixtures/torch/nested.pth out.safetensors --key weights",
        "decant convert fixtures/torch/nested.pth out.safetensors --key epoch",
        "decant convert twins.pth out.safetensors", "decant verify pair.pth",
        "decant convert bank.pth out.safetensors", "decant convert root-bank.pth out.safetensors",
        "decant convert clash.pth out.safetensors --rename 's/a/b/'",
        "decant convert clash.pth out.pth --rename 's/a/b/'",
        "decant convert clash.pth out.pth --rename 's/a/c/'",
        "decant convert list.pth out.pth --rename 's/l.0/x.y/'",
        "decant convert averaged.pth out.safetensors --strip-prefix module.",
        "decant convert averaged.pth out.safetensors --strip-prefix nothing",
        "decant verify same.pth --key .",
        "decant convert meta.pth out.safetensors", "decant diff meta.pth meta.pth",
        "decant verify fixtures/torch/candidates.pth --arch resnet18",
        "decant diff resnet18.pth detector.pth --key nothing",
        "decant convert fixtures/torch/pruned.pth out.safetensors --fold-bn",
        "decant convert fixtures/torch/pruned.pth out.safetensors --names timm",
        "decant convert fixtures/torch/pruned.pth out.safetensors --layout nhwc",
        "decant diff resnet18.pth detector.pth --only 'nothing*'",
        "decant diff resnet18.pth detector.pth --except '*'",
        "decant diff fixtures/torch/without_data.pth fixtures/torch/without_data.pth",
        "decant diff fixtures/arrays/tensors.gguf fixtures/arrays/tensors.gguf",
        "decant diff fixtures/pickles/hand-lists.pkl fixtures/torch/nested.pth",
        "decant convert fixtures/torch/nested.pth out.safetensors --only 'nothing*'",
        "decant convert fixtures/torch/same_names.pth out.safetensors --key .",
        "decant convert fixtures/torch/same_names.pth out.safetensors",
        "decant convert fixtures/torch/without_data.pth out.safetensors",
      ]
    ),
    (
      "What a format cannot hold, and outputs",
      [
        "decant convert fixtures/torch/quantized.pth out.safetensors",
        "decant convert fixtures/torch/sparse.pth out.safetensors",
        "decant convert fixtures/torch/dtypes.pth out.gguf",
        "decant convert deep.pth out.gguf", "decant convert all-deep.pth out.gguf",
        "decant convert fixtures/torch/dtypes.pth out.gguf --rename 's/$/.a_name_that_is_longer_than_the_sixty_three_bytes_of_a_gguf/'",
        "decant convert long.pth out.gguf", "decant convert reserved.pth out.safetensors",
        "decant convert slash.pth out/", "decant convert clash.pth out.npy",
        "decant convert fixtures/torch/dtypes.pth out.safetensors",
        "decant convert fixtures/torch/dtypes.pth out.pth --legacy",
        "decant convert fixtures/torch/objects.pth out.pth",
        "decant convert fixtures/torch/weights.safetensors out.safetensors --layout nchw",
        "decant convert turned.safetensors out.npy",
        "decant convert fixtures/torch/weights.safetensors out.safetensors --layout nhwc",
        "decant convert fixtures/torch/weights.safetensors out.safetensors --layout nhwc --layout-only 'nothing*'",
        "decant convert fixtures/folders/shards out.safetensors --source-digest",
        "decant convert wide.safetensors out.onnx --arch resnet18",
        "decant convert fixtures/torch/dtypes.pth out.npz",
        "decant convert fixtures/torch/nested.pth no/such/folder/out.safetensors",
        "decant convert fixtures/torch/nested.pth d.safetensors",
        "decant convert fixtures/torch/nested.pth old.safetensors --no-clobber",
        "decant convert fixtures/torch/nested.pth fixtures/torch/nested.pth --no-clobber",
        "(ulimit -f 8; decant convert fixtures/torch/small_nodown.pth old.safetensors)",
        "(ulimit -f 8; decant synthesize resnet18 -o old.pth)",
        "decant inspect resnet18.pth > /dev/full",
      ]
    ),
    (
      "Networks",
      [
        "decant identify fixtures/torch/weights.safetensors",
        "decant verify fixtures/torch/weights.safetensors",
        "decant verify resnet18.pth --prefix encoder.",
        "decant run detector.pth --input fixtures/inputs/input_97x131.npy",
        "decant convert detector.pth out.onnx",
        "decant run resnet18.pth --arch resnet34 --input fixtures/inputs/input_97x131.npy",
        "decant convert resnet18.pth out.onnx --arch resnet50",
        "decant run resnet18.pth --arch resnet18 --num-classes 10 --input fixtures/inputs/input_97x131.npy",
        "decant convert resnet18.pth out.safetensors --names sequential",
        "decant verify resnet18.pth --stage-strides 1,2",
        "decant run head.pth --input small.npy", "decant run wide-head.pth --input small.npy",
        "decant run apart.pth --input small.npy",
        "decant run pair.pth --key ema --input small.npy --head-activation relu",
        "decant run adapter.pth --input small.npy",
        "decant run untracked.pth --input small.npy", "decant convert untracked.pth out.onnx",
        "decant convert untracked.pth out.onnx --normalization group:3",
        "decant run head.pth --input small.npy --num-classes 0 --normalization batch",
        "decant identify cifar.pth --measure",
      ]
    ),
    (
      "Inputs of run",
      [
        "decant run r18.safetensors --arch resnet18 --input missing.npy",
        "decant run r18.safetensors --arch resnet18 --input stem.npy",
        "decant run r18.safetensors --arch resnet18 --input nhwc.npy",
        "decant run r18.safetensors --arch resnet18 --input fixtures/pictures/photo.jpg --preprocess imagenet-raw --input-layout nhwc",
        "decant run r18.safetensors --arch resnet18 --input small.npy --preprocess imagenet-raw",
        "decant run r18.safetensors --arch resnet18 --input folder",
        "decant run r18.safetensors --arch resnet18 --input fixtures/torch/nested.pth",
        "decant run r18.safetensors --arch resnet18 --input fixtures/torch/weights.safetensors",
        "decant run r18.safetensors --arch resnet18 --input inputs.safetensors",
        "decant run r18.safetensors --arch resnet18 --input inputs.safetensors --input-key nothing",
        "decant run r18.safetensors --arch resnet18 --input fixtures/pictures/photo.jpg",
        "decant run r18.safetensors --arch resnet18 --input cut.jpg --preprocess imagenet-raw",
        "decant run r18.safetensors --arch resnet18 --input cut.png --preprocess imagenet-raw",
        "decant run r18.safetensors --arch resnet18 --input picture.gif --preprocess imagenet-raw",
        "decant run r18.safetensors --arch resnet18 --input fixtures/pictures/photo.jpg --preprocess imagenet-raw --limit imagePixels=10",
        "decant run r18.safetensors --arch resnet18 --input fixtures/inputs/input_97x131.npy --stage layer9 --output out.npy",
        "decant run r18.safetensors --arch resnet18 --input fixtures/inputs/input_97x131.npy --labels two.txt",
        "decant run r18.safetensors --arch resnet18 --input fixtures/inputs/input_97x131.npy --compare fixtures/torch/weights.safetensors",
        "decant run r18.safetensors --arch resnet18 --input fixtures/inputs/input_97x131.npy --engine onednn --float64",
        "decant run r18.safetensors --arch resnet18 --input fixtures/inputs/input_97x131.npy --input fixtures/inputs/input_97x131.npy --stages out.safetensors",
        "decant run -q r18.safetensors --arch resnet18 --input cut.jpg --input fixtures/pictures/photo.jpg --preprocess imagenet-raw",
      ]
    ),
    (
      "Command lines that are wrong",
      [
        "decant verify resnet18.pth --arch resnet51", "decant inspect resnet18.pth --limit nothing=1",
        "decant convert resnet18.pth out.h5", "decant run resnet18.pth",
        "decant verify", "decant inspect resnet18.pth --join resnet18.pth",
        "decant convert --join resnet18.pth resnet18.pth",
        "decant convert in.pth out.pth --join resnet18.pth", "decant diff resnet18.pth",
        "decant convert resnet18.pth out.gguf --metadata a=b --metadata a=c",
        "decant synthesize resnet18 -o x.safetensors", "decant run resnet18.pth --input x.npy --output x.txt",
      ]
    ),
    (
      "The files of several ranks",
      [
        "decant convert fixtures/folders/ranks/model_rank_0.pt out.safetensors",
        "decant verify --join fixtures/folders/ranks/model_rank_0.pt fixtures/folders/ranks/model_rank_3.pt",
        "decant verify --join fixtures/folders/ranks/model_rank_0.pt fixtures/folders/ranks/model_rank_0.pt",
        "decant inspect mixed",
        "decant inspect --join fixtures/folders/ranks/model_rank_0.pt resnet18.pth",
        "decant inspect --join fixtures/folders/ranks/model_rank_0.pt fixtures/folders/sharded_tensors/model.1.pt",
      ]
    ),
  ]
}
