internal import DecantBytes
internal import DecantTensors

/// One process's part of a tensor, in a checkpoint that several processes wrote. The other parts are in other files.
package struct RankPart: Sendable, Equatable {
  /// The library that split the tensor.
  package enum Kind: Sendable, Equatable {
    /// A `DTensor`, of FSDP 2 and tensor parallelism.
    case distributedTensor
    /// A `ShardedTensor`, of FSDP 1.
    case shardedTensor
    /// A parameter of DeepSpeed's ZeRO stage 3.
    case zeroParameter
    /// The flat partitions of DeepSpeed's ZeRO optimizers.
    case zeroPartition
    /// A parameter of FairScale's FSDP, flattened and split.
    case flatParameter
    /// A tensor of a model that Megatron or DeepSpeed split. `setting` is the name and value of the setting that
    /// shows it.
    case modelParallel(setting: String)
    /// A `DTensor` with a placement that cannot be joined, such as a sum that was not carried out.
    case unjoinedPlacement(name: String)
    /// A tensor whose sizes differ between ranks, without a record of the position of each part.
    case unrecordedPosition
  }

  let kind: Kind
  /// The path of the tensor that was split. Everything below it belongs to it.
  package let owner: [PathKey]

  /// Returns the same part with its owner's path below other keys.
  func moved(below steps: [PathKey]) -> RankPart { RankPart(kind: kind, owner: steps + owner) }

  /// The name of the library's mechanism, for messages.
  package var description: String {
    switch kind {
    case .distributedTensor: "DTensor"
    case .shardedTensor: "ShardedTensor"
    case .zeroParameter: "DeepSpeed ZeRO stage 3"
    case .zeroPartition: "partition of a DeepSpeed ZeRO optimizer"
    case .flatParameter: "flat parameter of FSDP"
    case .modelParallel(let setting): "model parallelism, \(setting)"
    case .unjoinedPlacement(let name): "DTensor with the placement \(name)"
    case .unrecordedPosition: "sizes differ between ranks, and the position of the parts is not recorded"
    }
  }

  /// The instructions for joining the parts.
  var remedy: String {
    switch kind {
    case .unjoinedPlacement:
      "Save DTensor.full_tensor() of it where the model was trained, or leave it out with --except."
    case .unrecordedPosition:
      "Leave it out with --except, or join the ranks with the program that saved them."
    case .distributedTensor, .shardedTensor:
      "Join the ranks where the model was trained: save torch.distributed.checkpoint.state_dict.get_model_state_dict(model, "
        + "options=StateDictOptions(full_state_dict=True)), or save with torch.distributed.checkpoint and name its folder."
    case .zeroParameter, .zeroPartition:
      "The rest is in the files of the other ranks. Name the checkpoint's folder, or join them with DeepSpeed's script in the checkpoint's folder: python zero_to_fp32.py . OUTPUT"
    case .flatParameter:
      "Join the ranks with FairScale's FullyShardedDataParallel.consolidate_shard_weights."
    case .modelParallel:
      "Join the ranks with Megatron's tools/checkpoint/convert.py, target tensor and pipeline parallel size 1."
    }
  }
}

// MARK: Marking parts

extension RankPart {
  /// Marks every tensor that is one process's part of a larger one. O(tensors + objects).
  ///
  /// All such decisions are made here, except those that depend on a class in the pickle: see
  /// ``TensorReconstruction/rankPartKind(of:)``.
  ///
  /// - Parameter owners: the objects that hold parts, by their paths.
  static func mark(_ contents: inout CheckpointContents, owners: [[PathKey]: RankPart]) {
    let layout = DeepSpeedFile(contents)
    let setting = modelParallelSetting(contents)
    let hasShardMetadata = contents.objects.contains { $0.path.first == .text("shard_metadata") }
    guard !owners.isEmpty || layout.isPartitioned || setting != nil || hasShardMetadata else { return }
    for index in contents.tensors.indices where contents.tensors[index].rankPart == nil {
      let entry = contents.tensors[index]
      var kind = layout.kind(of: entry)
      if kind == nil, hasShardMetadata, entry.path.last?.name.hasPrefix("flat_param") == true {
        kind = .flatParameter
      }
      if kind == nil, let setting, !entry.tensor.shape.isEmpty, !isRandomState(entry.path) {
        kind = .modelParallel(setting: setting)
      }
      if let kind { contents.tensors[index].rankPart = RankPart(kind: kind, owner: entry.path) }
      if !owners.isEmpty,
        let owner = entry.path.indices.lazy.compactMap({ owners[Array(entry.path[...$0])] }).first
      {
        contents.tensors[index].rankPart = owner
      }
    }
  }

