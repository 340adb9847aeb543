internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// Reconstruction of tensors that are split over several processes: `DTensor` and `ShardedTensor`.
///
/// Source: PyTorch `torch/distributed/tensor/_api.py`, `torch/distributed/_shard/sharded_tensor/api.py`;
/// docs/formats/torch-objects.md.
extension TensorReconstruction {
  /// The qualified names of `DTensor` in the modules that have defined it.
  static let distributedTensors: Set<String> = [
    "torch.distributed.tensor.DTensor", "torch.distributed._tensor.api.DTensor",
    "torch.distributed.tensor._api.DTensor", "torch.distributed._tensor.DTensor",
  ]

  /// The qualified names of `ShardedTensor` in the modules that have defined it.
  static let shardedTensors: Set<String> = [
    "torch.distributed._shard.sharded_tensor.api.ShardedTensor",
    "torch.distributed._shard.sharded_tensor.ShardedTensor",
    "torch.distributed._sharded_tensor.api.ShardedTensor", "torch.distributed._sharded_tensor.ShardedTensor",
  ]

  /// Returns the data of a distributed tensor when this process has all of it; otherwise nil.
  func wholeDistributed(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> Tensor? {
    guard let type = graph.global(arguments[1])?.qualifiedName, let outer = graph.tuple(arguments[2]),
      outer.count == 8
    else { return nil }
    let local: Tensor?
    if Self.distributedTensors.contains(type) {
      local = try localTensor(arguments[3], nesting: nesting)
    } else if Self.shardedTensors.contains(type) {
      local = try onlyShard(arguments[3], nesting: nesting)
    } else {
      return nil
    }
    guard let local, local.storage.content != nil, integers(outer[2]) == local.shape,
      (try? dtype(outer[1])) == local.dtype
    else { return nil }
    return local.with(requiresGrad: outer[7] == .bool(true))
  }

  /// Returns the local tensor of a `DTensor`; nil when it is a partial sum, to be added to those of other processes.
  private func localTensor(_ state: PickleValue, nesting: Int) throws(DecantError) -> Tensor? {
    for part in graph.tuple(state) ?? [state] {
      guard let pairs = graph.dictionary(part),
        let local = pairs.first(where: { graph.isText($0.key, "_local_tensor") })
      else { continue }
      if let spec = pairs.first(where: { graph.isText($0.key, "_spec") })?.value, isPartialSum(spec) {
        return nil
      }
      return try tensor(local.value, "the local tensor", nesting: nesting)
    }
    return nil
  }

  /// Returns true when a specification has the placement `Partial` on a mesh of more than one process.
  private func isPartialSum(_ spec: PickleValue) -> Bool {
    guard let placements = attribute("placements", of: spec),
      let all = graph.tuple(placements) ?? graph.list(placements)
    else { return false }
    let isPartial = all.contains { placement in
      graph.object(placement).flatMap { graph.madeClass($0) ?? graph.callable($0.callable) }?.name
        .contains("Partial") == true
    }
    return isPartial && attribute("mesh", of: spec).flatMap { processCount(of: $0) } != 1
  }

  /// Returns the number of processes of a device mesh; nil when it is unknown.
  private func processCount(of mesh: PickleValue) -> Int? {
    for name in ["_flatten_rank_map", "mesh", "_mesh", "_rank_map"] {
      guard let ranks = attribute(name, of: mesh) else { continue }
      if let list = graph.tuple(ranks) ?? graph.list(ranks) { return list.count }
      if let tensor = try? tensor(ranks, "the mesh", nesting: 1) { return tensor.elementCount }
    }
    return nil
  }

  /// Returns the data of a `ShardedTensor` that has a single shard; otherwise nil.
  private func onlyShard(_ state: PickleValue, nesting: Int) throws(DecantError) -> Tensor? {
    guard holdsAllShards(state), let shards = graph.tuple(state).flatMap({ graph.list($0[0]) }),
      shards.count == 1,
      let data = attribute("tensor", of: shards[0])
    else { return nil }
    return try tensor(data, "the shard", nesting: nesting)
  }

  /// The state and the whole tensor's description of a `ShardedTensor` that is a plain object, as PyTorch before 1.13
  /// wrote it.
  struct PlainSharded {
    let state: PickleValue
    let dtype: DType
    let shape: [Int]
    let requiresGrad: Bool
  }

  /// Returns the description of a `ShardedTensor` that is a plain object with a state; nil for other objects.
  ///
  /// The metadata's state is `(shards, size, dtype, layout, requires_grad, …)` in PyTorch 1.10 to 1.12, else a
  /// dictionary.
  ///
  /// Source: PyTorch 1.10 `torch/distributed/_sharded_tensor/api.py`, 1.12
  /// `torch/distributed/_shard/sharded_tensor/{api,metadata}.py`.
  func plainShardedState(_ object: PickleObject) -> PlainSharded? {
    // Most objects have no state, which is the cheapest test.
    guard let state = object.states.last,
      let name = (graph.madeClass(object) ?? graph.callable(object.callable))?.qualifiedName,
      Self.shardedTensors.contains(name), let parts = graph.tuple(state), parts.count >= 2,
      let metadata = graph.object(parts[1])
    else { return nil }
    var (size, dtype, requiresGrad): (PickleValue?, PickleValue?, PickleValue?)
    if let fields = metadata.states.last.flatMap({ graph.tuple($0) }), fields.count == 7 {
      (size, dtype, requiresGrad) = (fields[1], fields[2], fields[4])
    } else {
      size = attribute("size", of: parts[1])
      let properties = attribute("tensor_properties", of: parts[1])
      if let fields = properties.flatMap({ graph.object($0)?.states.last }).flatMap({ graph.tuple($0) }),
        fields.count == 5
      {
        (dtype, requiresGrad) = (fields[0], fields[2])
      } else if let properties {
        (dtype, requiresGrad) = (
          attribute("dtype", of: properties), attribute("requires_grad", of: properties)
        )
      }
    }
    guard let shape = size.flatMap(integers), let dtype = dtype.flatMap({ try? self.dtype($0) }) else {
      return nil
    }
    return PlainSharded(state: state, dtype: dtype, shape: shape, requiresGrad: requiresGrad == .bool(true))
  }

  /// Returns the tensor of a `ShardedTensor` that is a plain object: its data when this process has all of it, else a
  /// tensor without data. Nil for other objects.
  func plainSharded(_ object: PickleObject, nesting: Int) throws(DecantError) -> Tensor? {
    guard let found = plainShardedState(object) else { return nil }
    if let local = try onlyShard(found.state, nesting: nesting), local.storage.content != nil,
      local.shape == found.shape, local.dtype == found.dtype
    {
      return local.with(requiresGrad: found.requiresGrad)
    }
    guard
      let byteCount = checkedProduct(found.shape).flatMap({ $0.checkedMultiplying(by: found.dtype.byteCount) }
      )
    else { return nil }
    return try Tensor(
      dtype: found.dtype, shape: found.shape, storage: Storage(key: "", byteCount: byteCount, content: nil),
      requiresGrad: found.requiresGrad, limits: limits)
  }

  /// Returns the records of all shards in the metadata of a `ShardedTensor`.
  func allShards(_ metadata: PickleValue) -> [PickleValue]? {
    if let fields = graph.object(metadata)?.states.last.flatMap({ graph.tuple($0) }), fields.count == 7 {
      return graph.list(fields[0])
    }
    return attribute("shards_metadata", of: metadata).flatMap { graph.list($0) }
  }

  /// Returns true when a state `(local shards, metadata, …)` has as many shards as its metadata lists.
  private func holdsAllShards(_ state: PickleValue) -> Bool {
    guard let parts = graph.tuple(state), parts.count >= 2, let local = graph.list(parts[0]),
      let all = allShards(parts[1])
    else { return false }
    return local.count == all.count
  }

  /// Returns an attribute of an object, from its dictionary or its slots; nil when it has no such attribute.
  func attribute(_ name: String, of value: PickleValue) -> PickleValue? {
    guard let object = graph.object(value) else { return nil }
    for state in object.states {
      for members in [state] + (graph.tuple(state) ?? []) {
        if let pair = graph.dictionary(members)?.last(where: { graph.isText($0.key, name) }) {
          return pair.value
        }
      }
    }
    return nil
  }

  /// Returns the kind of part when this process holds only a part of the tensor that a call makes; otherwise nil.
  func rankPartKind(of object: PickleObject, depth: Int = 8) -> RankPart.Kind? {
    guard depth > 0, let callable = graph.madeClass(object) ?? graph.callable(object.callable) else {
      return nil
    }
    let name = callable.qualifiedName
    if Self.shardedTensors.contains(name) {
      // PyTorch before 1.13 wrote an object and its state.
      return object.states.contains { holdsAllShards($0) } ? nil : .shardedTensor
    }
    guard callable.module == "torch._tensor" || callable.module == "torch._utils",
      let arguments = graph.tuple(object.arguments)
    else { return nil }
    if name.hasPrefix("torch._tensor._rebuild_from_type"), arguments.count == 4 {
      if let type = graph.global(arguments[1])?.qualifiedName {
        if Self.distributedTensors.contains(type) {
          // The tensor is whole when its local tensor, which may be made of other tensors, has the same shape.
          let local = (try? localTensor(arguments[3], nesting: 1)) ?? nil
          let shape = graph.tuple(arguments[2]).flatMap { $0.count > 2 ? integers($0[2]) : nil }
          return local != nil && local?.shape == shape ? nil : .distributedTensor
        }
        if Self.shardedTensors.contains(type) { return .shardedTensor }
      }
      guard let inner = graph.tuple(arguments[2])?.first.flatMap({ graph.object($0) }) else { return nil }
      return rankPartKind(of: inner, depth: depth - 1)
    }
    guard name.hasPrefix("torch._utils._rebuild_parameter"),
      let inner = arguments.first.flatMap({ graph.object($0) })
    else { return nil }
    return rankPartKind(of: inner, depth: depth - 1)
  }
}
