internal import DecantBytes

/// The quantisation parameters that turn a quantised tensor's integers into numbers.
///
/// Source: PyTorch `aten/src/ATen/quantized/Quantizer.h`, `torch/_utils.py` (`_rebuild_qtensor`).
package enum Quantization: Sendable {
  /// number = (integer - zeroPoint) × scale.
  case perTensor(scale: Double, zeroPoint: Int64)
  /// The same with a scale and a zero point for each index along `axis`. With `hasFloatZeroPoints`
  /// (`per_channel_affine_float_qparams`) the zero points may be fractional.
  indirect case perChannel(scales: Tensor, zeroPoints: Tensor, axis: Int, hasFloatZeroPoints: Bool)

  /// PyTorch's name of the scheme, without `torch.`.
  package var scheme: String {
    switch self {
    case .perTensor: "per_tensor_affine"
    case .perChannel(_, _, _, let hasFloatZeroPoints):
      hasFloatZeroPoints ? "per_channel_affine_float_qparams" : "per_channel_affine"
    }
  }

  var parts: [TensorPart] {
    switch self {
    case .perTensor: []
    case .perChannel(let scales, let zeroPoints, _, _):
      [TensorPart(name: "scales", tensor: scales), TensorPart(name: "zero_points", tensor: zeroPoints)]
    }
  }

  func require(_ dtype: DType, _ shape: [Int]) throws(DecantError) {
    guard dtype.kind == .quantized else {
      throw DecantError(.damaged, "a tensor of type \(dtype.rawValue) cannot have a scale and a zero point")
    }
    guard case .perChannel(let scales, let zeroPoints, let axis, _) = self else { return }
    guard shape.indices.contains(axis), scales.shape == [shape[axis]], zeroPoints.shape == scales.shape else {
      throw DecantError(
        .damaged,
        "scales of shape \(scales.shape) and zero points of \(zeroPoints.shape) do not fit axis \(axis) of \(shape)"
      )
    }
  }
}

extension Tensor {
  /// Returns the numbers that a quantised tensor represents, as float32. They are computed when they are
  /// read.
  ///
  /// - Throws: ``DecantError`` for a tensor that is not quantised, or whose scales cannot be read.
  ///   O(channels); reading is O(elements).
  package func dequantized() throws -> Tensor {
    guard let quantization else {
      throw DecantError(.invalidArgument, "the tensor has no scale and no zero point")
    }
    guard let byteCount = elementCount.checkedMultiplying(by: MemoryLayout<Float>.size) else {
      throw DecantError(.limitExceeded, "the tensor is too large for memory")
    }
    let content = try DequantizedContent(self, quantization, byteCount: byteCount)
    let storage = Storage(
      key: storage.key + ".dequantized", location: storage.location, byteCount: byteCount, content: content,
      entry: storage.entry)
    return try Tensor(dtype: .float32, shape: shape, storage: storage, requiresGrad: requiresGrad)
  }
}

/// The float32 numbers of a quantised tensor in row-major order.
private final class DequantizedContent: ComputedContent {
  var sources: [Tensor] { [tensor] }
  let byteCount: Int
  private let tensor: Tensor
  /// The stored integers in row-major order: the tensor's own storage when it is contiguous and
  /// little-endian, otherwise a copy.
  private let integers: any StorageContent
  private let start: Int
  private let scales: [Float]
  private let zeroPoints: [Float]
  /// The number of elements between neighbours along the channel axis.
  private let channelStride: Int

  init(_ tensor: Tensor, _ quantization: Quantization, byteCount: Int) throws {
    self.tensor = tensor
    self.byteCount = byteCount
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      scales = [Float(scale)]
      zeroPoints = [Float(zeroPoint)]
      channelStride = 1
    case .perChannel(let scales, let zeroPoints, let axis, _):
      self.scales = try scales.elements(as: Float.self)
      self.zeroPoints = try zeroPoints.elements(as: Float.self)
      // The product is 0 or overflows only for tensors without elements.
      channelStride = max(checkedProduct(tensor.shape[(axis + 1)...]) ?? 1, 1)
    }
    if tensor.isContiguous, tensor.storage.byteOrder == .little, let content = tensor.storage.content {
      integers = content
      start = tensor.byteOffset
    } else {
      integers = BytesInMemory(try tensor.rowMajorBytes())
      start = 0
    }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    let width = MemoryLayout<Float>.size
    let first = offset / width
    let last = (offset + buffer.count + width - 1) / width
    guard last > first else { return }
    let numbers = try numbers(first..<last)
    unsafe numbers.withUnsafeBytes { bytes in
      let skipped = offset - first * width
      unsafe buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[skipped..<skipped + buffer.count]))
    }
  }

  private func numbers(_ range: Range<Int>) throws -> [Float] {
    let perByte = tensor.dtype.elementsPerByte
    let width = tensor.dtype.byteCount
    let firstByte = range.lowerBound / perByte * width
    let endByte = ((range.upperBound + perByte - 1) / perByte) * width
    let stored = try unsafe [UInt8](byteCount: endByte - firstByte) {
      try unsafe integers.read(into: $0, at: start + firstByte)
    }
    let bits = 8 / perByte
    return range.map { index in
      let channel = scales.count == 1 ? 0 : index / channelStride % scales.count
      let place = index / perByte * width - firstByte
      let integer: Float
      switch tensor.dtype {
      case .qint8: integer = Float(Int8(bitPattern: stored[place]))
      case .qint32:
        let value =
          UInt32(stored[place]) | UInt32(stored[place + 1]) << 8 | UInt32(stored[place + 2]) << 16
          | UInt32(stored[place + 3]) << 24
        integer = Float(Int32(bitPattern: value))
      case .quint8: integer = Float(stored[place])
      default:
        integer = Float(stored[place] >> UInt8(index % perByte * bits) & (UInt8(1) << UInt8(bits) &- 1))
      }
      return (integer - zeroPoints[channel]) * scales[channel]
    }
  }
}
