internal import DecantCheckpoints
internal import DecantTensors

/// A tensor to write; a class, because every stage of a conversion passes it on.
package final class PlannedTensor: Sendable {
  /// The tensor's name in the output.
  let name: String
  /// The name by which patterns select the tensor: its name in the source, below the selected key.
  let source: String
  /// The tensor's entry in the source.
  let entry: CheckpointTensor
  /// The elements, in the order in which they are written.
  let tensor: Tensor
  /// The dtype of the output.
  let dtype: DType
  /// The kind of convolution, when the output has the weight's axes channels last; otherwise nil.
  let turned: ConvolutionKind?

  init(
    name: String, source: String? = nil, entry: CheckpointTensor, tensor: Tensor, dtype: DType,
    turned: ConvolutionKind? = nil
  ) {
    self.turned = turned
    self.name = name
    self.source = source ?? name
    self.entry = entry
    self.tensor = tensor
    self.dtype = dtype
  }

  /// The number of bytes to write.
  var byteCount: Int { dtype == tensor.dtype ? tensor.byteCount : tensor.elementCount * dtype.byteCount }

  /// True for a tensor of the meta device: a shape without data.
  var isMeta: Bool {
    tensor.storage.content == nil && tensor.storage.location == "meta" && tensor.layout == .strided
  }

  var shape: [Int] { tensor.shape }
}
