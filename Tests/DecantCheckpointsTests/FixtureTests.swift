import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

extension ExpectedTensor {
  /// Creates the record of a tensor that Decant read.
  init(_ entry: CheckpointTensor) throws {
    let tensor = entry.tensor
    try self.init(
      path: Self.spell(entry.path), dtype: tensor.dtype.rawValue, shape: tensor.shape,
      strides: tensor.strides,
      storageOffset: tensor.storageOffset, sha256: tensor.isReadable ? tensor.sha256() : "no data",
      layout: tensor.layout.rawValue,
      parts: tensor.layout == .strided ? [] : tensor.parts.map { "\($0.name) \(try $0.tensor.sha256())" })
  }

  static func spell(_ path: [PathKey]) -> String {
    path.map { step in
      switch step {
      case .text(let text): "'\(text)'"
      case .bytes, .other: "python " + (step.json["python"]?.string ?? "")
      case .integer(let number): "\(number)"
      case .position(let position): "\(position)"
      }
    }.joined(separator: " / ")
  }
}

/// Tests that compare files written by `torch.save` with the tensors that PyTorch held in memory.
@Suite struct FixtureTests {
  @Test(arguments: ExpectedTensor.all.keys.sorted())
  func everyTensor(_ name: String) throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/" + name))
    let found = try checkpoint.tensors.map { try ExpectedTensor($0) }
    // One file has a storage that belongs to no tensor.
    #expect(
      checkpoint.objects.filter { $0.unreadTensor != nil }.map(\.name)
        == (name == "legacy_storages.pth" ? ["alone"] : []))
    let expected = ExpectedTensor.all[name, default: []]
    #expect(!expected.isEmpty)
    // safetensors does not keep the order: its own writer sorts the tensors, and JSON readers may reorder them.
    if name.hasSuffix(".safetensors") {
      #expect(
        found.sorted { $0.path < $1.path }.map(\.sha256)
          == expected.sorted { $0.path < $1.path }.map(\.sha256))
    } else {
      #expect(found == expected)
    }
  }

  @Test func thereAreFixtures() {
    #expect(ExpectedTensor.all.count > 30)
  }

  @Test func checksumsOfEveryZip() throws {
    for name in ExpectedTensor.all.keys.sorted() {
      let checkpoint = try Checkpoint(path: Fixtures.path("torch/" + name))
      try checkpoint.verifyChecksums(of: checkpoint.tensors)
    }
  }

  @Test func candidates() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/candidates.pth"))
    #expect(checkpoint.stateDictCandidates.map(\.key) == ["state_dict", "state_dict_ema"])
    let several = #expect(throws: DecantError.self) { try checkpoint.onlyStateDict() }
    #expect(several?.code == .ambiguousStateDict)
    #expect(
      try checkpoint.selection(key: "state_dict_ema").stateDict(in: checkpoint).names.first == "conv1.weight")
    let nested = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    #expect(try nested.onlyStateDict().key == "model")
  }

  @Test func aLiteralKeyWithDotsWins() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/same_names.pth"))
    let names = checkpoint.tensors.map(\.name)
    let twice = try #require(names.first { name in names.count { $0 == name } > 1 })
    let selection = try checkpoint.selection(key: twice)
    #expect(selection.path.count == checkpoint.tensors.filter { $0.name == twice }.map(\.path.count).min())
    let error = #expect(throws: DecantError.self) {
      try Selection.all(of: checkpoint).stateDict(in: checkpoint)
    }
    #expect(error?.code == .duplicateName)
  }

  @Test func aPickledModuleTellsParametersFromBuffers() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/module.pth"))
    #expect(
      checkpoint.tensors.filter { $0.role == .buffer }.map { $0.path.last?.name } == [
        "running_mean", "running_var", "num_batches_tracked",
      ])
    #expect(checkpoint.tensors.filter { $0.role == .parameter }.allSatisfy { $0.tensor.requiresGrad })
  }
}

