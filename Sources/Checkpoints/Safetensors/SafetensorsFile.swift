internal import ByteParsing
public import Tensors

/// Safetensors files made from tensors in memory.
public enum SafetensorsFile {
  /// Writes tensors with `format` = `pt` as metadata, atomically; larger elements first, then in order.
  ///
  /// - Throws: ``CheckpointError`` for a type the format lacks. O(bytes).
  public static func write(_ tensors: [(name: String, tensor: Tensor)], to path: String) throws {
    let writer = try SafetensorsWriter(
      tensors.map { SafetensorsWriter.Item(name: $0.name, tensor: $0.tensor, dtype: $0.tensor.dtype) },
      metadata: [(key: "format", value: "pt")])
    let output = try AtomicOutput(path, overwrite: true)
    try writer.write(to: output)
    try output.commit()
  }
}
