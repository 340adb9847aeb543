internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

/// A writer of several safetensors files with an index, in the form that transformers' loaders read.
///
/// The tensors keep the source's order. A new file begins before the tensor that would exceed the limit. Source:
/// huggingface_hub `serialization/_base.py`; docs/formats/shards.md.
struct SafetensorsShards {
  private let shards: [(path: String, name: String, writer: SafetensorsWriter)]
  private let indexPath: String
  private let index: [UInt8]

  /// Plans the files: `name-00001-of-00003.safetensors` …, and `name.safetensors.index.json`. If everything fits into
  /// one file, it has the target's own name.
  init(
    _ tensors: [PlannedTensor], _ metadata: ConversionMetadata, _ limit: Int, _ path: String
  ) throws(DecantError) {
    var groups: [[PlannedTensor]] = [[]]
    var byteCount = 0
    for tensor in tensors {
      if byteCount > 0, byteCount.addingReportingOverflow(tensor.byteCount).partialValue > limit {
        groups.append([])
        byteCount = 0
      }
      groups[groups.count - 1].append(tensor)
      byteCount += tensor.byteCount
    }
    let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
    let family = ShardFamily(single: String(path.dropFirst(folder.count)))
    var shards: [(path: String, name: String, writer: SafetensorsWriter)] = []
    for (place, group) in groups.enumerated() {
      let name = groups.count == 1 ? family.single : family.shard(place + 1, of: groups.count)
      shards.append(
        (
          folder + name, name,
          try SafetensorsWriter(group, metadata: metadata.texts(recording: group.layoutRecord))
        ))
    }
    self.shards = shards
    indexPath = folder + family.index
    let total = tensors.reduce(0) { $0 + $1.byteCount }
    let weights = zip(groups, shards).flatMap { group, shard in
      group.map { (key: $0.name, value: JSONValue.string(shard.name)) }
    }
    index = Array(
      (JSONValue.object([
        (key: "metadata", value: .object([(key: "total_size", value: .integer(Int64(total)))])),
        (key: "weight_map", value: .object(weights)),
      ]).indentedText + "\n").utf8)
  }

  /// Writes every file, and names them after all are complete; the index comes last.
  func write(
    _ policy: OutputPolicy, _ pipeline: inout TensorPipeline
  ) throws -> [(path: String, byteCount: Int)] {
    try OpenFileLimit.allow(shards.count)
    var outputs: [AtomicOutput] = []
    for shard in shards {
      let output = try policy.open(shard.path, holding: shard.writer.byteCount)
      try shard.writer.write(to: output, &pipeline)
      try policy.complete(output, holding: shard.writer.items)
      outputs.append(output)
    }
    var files = zip(shards, outputs).map { ($0.path, $1.byteCount) }
    var last: AtomicOutput?
    if shards.count > 1 {
      last = try policy.open(indexPath, holding: index.count)
      last?.write(index)
      try last?.finish()
      files.append((indexPath, index.count))
      // Removes an old index first: it must not describe new files if the process ends between two renames.
      last?.removeTarget()
    }
    for (place, output) in (outputs + [last].compactMap { $0 }).enumerated() {
      do throws(DecantError) { try policy.commit(output) } catch {
        guard place > 0 else { throw error }
        throw error.advising(
          .text(
            "\(place) of the \(files.count) files were replaced, and the index is missing. Convert again."
          ))
      }
    }
    return files
  }
}
