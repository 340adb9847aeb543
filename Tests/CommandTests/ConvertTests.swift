import Foundation
import TestSupport
import Testing

/// `convert`: what a note and the JSON say about values that an output does not hold.
@Suite struct ConvertTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ arguments: String...) throws -> DecantRun {
    try DecantProcess.run(arguments, in: folder.url)
  }

  private static let described = "ir_version, producer_name, opset_import, graph, inputs, outputs, operators"

  @Test(arguments: [
    ("pth", "are not tensors"), ("safetensors", "are not tensors (safetensors stores only tensors)"),
    ("gguf", "are not tensors (GGUF stores only tensors)"),
  ])
  func valuesOfAModelAreNamed(_ ending: String, _ reason: String) throws {
    let run = try decant(
      "convert", Fixtures.path("models/external.onnx"), "out." + ending, "--json")
    #expect(run.status == 0)
    #expect(run.errors.contains("values that \(reason): \(Self.described)\n"), "\(run.errors)")
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(document["skipped_values"] as? [String] == Self.described.components(separatedBy: ", "))
    #expect(document["file"] as? String == Fixtures.path("models/external.onnx"))
  }

  @Test func refusedValuesAreNamed() throws {
    let run = try decant("convert", Fixtures.path("torch/objects.pth"), "out.pth", "--drop-objects")
    #expect(run.status == 0)
    #expect(
      run.errors.contains("skipped 12 values that torch.load(weights_only=True) rejects: frozenset, slice, "))
  }

  /// One hundred views of stride 0 of 256 KiB each, over four bytes each.
  private static func writeWideViews(to folder: TemporaryFolder) throws {
    var file = TorchFile()
    let tensors = (0..<100).map { index in
      (
        TorchFile.Value.text("w\(index)"),
        TorchFile.Value.call(
          .global("torch._utils", "_rebuild_tensor_v2"),
          [
            file.storage(1), .int(0), .sizes([256, 256]), .sizes([0, 0]), .bool(false),
            .call(.global("collections", "OrderedDict"), []),
          ])
      )
    }
    _ = try folder.write("wide.pth", file.bytes(.dictionary(tensors)))
  }

  @Test(arguments: [
    "inspect wide.pth --stats", "inspect wide.pth --digest --json", "diff wide.pth wide.pth",
    "convert wide.pth out.safetensors", "convert wide.pth out/", "convert wide.pth out.npz",
  ])
  func viewsAreBoundedTogether(_ line: String) throws {
    try Self.writeWideViews(to: folder)
    let words = line.split(separator: " ").map(String.init) + ["--limit", "expansionFloor=1000000"]
    let run = try DecantProcess.run(words, in: folder.url)
    #expect(run.status == 2)
    #expect(
      run.errors.contains(
        "decant: error: wide.pth: the tensors expand 400 stored bytes to 26,214,400, 65536 times as many, more than the limit expansion allows (64). If you trust the file: --limit expansion=65536"
      ), "\(run.errors)")
    #expect(try DecantProcess.run(words + ["--limit", "expansion=65536"], in: folder.url).status == 0)
  }

  @Test(arguments: ["inspect wide.pth", "convert wide.pth out.pth"])
  func viewsThatAreNotReadAreNotBounded(_ line: String) throws {
    try Self.writeWideViews(to: folder)
    let words = line.split(separator: " ").map(String.init) + ["--limit", "expansionFloor=1000000"]
    #expect(try DecantProcess.run(words, in: folder.url).status == 0)
  }
}

