internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The files of a checkpoint that DeepSpeed wrote with ZeRO, joined to the float32 weights.
///
/// Every rank's optimizer file holds its partition of the weights, flattened. The model file holds the names and
/// shapes in the order of the partitions, and the buffers. The result has the tensors of DeepSpeed's
/// `get_fp32_state_dict_from_zero_checkpoint`, in its order.
///
/// Source: DeepSpeed 0.19 `deepspeed/utils/zero_to_fp32.py`; docs/formats/deepspeed.md.
struct DeepSpeedCheckpoint {
  /// The model's file of one rank.
  private struct ModelStates {
    let file: InputFile
    let parts: Checkpoint.Parts
    let contents: DeepSpeedModelStates
  }

  /// The optimizer's file of one rank.
  private struct OptimizerStates {
    let file: InputFile
    let contents: DeepSpeedOptimizerStates
  }

  private let models: [ModelStates]
  private let optimizers: [OptimizerStates]
  private let limits: Limits
  private var result = Checkpoint.Parts(container: .deepspeed, contents: CheckpointContents())
  private var checks = StorageChecks()
  /// The index of each tensor by name. A name that occurs again replaces the tensor, as in a dictionary.
  private var indices: [ExactText: Int] = [:]

  /// Opens the files of a checkpoint, and reads no weights.
  ///
  /// - Parameter folder: the path that messages name when files are missing.
  /// - Throws: ``DecantError`` when files are missing, do not belong together, or are of a kind that is not joined.
  static func open(
    _ files: [(name: String, file: InputFile)], in folder: String, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    let names = try DeepSpeedFileNames(files.map(\.name), in: folder)
    func file(_ name: String) throws(DecantError) -> InputFile {
      guard let found = files.first(where: { $0.name == name }) else {
        throw DecantError(.partMissing, "\(name.escapedForDisplay) is missing", file: folder)
      }
      return found.file
    }
    var models: [ModelStates] = []
    for name in names.models {
      let input = try file(name)
      do throws(DecantError) {
        let parts = try Checkpoint.parts(of: ByteSource(input), limits: limits, nesting: 0)
        models.append(
          ModelStates(file: input, parts: parts, contents: try DeepSpeedModelStates(parts.contents)))
      } catch { throw error.located(file: input.path) }
    }
    var optimizers: [OptimizerStates] = []
    for name in names.optimizers {
      let input = try file(name)
      do throws(DecantError) {
        let parts = try Checkpoint.parts(of: ByteSource(input), limits: limits, nesting: 0)
        try parts.requireIntact()
        optimizers.append(
          OptimizerStates(file: input, contents: try DeepSpeedOptimizerStates(parts.contents)))
      } catch { throw error.located(file: input.path) }
    }
    try names.requireAll(of: optimizers.first?.contents.partitionCount ?? 0, in: folder)
    var checkpoint = DeepSpeedCheckpoint(models: models, optimizers: optimizers, limits: limits)
    try checkpoint.join()
    return (checkpoint.result, models.map(\.file) + optimizers.map(\.file))
  }

  private init(models: [ModelStates], optimizers: [OptimizerStates], limits: Limits) {
    self.models = models
    self.optimizers = optimizers
    self.limits = limits
  }

  // MARK: Joining

