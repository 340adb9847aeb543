internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// The files of one run's processes, joined to whole tensors.
///
/// A tensor that was split is a view of all files: every element is in the file of one process, or in those of several
/// that hold the same. A value that was not split is that of the lowest rank that has it.
///
/// Source: docs/formats/ranks.md.
struct RankJoin {
  /// One process's file.
  struct Member {
    let file: InputFile
    let parts: Checkpoint.Parts
    /// The rank that the file's pieces record; nil when they record none.
    let rank: Int?

    /// The process's name for messages.
    var name: String { rank.map { "rank \($0)" } ?? file.path.escapedForDisplay }
  }

  private let members: [Member]
  private let limits: Limits
  private var result = Checkpoint.Parts(container: .ranks, contents: CheckpointContents())
  private var checks = StorageChecks()
  /// The storage of each joined tensor, by what it consists of: shared tensors stay shared.
  private var joined: [Composition: Storage] = [:]
  /// The ranks of regions that no file holds. `unranked` counts those whose rank is not recorded.
  private var missingRanks: Set<Int> = []
  private var unranked = 0
  /// The ranks that hold copies of elements and whose files are not among those joined.
  private var absentCopies: Set<Int> = []
  /// The names of values that differ between ranks, and of tensors that could not be compared.
  private var differing: [String] = []
  private var uncompared: [String] = []

  /// The parts of a joined tensor: views of the ranks' storages, at the offsets of boxes.
  private struct Composition: Hashable {
    let dtype: DType
    let shape: [Int]
    var boxOffsets: [[Int]] = []
    var views: [View] = []
  }

  private struct View: Hashable {
    let region: Int
    let storage: ObjectIdentifier
    let offset: Int
    let shape: [Int]
    let strides: [Int]
  }

  /// Opens and joins the files. Reads no weights but those of small tensors that are not split.
  ///
  /// - Throws: ``DecantError`` when a file is no piece, or when the files do not belong together.
  static func open(_ files: [InputFile], limits: Limits) throws(DecantError) -> (
    Checkpoint.Parts, [InputFile]
  ) {
    var members: [Member] = []
    for file in files {
      do throws(DecantError) {
        members.append(
          try member(file, try Checkpoint.parts(of: ByteSource(file), limits: limits, nesting: 0)))
      } catch { throw error.located(file: file.path) }
    }
    let order = members.indices.sorted {
      (members[$0].rank ?? .max, $0) < (members[$1].rank ?? .max, $1)
    }
    members = order.map { members[$0] }
    for (first, second) in zip(members, members.dropFirst())
    where first.rank != nil && first.rank == second.rank {
      throw DecantError(
        .damaged, "is of \(first.name), and so is \(first.file.path.escapedForDisplay)",
        file: second.file.path, remedy: "Pass one file of each rank, all of one run.")
    }
    var join = RankJoin(members: members, limits: limits)
    try join.run()
    return (join.result, members.map(\.file))
  }

  private init(members: [Member], limits: Limits) {
    self.members = members
    self.limits = limits
  }

  private static func member(_ file: InputFile, _ parts: Checkpoint.Parts) throws(DecantError) -> Member {
    let pieces = parts.contents.tensors.compactMap(\.rankPiece)
    guard !pieces.isEmpty else {
      let part = parts.contents.tensors.lazy.compactMap(\.rankPart).first
      throw DecantError(
        .partialCheckpoint,
        part.map { "holds parts of tensors without a record of their position (\($0.description))" }
          ?? "holds no parts of DTensors or ShardedTensors, so there is nothing to join",
        file: file.path, remedy: part?.remedy ?? "Leave it out, or pass it alone: it is whole.")
    }
    let ranks = Set(pieces.compactMap(\.rank))
    guard ranks.count <= 1 else {
      throw DecantError(
        .damaged, "holds parts of ranks \(ranks.sorted().map(String.init).joined(separator: " and "))",
        file: file.path)
    }
    return Member(file: file, parts: parts, rank: ranks.first)
  }