/// `convert --recursive`: every checkpoint of a tree, to the same path of another folder.
@Suite struct TreeConversionTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try copy("torch/small_basic.pth", to: "tree/b/c/net.pth")
    try copy("torch/prefix.pth", to: "tree/other.tar")
    try copy("folders/bin", to: "tree/a.v1")
    try write("tree/README.md", "# A model\n")
  }

  private func copy(_ fixture: String, to name: String) throws {
    let url = folder.url.appendingPathComponent(name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: URL(filePath: Fixtures.path(fixture)), to: url)
  }

  private func write(_ name: String, _ text: String) throws {
    let url = folder.url.appendingPathComponent(name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  private func decant(_ arguments: String...) throws -> DecantRun {
    try DecantProcess.run(arguments, in: folder.url)
  }

  /// The files below a folder, sorted; empty when there is no folder.
  private func files(below name: String) -> [String] {
    let root = folder.url.appendingPathComponent(name)
    return (FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? [])
      .filter {
        (try? FileManager.default.attributesOfItem(atPath: root.appendingPathComponent($0).path))?[.type]
          as? FileAttributeType == .typeRegular
      }.sorted()
  }

  @Test(arguments: ["out", "out/"])
  func theTreeIsMirrored(_ target: String) throws {
    let run = try decant("convert", "tree", target, "-r", "--format", "safetensors")
    #expect(run.status == 0, "\(run.errors)")
    #expect(files(below: "out") == ["a.v1.safetensors", "b/c/net.safetensors", "other.safetensors"])
    let headings = run.output.split(separator: "\n").filter { $0.hasPrefix("==> ") }
    #expect(headings == ["==> tree/a.v1 <==", "==> tree/b/c/net.pth <==", "==> tree/other.tar <=="])
    #expect(run.errors.hasSuffix("decant: 1 file is not a checkpoint: tree/README.md\n"))
    for (source, output) in [
      ("tree/b/c/net.pth", "out/b/c/net.safetensors"), ("tree/a.v1", "out/a.v1.safetensors"),
    ] {
      #expect(try decant("diff", source, output).status == 0)
    }
  }

  @Test func foldersOfArraysAreMirroredToo() throws {
    let run = try decant("convert", "tree", "out", "-r", "--format", "npy-folder", "--only", "*weight")
    #expect(run.status == 2, "a.v1 has no such tensor")
    #expect(files(below: "out/b/c/net").contains("conv1.weight.npy"))
    #expect(!files(below: "out/other").isEmpty)
    #expect(!FileManager.default.fileExists(atPath: folder.path("out/a.v1")))
  }

  @Test(arguments: ["pth", "safetensors", "PTH"])
  func twoSourcesWithOneTargetAreRefused(_ ending: String) throws {
    try FileManager.default.moveItem(
      atPath: folder.path("tree/b/c/net.pth"), toPath: folder.path("tree/b/c/net.bin"))
    try copy("torch/small_basic.pth", to: "tree/b/c/net." + ending)
    let run = try decant("convert", "tree", "out", "-r", "--format", "gguf")
    let sources = ["net.bin", "net." + ending].sorted().map { "tree/b/c/" + $0 }
    #expect(run.status == 2 && run.output.isEmpty)
    #expect(
      run.errors
        == "decant: error: out/b/c/net.gguf: \(sources[0]) and \(sources[1]) would have the same output, so nothing was written. decant convert \(sources[1]) OUT.gguf writes one of them alone.\n"
    )
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
  }

  @Test func aFileThatIsNoCheckpointTakesNoName() throws {
    try write("tree/b/c/net.bin", "plain text\n")
    try write("tree/other", "plain text\n")
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors")
    #expect(run.status == 0, "\(run.errors)")
    #expect(files(below: "out").count == 3)
    #expect(run.errors.contains("decant: 3 files are not checkpoints: "))
  }

  @Test func anOutputInPlaceOfAFolderIsRefused() throws {
    try copy("torch/small_basic.pth", to: "tree/b.pth")
    let run = try decant("convert", "tree", "out", "-r", "--format", "npy-folder")
    #expect(run.status == 2 && files(below: "out").isEmpty)
    #expect(run.errors.hasPrefix("decant: error: out/b: tree/b.pth and tree/b/c/net.pth would have"))
  }

  @Test func oneFailureDoesNotStopTheOthers() throws {
    try Data("PK\u{3}\u{4}".utf8).write(to: folder.url.appendingPathComponent("tree/b/a.pth"))
    try write("tree/bad/only.pth", "PK\u{3}\u{4}")
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors")
    #expect(run.status == 2)
    #expect(run.errors.contains("decant: error: tree/b/a.pth: "))
    #expect(files(below: "out").count == 3)
    #expect(!FileManager.default.fileExists(atPath: folder.path("out/bad")), "an empty folder is removed")
  }

  @Test func noClobberKeepsWhatIsThere() throws {
    try write("out/b/c/net.safetensors", "mine")
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors", "--no-clobber")
    #expect(run.status == 2)
    #expect(
      run.errors.contains("decant: error: out/b/c/net.safetensors: exists already. Leave out --no-clobber"))
    #expect(try String(contentsOfFile: folder.path("out/b/c/net.safetensors"), encoding: .utf8) == "mine")
    #expect(files(below: "out").count == 3)
    #expect(try decant("convert", "tree", "out", "-r", "--format", "safetensors").status == 0)
  }

  @Test func jsonHasALineForEachFile() throws {
    let run = try decant("convert", "tree", "out", "-r", "--format", "npz", "--json")
    let documents = try run.output.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(documents.count == 4 && documents.allSatisfy { $0["schema"] as? Int == 1 })
    #expect(
      documents.compactMap { $0["output"] as? String }.sorted() == [
        "out/a.v1.npz", "out/b/c/net.npz", "out/other.npz",
      ])
    #expect(documents.compactMap { $0["file"] as? String }.count == 3)
    #expect(
      documents.compactMap { ($0["error"] as? [String: Any])?["code"] as? String } == ["notACheckpoint"])
  }

  @Test func oneFileOrOneCheckpointKeepsItsName() throws {
    #expect(try decant("convert", "tree/b/c/net.pth", "out", "-r", "--format", "npz").status == 0)
    #expect(try decant("convert", "tree/a.v1/", "out", "-r", "--format", "npz").status == 0)
    #expect(files(below: "out") == ["a.v1.npz", "net.npz"])
  }

  @Test(arguments: ["tree", "tree/out", "."])
  func aTargetInTheSourceOrAroundItIsRefused(_ target: String) throws {
    let before = files(below: "")
    let run = try decant("convert", "tree", target, "-r", "--format", "safetensors")
    #expect(run.status == 2)
    #expect(run.errors.contains("is the folder that is read, or one of the two is inside the other"))
    #expect(files(below: "") == before)
  }

  @Test func linksInTheTargetAreNotFollowed() throws {
    let manager = FileManager.default
    for name in ["out", "apart"] {
      try manager.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    try manager.createSymbolicLink(atPath: folder.path("out/b"), withDestinationPath: folder.path("apart"))
    try write("apart/mine", "mine")
    try manager.createSymbolicLink(
      atPath: folder.path("out/other.safetensors"), withDestinationPath: folder.path("apart/mine"))
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors")
    #expect(run.status == 2)
    for name in ["out/b", "out/other.safetensors"] {
      #expect(run.errors.contains("decant: error: \(name): is a link, which --recursive does not follow"))
    }
    #expect(files(below: "apart") == ["mine"])
    #expect(try String(contentsOfFile: folder.path("apart/mine"), encoding: .utf8) == "mine")
  }

  @Test func anOutputNeverReplacesASource() throws {
    try write("out/other.safetensors", "x")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("tree/link.pth"), withDestinationPath: folder.path("out/other.safetensors"))
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors")
    #expect(run.status == 2)
    #expect(run.errors.contains("out/other.safetensors: is a file to read: tree/link.pth leads to it"))
    #expect(files(below: "out") == ["other.safetensors"])
  }

  @Test(arguments: ["inspect tree -r", "convert tree out -r --format safetensors"])
  func namesThatAreNotUTF8AreErrors(_ line: String) throws {
    let shell = try DecantProcess.shell(
      "mv tree/other.tar \"$(printf 'tree/o\\377.tar')\" && decant \(line)", in: folder.url)
    #expect(shell.status == 2)
    #expect(
      shell.errors.contains(
        "decant: error: tree/o\\\\xff.tar: has a name that is not UTF-8, and is not opened")
    )
    #expect(shell.output.components(separatedBy: "==> ").count == 1 + 2)
  }

  @Test func linksToFoldersAreNamed() throws {
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("tree/b/loop"), withDestinationPath: folder.path("tree"))
    let run = try decant("convert", "tree", "out", "-r", "--format", "safetensors")
    #expect(run.status == 2)
    #expect(run.errors.contains("decant: error: tree/b/loop: is a link to a folder, which is not followed"))
    #expect(files(below: "out").count == 3)
  }

  @Test(arguments: [
    "convert tree out -r", "convert tree - -r --format npz",
    "convert tree out -r --format safetensors --shard-size 1GB", "convert out -r --format npz --join a b",
  ])
  func wrongCommandLines(_ line: String) throws {
    let run = try DecantProcess.run(line.split(separator: " ").map(String.init), in: folder.url)
    #expect(run.status == 64, "\(run.errors)")
  }
}