  private mutating func join() throws(DecantError) {
    let (model, optimizer) = (models[0], optimizers[0])
    try model.parts.requireIntact()
    try requireAgreement()
    for name in model.contents.bufferNames {
      guard let entry = model.contents.module[ExactText(name)] else { continue }
      do throws(DecantError) { set(name, try float32(entry.tensor)) } catch {
        throw error.located(file: model.file.path, tensor: name)
      }
    }
    for (name, shape) in model.contents.frozenShapes {
      do throws(DecantError) { set(name, try frozen(name, shape)) } catch {
        throw error.located(file: model.file.path, tensor: name)
      }
    }
    do throws(DecantError) {
      if optimizer.contents.stage == 3 { try addPartitionedParameters() } else { try addGroups() }
    } catch { throw error.located(file: model.file.path) }
    for (name, original) in model.contents.sharedNames {
      guard let index = indices[ExactText(original)] else { continue }
      set(name, result.contents.tensors[index].tensor)
    }
    guard result.contents.tensors.count <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths, need: result.contents.tensors.count),
        "\(Format.count(result.contents.tensors.count, "tensor", ("is", "are"))) listed",
        file: model.file.path)
    }
    if let versions = model.parts.contents.objects.first(where: {
      $0.path == [.text("module"), .text("_metadata")] && $0.moduleVersions != nil
    }) {
      result.contents.objects = [
        CheckpointObject(
          path: [.text("_metadata")], type: versions.type, value: nil, count: versions.count,
          unreadTensor: nil, moduleVersions: versions.moduleVersions)
      ]
    }
    addFacts()
  }

  /// Checks that all files describe the same checkpoint.
  private func requireAgreement() throws(DecantError) {
    let remedy = "The files are of different checkpoints. Use those of one step."
    let first = optimizers[0].contents
    for other in optimizers.dropFirst() {
      guard other.contents.stage == first.stage, other.contents.groups.count == first.groups.count,
        zip(other.contents.groups, first.groups).allSatisfy({ $0.dtype == $1.dtype }),
        other.contents.partitionCount == first.partitionCount
      else {
        throw DecantError(
          .damaged, "describes other partitions than \(optimizers[0].file.path.escapedForDisplay)",
          file: other.file.path, remedy: remedy)
      }
      // Partitions of stages 1 and 2 may lack their padding.
      if first.stage == 3,
        !zip(other.contents.groups, first.groups).allSatisfy({ $0.elementCount == $1.elementCount })
      {
        throw DecantError(
          .damaged, "holds partitions of other sizes than \(optimizers[0].file.path.escapedForDisplay)",
          file: other.file.path, remedy: remedy)
      }
    }
    for other in models.dropFirst() where !other.contents.hasShapes(of: models[0].contents) {
      throw DecantError(
        .damaged, "records other parameters than \(models[0].file.path.escapedForDisplay)",
        file: other.file.path, remedy: remedy)
    }
  }

  /// Adds the parameters of stages 1 and 2. The partitions of all ranks, one after the other, are the parameters of a
  /// group, one after the other.
  private mutating func addGroups() throws(DecantError) {
    let (model, optimizer) = (models[0].contents, optimizers[0].contents)
    guard model.groups.count == optimizer.groups.count else {
      throw DecantError(
        .damaged,
        "records \(model.groups.count) groups of parameters, and the optimizer has \(optimizer.groups.count)")
    }
    for (number, parameters) in model.groups.enumerated() {
      let flat = FlatPartitions(optimizers.map { $0.contents.groups[number] })
      var paddings = [Int](repeating: 0, count: parameters.count)
      if let all = optimizer.alignmentPaddings {
        guard all.indices.contains(number), all[number].count == parameters.count else {
          throw DecantError(.damaged, "the optimizer records paddings of other parameters")
        }
        paddings = all[number]
      }
      var offset = 0
      for ((name, shape), padding) in zip(parameters, paddings) {
        let count = try elementCount(shape, name)
        set(name, try tensor(name, shape, flat.views(of: offset, count: count, limits)))
        guard let next = offset.checkedAdding(count)?.checkedAdding(padding) else {
          throw DecantError(.damaged, "the parameters have too many elements", tensor: name)
        }
        offset = next
      }
      // Every rank's partition begins at a multiple of 2, so up to 2 · ranks elements are padding.
      let step = 2 * optimizers.count
      guard offset <= flat.count, (offset + step - 1) / step == (flat.count + step - 1) / step else {
        throw DecantError(
          .damaged,
          "the parameters of group \(number) have \(offset) elements, and the partitions \(flat.count)")
      }
    }
  }

  /// Adds the parameters of stage 3. Every rank holds a part of each parameter: its elements divided by the number of
  /// ranks, rounded up. The last ranks' parts end in padding.
  private mutating func addPartitionedParameters() throws(DecantError) {
    let ranks = optimizers.map { FlatPartitions($0.contents.groups) }
    var offset = 0
    for (name, shape) in models[0].contents.groups.flatMap({ $0 }) {
      let count = try elementCount(shape, name)
      let share = count / ranks.count + (count % ranks.count == 0 ? 0 : 1)
      var views: [Tensor] = []
      var rest = count
      for rank in ranks {
        views += try rank.views(of: offset, count: min(share, rest), limits)
        rest -= min(share, rest)
      }
      set(name, try tensor(name, shape, views))
      offset += share
    }
    guard ranks.allSatisfy({ $0.count == offset }) else {
      throw DecantError(
        .damaged,
        "the parts of the parameters have \(offset) elements on each rank, and the partitions \(ranks[0].count)"
      )
    }
  }

  /// Returns a parameter that was not trained. In stage 3 every rank holds a part.
  private mutating func frozen(_ name: String, _ shape: [Int]) throws(DecantError) -> Tensor {
    let count = try elementCount(shape, name)
    guard optimizers[0].contents.stage == 3 else {
      guard let whole = models[0].contents.frozenFragments[ExactText(name)], whole.tensor.shape == shape
      else {
        throw DecantError(.damaged, "the frozen parameter is missing or has other sizes than \(shape)")
      }
      return whole.tensor
    }
    guard models.count == optimizers.count else {
      throw DecantError(
        .partMissing,
        "\(optimizers.count) model files are needed for frozen parameters, \(models.count) are there")
    }
    var flat: [Tensor] = []
    for model in models {
      guard let part = model.contents.frozenFragments[ExactText(name)], part.tensor.shape.count == 1,
        part.tensor.dtype == flat.first?.dtype ?? part.tensor.dtype
      else { throw DecantError(.damaged, "a frozen parameter's part is missing", file: model.file.path) }
      flat.append(part.tensor)
    }
    let partitions = FlatPartitions(flat)
    let share = count / flat.count + (count % flat.count == 0 ? 0 : 1)
    guard flat.allSatisfy({ $0.elementCount == share }) else {
      throw DecantError(.damaged, "the parts of the frozen parameter do not have \(share) elements each")
    }
    return try tensor(name, shape, partitions.views(of: 0, count: count, limits))
  }

  private func elementCount(_ shape: [Int], _ name: String) throws(DecantError) -> Int {
    guard shape.allSatisfy({ $0 >= 0 }), let count = checkedProduct(shape) else {
      throw DecantError(.damaged, "the shape \(shape) is negative or too large", tensor: name)
    }
    return count
  }

  /// Returns a tensor whose elements are those of flat views, one after the other.
  private mutating func tensor(
    _ name: String, _ shape: [Int], _ views: [Tensor]
  ) throws(DecantError) -> Tensor {
    let count = try elementCount(shape, name)
    let dtype = views.first?.dtype ?? .float32
    guard let byteCount = count.checkedMultiplying(by: dtype.byteCount) else {
      throw DecantError(.damaged, "the shape \(shape) is too large", tensor: name)
    }
    var boxes: [(offsets: [Int], sizes: [Int])] = []
    var items: [any ChunkSource] = []
    var start = 0
    for view in views {
      boxes.append(([start], [view.elementCount]))
      items.append(
        RankChunk([(rank: "", tensor: view)], checks: [checks.check(of: view.storage)].compactMap { $0 }))
      start += view.elementCount
    }
    do throws(DecantError) {
      let layout = try ChunkLayout(shape: [count], elementByteCount: dtype.byteCount, boxes: boxes)
      return try Tensor(
        dtype: dtype, shape: shape,
        storage: Storage(
          key: "joined:" + name, byteCount: byteCount,
          content: ChunkedContent(byteCount: byteCount, layout: layout, items: items)), limits: limits)
    } catch { throw error.located(tensor: name) }
  }

  /// Returns a buffer as DeepSpeed does: floating-point numbers as float32.
  private mutating func float32(_ tensor: Tensor) throws(DecantError) -> Tensor {
    guard tensor.storage.content != nil, let cast = Cast(tensor, to: .float32) else { return tensor }
    let content = CastContent(tensor, cast, check: checks.check(of: tensor.storage))
    return try Tensor(
      dtype: .float32, shape: tensor.shape,
      storage: Storage(key: "cast:" + tensor.storage.key, byteCount: content.byteCount, content: content),
      limits: limits)
  }

  private mutating func set(_ name: String, _ tensor: Tensor) {
    let entry = CheckpointTensor(path: [.text(name)], tensor: tensor, stateDict: [])
    if let known = indices[ExactText(name)] {
      result.contents.tensors[known] = entry
    } else {
      indices[ExactText(name)] = result.contents.tensors.count
      result.contents.tensors.append(entry)
    }
  }

  // MARK: Facts

  private mutating func addFacts() {
    let (model, optimizer) = (models[0], optimizers[0].contents)
    result.containerMetadata = [
      ("ZeRO stage", String(optimizer.stage)), ("ranks", String(optimizers.count)),
    ]
    if let version = model.contents.version { result.containerMetadata.append(("DeepSpeed", version)) }
    for object in model.parts.contents.objects where object.path.count == 1 {
      guard case .text(let name) = object.path[0], name != "ds_version",
        !DeepSpeedModelStates.keys.contains(name)
      else { continue }
      switch object.value {
      case .integer?, .number?, .string?, .bool?:
        result.containerMetadata.append((name, object.value?.string ?? object.value?.text ?? ""))
      default: continue
      }
    }
    result.containerMetadata.append(
      ("left out", "the optimizer's state and the weights in the precision of training"))
    for file in models {
      result.warnings += file.parts.warnings.map { "\(file.file.path.escapedForDisplay): \($0)" }
      result.damage += file.parts.damage.map { $0.located(file: file.file.path) }
    }
    let others = model.parts.contents.tensors.filter { entry in
      guard case .text(let section)? = entry.path.first else { return true }
      if section == "module", entry.path.count == 2, case .text(let name) = entry.path[1] {
        return indices[ExactText(name)] == nil
      }
      return section != "frozen_param_fragments"
    }
    if !others.isEmpty {
      let names = others.prefix(8).map(\.name.escapedForDisplay).joined(separator: ", ")
      result.warnings.append(
        "left out, as DeepSpeed does, \(Format.count(others.count, "tensor")) of \(model.file.path.escapedForDisplay): \(names)\(others.count > 8 ? ", …" : ""); name that file to read \(others.count == 1 ? "it" : "them")"
      )
    }
  }
}