  /// Returns true for a random generator's state, which belongs to each process alone.
  private static func isRandomState(_ path: [PathKey]) -> Bool {
    path.contains { $0.name.contains("rng") || $0.name.contains("random") }
  }

  /// Returns the name and value of the setting by which Megatron, or DeepSpeed with model parallelism, shows that
  /// other files hold the rest; nil when there is none.
  private static func modelParallelSetting(_ contents: CheckpointContents) -> String? {
    let sizes: Set<String> = [
      "tensor_model_parallel_size", "pipeline_model_parallel_size", "model_parallel_size", "mp_world_size",
    ]
    let homes: Set<String> = ["args", "hyper_parameters", "cfg", "config", "megatron_args"]
    for object in contents.objects {
      guard let last = object.path.last, case .text(let name) = last, sizes.contains(name),
        case .integer(let size)? = object.value, size > 1, object.path.count <= 3,
        object.path.count == 1 || homes.contains(object.path[0].name)
      else { continue }
      return "\(object.name.escapedForDisplay) \(size)"
    }
    return nil
  }
}

/// The parameters and partitions that a DeepSpeed engine's file describes.
///
/// Source: DeepSpeed `deepspeed/utils/zero_to_fp32.py`, `deepspeed/checkpoint/constants.py`.
private struct DeepSpeedFile {
  /// The number of elements of each whole parameter.
  private var elementCounts: [ExactText: Int] = [:]
  private var hasPartitions = false
  /// True when the file has a key that a DeepSpeed engine writes, such as `ds_version`.
  private var isEngine = false

  var isPartitioned: Bool { hasPartitions || isEngine || !elementCounts.isEmpty }

  private static let groups: Set<String> = [
    "single_partition_of_fp32_groups", "fp32_flat_groups", "local_sub_partitions_of_fp32_groups",
  ]

  init(_ contents: CheckpointContents) {
    var shapes: [ExactText: [Int]] = [:]
    var partitionCount: Int64?
    for object in contents.objects {
      guard let first = object.path.first, case .text(let section) = first else { continue }
      switch section {
      case "param_shapes", "frozen_param_shapes":
        // The path is param_shapes.GROUP.NAME.AXIS. Older versions and frozen parameters have no GROUP. A shape
        // without axes is one object.
        var steps = object.path.dropFirst()
        if case .position? = steps.first { steps = steps.dropFirst() }
        guard let name = steps.first, case .text(let text) = name, steps.count <= 2 else { continue }
        if steps.count == 1 {
          shapes[ExactText(text)] = []
        } else if case .integer(let size)? = object.value, let size = Int(exactly: size) {
          shapes[ExactText(text), default: []].append(size)
        }
      case "optimizer_state_dict":
        guard object.path.count >= 2, object.path[1] == .text("partition_count"),
          case .integer(let count)? = object.value
        else { continue }
        partitionCount = max(partitionCount ?? 0, count)
      case "ds_version", "ds_config", "dp_world_size": isEngine = true
      default: break
      }
    }
    elementCounts = shapes.isEmpty ? [:] : shapes.compactMapValues { checkedProduct($0) }
    let isOptimizer = contents.tensors.contains {
      $0.path.count >= 2 && $0.path[0] == .text("optimizer_state_dict")
        && Self.groups.contains($0.path[1].name)
    }
    // A single partition is the whole state.
    hasPartitions = isOptimizer && partitionCount != 1
  }

  /// Returns the kind of part that a tensor is; nil for a whole tensor.
  func kind(of entry: CheckpointTensor) -> RankPart.Kind? {
    guard let first = entry.path.first, case .text(let section) = first else { return nil }
    switch section {
    case "optimizer_state_dict":
      return hasPartitions && !entry.tensor.shape.isEmpty ? .zeroPartition : nil
    case "module", "frozen_param_fragments":
      guard entry.path.count == 2, case .text(let name) = entry.path[1] else { return nil }
      // Stage 3 saves an empty tensor for each parameter.
      if let count = elementCounts[ExactText(name)] {
        return entry.tensor.elementCount < count ? .zeroParameter : nil
      }
      return isEngine && entry.tensor.shape == [0] ? .zeroParameter : nil
    default: return nil
    }
  }
}
