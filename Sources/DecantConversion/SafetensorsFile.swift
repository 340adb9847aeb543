internal import DecantBytes
internal import DecantCheckpoints
package import DecantIO
package import DecantTensors

/// Safetensors files written from tensors in memory.
package enum SafetensorsFile {
  /// Writes tensors with the metadata `format` = `pt`, atomically. Larger elements come first, then the given order.
  /// O(bytes).
  ///
  /// - Parameter sources: The files that were read, which are never overwritten.
  /// - Throws: ``DecantError`` for a dtype that the format lacks.
  package static func write(
    _ tensors: [(name: String, tensor: Tensor)], to path: String, sources: [FileIdentity] = []
  ) throws {
    let planned = tensors.map { name, tensor in
      let entry = CheckpointTensor(path: [.text(name)], tensor: tensor)
      return PlannedTensor(name: name, entry: entry, tensor: tensor, dtype: tensor.dtype)
    }
    let writer = try SafetensorsWriter(planned, metadata: [(key: "format", value: "pt")])
    var pipeline = try TensorPipeline(planned)
    let output = try AtomicOutput(path, holding: pipeline.totalByteCount, overwrite: true, sources: sources)
    try writer.write(to: output, &pipeline)
    try output.commit()
  }
}
