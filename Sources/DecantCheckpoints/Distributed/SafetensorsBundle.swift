internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors
internal import Synchronization

/// The part of a data file from one offset to its end, when that part is a safetensors file with all of its tensors.
///
/// `FileSystemWriter(serialization_format=SAFETENSORS)` records the same offset for every tensor, with that tensor's
/// own byte count. That range covers only the beginning of the header, so a tensor is found by its name.
///
/// Source: PyTorch 2.13 `torch/distributed/checkpoint/filesystem.py`; docs/formats/dcp.md.
final class SafetensorsBundle: Sendable {
  private let source: ByteSource
  private let limits: Limits
  /// The tensors by name. The outer optional is nil before the file is read, the inner one when it is not
  /// safetensors.
  private let tensors = Mutex<[ExactText: Tensor]??>(nil)

  init(_ source: ByteSource, limits: Limits) {
    self.source = source
    self.limits = limits
  }

  /// Returns the tensor with a name; nil when the bytes are a `torch.save` stream.
  ///
  /// - Throws: ``DecantError`` when the safetensors file has no such tensor.
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
    if FileSignature.isSafetensors(try source.head(), fileByteCount: source.byteCount) {
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