  // MARK: Joining

  private mutating func run() throws(DecantError) {
    let owners = Set(
      members.flatMap { member in
        member.parts.contents.tensors.filter { $0.rankPiece != nil }.map(\.path)
          + member.parts.contents.tensors.compactMap { $0.rankPart?.owner }
      })
    func isInside(_ path: [PathKey]) -> Bool { path.indices.contains { owners.contains(Array(path[..<$0])) } }
    var order: [[PathKey]] = []
    var groups: [[PathKey]: [(member: Int, entry: CheckpointTensor)]] = [:]
    for (index, member) in members.enumerated() {
      for entry in member.parts.contents.tensors where !isInside(entry.path) {
        if groups[entry.path] == nil { order.append(entry.path) }
        // Of two entries at one path, Python keeps the last. A single file lists both, and so does this.
        groups[entry.path, default: []].append((index, entry))
      }
      let path = member.file.path.escapedForDisplay
      result.warnings += member.parts.warnings.map { "\(path): \($0)" }
      result.damage += member.parts.damage.map { $0.located(file: member.file.path) }
      if result.truncation == nil {
        result.truncation = member.parts.truncation?.located(file: member.file.path)
      }
    }
    guard order.count <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths, need: order.count),
        "\(Format.count(order.count, "tensor", ("is", "are"))) listed")
    }
    for path in order {
      let group = groups[path] ?? []
      do throws(DecantError) { try add(group) } catch {
        throw error.located(file: members[group[0].member].file.path, tensor: path.joinedName)
      }
    }
    addObjects(isInside)
    addContainerMetadata()
    report()
  }

  private mutating func add(_ group: [(member: Int, entry: CheckpointTensor)]) throws(DecantError) {
    let first = group[0].entry
    let pieces = group.compactMap { item in item.entry.rankPiece.map { (item.member, $0) } }
    guard !pieces.isEmpty else {
      if first.rankPart == nil { try addWhole(group) } else { result.contents.tensors.append(first) }
      return
    }
    guard pieces.count == group.count else {
      throw DecantError(
        .damaged, "is split in \(members[pieces[0].0].name) and not in other ranks",
        remedy: "The files are of different runs. Join the files of one run.")
    }
    try add(pieces, as: first)
  }

  /// Adds a tensor that was split.
  private mutating func add(
    _ pieces: [(member: Int, piece: RankPiece)], as entry: CheckpointTensor
  ) throws(DecantError) {
    let first = pieces[0].piece
    for (member, piece) in pieces.dropFirst()
    where piece.dtype != first.dtype || piece.shape != first.shape || piece.division != first.division {
      throw DecantError(
        .damaged,
        "\(members[pieces[0].member].name) records \(first.dtype.rawValue) \(first.shape) and \(members[member].name) \(piece.dtype.rawValue) \(piece.shape)"
          + (piece.shape == first.shape && piece.dtype == first.dtype ? ", split in another way" : ""),
        file: members[member].file.path,
        remedy: "The files are of different runs. Join the files of one run.")
    }
    if case .mesh(let mesh) = first.division, let placement = mesh.refusedPlacement {
      var refused = CheckpointTensor(
        path: entry.path, tensor: entry.tensor, role: entry.role, stateDict: entry.stateDict,
        subclass: entry.subclass, purpose: entry.purpose)
      refused.rankPart = RankPart(
        kind: .unjoinedPlacement(name: placement.escapedForDisplay), owner: entry.path)
      result.contents.tensors.append(refused)
      return
    }
    var holders: [Int: [(member: Int, tensor: Tensor)]] = [:]
    for (member, piece) in pieces {
      for (region, tensor) in piece.held { holders[region, default: []].append((member, tensor)) }
    }
    let (regions, layout, byteCount) = try layout(of: first)
    var items: [any ChunkSource] = []
    var composition = Composition(dtype: first.dtype, shape: first.shape)
    var (present, missing) = (0, 0)
    var states: Set<CheckpointTensor.State> = [.whole]
    for (number, region) in regions {
      let held = holders[number] ?? []
      guard !held.isEmpty else {
        if !region.boxes.isEmpty {
          missing += 1
          noteMissing(number, of: first)
        }
        for box in region.boxes {
          let count = (checkedProduct(box.sizes) ?? 0) * first.dtype.byteCount
          items.append(
            OpenChunkSource(
              MissingContent(
                byteCount: count,
                DecantError(.partMissing, "the file of the rank that holds this part is missing"))))
        }
        continue
      }
      present += 1
      for (member, tensor) in held {
        try require(tensor, region, first, members[member])
        states.insert(CheckpointTensor(path: entry.path, tensor: tensor).withState().state)
        composition.views.append(
          View(
            region: number, storage: ObjectIdentifier(tensor.storage), offset: tensor.storageOffset,
            shape: tensor.shape, strides: tensor.strides))
      }
      for box in region.boxes {
        composition.boxOffsets.append(box.offsets)
        var boxViews: [(rank: String, tensor: Tensor)] = []
        for (member, tensor) in held {
          boxViews.append((members[member].name, try view(of: tensor, box)))
        }
        let found = held.compactMap { checks.check(of: $0.tensor.storage) }
        items.append(RankChunk(boxViews, checks: found))
      }
    }
    noteCopies(first)
    let known = missing == 0 ? joined[composition] : nil
    let key = pieces.lazy.compactMap(\.piece.held.first).first?.tensor.storage.key ?? ""
    let storage =
      known
      ?? Storage(
        key: "joined:" + key, byteCount: byteCount,
        content: ChunkedContent(byteCount: byteCount, layout: layout, items: items))
    if missing == 0, !composition.views.isEmpty { joined[composition] = storage }
    var listed = CheckpointTensor(
      path: entry.path,
      tensor: try Tensor(
        dtype: first.dtype, shape: first.shape, storage: storage, requiresGrad: first.requiresGrad,
        limits: limits),
      role: entry.role, stateDict: entry.stateDict, purpose: entry.purpose)
    if missing > 0 {
      listed.state = present > 0 ? .truncated : .missing
    } else if states.count > 1 {
      listed.state = .truncated
    }
    result.contents.tensors.append(listed)
  }

  /// Returns the regions of a division in order, and the layout of their boxes, which proves that every element is in
  /// exactly one region.
  private func layout(
    of piece: RankPiece
  ) throws(DecantError) -> ([(number: Int, region: RankRegion)], ChunkLayout, Int) {
    var regions: [(number: Int, region: RankRegion)] = []
    switch piece.division {
    case .mesh(let mesh):
      // A file can record any mesh. The regions that are computed are bounded by the files that are there.
      guard mesh.processCount <= 64 * members.count else {
        throw DecantError(
          .partMissing, "\(members.count) of the files of \(mesh.processCount) ranks are here",
          remedy: "Pass the files of all ranks.")
      }
      for number in mesh.regions {
        guard let region = mesh.region(number, of: piece.shape) else {
          throw DecantError(
            .unsupportedFormat, "its placements \(mesh.placements) do not fit the shape \(piece.shape)",
            remedy: "Load it with PyTorch and save DTensor.full_tensor().")
        }
        regions.append((number, region))
      }
    case .shards(let shards):
      for (number, shard) in shards.enumerated() {
        let isEmpty = shard.sizes.contains(0)
        regions.append(
          (
            number,
            RankRegion(
              shape: shard.sizes,
              boxes: isEmpty
                ? []
                : [
                  .init(
                    offsets: shard.offsets, sizes: shard.sizes,
                    localOffsets: [Int](repeating: 0, count: shard.sizes.count))
                ])
          ))
      }
    }
    guard let count = checkedProduct(piece.shape),
      let byteCount = count.checkedMultiplying(by: piece.dtype.byteCount)
    else { throw DecantError(.damaged, "the shape \(piece.shape) is negative or too large") }
    guard piece.dtype.elementsPerByte == 1 else {
      throw DecantError(
        .unsupportedFormat, "elements of \(piece.dtype.rawValue), which share bytes, are split")
    }
    var boxes: [(offsets: [Int], sizes: [Int])] = []
    for (_, region) in regions { boxes += region.boxes.map { ($0.offsets, $0.sizes) } }
    guard boxes.allSatisfy({ ($0.offsets + $0.sizes).allSatisfy { $0 >= 0 } }) else {
      throw DecantError(.damaged, "the offsets or sizes of a shard are negative")
    }
    return (
      regions, try ChunkLayout(shape: piece.shape, elementByteCount: piece.dtype.byteCount, boxes: boxes),
      byteCount
    )
  }

  private func require(
    _ tensor: Tensor, _ region: RankRegion, _ whole: RankPiece, _ member: Member
  ) throws(DecantError) {
    guard tensor.dtype == whole.dtype else {
      throw DecantError(
        .damaged, "holds \(tensor.dtype.rawValue) where the tensor is \(whole.dtype.rawValue)",
        file: member.file.path)
    }
    guard tensor.shape == region.shape || (tensor.elementCount == 0 && region.boxes.isEmpty) else {
      throw DecantError(
        .damaged, "holds \(tensor.shape) where its place in \(whole.shape) has the sizes \(region.shape)",
        file: member.file.path, remedy: "The file is damaged, or was split in a way that PyTorch does not.")
    }
    guard tensor.layout == .strided, tensor.quantization == nil else {
      throw DecantError(
        .unsupportedFormat, "holds a part that is sparse or quantised", file: member.file.path)
    }
    guard tensor.storage.content != nil || tensor.elementCount == 0 else {
      throw DecantError(
        .noData, "holds a part without data", file: member.file.path,
        remedy: "Save the checkpoint again from a device that holds the data.")
    }
  }

  /// Returns the part of a process's own tensor that fills a box.
  private func view(of tensor: Tensor, _ box: RankRegion.Box) throws(DecantError) -> Tensor {
    if box.sizes == tensor.shape { return tensor }
    let offset = zip(box.localOffsets, tensor.strides).reduce(tensor.storageOffset) { $0 + $1.0 * $1.1 }
    return try Tensor(
      dtype: tensor.dtype, shape: box.sizes, strides: tensor.strides, storage: tensor.storage,
      storageOffset: offset, isConjugated: tensor.isConjugated, isNegated: tensor.isNegated, limits: limits)
  }

  // MARK: Values that are not split

  /// Adds a tensor that each process holds as a whole: that of the lowest rank.
  private mutating func addWhole(_ group: [(member: Int, entry: CheckpointTensor)]) throws(DecantError) {
    var first = group[0].entry
    for (member, entry) in group.dropFirst() where member != group[0].member {
      guard entry.tensor.dtype == first.tensor.dtype, entry.tensor.shape == first.tensor.shape else {
        first.rankPart = RankPart(kind: .unrecordedPosition, owner: first.path)
        break
      }
      switch Self.areEqual(first.tensor, entry.tensor) {
      case true?: continue
      case false?: differing.append(first.name)
      case nil: uncompared.append(first.name)
      }
      break
    }
    result.contents.tensors.append(first)
  }

  /// Returns true when two tensors hold the same bytes, by their checksums or, when they are small, by their bytes;
  /// nil when that would mean reading much.
  private static func areEqual(_ a: Tensor, _ b: Tensor) -> Bool? {
    if let left = a.storage.content as? ZipRecord, let right = b.storage.content as? ZipRecord,
      left.byteCount == right.byteCount, a.strides == b.strides, a.storageOffset == b.storageOffset,
      left.archive.recordsChecksum(of: left.entry), right.archive.recordsChecksum(of: right.entry)
    {
      if left.entry.crc32 == right.entry.crc32 { return true }
      if a.byteCount == left.byteCount { return false }
    }
    guard a.byteCount <= 1 << 16 else { return nil }
    let contents = [a, b].map { tensor in
      try? unsafe [UInt8](byteCount: tensor.byteCount) {
        if $0.count > 0 { try unsafe RowMajorContent(tensor).read(into: $0, at: 0) }
      }
    }
    guard let left = contents[0], let right = contents[1] else { return nil }
    return left == right
  }

  private mutating func addObjects(_ isInside: ([PathKey]) -> Bool) {
    var order: [[PathKey]] = []
    var first: [[PathKey]: CheckpointObject] = [:]
    var changed: Set<[PathKey]> = []
    for member in members {
      for object in member.parts.contents.objects where !isInside(object.path) {
        if let known = first[object.path] {
          let isSame = known.type == object.type && known.value == object.value && known.count == object.count
          if !isSame, changed.insert(object.path).inserted { differing.append(object.name) }
        } else {
          first[object.path] = object
          order.append(object.path)
        }
      }
    }
    result.contents.objects = order.compactMap { first[$0] }
  }

  private mutating func addContainerMetadata() {
    result.containerMetadata = [("ranks", String(members.count))]
    for fact in members[0].parts.containerMetadata
    where members.allSatisfy({ $0.parts.containerMetadata.contains { $0 == fact } }) {
      result.containerMetadata.append(fact)
    }
  }

  // MARK: Messages

  private mutating func noteMissing(_ region: Int, of piece: RankPiece) {
    let present = Set(members.compactMap(\.rank))
    switch piece.division {
    case .mesh(let mesh):
      if mesh.ranks.count == mesh.processCount {
        missingRanks.formUnion(Set(mesh.ranks).subtracting(present))
      } else {
        unranked = max(unranked, mesh.processCount - members.count, 1)
      }
    case .shards(let shards):
      if let rank = shards[region].rank, !present.contains(rank) {
        missingRanks.insert(rank)
      } else {
        unranked = 1
      }
    }
  }

  private mutating func noteCopies(_ piece: RankPiece) {
    guard case .mesh(let mesh) = piece.division, mesh.placements.contains(.replicate) else { return }
    absentCopies.formUnion(Set(mesh.ranks).subtracting(members.compactMap(\.rank)))
  }

  private mutating func report() {
    func list(_ names: [String], _ most: Int = 8) -> String {
      names.prefix(most).map(\.escapedForDisplay).joined(separator: ", ")
        + (names.count > most ? " and \(names.count - most) more" : "")
    }
    func ranks(_ ranks: Set<Int>) -> String {
      "\(ranks.count == 1 ? "rank" : "ranks") \(list(ranks.sorted().map(String.init), 16))"
    }
    let name = members[0].name
    if !differing.isEmpty {
      result.warnings.append(
        "the ranks hold different values, those of \(name) are used: \(list(differing))")
    }
    if !uncompared.isEmpty {
      result.warnings.append(
        "not compared between the ranks, since the files record no checksums, those of \(name) are used: \(list(uncompared))"
      )
    }
    absentCopies.subtract(missingRanks)
    if !absentCopies.isEmpty, missingRanks.isEmpty {
      result.warnings.append(
        "the files of \(ranks(absentCopies)) are not joined; they hold copies of some of these tensors")
    }
    guard !missingRanks.isEmpty || unranked > 0, result.truncation == nil else { return }
    let missing =
      missingRanks.isEmpty
      ? "the \(unranked == 1 ? "file of 1 more rank" : "files of \(unranked) more ranks")"
      : "the \(missingRanks.count == 1 ? "file" : "files") of \(ranks(missingRanks))"
    let isOne = missingRanks.count == 1 || (missingRanks.isEmpty && unranked == 1)
    result.truncation = Truncation.error(
      .partMissing, "\(missing) \(isOne ? "is" : "are") missing", result.contents.tensors,
      file: members[0].file.path
    ).advising(.addRanks)
  }
}
