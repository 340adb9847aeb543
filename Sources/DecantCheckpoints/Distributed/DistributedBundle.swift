internal import DecantBytes
internal import DecantIO
internal import Synchronization
internal import DecantTensors

/// What stands from one offset of a data file to its end, when that is a safetensors file of all its tensors.
///
/// `FileSystemWriter(serialization_format=SAFETENSORS)` gives every tensor this offset and its own number of bytes, which
/// cover the header's beginning and nothing else: the tensor is found by its name.
///
/// Source: PyTorch 2.13 `torch/distributed/checkpoint/filesystem.py`; docs/formats/dcp.md.
final class DistributedBundle: Sendable {
  private let source: ByteSource
  private let limits: Limits
  /// The tensors by name; nil inside when the bytes are no safetensors file.
  private let tensors = Mutex<[ExactText: Tensor]??>(nil)

  init(_ source: ByteSource, limits: Limits) {
    self.source = source
    self.limits = limits
  }

  /// A tensor of the bundle; nil when the bytes are a stream of torch.save's.
  func tensor(_ name: String) throws(DecantError) -> Tensor? {
    guard let tensors = try read() else { return nil }
    guard let tensor = tensors[ExactText(name)] else {
      throw DecantError(
        .damaged, "the safetensors file holds no \(name.escapedForDisplay)", file: source.path,
        remedy: "The metadata and the data are of different checkpoints, or damaged.")
    }
    return tensor
  }

  private func read() throws(DecantError) -> [ExactText: Tensor]? {
    if let known = tensors.withLock({ $0 }) { return known }
    var made: [ExactText: Tensor]?
    if SafetensorsReader.recognises(try source.head(), fileByteCount: source.byteCount) {
      let parts = try SafetensorsReader.open(source, limits: limits)
      try parts.requireIntact()
      made = Dictionary(
        parts.contents.tensors.map { (ExactText($0.name), $0.tensor) },
        uniquingKeysWith: { first, _ in first })
    }
    tensors.withLock { $0 = .some(made) }
    return made
  }
}
