internal import DecantBytes
internal import DecantTensors

/// A storage of a file that was cut off: the bytes that are there, and why the others are not.
final class PartialContent: StorageContent {
  let byteCount: Int
  /// The first of them; the others are lost.
  let available: ByteRange
  private let reason: DecantError

  /// - Parameter available: no longer than `byteCount`.
  init(byteCount: Int, available: ByteRange, _ reason: DecantError) {
    self.byteCount = byteCount
    self.available = available
    self.reason = reason
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard offset >= 0, buffer.count <= available.byteCount, offset <= available.byteCount - buffer.count
    else {
      throw reason
    }
    try unsafe available.read(into: buffer, at: offset)
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }
}

extension CheckpointTensor {
  /// The same tensor with how much of its data is there, judged by the storages it is a view of.
  func withState() -> CheckpointTensor {
    var entry = self
    let states = ([tensor] + tensor.parts.map(\.tensor)).map(CheckpointTensor.state)
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
