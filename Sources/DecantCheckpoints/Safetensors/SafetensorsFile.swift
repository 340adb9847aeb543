internal import DecantBytes
package import DecantIO
package import DecantTensors

/// Safetensors files made from tensors in memory.
package enum SafetensorsFile {
  /// Writes tensors with `format` = `pt` as metadata, atomically; larger elements first, then in order.
  ///
  /// - Throws: ``DecantError`` for a type the format lacks. O(bytes).
  ///
  /// - Parameter sources: files that were read, which are never replaced.
  package static func write(
    _ tensors: [(name: String, tensor: Tensor)], to path: String, sources: [FileIdentity] = []
  ) throws {
    let planned = tensors.map { name, tensor in
      let entry = CheckpointTensor(path: [.text(name)], tensor: tensor)
      return PlannedTensor(name: name, entry: entry, tensor: tensor, dtype: tensor.dtype)
    }
    let writer = try SafetensorsWriter(planned, metadata: [(key: "format", value: "pt")])
    var pouring = try TensorPouring(planned)
    let output = try AtomicOutput(path, holding: pouring.totalByteCount, overwrite: true, sources: sources)
    try writer.write(to: output, &pouring)
    try output.commit()
  }
}
