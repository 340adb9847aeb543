internal import DecantBytes
internal import DecantTensors

/// One process's piece of a tensor that several processes hold: its elements, and where they are in the whole tensor.
///
/// Source: PyTorch `torch/distributed/tensor`, `torch/distributed/_shard`; docs/formats/ranks.md.
package struct RankPiece: Sendable {
  /// The division of a tensor among processes. All pieces of a tensor record the same one.
  enum Division: Sendable, Equatable {
    /// The placements of a `DTensor`.
    case mesh(MeshDivision)
    /// The shards that the metadata of a `ShardedTensor` lists.
    case shards([Shard])
  }

  /// One shard of a `ShardedTensor`.
  struct Shard: Sendable, Equatable {
    let offsets: [Int]
    let sizes: [Int]
    /// The rank of the process that holds it; nil when the placement names no rank.
    let rank: Int?
  }

  /// The dtype and the sizes of the whole tensor.
  let dtype: DType
  let shape: [Int]
  let requiresGrad: Bool
  let division: Division
  /// The regions of the division that this process holds, with their elements.
  let held: [(region: Int, tensor: Tensor)]
  /// The process's rank; nil when the file does not record it.
  let rank: Int?

  /// The ranks of the other processes that hold parts, ascending; empty when the file does not record them.
  var otherRanks: [Int] {
    let ranks: [Int] =
      switch division {
      case .mesh(let mesh): mesh.ranks
      case .shards(let shards): shards.compactMap(\.rank)
      }
    return Set(ranks).subtracting(rank.map { [$0] } ?? []).sorted()
  }
}

/// A part of a tensor that one process holds as a tensor of its own.
struct RankRegion: Sendable {
  /// The sizes of the process's own tensor.
  let shape: [Int]
  /// The boxes of the whole tensor, and where each begins in the process's own tensor. A strided placement makes
  /// several.
  let boxes: [Box]

  struct Box: Sendable {
    let offsets: [Int]
    let sizes: [Int]
    let localOffsets: [Int]
  }
}

/// The division of a `DTensor` by its placements on a mesh of processes.
///
/// Source: PyTorch 2.13 `torch/distributed/tensor/placement_types.py` and `_dtensor_spec.py`.
struct MeshDivision: Sendable, Equatable {
  enum Placement: Sendable, Equatable {
    case replicate
    case shard(axis: Int)
    /// Cut into `factor` parts first, of which each process has a part.
    case stridedShard(axis: Int, factor: Int)
    /// A sum or another reduction that was not carried out, or a placement that is not known.
    case other(String)
  }

  /// One cut of a tensor's axis by a dimension of the mesh.
  struct Cut: Sendable, Equatable {
    let axis: Int
    let meshAxis: Int
    let factor: Int
  }

  /// The number of processes along each dimension of the mesh.
  let sizes: [Int]
  let placements: [Placement]
  /// The cuts in the order in which they were made.
  let cuts: [Cut]
  /// The ranks on the mesh, when the file records them. Two halves of a mesh have different ranks and one division.
  let ranks: [Int]

  static func == (a: MeshDivision, b: MeshDivision) -> Bool {
    a.sizes == b.sizes && a.placements == b.placements && a.cuts == b.cuts
  }

  /// - Parameters:
  ///   - order: for each tensor axis, the mesh dimensions in the order of their cuts; nil for the order that the
  ///     placements give.
  init?(sizes: [Int], placements: [Placement], order: [(axis: Int, meshAxes: [Int])]?, ranks: [Int]) {
    guard sizes.count == placements.count, sizes.allSatisfy({ $0 > 0 }),
      let count = checkedProduct(sizes), count <= 1 << 20
    else { return nil }
    self.sizes = sizes
    self.placements = placements
    self.ranks = ranks
    if let order {
      var cuts: [Cut] = []
      for (axis, meshAxes) in order {
        for meshAxis in meshAxes {
          guard placements.indices.contains(meshAxis), placements[meshAxis] == .shard(axis: axis) else {
            return nil
          }
          cuts.append(Cut(axis: axis, meshAxis: meshAxis, factor: 1))
        }
      }
      let cut = cuts.map(\.meshAxis)
      let sharded = placements.indices.filter { if case .shard = placements[$0] { true } else { false } }
      guard Set(cut).count == cut.count, cut.sorted() == sharded else { return nil }
      self.cuts = cuts
    } else {
      cuts = Self.decodedOrder(sizes, placements) ?? Self.writtenOrder(placements)
    }
  }

  /// The placement that cannot be joined; nil when all can.
  var refusedPlacement: String? {
    for placement in placements { if case .other(let name) = placement { return name } }
    return nil
  }

  /// The number of processes of the mesh.
  var processCount: Int { sizes.reduce(1, *) }

