internal import DecantTensors

/// A tensor as it is to be written; one object, since every stage of a conversion passes it on.
final class PlannedTensor: Sendable {
  /// Its name in the target.
  let name: String
  /// Where it stands in the source.
  let entry: CheckpointTensor
  /// Its elements in the order in which they are written.
  let tensor: Tensor
  /// The type they are written in.
  let dtype: DType

  init(name: String, entry: CheckpointTensor, tensor: Tensor, dtype: DType) {
    self.name = name
    self.entry = entry
    self.tensor = tensor
    self.dtype = dtype
  }

  /// Bytes of what is written.
  var byteCount: Int { dtype == tensor.dtype ? tensor.byteCount : tensor.elementCount * dtype.byteCount }

  /// Whether it is a tensor of the meta device: sizes without data.
  var isMeta: Bool {
    tensor.storage.content == nil && tensor.storage.location == "meta" && tensor.layout == .strided
  }

  var shape: [Int] { tensor.shape }
}
