internal import DecantBytes
internal import DecantIO
internal import DecantTensors

extension CheckpointTensor {
  /// Returns the same tensor with its state: whole, truncated or missing, by the storages that it is a view of.
  func withState() -> CheckpointTensor {
    var entry = self
    let states = tensor.sources.map(CheckpointTensor.state)
    entry.state = states.contains(.truncated) ? .truncated : states.contains(.missing) ? .missing : .whole
    return entry
  }

  private static func state(_ tensor: Tensor) -> State {
    guard let content = tensor.storage.content as? PartialContent, tensor.elementCount > 0 else {
      return .whole
    }
    var last = tensor.storageOffset
    for (size, stride) in zip(tensor.shape, tensor.strides) { last += (size - 1) * stride }
    let end = (last / tensor.dtype.elementsPerByte + 1) * tensor.dtype.byteCount
    if end <= content.available.byteCount { return .whole }
    let start = tensor.storageOffset / tensor.dtype.elementsPerByte * tensor.dtype.byteCount
    return start < content.available.byteCount ? .truncated : .missing
  }
}
