internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// The pieces of tensors that several processes hold, read from the records of `DTensor` and `ShardedTensor`.
///
/// Source: PyTorch 2.13 `torch/distributed/tensor/_api.py`, `_dtensor_spec.py`, `torch/distributed/device_mesh.py`,
/// `torch/distributed/_shard/sharded_tensor/api.py`; docs/formats/ranks.md.
extension TensorReconstruction {
  /// Returns the piece that a call makes; nil when it makes a whole tensor, or does not record where the piece is.
  func rankPiece(of object: PickleObject, depth: Int = 8) -> RankPiece? {
    if let plain = plainShardedState(object) {
      return shardedPiece(plain.dtype, plain.shape, requiresGrad: plain.requiresGrad, plain.state)
    }
    guard depth > 0, let callable = graph.callable(object.callable),
      callable.module == "torch._tensor" || callable.module == "torch._utils",
      let arguments = graph.tuple(object.arguments)
    else { return nil }
    let name = callable.qualifiedName
    if name.hasPrefix("torch._utils._rebuild_parameter"), let first = arguments.first.flatMap(graph.object) {
      return rankPiece(of: first, depth: depth - 1)
    }
    guard name.hasPrefix("torch._tensor._rebuild_from_type"), arguments.count == 4,
      let type = graph.global(arguments[1])?.qualifiedName, let outer = graph.tuple(arguments[2])
    else { return nil }
    if Self.distributedTensors.contains(type) { return placedPiece(outer, arguments[3]) }
    if Self.shardedTensors.contains(type) {
      guard outer.count == 8, let dtype = try? dtype(outer[1]), let shape = integers(outer[2]) else {
        return nil
      }
      return shardedPiece(dtype, shape, requiresGrad: outer[7] == .bool(true), arguments[3])
    }
    return outer.first.flatMap(graph.object).flatMap { rankPiece(of: $0, depth: depth - 1) }
  }

  // MARK: DTensor

  private func placedPiece(_ outer: [PickleValue], _ state: PickleValue) -> RankPiece? {
    guard outer.count == 8, let dtype = try? dtype(outer[1]), let shape = integers(outer[2]) else {
      return nil
    }
    for part in graph.tuple(state) ?? [state] {
      guard let pairs = graph.dictionary(part),
        let local = pairs.last(where: { graph.isText($0.key, "_local_tensor") })?.value,
        let spec = pairs.last(where: { graph.isText($0.key, "_spec") })?.value,
        let mesh = attribute("mesh", of: spec),
        let sizes = meshSizes(mesh),
        let placements = attribute("placements", of: spec).flatMap({ graph.tuple($0) ?? graph.list($0) }),
        let tensor = try? tensor(local, "the local tensor", nesting: 0)
      else { continue }
      let coordinates = attribute("_coordinate_on_dim", of: mesh).flatMap(integers)
      let map = ["_flatten_rank_map", "_flatten_mesh_list"].lazy.compactMap { attribute($0, of: mesh) }.first
      let ranks = map.flatMap(integers).flatMap { $0.count == checkedProduct(sizes) ? $0 : nil } ?? []
      guard
        let division = MeshDivision(
          sizes: sizes, placements: placements.map { placement($0, rank: shape.count) },
          order: cutOrder(spec), ranks: ranks), division.processCount > 1
      else { return nil }
      let region = coordinates.flatMap { division.region(at: $0) }
      // A process outside the mesh has no coordinates, and holds nothing.
      guard coordinates == nil || region != nil else { return nil }
      var rank: Int?
      if case .int(let number)? = attribute("_rank", of: mesh) { rank = Int(exactly: number) }
      if rank == nil, let coordinates, ranks.count == division.processCount {
        rank = ranks[zip(coordinates, sizes).reduce(0) { $0 * $1.1 + $1.0 }]
      }
      return RankPiece(
        dtype: dtype, shape: shape, requiresGrad: outer[7] == .bool(true), division: .mesh(division),
        held: region.map { [($0, tensor)] } ?? [], rank: rank)
    }
    return nil
  }

