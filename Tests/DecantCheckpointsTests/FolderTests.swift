import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests that compare folders written by PyTorch and safetensors with the tensors in memory.
@Suite struct FolderTests {
  static let expected = ExpectedTensor.read("folders/expected.json")

  @Test(arguments: ["dcp", "dcp_ranks", "dcp_safetensors", "shards", "bin"])
  func everyTensor(_ name: String) throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("folders/" + name))
    let found = try checkpoint.tensors.map { try ExpectedTensor($0).withoutPlace }
    let expected = try #require(Self.expected[name]).map(\.withoutPlace)
    // Ranks and files are read in another order than PyTorch's.
    #expect(found.sorted { $0.path < $1.path } == expected.sorted { $0.path < $1.path })
    #expect(checkpoint.container == (name.hasPrefix("dcp") ? .dcp : .shards))
    #expect(checkpoint.truncation == nil)
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
  }

  @Test func anIndexKeepsItsOrder() throws {
    for name in ["shards/model.safetensors.index.json", "bin/pytorch_model.bin.index.json"] {
      let checkpoint = try Checkpoint(path: Fixtures.path("folders/" + name))
      #expect(
        checkpoint.tensors.map(\.name).first == "rows" && checkpoint.tensors.map(\.name).last == "transposed")
      #expect(checkpoint.warnings.isEmpty)
    }
  }

  @Test func theMetadataItselfMayBeNamed() throws {
    let folder = try Checkpoint(path: Fixtures.path("folders/dcp"))
    let file = try Checkpoint(path: Fixtures.path("folders/dcp/.metadata"))
    #expect(folder.tensors.map(\.name) == file.tensors.map(\.name))
    #expect(folder.containerMetadata.map(\.text).contains("1.0.0"))
  }

  @Test func objectsOfADistributedCheckpoint() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("folders/dcp"))
    let values = Dictionary(
      checkpoint.objects.map { ($0.name, $0.value?.text ?? "") }, uniquingKeysWith: { first, _ in first })
    #expect(
      values["step"] == "5" && values["notes.1"] == "\"two\""
        && values["optimizer.param_groups.0.lr"] == "0.5")
    #expect(checkpoint.stateDictCandidates.map(\.key).first == "model")
    #expect(
      checkpoint.tensors.filter { $0.path.first == .text("optimizer") }.allSatisfy { $0.stateDict == nil })
  }

  @Test func convertingMakesOneFile() throws {
    let folder = try TemporaryFolder()
    for name in ["dcp", "shards", "dcp_safetensors"] {
      let checkpoint = try Checkpoint(path: Fixtures.path("folders/" + name))
      let target = folder.path(name + ".safetensors")
      var options = WriteOptions()
      options.key = "."
      let report = try checkpoint.convert(to: target, options)
      #expect(report.tensorCount == checkpoint.tensors.count)
      let written = try Checkpoint(path: target)
      for entry in written.tensors {
        let source = try #require(checkpoint.tensors.first { $0.name == entry.name })
        #expect(try entry.tensor.sha256() == source.tensor.sha256())
      }
    }
  }

  /// Reading any range of a chunked tensor, in any order, gives the elements at that range.
  @Test func partsOfATensorInChunks() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("folders/dcp"))
    for name in ["model.rows", "model.columns", "model.grid", "model.transposed"] {
      let tensor = try #require(checkpoint.tensors.first { $0.name == name }).tensor
      let content = try #require(tensor.storage.content)
      let whole = try tensor.rowMajorBytes()
      for count in [1, 3, 4, 7, 64, whole.count] {
        for start in stride(from: whole.count - count, through: 0, by: -5) {
          let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            try unsafe content.read(into: UnsafeMutableRawBufferPointer(buffer), at: start)
            initialized = count
          }
          #expect(bytes == Array(whole[start..<start + count]))
        }
      }
      #expect(throws: (any Error).self) {
        _ = try unsafe [UInt8](unsafeUninitializedCapacity: 2) { buffer, _ in
          try unsafe content.read(into: UnsafeMutableRawBufferPointer(buffer), at: whole.count - 1)
        }
      }
    }
  }

  // MARK: Deceptive files

  /// Folders with false metadata of one 4×6 tensor; the error comes on opening, or when the elements are read.
  @Test(
    arguments: [
      ("gap", .damaged), ("overlap", .deceptive), ("outside", .damaged), ("rank", .damaged),
      ("huge", .damaged),
      ("huge_offset", .damaged), ("dtype", .damaged), ("shape", .damaged), ("offset", .notACheckpoint),
      ("parent", .deceptive), ("absolute", .deceptive), ("transformed", .unsupportedFormat),
      ("pinwheel", .damaged), ("length", .truncated), ("missing", .partMissing),
    ] as [(String, DecantError.Code)])
  func metadataThatLies(_ name: String, _ code: DecantError.Code) throws {
    let error = #expect(throws: DecantError.self) {
      let checkpoint = try Checkpoint(path: Fixtures.path("folders/hostile/\(name).metadata"))
      for entry in checkpoint.tensors { _ = try entry.tensor.rowMajorBytes() }
    }
    #expect(error?.code == code, "\(error?.description ?? "")")
  }

  @Test func honestMetadataIsRead() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("folders/hostile/honest.metadata"))
    #expect(try checkpoint.tensors[0].tensor.elements(as: Float.self) == (0..<24).map { Float($0) })
  }

  @Test func indicesThatLeaveTheirFolder() throws {
    let folder = try TemporaryFolder()
    let shard = try Fixtures.bytes("folders/shards/model-00001-of-00002.safetensors")
    _ = try folder.write("outside.safetensors", shard)
    try FileManager.default.createDirectory(
      at: folder.url.appending(path: "in/deep"), withIntermediateDirectories: true)
    _ = try folder.write("in/inside.safetensors", shard)
    let manager = FileManager.default
    try manager.createSymbolicLink(
      atPath: folder.path("in/escape"), withDestinationPath: "../outside.safetensors")
    try manager.createSymbolicLink(atPath: folder.path("in/link"), withDestinationPath: "inside.safetensors")
    try manager.createSymbolicLink(atPath: folder.path("in/up"), withDestinationPath: "..")
    #expect(unsafe mkfifo(folder.path("in/fifo"), 0o600) == 0)
    func open(_ name: String) throws -> Checkpoint {
      let json = "{\"weight_map\": {\"rows\": \"\(name)\"}}"
      return try Checkpoint(path: folder.write("in/model.safetensors.index.json", Array(json.utf8)))
    }
    for name in ["inside.safetensors", "./inside.safetensors", "link"] {
      #expect(try open(name).tensors.map(\.name) == ["rows"])
    }
    for (name, code) in [
      ("../outside.safetensors", .deceptive), ("deep/../../outside.safetensors", .deceptive),
      (folder.path("outside.safetensors"), .deceptive), ("", .deceptive), ("escape", .deceptive),
      ("up/outside.safetensors", .deceptive), ("fifo", .notAFile), ("deep", .notAFile),
      ("/dev/zero", .deceptive), ("gone", .partMissing), ("model.safetensors.index.json", .notACheckpoint),
    ] as [(String, DecantError.Code)] {
      let error = #expect(throws: DecantError.self) { _ = try open(name) }
      #expect(error?.code == code, "\(name): \(error?.description ?? "")")
    }
  }

  /// In a Hugging Face cache, `NAME/snapshots/REVISION/FILE` links to `NAME/blobs/HASH`.
  @Test func linksOfAHuggingFaceCacheAreFollowed() throws {
    let folder = try TemporaryFolder()
    let manager = FileManager.default
    try manager.createDirectory(at: folder.url.appending(path: "m/blobs"), withIntermediateDirectories: true)
    try manager.createDirectory(
      at: folder.url.appending(path: "m/snapshots/r"), withIntermediateDirectories: true)
    for name in [
      "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
    ] {
      _ = try folder.write("m/blobs/" + name.prefix(9), Fixtures.bytes("folders/shards/" + name))
      let blob = "m/blobs/hash-of-" + name
      try manager.copyItem(atPath: Fixtures.path("folders/shards/" + name), toPath: folder.path(blob))
      try manager.createSymbolicLink(
        atPath: folder.path("m/snapshots/r/" + name), withDestinationPath: "../../blobs/hash-of-" + name)
    }
    #expect(try Checkpoint(path: folder.path("m/snapshots/r")).tensors.count == 9)
    // The same link is refused in a folder that is not a snapshot.
    try manager.moveItem(atPath: folder.path("m/snapshots"), toPath: folder.path("m/others"))
    let error = #expect(throws: DecantError.self) { _ = try Checkpoint(path: folder.path("m/others/r")) }
    #expect(error?.code == .deceptive)
  }

  @Test func whatAnIndexGetsWrong() throws {
    let folder = try TemporaryFolder()
    let first = "model-00001-of-00002.safetensors"
    _ = try folder.write(first, Fixtures.bytes("folders/shards/" + first))
    func open(_ json: String) throws -> Checkpoint {
      try Checkpoint(path: folder.write("model.safetensors.index.json", Array(json.utf8)))
    }
    let some = try open(
      "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {\"rows\": \"\(first)\", \"grid\": \"\(first)\"}}")
    #expect(some.tensors.map(\.name) == ["rows", "grid"])
    #expect(some.warnings.contains { $0.contains("skipped 2 tensors that are not in the index") })
    #expect(
      some.warnings.contains { $0.contains("says that the tensors have 1 bytes in total, but they have 572") }
    )
    for json in [
      "{\"weight_map\": {\"nothing\": \"\(first)\"}}", "{\"weight_map\": {\"rows\": 3}}",
      "{\"weight_map\": [1]}", "{\"weight_map\": {\"rows\": \"\(first)\", \"rows\": \"\(first)\"}}",
    ] {
      let error = #expect(throws: DecantError.self) { _ = try open(json) }
      #expect(error?.code == .damaged, "\(error?.description ?? "")")
      #expect(error?.location.file == folder.path("model.safetensors.index.json"))
    }
  }

  @Test func foldersWithoutAnIndexSayWhatTheyHold() throws {
    let folder = try TemporaryFolder()
    func error() -> DecantError? {
      #expect(throws: DecantError.self) { _ = try Checkpoint(path: folder.url.path) }
    }
    #expect(error()?.code == .notACheckpoint)
    _ = try folder.write("notes.txt", [1])
    #expect(error()?.code == .notACheckpoint)
    _ = try folder.write("weights.pth", [1])
    #expect(error()?.code == .notAFile && error()?.remedy?.contains("weights.pth") == true)
    _ = try folder.write("a.safetensors.index.json", [1])
    _ = try folder.write("b.bin.index.json", [1])
    #expect(error()?.code == .notAFile && error()?.remedy?.contains("a.safetensors.index.json") == true)
  }

  /// The names of shards say how many there are, so a folder with all of them needs no index.
  @Test(arguments: ["shards", "bin"])
  func shardsWithoutAnIndex(_ name: String) throws {
    let folder = try TemporaryFolder()
    let source = URL(filePath: Fixtures.path("folders/" + name))
    let shards = try FileManager.default.contentsOfDirectory(atPath: source.path)
      .filter { !$0.hasSuffix(".index.json") }.sorted()
    for shard in shards {
      try FileManager.default.copyItem(
        at: source.appending(path: shard), to: folder.url.appending(path: shard))
    }
    func tensors(_ checkpoint: Checkpoint) throws -> [ExpectedTensor] {
      try checkpoint.tensors.map { try ExpectedTensor($0).withoutPlace }.sorted { $0.path < $1.path }
    }
    let expected = try tensors(Checkpoint(path: source.path))
    let joined = try Checkpoint(path: folder.url.path)
    #expect(joined.container == .shards && joined.warnings.isEmpty)
    #expect(try tensors(joined) == expected)
    #expect(try tensors(Checkpoint(joining: shards.map(folder.path))) == expected)
    let one = try Checkpoint(path: folder.path(shards[0]))
    #expect(one.warnings.contains { $0.contains("is shard 1 of \(shards.count)") })
    // One tensor in two shards is in neither for certain.
    try FileManager.default.removeItem(atPath: folder.path(shards[1]))
    #expect(throws: DecantError.self) { try Checkpoint(path: folder.url.path) }
    try FileManager.default.copyItem(atPath: folder.path(shards[0]), toPath: folder.path(shards[1]))
    #expect(
      try #require(throws: DecantError.self) { try Checkpoint(path: folder.url.path) }.code == .duplicateName)
  }

  @Test func aPieceOfADistributedCheckpointNamesItsFolder() throws {
    let path = Fixtures.path("folders/dcp/__0_0.distcp")
    let error = try #require(throws: DecantError.self) { try Checkpoint(path: path) }
    #expect(error.code == .partialCheckpoint && error.remedy?.contains("folders/dcp lists") == true)
    // Without the metadata nothing else has the tensors.
    let folder = try TemporaryFolder()
    let alone = try folder.write("__0_0.distcp", Fixtures.bytes("folders/dcp/__0_0.distcp"))
    #expect(try !Checkpoint(path: alone).tensors.isEmpty)
  }

  @Test func noSourceIsWrittenOver() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: Fixtures.path("folders/shards"), toPath: folder.path("shards"))
    let checkpoint = try Checkpoint(path: folder.path("shards"))
    let before = folder.names
    for (name, shardByteCount) in [("model-00002-of-00002", nil), ("model", 20), ("model", 100)] {
      var options = WriteOptions()
      options.shardByteCount = shardByteCount
      let error = #expect(throws: DecantError.self) {
        _ = try checkpoint.convert(to: folder.path("shards/\(name).safetensors"), options)
      }
      #expect(folder.names == before)
      #expect(error?.code == .invalidArgument)
    }
  }
}