  /// Returns the cuts in the order of the placements.
  private static func writtenOrder(_ placements: [Placement]) -> [Cut] {
    placements.enumerated().compactMap { meshAxis, placement in
      switch placement {
      case .shard(let axis): Cut(axis: axis, meshAxis: meshAxis, factor: 1)
      case .stridedShard(let axis, let factor): Cut(axis: axis, meshAxis: meshAxis, factor: factor)
      case .replicate, .other: nil
      }
    }
  }

  /// Returns the cuts in the order in which the tensor was cut, without strides; nil when the strides fit no order.
  ///
  /// FSDP 2 over tensor parallelism writes `[_StridedShard(0, sf=2), Shard(0)]`: the second dimension of the mesh cuts
  /// first.
  private static func decodedOrder(_ sizes: [Int], _ placements: [Placement]) -> [Cut]? {
    var order: [Int: [Int]] = [:]
    for (meshAxis, placement) in placements.enumerated().reversed() {
      let axis: Int
      let factor: Int
      switch placement {
      case .shard(let shardAxis): (axis, factor) = (shardAxis, 1)
      case .stridedShard(let shardAxis, let splitFactor): (axis, factor) = (shardAxis, splitFactor)
      case .replicate, .other: continue
      }
      var known = order[axis] ?? []
      var product = 1
      var position: Int?
      for index in 0...known.count {
        if product == factor {
          position = index
          break
        }
        if index < known.count { product *= sizes[known[index]] }
      }
      guard let position else { return nil }
      known.insert(meshAxis, at: position)
      order[axis] = known
    }
    return order.sorted { $0.key < $1.key }.flatMap { axis, meshAxes in
      meshAxes.map { Cut(axis: axis, meshAxis: $0, factor: 1) }
    }
  }

  /// Returns the number of a process's region. Processes that hold the same elements have the same number.
  func region(at coordinates: [Int]) -> Int? {
    guard coordinates.count == sizes.count, zip(coordinates, sizes).allSatisfy({ 0 <= $0 && $0 < $1 }) else {
      return nil
    }
    let cut = Set(cuts.map(\.meshAxis))
    return sizes.indices.reduce(0) { $0 * sizes[$1] + (cut.contains($1) ? coordinates[$1] : 0) }
  }

  /// The numbers of all regions, ascending. Together they hold each element once.
  var regions: [Int] {
    let cut = Set(cuts.map(\.meshAxis))
    var regions = [0]
    for meshAxis in sizes.indices {
      regions = regions.flatMap { region in
        (0..<(cut.contains(meshAxis) ? sizes[meshAxis] : 1)).map { region * sizes[meshAxis] + $0 }
      }
    }
    return regions
  }

  /// Returns the part of a tensor that a region holds; nil when there is no such axis, or a strided placement makes
  /// too many boxes. O(boxes).
  func region(_ number: Int, of shape: [Int]) -> RankRegion? {
    var rest = number
    var coordinates = [Int](repeating: 0, count: sizes.count)
    for meshAxis in sizes.indices.reversed() {
      coordinates[meshAxis] = rest % sizes[meshAxis]
      rest /= sizes[meshAxis]
    }
    // The indices that the process holds along each axis, in the order of its own tensor.
    var runs = shape.map { [0..<$0] }
    for cut in cuts {
      guard shape.indices.contains(cut.axis), cut.factor > 0, cut.factor <= 4096 else { return nil }
      let count = sizes[cut.meshAxis]
      runs[cut.axis] = (0..<cut.factor).flatMap { part in
        Self.chunk(
          coordinates[cut.meshAxis], of: count,
          in: cut.factor == 1 ? runs[cut.axis] : Self.chunk(part, of: cut.factor, in: runs[cut.axis]))
      }
    }
    let local = runs.map { $0.reduce(0) { $0 + $1.count } }
    var boxes = [RankRegion.Box(offsets: [], sizes: [], localOffsets: [])]
    guard let count = checkedProduct(runs.map(\.count)), count <= 1 << 16 else { return nil }
    for axis in shape.indices {
      boxes = boxes.flatMap { box in
        var start = 0
        return runs[axis].map { run in
          defer { start += run.count }
          return RankRegion.Box(
            offsets: box.offsets + [run.lowerBound], sizes: box.sizes + [run.count],
            localOffsets: box.localOffsets + [start])
        }
      }
    }
    return RankRegion(shape: local, boxes: boxes)
  }

  /// Returns one of the equal parts of a list of runs, as `torch.chunk` cuts: every part but the last has the size
  /// divided by the number of parts, rounded up, and the last parts may be empty.
  private static func chunk(_ index: Int, of count: Int, in runs: [Range<Int>]) -> [Range<Int>] {
    let total = runs.reduce(0) { $0 + $1.count }
    let size = (total + count - 1) / count
    let lower = min(total, size.multipliedReportingOverflow(by: index).partialValue)
    let upper = min(total, lower + size)
    var start = 0
    return runs.compactMap { run in
      defer { start += run.count }
      let from = max(lower, start)
      let to = min(upper, start + run.count)
      return from < to
        ? (run.lowerBound + from - start)..<(run.lowerBound + to - start) : nil
    }
  }
}