/// Tests of the information about a network around its state dict: module versions, TorchScript code, other files.
@Suite struct SurroundingsTests {
  @Test func metadataListsEveryModule() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/small_nodown.pth"))
    let listed = try #require(checkpoint.objects.first { $0.type == "module versions" })
    #expect(listed.name == "model._metadata")
    let versions = try #require(listed.moduleVersions)
    #expect(versions.count == listed.count)
    #expect(versions.first?.path == "" && versions.first?.version == 1)
    #expect(versions.contains { $0.path == "maxpool" && $0.version == 1 })
    #expect(versions.contains { $0.path == "layer1.0.bn1" && $0.version == 2 })
    // Beyond the limit of text, module versions are counted but not listed.
    var limits = Limits()
    limits.allTextBytes = 100
    let less = try Checkpoint(path: Fixtures.path("torch/small_nodown.pth"), limits: limits)
    #expect(less.objects.first { $0.type == "module versions" }.map { $0.moduleVersions == nil } == true)
  }

  @Test func codeOfTorchScript() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("scripts/script.pt"))
    let classes = checkpoint.scriptClasses()
    let root = try #require(checkpoint.objects.first { $0.path.isEmpty }?.type)
    #expect(try #require(classes[root]).hasPrefix("class "))
    #expect(
      classes.values.allSatisfy {
        $0.hasPrefix("class ") && $0.split(separator: "\n").dropFirst().allSatisfy { $0.hasPrefix(" ") }
      })
    #expect(try Checkpoint(path: Fixtures.path("torch/module.pth")).scriptClasses().isEmpty)
  }

  @Test func filesBeside() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/module.pth"))
    guard case .content(let bytes) = checkpoint.siblingFile(named: "expected.json") else {
      Issue.record("it is not read")
      return
    }
    #expect(bytes.first == UInt8(ascii: "{"))
    guard case .absent = checkpoint.siblingFile(named: "config.json") else {
      Issue.record("it is absent")
      return
    }
    for name in ["../README.md", "/etc/passwd", "", "a/../b", "expected.json/x"] {
      guard case .refused = checkpoint.siblingFile(named: name) else {
        Issue.record("\(name) is not refused")
        continue
      }
    }
    guard case .refused(let error) = checkpoint.siblingFile(named: "expected.json", limit: 10) else {
      Issue.record("it is too large")
      return
    }
    #expect(error.code == .limitExceeded && error.location.file?.hasSuffix("/expected.json") == true)
    // For a folder checkpoint, the other files are inside the folder itself.
    let folder = try Checkpoint(path: Fixtures.path("folders/dcp"))
    guard case .content = folder.siblingFile(named: ".metadata", limit: 1 << 20) else {
      Issue.record("it is not read")
      return
    }
  }
}

/// Tests that compare every PyTorch file of the corpus with an independent reader's digests.
@Suite(.enabled(if: Corpus.folder != nil, "../shared/checkpoints is not here"))
struct CorpusTests {
  /// The dtypes under NumPy's names, which the digests use: NumPy has no bfloat16, and quantised and boolean elements
  /// are recorded by their storage.
  private static let numpyNames: [DType: String] = [
    .bfloat16: "uint16", .qint8: "int8", .quint8: "uint8", .qint32: "int32", .bool: "uint8",
  ]

  @Test(arguments: [
    (["torch-zip"], 151), (["torch-legacy"], 150), (["npy"], 8), (["npz"], 3), (["safetensors"], 30),
  ])
  func everyTensor(_ containers: [String], _ least: Int) throws {
    let folder = try #require(Corpus.folder)
    var expected: [String: Set<String>] = [:]
    for row in try Corpus.table("digests.tsv") {
      let shape = (row["shape"] ?? "").filter { $0 != " " }
      // The digests of safetensors files name NumPy's bool; all others name the type of its bytes.
      let type = row["dtype_np"] == "bool" ? "uint8" : row["dtype_np"] ?? ""
      expected[row["path"] ?? "", default: []].insert(
        "\(type) \(shape) \(row["sha256_contiguous_le"] ?? "")")
    }
    // Plain NumPy files from picklescan's tests, which have no digests here; Tests/Peers covers such files.
    let withoutDigests = "mmaitre314+picklescan/tests/data2/int_array"
    var files = 0
    for row in try Corpus.table("MANIFEST.tsv") where containers.contains(row["container"] ?? "") {
      guard let path = row["path"], row["note"]?.contains("HOSTILE") != true else { continue }
      let checkpoint = try Checkpoint(path: folder.appending(path: path).path)
      let found = Set(
        // The digests cover only PyTorch tensors; Tests/Peers covers NumPy arrays in the same pickles.
        try checkpoint.tensors.filter { !$0.tensor.storage.key.hasPrefix("numpy@") }.map { entry in
          let type = Self.numpyNames[entry.tensor.dtype] ?? entry.tensor.dtype.rawValue
          let shape = "[" + entry.tensor.shape.map(String.init).joined(separator: ",") + "]"
          return "\(type) \(shape) \(try entry.tensor.sha256())"
        })
      if path.hasPrefix(withoutDigests) {
        #expect(!found.isEmpty && expected[path] == nil)
      } else {
        #expect(found == expected[path, default: []], "\(path)")
      }
      files += 1
    }
    #expect(files >= least)
  }

  /// Every file of the corpus gives a result or a typed error.
  @Test func everyFileIsAnsweredOrRefused() throws {
    let folder = try #require(Corpus.folder)
    for row in try Corpus.table("MANIFEST.tsv") {
      guard let path = row["path"] else { continue }
      do throws(DecantError) {
        _ = try Checkpoint(path: folder.appending(path: path).path)
      } catch {
        #expect(!error.reason.isEmpty)
      }
    }
  }
}
