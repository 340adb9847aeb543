internal import DecantBytes
package import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

extension Checkpoint {
  /// Writes the tensors in another format, atomically and in bounded memory. O(bytes).
  ///
  /// - Parameters:
  ///   - path: The output file, or the output folder for a folder format; nil for standard output.
  ///   - format: The output format; by default the one that the extension of `path` selects.
  /// - Throws: ``DecantError``. Before anything is written: when the format cannot hold a tensor, two tensors would
  ///   have the same name, or a name lacks the prefix to strip.
  @discardableResult
  package func convert(
    to path: String?, as format: OutputFormat? = nil, selecting: Selection? = nil,
    _ options: WriteOptions = WriteOptions()
  ) throws -> WriteReport {
    guard let format = format ?? path.flatMap({ OutputFormat(path: $0) }) else {
      throw DecantError(
        .unknownOutputFormat, "unknown output format", file: path,
        remedy:
          "Use \(OutputFormat.extensions.map(\.key).joined(separator: ", ")), or / for a folder of .npy files."
      )
    }
    try options.requireEffect(on: format)
    let plan = try ConversionPlan(self, to: format, selecting: selecting, options)
    let metadata = try ConversionMetadata(plan)
    let pickling: CheckpointPickling?
    do { pickling = format == .torchZip ? try CheckpointPickling(plan) : nil } catch let error
      as DecantError
    { throw error.located(file: self.path) }
    var pipeline = try TensorPipeline(
      pickling?.tensors.records.map(\.elements) ?? plan.tensors, progress: options.progress)
    let files: [(path: String, byteCount: Int)]
    do {
      files = try write(plan, metadata, pickling, to: path, &pipeline)
    } catch let error as DecantError { throw error.located(file: self.path) }
    let dropped = droppedObjects(plan, pickling)
    let casts = plan.tensors.count { $0.dtype != $0.tensor.dtype }
    let aliases = Aliases(plan.selection.tensors.map(\.tensor))
    let names = files.map { file in file.path.split(separator: "/").last.map(String.init) ?? file.path }
    let staleFiles =
      format == .safetensors ? path.map { ShardFamily.leftovers(beside: $0, except: names) } ?? [] : []
    return WriteReport(
      files: files, staleFiles: staleFiles, tensorCount: plan.tensors.count, castCount: casts,
      uncastCount: options.dtype == nil ? 0 : plan.tensors.count { $0.tensor.dtype != options.dtype } - casts,
      losses: pipeline.losses,
      aliases: pickling != nil
        ? []
        : plan.tensors.indices.compactMap { index in
          aliases.first(of: index).map { (name: plan.tensors[index].name, of: plan.tensors[$0].name) }
        },
      droppedObjectCount: dropped.count, droppedObjects: dropped.keys,
      droppedMetadata: metadata.dropped(by: format), lost: plan.lost,
      channelsLast: plan.tensors.filter { $0.turned != nil }.map(\.name),
      notTurned: options.layout == .channelsLast
        ? plan.tensors.filter { $0.turned == nil && $0.shape.count > 2 }.map(\.name) : [],
      choice: plan.choice, parametrized: plan.parametrized,
      resolvedNames: options.resolvesWeights ? plan.parametrized.weights.map(\.name) : [],
      unresolvedNames: (options.resolvesWeights ? [] : plan.parametrized.weights.map(\.name))
        + plan.parametrized.unknown.map(\.name),
      wrappers: plan.wrappers)
  }

  /// Returns the number and the keys of the values that are not in the output because they are not tensors, or because
  /// the readers of its format would refuse them.
  private func droppedObjects(
    _ plan: ConversionPlan, _ pickling: CheckpointPickling?
  ) -> (count: Int, keys: [String]) {
    let describesModel = [.onnx, .mlpackage].contains(container)
    if let pickling, !describesModel { return (pickling.droppedCount, pickling.droppedNames) }
    // GGUF's values are metadata.
    if container == .gguf { return (0, []) }
    let path = plan.selection.path
    let dropped = objects.filter { $0.path.starts(with: path) }
    var seen: Set<PathKey> = []
    let keys = dropped.compactMap { $0.path.dropFirst(path.count).first }.filter { seen.insert($0).inserted }
    return (dropped.count, keys.map(\.name))
  }

  private func write(
    _ plan: ConversionPlan, _ metadata: ConversionMetadata, _ pickling: CheckpointPickling?, to path: String?,
    _ pipeline: inout TensorPipeline
  ) throws -> [(path: String, byteCount: Int)] {
    let options = plan.options
    if options.checks {
      // Fails early, before anything is written, when libcrypto is missing.
      do throws(DecantError) { _ = try SHA256() } catch {
        throw error.located(file: self.path)
      }
    }
    let policy = OutputPolicy(
      overwrite: options.overwrites, isDurable: options.isDurable, checks: options.checks,
      sources: files.map(\.identity))
    func file(_ write: (AtomicOutput) throws -> Void) throws -> [(path: String, byteCount: Int)] {
      let output =
        try path.map { path throws(DecantError) in
          try policy.open(path, holding: pipeline.totalByteCount)
        }
        ?? .standardOutput(sources: policy.sources)
      try write(output)
      try policy.complete(output, holding: plan.tensors)
      try policy.commit(output)
      return [(output.path, output.byteCount)]
    }
    switch plan.format {
    case .safetensors:
      if let limit = options.shardByteCount, let path {
        return try SafetensorsShards(plan.tensors, metadata, limit, path).write(policy, &pipeline)
      }
      let writer = try SafetensorsWriter(plan.tensors, metadata: metadata.texts)
      return try file { try writer.write(to: $0, &pipeline) }
    case .npz:
      let writer = try NpzWriter(plan.tensors, comment: metadata.comment)
      return try file { try writer.write(to: $0, &pipeline) }
    case .npy:
      let writer = try NpyWriter(plan.tensors)
      return try file { try writer.write(to: $0, &pipeline) }
    case .npyFolder:
      guard let path else {
        throw DecantError(.invalidArgument, "a folder cannot be written to standard output")
      }
      return try NpyFolderWriter(plan.tensors, path).write(policy, &pipeline)
    case .gguf:
      let writer = try GGUFWriter(plan.tensors, metadata)
      return try file { try writer.write(to: $0, &pipeline) }
    case .torchZip:
      guard let pickling else { preconditionFailure("what is written as a pickle was planned as one") }
      let records = pickling.tensors.records
      if plan.options.isLegacy {
        let writer = TorchLegacyWriter(pickling.bytes, records)
        return try file { try writer.write(to: $0, &pipeline) }
      }
      let writer = TorchZipWriter(pickling.bytes, records, comment: metadata.comment)
      return try file { try writer.write(to: $0, &pipeline) }
    }
  }
}
