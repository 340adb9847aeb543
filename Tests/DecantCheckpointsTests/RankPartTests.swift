import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import TestSupport
import Testing

/// Recognises one process's part of a checkpoint that several processes wrote.
@Suite struct RankPartTests {
  typealias Value = TorchFile.Value

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ make: (inout TorchFile) -> Value) throws -> Checkpoint {
    var file = TorchFile()
    let root = make(&file)
    return try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
  }

  private func convert(_ checkpoint: Checkpoint, _ change: (inout WriteOptions) -> Void = { _ in })
    throws -> [String]
  {
    var options = WriteOptions()
    options.key = "."
    change(&options)
    _ = try checkpoint.convert(to: folder.path("out.safetensors"), options)
    return try Checkpoint(path: folder.path("out.safetensors")).tensors.map(\.name).sorted()
  }

  private func refusal(_ checkpoint: Checkpoint) throws -> String {
    do { return "accepted \(try convert(checkpoint))" } catch let error as DecantError {
      #expect(error.code == .partialCheckpoint && error.remedy != nil)
      return error.reason
    }
  }

  /// Returns the call `_rebuild_from_type_v2(_rebuild_wrapper_subclass, class, (…), state)`.
  private static func wrapper(_ type: Value, _ shape: [Int], _ state: Value) -> Value {
    let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
    return .call(
      .global("torch._tensor", "_rebuild_from_type_v2"),
      [
        .global("torch._utils", "_rebuild_wrapper_subclass"), type,
        .tuple([
          type, .global("torch", "float32"), .sizes(shape), .sizes(strides), .int(0),
          .call(.global("torch.serialization", "_get_layout"), [.text("torch.strided")]),
          .call(.global("torch", "device"), [.text("cpu")]), .bool(false),
        ]), state,
      ])
  }

  private static func distributed(
    _ file: inout TorchFile, _ shape: [Int], local: [Int], placement: String = "Shard", ranks: [Int] = [0, 1]
  ) -> Value {
    wrapper(
      .global("torch.distributed.tensor", "DTensor"), shape,
      .tuple([
        .none,
        .mapping([
          "_local_tensor": file.tensor(local),
          "_spec": .call(
            .global("torch.distributed.tensor._dtensor_spec", "DTensorSpec"), [],
            state: .mapping([
              "mesh": .call(
                .global("torch.distributed.device_mesh", "DeviceMesh"), [],
                state: .mapping(["_flatten_rank_map": .sizes(ranks)])),
              "placements": .tuple([
                .call(.global("torch.distributed.tensor.placement_types", placement), [])
              ]),
            ])),
        ]),
      ]))
  }

  /// Returns a `ShardedTensor` whose metadata lists the shards of all ranks. The file holds one of them.
  private static func sharded(_ file: inout TorchFile, _ shape: [Int], shards: Int, isOld: Bool = false)
    -> Value
  {
    let type = Value.global("torch.distributed._shard.sharded_tensor.api", "ShardedTensor")
    let metadata = Value.call(
      .global("torch.distributed._shard.metadata", "ShardMetadata"), [], state: .mapping([:]))
    let local = [shape[0] / shards] + shape.dropFirst()
    let state = Value.tuple([
      .list([
        .call(
          .global("torch.distributed._shard.sharded_tensor.shard", "Shard"), [],
          state: .tuple([.none, .mapping(["tensor": file.tensor(local), "metadata": metadata])]))
      ]),
      .call(
        .global("torch.distributed._shard.sharded_tensor.metadata", "ShardedTensorMetadata"), [],
        state: .mapping([
          "shards_metadata": .list(Array(repeating: metadata, count: shards)), "size": .shape(shape),
        ])),
      .none, .none, .bool(false),
    ])
    return isOld ? .call(type, [], state: state) : wrapper(type, shape, state)
  }

  @Test func distributedTensors() throws {
    let checkpoint = try open { file in
      .mapping([
        "w": Self.distributed(&file, [4, 3], local: [2, 3]),
        "norm": Self.distributed(&file, [3], local: [3], placement: "Replicate"),
      ])
    }
    #expect(try refusal(checkpoint) == "holds only one rank's part of 1 tensor (DTensor): w")
    #expect(throws: DecantError.self) { try checkpoint.requireReadable(checkpoint.onlyStateDict()) }
    // Excluding a tensor that was split also excludes its parts.
    #expect(try convert(checkpoint) { $0.except = ["w"] } == ["norm"])
    #expect(try convert(checkpoint) { $0.only = ["norm"] } == ["norm"])
  }

  @Test(arguments: [
    ("Partial", [0, 1], false), ("_Partial", [0, 1, 2], false), ("Partial", [0], true),
    ("Replicate", [0, 1], true),
  ])
  func sumsOfSeveralRanks(_ placement: String, _ ranks: [Int], _ isWhole: Bool) throws {
    let checkpoint = try open { file in
      .mapping(["w": Self.distributed(&file, [3], local: [3], placement: placement, ranks: ranks)])
    }
    #expect(
      try refusal(checkpoint)
        == (isWhole ? #"accepted ["w"]"# : "holds only one rank's part of 1 tensor (DTensor): w"))
  }

  @Test func aParameterOfADistributedTensor() throws {
    let checkpoint = try open { file in
      let data = Self.distributed(&file, [4, 3], local: [2, 3])
      return .mapping([
        "w": .call(
          .global("torch._utils", "_rebuild_parameter"),
          [data, .bool(true), .call(.global("collections", "OrderedDict"), [])])
      ])
    }
    #expect(try refusal(checkpoint) == "holds only one rank's part of 1 tensor (DTensor): w")
  }

  @Test(arguments: [false, true])
  func shardedTensors(_ isOld: Bool) throws {
    let checkpoint = try open { file in
      .mapping([
        "model": .mapping([
          "w": Self.sharded(&file, [4, 3], shards: 2, isOld: isOld), "step": file.tensor([1]),
        ])
      ])
    }
    #expect(try refusal(checkpoint) == "holds only one rank's part of 1 tensor (ShardedTensor): model.w")
    #expect(try convert(checkpoint) { $0.except = ["model.w"] } == ["model.step"])
  }

  /// A single process holds the whole tensor.
  @Test func aShardedTensorOfOneRank() throws {
    let checkpoint = try open { file in .mapping(["w": Self.sharded(&file, [4, 3], shards: 1)]) }
    #expect(try convert(checkpoint) == ["w"])
    #expect(checkpoint.tensors.map(\.tensor.shape) == [[4, 3]])
    let old = try open { file in .mapping(["w": Self.sharded(&file, [4, 3], shards: 1, isOld: true)]) }
    #expect(try convert(old).count == 1)
  }

  // MARK: DeepSpeed

  private static func engine(
    _ module: Value, _ shapes: Value?, _ others: KeyValuePairs<String, Value> = [:]
  ) -> Value {
    var pairs: [(Value, Value)] = [(.text("module"), module), (.text("ds_version"), .text("0.14.0"))]
    if let shapes { pairs.append((.text("param_shapes"), shapes)) }
    return .dictionary(pairs + others.map { (.text($0.key), $0.value) })
  }

  private static let shapes = Value.mapping(["a": .shape([4, 3]), "b": .shape([])])

  @Test(arguments: [Value.list([shapes]), shapes, nil] as [Value?])
  func zeroStage3(_ shapes: Value?) throws {
    let checkpoint = try open { file in
      Self.engine(.mapping(["a": file.tensor([0]), "buffer": file.tensor([2])]), shapes)
    }
    #expect(
      try refusal(checkpoint) == "holds only one rank's part of 1 tensor (DeepSpeed ZeRO stage 3): module.a")
    #expect(throws: DecantError.self) { try checkpoint.requireReadable(checkpoint.onlyStateDict()) }
    #expect(try convert(checkpoint) { $0.except = ["module.a"] } == ["module.buffer"])
  }

  @Test func frozenFragments() throws {
    let checkpoint = try open { file in
      Self.engine(
        .mapping(["f": file.tensor([0])]), .list([.mapping([:])]),
        [
          "frozen_param_shapes": .mapping(["f": .shape([2, 2])]),
          "frozen_param_fragments": .mapping(["f": file.tensor([2])]),
        ])
    }
    #expect(
      try refusal(checkpoint)
        == "holds only one rank's part of 2 tensors (DeepSpeed ZeRO stage 3): module.f, frozen_param_fragments.f"
    )
  }

  /// With stages 1 and 2 the weights are whole. Only the optimizer's state is split, in separate files.
  @Test func zeroStage2() throws {
    let whole = try open { file in
      Self.engine(.mapping(["a": file.tensor([4, 3]), "b": file.tensor([])]), .list([Self.shapes]))
    }
    #expect(try convert(whole) == ["module.a", "module.b"])
    func optimizer(_ count: Value, _ group: String) throws -> String {
      try refusal(
        try open { file in
          .mapping([
            "optimizer_state_dict": .mapping([
              "zero_stage": .int(2), "partition_count": count, group: .list([file.tensor([8])]),
            ])
          ])
        })
    }
    for group in ["single_partition_of_fp32_groups", "fp32_flat_groups"] {
      let expected =
        "holds only one rank's part of 1 tensor (partition of a DeepSpeed ZeRO optimizer): optimizer_state_dict.\(group).0"
      #expect(try optimizer(.int(2), group) == expected)
      #expect(try optimizer(.list([.int(1), .int(4)]), group) == expected)
      #expect(try optimizer(.list([.int(1)]), group) == #"accepted ["optimizer_state_dict.\#(group).0"]"#)
    }
  }

  // MARK: Megatron and FairScale

  @Test(arguments: [
    ("tensor_model_parallel_size", 2), ("pipeline_model_parallel_size", 4), ("model_parallel_size", 2),
    ("tensor_model_parallel_size", 1),
  ])
  func megatron(_ setting: String, _ size: Int) throws {
    let checkpoint = try open { file in
      .mapping([
        "args": .call(.global("argparse", "Namespace"), [], state: .mapping([setting: .int(Int64(size))])),
        "model": .mapping(["embedding": .mapping(["weight": file.tensor([4, 2])])]),
        "rng_state": .list([.mapping(["torch_rng_state": file.tensor([4])])]),
      ])
    }
    if size == 1 {
      #expect(try convert(checkpoint).count == 2)
    } else {
      #expect(
        try refusal(checkpoint)
          == "holds only one rank's part of 1 tensor (model parallelism, args.\(setting) \(size)): model.embedding.weight"
      )
    }
  }

  @Test func deepSpeedModelParallelism() throws {
    let checkpoint = try open { file in
      Self.engine(.mapping(["a": file.tensor([2])]), nil, ["mp_world_size": .int(2)])
    }
    #expect(
      try refusal(checkpoint)
        == "holds only one rank's part of 1 tensor (model parallelism, mp_world_size 2): module.a")
  }

  @Test func fairScale() throws {
    let checkpoint = try open { file in
      .mapping([
        "model": .mapping(["flat_param_0": file.tensor([8]), "scale": file.tensor([1])]),
        "shard_metadata": .mapping(["param_metadata": .list([])]),
      ])
    }
    #expect(
      try refusal(checkpoint)
        == "holds only one rank's part of 1 tensor (flat parameter of FSDP): model.flat_param_0")
  }
}
