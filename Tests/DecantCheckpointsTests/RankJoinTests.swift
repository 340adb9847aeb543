import DecantBytes
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Joins the files of several ranks: what PyTorch wrote, and files that do not fit each other.
@Suite struct RankJoinTests {
  typealias Value = TorchFile.Value

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  // MARK: Files of PyTorch

  @Test(arguments: ["ranks", "sharded_tensors"])
  func everyTensor(_ name: String) throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("folders/" + name))
    #expect(checkpoint.container == .ranks && checkpoint.truncation == nil)
    let found = try checkpoint.tensors.map { try ExpectedTensor($0).withoutPlace }
    let expected = try #require(FolderTests.expected[name]).map(\.withoutPlace)
    #expect(found.sorted { $0.path < $1.path } == expected.sorted { $0.path < $1.path })
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
    #expect(
      checkpoint.warnings
        == (name == "ranks" ? ["the ranks hold different values, those of rank 0 are used: rank"] : []))
    // In any order, and by their names.
    let files = (0..<4).reversed().map {
      Fixtures.path("folders/\(name)/" + (name == "ranks" ? "model_rank_\($0).pt" : "model.\($0).pt"))
    }
    let joined = try Checkpoint(joining: files)
    #expect(joined.tensors.map(\.name) == checkpoint.tensors.map(\.name))
    #expect(joined.warnings == checkpoint.warnings)
  }

  /// Returns one rank's file with a `ShardedTensor` of rows as PyTorch 1.10 or 1.12 wrote it: a plain object.
  private static func plainSharded(_ rank: Int, _ count: Int, isFirst: Bool) -> [UInt8] {
    let module =
      isFirst ? "torch.distributed._sharded_tensor.api" : "torch.distributed._shard.sharded_tensor.api"
    let lengths = isFirst ? "shard_lengths" : "shard_sizes"
    var file = TorchFile()
    func metadata(_ rank: Int) -> Value {
      .call(
        .global(
          isFirst ? "torch.distributed._sharding_spec.api" : "torch.distributed._shard.metadata",
          "ShardMetadata"),
        [],
        state: .tuple([
          .none,
          .mapping([
            "shard_offsets": .list([.int(Int64(2 * rank)), .int(0)]), lengths: .list([.int(2), .int(3)]),
            "placement": .call(
              .global("torch.distributed.remote_device", "_remote_device"), [],
              state: .mapping(["_rank": .int(Int64(rank))])),
          ]),
        ]))
    }
    let state = Value.tuple([
      .list([
        .call(
          .global(module, "Shard"), [],
          state: .tuple([
            .none,
            .mapping(["tensor": file.tensor([2, 3], value: UInt8(rank + 1)), "metadata": metadata(rank)]),
          ]))
      ]),
      .call(
        .global(module, "ShardedTensorMetadata"), [],
        state: .tuple([
          .list((0..<count).map(metadata)), .shape([2 * count, 3]), .global("torch", "float32"),
          .none, .bool(false), .int(0), .bool(false),
        ])),
      .call(
        .global(module, "ProcessGroupState"), [], state: .mapping(["global_rank": .int(Int64(rank))])),
      .none, .bool(false),
    ])
    let sharded = Value.call(.global(module, "ShardedTensor"), [], state: state)
    return file.bytes(.mapping(["model": .mapping(["w": sharded])]))
  }

  @Test(arguments: [true, false]) func shardedTensorsThatArePlainObjects(_ isFirst: Bool) throws {
    let files = try (0..<2).map { rank in
      try folder.write("model_rank_\(rank).pt", Self.plainSharded(rank, 2, isFirst: isFirst))
    }
    let checkpoint = try Checkpoint(joining: files)
    #expect(checkpoint.tensors.map(\.name) == ["model.w"] && checkpoint.truncation == nil)
    let tensor = try #require(checkpoint.tensors.first).tensor
    #expect(tensor.shape == [4, 3] && tensor.dtype == .float32)
    #expect(
      try tensor.rowMajorBytes()
        == [UInt8](repeating: 1, count: 24) + [UInt8](repeating: 2, count: 24))
    let piece = try Checkpoint(path: files[0])
    let error = try #require(throws: DecantError.self) { try piece.readableStateDict() }
    #expect(error.code == .partialCheckpoint && error.advice == .joinRanks("rank 1"))
    #expect(try Checkpoint(joining: [files[1]]).truncation?.code == .partMissing)
    // One process has the whole tensor.
    let whole = try folder.write("whole.pt", Self.plainSharded(0, 1, isFirst: isFirst))
    #expect(try Checkpoint(path: whole).stateDict()["w"]?.shape == [2, 3])
  }

  /// A file beside the pieces that cannot be read is named.
  @Test func aDamagedFileBesideThePieces() throws {
    for rank in 0..<4 {
      _ = try folder.write(
        "model_rank_\(rank).pt", Fixtures.bytes("folders/ranks/model_rank_\(rank).pt"))
    }
    _ = try folder.write("full.pt", [0x80, 2, 0x7D])
    let checkpoint = try Checkpoint(path: folder.url.path)
    #expect(checkpoint.warnings.contains { $0.hasPrefix("left out: full.pt, which cannot be read: ") })
    // A damaged piece is an error, not another kind of file.
    _ = try folder.write("model_rank_0.pt", [0x80, 2])
    #expect(throws: DecantError.self) { try Checkpoint(path: folder.url.path) }
  }

  @Test func aMissingRank() throws {
    let files = [0, 1, 3].map { Fixtures.path("folders/ranks/model_rank_\($0).pt") }
    let checkpoint = try Checkpoint(joining: files)
    let error = try #require(checkpoint.truncation)
    #expect(error.code == .partMissing && error.reason.hasPrefix("the file of rank 2 is missing"))
    let states = Dictionary(uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, $0.state) })
    #expect(states["model.rows"] == .truncated && states["model.replicated"] == .whole)
    #expect(throws: DecantError.self) { try checkpoint.requireIntact() }
  }

  // MARK: Divisions

  /// Returns the rows that each process of a mesh holds of a tensor of one dimension.
  private func rows(
    _ count: Int, _ sizes: [Int], _ placements: [MeshDivision.Placement],
    order: [(axis: Int, meshAxes: [Int])]? = nil
  ) throws -> [[Int]] {
    let mesh = try #require(MeshDivision(sizes: sizes, placements: placements, order: order, ranks: []))
    return try mesh.regions.map { number in
      try #require(mesh.region(number, of: [count])).boxes.flatMap { box in
        (0..<box.sizes[0]).map { box.offsets[0] + $0 }
      }
    }
  }

  @Test func cutsOfTorchChunk() throws {
    #expect(try rows(7, [4], [.shard(axis: 0)]) == [[0, 1], [2, 3], [4, 5], [6]])
    #expect(try rows(5, [4], [.shard(axis: 0)]) == [[0, 1], [2, 3], [4], []])
    #expect(try rows(1, [3], [.shard(axis: 0)]) == [[0], [], []])
    #expect(try rows(5, [2, 2], [.shard(axis: 0), .shard(axis: 0)]) == [[0, 1], [2], [3], [4]])
    #expect(try rows(5, [2, 2], [.replicate, .shard(axis: 0)]) == [[0, 1, 2], [3, 4]])
    // FSDP 2 over tensor parallelism: cut by the second dimension first.
    let strided = [MeshDivision.Placement.stridedShard(axis: 0, factor: 2), .shard(axis: 0)]
    #expect(try rows(8, [2, 2], strided) == [[0, 1], [4, 5], [2, 3], [6, 7]])
    #expect(try rows(5, [2, 2], strided) == [[0, 1], [3], [2], [4]])
    let order = [(axis: 0, meshAxes: [1, 0])]
    #expect(
      try rows(5, [2, 2], [.shard(axis: 0), .shard(axis: 0)], order: order) == [[0, 1], [3], [2], [4]])
    // The example of PyTorch's own documentation: nine elements, split factor 2, four processes.
    #expect(
      try rows(9, [4], [.stridedShard(axis: 0, factor: 2)]) == [[0, 1, 5], [2, 3, 6], [4, 7], [8]])
  }

  @Test func meshesThatAreNone() {
    #expect(MeshDivision(sizes: [2], placements: [], order: nil, ranks: []) == nil)
    #expect(MeshDivision(sizes: [0], placements: [.replicate], order: nil, ranks: []) == nil)
    #expect(MeshDivision(sizes: [1 << 40], placements: [.replicate], order: nil, ranks: []) == nil)
    #expect(
      MeshDivision(sizes: [2], placements: [.shard(axis: 0)], order: [(0, [0, 0])], ranks: []) == nil)
    #expect(MeshDivision(sizes: [2], placements: [.shard(axis: 0)], order: [], ranks: []) == nil)
    let mesh = MeshDivision(sizes: [2], placements: [.shard(axis: 3)], order: nil, ranks: [])
    #expect(mesh?.region(0, of: [4]) == nil)
    let fine = MeshDivision(
      sizes: [2], placements: [.stridedShard(axis: 0, factor: 1 << 40)], order: nil, ranks: [])
    #expect(fine?.region(0, of: [4]) == nil)
  }

  // MARK: Files that do not fit

  /// One rank's file with a `DTensor` named `w`.
  private struct Rank {
    var shape = [4, 3]
    var local = [2, 3]
    var rank = 0
    var coordinate = 0
    var placement = "Shard"
    var axis = 0
    var meshSize = 2
    var value: UInt8 = 0
    var plain: [Int]? = nil
    /// True for the device mesh of PyTorch before 2.9: a tensor, without the process's own rank.
    var isOld = false

    func bytes() -> [UInt8] {
      var file = TorchFile()
      let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
      let type = Value.global("torch.distributed.tensor", "DTensor")
      let placed =
        placement == "Shard"
        ? Value.call(
          .global("torch.distributed.tensor.placement_types", placement), [],
          state: .mapping(["dim": .int(Int64(axis))]))
        : .call(.global("torch.distributed.tensor.placement_types", placement), [])
      let mesh = Value.call(
        .global("torch.distributed.device_mesh", "DeviceMesh"), [],
        state: isOld
          ? .mapping([
            "mesh": file.tensor([meshSize]), "_flatten_mesh_list": .sizes(Array(0..<meshSize)),
            "_coordinate_on_dim": .list([.int(Int64(coordinate))]),
          ])
          : .mapping([
            "_layout": .call(
              .global("torch.distributed._mesh_layout", "_MeshLayout"), [],
              state: .mapping(["shape": .sizes([meshSize]), "stride": .sizes([1])])),
            "_flatten_rank_map": .sizes(Array(0..<max(0, min(meshSize, 8)))),
            "_coordinate_on_dim": .list([.int(Int64(coordinate))]), "_rank": .int(Int64(rank)),
          ]))
      let tensor = Value.call(
        .global("torch._tensor", "_rebuild_from_type_v2"),
        [
          .global("torch._utils", "_rebuild_wrapper_subclass"), type,
          .tuple([
            type, .global("torch", "float32"), .sizes(shape), .sizes(strides), .int(0),
            .call(.global("torch.serialization", "_get_layout"), [.text("torch.strided")]),
            .call(.global("torch", "device"), [.text("cpu")]), .bool(false),
          ]),
          .tuple([
            .none,
            .mapping([
              "_local_tensor": file.tensor(local, value: value),
              "_spec": .call(
                .global("torch.distributed.tensor._dtensor_spec", "DTensorSpec"), [],
                state: .mapping(["mesh": mesh, "placements": .tuple([placed])])),
            ]),
          ]),
        ])
      var pairs: [(Value, Value)] = [(.text("w"), tensor)]
      if let plain { pairs.append((.text("plain"), file.tensor(plain, value: value))) }
      return file.bytes(.dictionary(pairs))
    }
  }

  private func join(_ ranks: [Rank]) throws -> Checkpoint {
    var paths: [String] = []
    for (index, rank) in ranks.enumerated() {
      paths.append(try folder.write("rank_\(index).pt", rank.bytes()))
    }
    return try Checkpoint(joining: paths)
  }

  private func refusal(_ ranks: [Rank]) -> DecantError? {
    #expect(throws: DecantError.self) {
      let checkpoint = try join(ranks)
      _ = try checkpoint.tensors.map { try $0.tensor.sha256() }
    }
  }

  @Test func theSoundFilesAreJoined() throws {
    let checkpoint = try join([Rank(), Rank(rank: 1, coordinate: 1, value: 1)])
    #expect(try checkpoint.tensors[0].tensor.values(as: Float.self).filter { $0 == 0 }.count == 6)
    #expect(checkpoint.tensors.map(\.name) == ["w"] && checkpoint.objects.isEmpty)
  }

  @Test func theMeshOfOlderVersions() throws {
    var (first, second) = (Rank(), Rank(rank: 1, coordinate: 1, value: 1))
    (first.isOld, second.isOld) = (true, true)
    let checkpoint = try join([second, first])
    #expect(try checkpoint.tensors[0].tensor.values(as: Float.self).filter { $0 == 0 }.count == 6)
    #expect(refusal([first, first])?.reason.hasPrefix("is of rank 0, and so is") == true)
  }

  @Test func aMeshOfManyMoreRanks() {
    let error = refusal([Rank(meshSize: 1 << 19), Rank(rank: 1, coordinate: 1, meshSize: 1 << 19)])
    #expect(error?.code == .partMissing)
  }

  @Test func filesOfDifferentRuns() throws {
    let first = Rank()
    var other = Rank(rank: 1, coordinate: 1)
    other.shape = [5, 3]
    #expect(refusal([first, other])?.code == .damaged)
    other = Rank(rank: 1, coordinate: 1, meshSize: 4)
    #expect(refusal([first, other])?.reason.contains("split in another way") == true)
    other = Rank(local: [1, 3], rank: 1, coordinate: 1)
    let error = refusal([first, other])
    #expect(error?.reason == "holds [1, 3] where its place in [4, 3] has the sizes [2, 3]")
    #expect(error?.location.file == folder.path("rank_1.pt") && error?.location.tensor == "w")
    #expect(refusal([first, first])?.reason.hasPrefix("is of rank 0, and so is") == true)
    // A coordinate outside the mesh, and a placement that has no such axis.
    #expect(refusal([first, Rank(rank: 1, coordinate: 7)])?.code == .partialCheckpoint)
    let axis = Rank(axis: 3)
    #expect(refusal([axis, Rank(rank: 1, coordinate: 1, axis: 3)])?.code == .unsupportedFormat)
    #expect(refusal([Rank(meshSize: 1 << 40), Rank(rank: 1, coordinate: 1)])?.code == .partialCheckpoint)
  }

  @Test func copiesAreCompared() throws {
    let first = Rank(local: [4, 3], placement: "Replicate")
    var second = Rank(local: [4, 3], rank: 1, coordinate: 1, placement: "Replicate")
    let checkpoint = try join([first, second])
    #expect(try checkpoint.tensors[0].tensor.values(as: Float.self).count == 12)
    second.value = 1
    let error = refusal([first, second])
    #expect(
      error?.code == .damaged
        && error?.reason == "rank 0 and rank 1 hold different values of the same elements")
  }

  @Test func valuesThatAreNotSplit() throws {
    let first = Rank(plain: [3])
    var second = Rank(rank: 1, coordinate: 1, plain: [3])
    #expect(try join([first, second]).warnings.isEmpty)
    second.value = 1
    #expect(
      try join([first, second]).warnings == [
        "the ranks hold different values, those of rank 0 are used: plain"
      ])
    second.plain = [4]
    let checkpoint = try join([first, second])
    let error = #expect(throws: DecantError.self) { try checkpoint.requireReadable(.all(of: checkpoint)) }
    #expect(error?.code == .partialCheckpoint && error?.reason.contains("plain") == true)
  }

  @Test func aPartialSum() throws {
    let ranks = (0..<2).map {
      Rank(local: [4, 3], rank: $0, coordinate: $0, placement: "Partial", plain: [1])
    }
    let checkpoint = try join(ranks)
    let error = #expect(throws: DecantError.self) { try checkpoint.requireReadable(.all(of: checkpoint)) }
    #expect(error?.reason.contains("DTensor with the placement Partial") == true)
    var options = WriteOptions()
    options.except = ["w"]
    _ = try checkpoint.convert(to: folder.path("rest.safetensors"), options)
    #expect(try Checkpoint(path: folder.path("rest.safetensors")).tensors.map(\.name) == ["plain"])
  }

  @Test func aWholeFileIsNoPiece() throws {
    var file = TorchFile()
    let root = Value.mapping(["w": file.tensor([4, 3])])
    let whole = try folder.write("whole.pt", file.bytes(root))
    let first = try folder.write("rank_0.pt", Rank().bytes())
    let error = #expect(throws: DecantError.self) { try Checkpoint(joining: [first, whole]) }
    #expect(error?.code == .partialCheckpoint && error?.location.file == whole)
    #expect(throws: DecantError.self) { try Checkpoint(joining: []) }
  }

  // MARK: Folders

  @Test func foldersThatAreAmbiguous() throws {
    _ = try folder.write("model_rank_0.pt", Rank().bytes())
    _ = try folder.write("model_rank_1.pt", Rank(rank: 1, coordinate: 1).bytes())
    _ = try folder.write("rng_state_0.pth", [1])
    #expect(try Checkpoint(path: folder.path("")).tensors.map(\.name) == ["w"])
    var file = TorchFile()
    let root = Value.mapping(["w": file.tensor([4, 3])])
    _ = try folder.write("whole.pt", file.bytes(root))
    var error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("")) }
    #expect(error?.reason.contains("model_rank_*.pt") == true && error?.reason.contains("whole.pt") == true)
    try FileManager.default.removeItem(atPath: folder.path("whole.pt"))
    _ = try folder.write("other_rank_0.pt", Rank().bytes())
    error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("")) }
    #expect(error?.reason.contains("the files of several runs: model_rank_*.pt, other_rank_*.pt") == true)
    #expect(error?.remedy?.contains(folder.path("model_rank_1.pt")) == true)
  }

  @Test func namesOfRanks() {
    func groups(_ names: [String]) -> [[String]] { RankFiles.groups(names).map(\.names) }
    #expect(groups(["a_rank_10.pt", "a_rank_9.pt"]) == [["a_rank_9.pt", "a_rank_10.pt"]])
    #expect(
      groups(["m_world_size_2_rank_0.pt", "m_world_size_2_rank_1.pt", "m_world_size_4_rank_0.pt"])
        == [["m_world_size_2_rank_0.pt", "m_world_size_2_rank_1.pt"], ["m_world_size_4_rank_0.pt"]])
    #expect(groups(["Rank0_of_2.pt", "Rank1_of_2.pt"]) == [["Rank0_of_2.pt", "Rank1_of_2.pt"]])
    #expect(groups(["full.pt", "model.0.pt", "model.1.pt"]) == [["full.pt"], ["model.0.pt", "model.1.pt"]])
  }
}