  private func placement(_ value: PickleValue, rank: Int) -> MeshDivision.Placement {
    guard let object = graph.object(value),
      let name = (graph.madeClass(object) ?? graph.callable(object.callable))?.name
    else { return .other("unknown") }
    func number(_ attribute: String) -> Int? {
      guard case .int(let number)? = self.attribute(attribute, of: value) else { return nil }
      return Int(exactly: number)
    }
    let axis = number("dim").map { $0 < 0 ? $0 + rank : $0 }
    switch name {
    case "Replicate": return .replicate
    case "Shard": if let axis { return .shard(axis: axis) }
    case "_StridedShard":
      if let axis, let factor = number("split_factor") { return .stridedShard(axis: axis, factor: factor) }
    default: break
    }
    return .other(name)
  }

  /// Returns the order of cuts that a specification records: for each tensor axis the mesh dimensions. Nil when the
  /// placements give it.
  private func cutOrder(_ spec: PickleValue) -> [(axis: Int, meshAxes: [Int])]? {
    guard let recorded = attribute("shard_order", of: spec),
      let entries = graph.tuple(recorded) ?? graph.list(recorded)
    else { return nil }
    return entries.map { entry in
      guard let object = graph.object(entry), let members = graph.tuple(object.arguments), members.count == 2,
        case .int(let axis) = members[0], let axis = Int(exactly: axis), let meshAxes = integers(members[1])
      else { return (-1, [-1]) }
      return (axis, meshAxes)
    }
  }

  /// Returns the number of processes along each dimension of a device mesh; nil when it is not recorded.
  private func meshSizes(_ mesh: PickleValue) -> [Int]? {
    if let layout = attribute("_layout", of: mesh) {
      // PyTorch 2.13 holds a layout for each dimension, 2.9 one shape.
      if let axes = attribute("axes", of: layout).flatMap({ graph.tuple($0) ?? graph.list($0) }) {
        let sizes = axes.compactMap { attribute("shape", of: $0).flatMap(product) }
        return sizes.count == axes.count ? sizes : nil
      }
      if let shape = attribute("shape", of: layout) {
        guard let elements = graph.tuple(shape) else { return product(shape).map { [$0] } }
        let sizes = elements.compactMap { product($0) }
        return sizes.count == elements.count ? sizes : nil
      }
    }
    for name in ["mesh", "_mesh"] {
      if let ranks = attribute(name, of: mesh), let tensor = try? tensor(ranks, "the mesh", nesting: 0) {
        return tensor.shape
      }
    }
    return nil
  }

  /// Returns an integer, or the product of a tuple of integers; nil for other values.
  private func product(_ value: PickleValue) -> Int? {
    if case .int(let number) = value { return Int(exactly: number) }
    return integers(value).flatMap { $0.contains { $0 < 0 } ? nil : checkedProduct($0) }
  }

  // MARK: ShardedTensor

  private func shardedPiece(
    _ dtype: DType, _ shape: [Int], requiresGrad: Bool, _ state: PickleValue
  ) -> RankPiece? {
    guard let parts = graph.tuple(state), parts.count >= 2, let local = graph.list(parts[0]),
      let all = allShards(parts[1]), all.count > 1
    else { return nil }
    let shards = all.compactMap { shard($0) }
    guard shards.count == all.count else { return nil }
    var rank: Int?
    if parts.count > 2, case .int(let number)? = attribute("global_rank", of: parts[2]) {
      rank = Int(exactly: number)
    }
    var held: [(region: Int, tensor: Tensor)] = []
    for value in local {
      guard let metadata = attribute("metadata", of: value).flatMap(shard),
        let region = shards.firstIndex(of: metadata)
          ?? shards.firstIndex(where: { $0.offsets == metadata.offsets && $0.sizes == metadata.sizes }),
        let tensor = attribute("tensor", of: value).flatMap({
          try? tensor($0, "the shard", nesting: 0)
        })
      else { return nil }
      rank = rank ?? metadata.rank
      held.append((region, tensor))
    }
    return RankPiece(
      dtype: dtype, shape: shape, requiresGrad: requiresGrad, division: .shards(shards),
      held: held, rank: rank)
  }

  private func shard(_ value: PickleValue) -> RankPiece.Shard? {
    guard let offsets = attribute("shard_offsets", of: value).flatMap(integers),
      // PyTorch 1.10 calls the sizes lengths.
      let sizes = ["shard_sizes", "shard_lengths"].lazy.compactMap({ attribute($0, of: value) }).first
        .flatMap(integers)
    else { return nil }
    var rank: Int?
    if let placement = attribute("placement", of: value),
      case .int(let number)? = attribute("_rank", of: placement)
    {
      rank = Int(exactly: number)
    }
    return RankPiece.Shard(offsets: offsets, sizes: sizes, rank: rank)
  }
}
