extension Tensor {
  /// The types a cast can produce.
  public static var castTargets: [DType] { [.float64, .float32, .float16, .bfloat16] }

  /// Whether a cast to `target` changes this tensor: only floating-point tensors are cast.
  public func isCast(to target: DType) -> Bool {
    dtype.kind == .floatingPoint && dtype != .float4_e2m1fn_x2 && dtype != target
  }

  /// The elements of ``readRowMajor(capacity:_:)`` in another floating-point type, rounded to nearest, ties to
  /// even, once.
  ///
  /// - Parameter target: one of ``castTargets``.
  public func readRowMajor(
    castTo target: DType, capacity: Int = 1 << 18, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard isCast(to: target) else {
      return try unsafe readRowMajor(capacity: capacity) { try unsafe body(UnsafeRawBufferPointer($0)) }
    }
    guard Tensor.castTargets.contains(target) else {
      throw TensorError("no cast to \(target.rawValue) exists")
    }
    var numbers: [Double] = []
    var bytes: [UInt8] = []
    // Pieces that stay in the second-level cache as doubles.
    try unsafe readRowMajor(capacity: min(capacity, 1 << 16)) { piece in
      numbers.removeAll(keepingCapacity: true)
      bytes.removeAll(keepingCapacity: true)
      try unsafe appendNumbers(of: UnsafeRawBufferPointer(piece), dtype, to: &numbers)
      appendBytes(of: numbers, as: target, to: &bytes)
      try unsafe bytes.withUnsafeBytes { try unsafe body($0) }
    }
  }
}
