package import DecantBytes

extension Tensor {
  /// Returns the tensor with each slice of the first axis multiplied by its factor.
  ///
  /// The products are rounded once: to float64 for float64, to float32 for other types. They are computed on
  /// the first read and freed after the last byte was read.
  ///
  /// - Throws: ``DecantError`` when the number of factors differs from the number of slices, or the dtype is
  ///   not a floating-point one.
  package func scaled(by factors: [Double]) throws(DecantError) -> Tensor {
    guard let rows = shape.first, factors.count == rows, dtype.kind == .floatingPoint, storage.content != nil
    else {
      throw DecantError(
        .invalidArgument,
        "\(Format.count(factors.count, "factor", ("does", "do"))) not fit a tensor of type \(dtype.rawValue) and shape \(shape)"
      )
    }
    let type: DType = dtype == .float64 ? .float64 : .float32
    let content = ScaledContent(self, factors, type)
    return try Tensor(
      dtype: type, shape: shape,
      storage: Storage(key: "scaled", byteCount: content.byteCount, content: content))
  }
}

/// The storage of the result of ``Tensor/scaled(by:)``.
private final class ScaledContent: StorageContent {
  private let tensor: Tensor
  private let factors: [Double]
  private let dtype: DType
  private let computed = ComputedBytes()

  init(_ tensor: Tensor, _ factors: [Double], _ dtype: DType) {
    self.tensor = tensor
    self.factors = factors
    self.dtype = dtype
  }

  var byteCount: Int { tensor.elementCount * dtype.byteCount }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe computed.read(into: buffer, at: offset, of: byteCount, compute)
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  private func compute() throws -> BytesInMemory {
    let length = tensor.elementCount / max(1, factors.count)
    return try unsafe BytesInMemory(byteCount: byteCount) { target in
      var place = 0
      try tensor.readNumbers { numbers in
        for number in numbers {
          let scaled = number * factors[place / length]
          if dtype == .float64 {
            unsafe target.storeBytes(of: scaled, toByteOffset: 8 * place, as: Double.self)
          } else {
            unsafe target.storeBytes(of: Float(scaled), toByteOffset: 4 * place, as: Float.self)
          }
          place += 1
        }
      }
    }
  }
}
