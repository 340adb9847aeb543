internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A parameter's numbers in row-major order, in the type the engine computes in.
///
/// Borrowed from the file's mapping where that has them in this form, else a copy. Never changed, hence
/// `@unchecked Sendable`.
@safe final class WeightBuffer<Scalar: ReferenceScalar>: @unchecked Sendable {
  let base: UnsafePointer<Scalar>
  let count: Int
  /// Whoever keeps `base` valid: an `AlignedBuffer` or a storage's content.
  private let owner: any Sendable

  /// Takes the numbers of a tensor.
  init(_ tensor: Tensor) throws {
    count = tensor.elementCount
    guard tensor.dtype.kind == .floatingPoint else {
      throw DecantError(
        .unsupportedNetwork, "its elements are \(tensor.dtype.rawValue), not floating-point numbers")
    }
    if let content = tensor.storage.content, let base = unsafe try Self.borrow(tensor, content) {
      unsafe self.base = base
      owner = content
      return
    }
    let copy = try AlignedBuffer<Scalar>(count: count)
    if tensor.dtype == Scalar.dtype {
      let target = unsafe UnsafeMutableRawPointer(copy.base)
      var done = 0
      try unsafe tensor.readRowMajor { piece in
        guard let source = piece.baseAddress else { return }
        unsafe (target + done).copyMemory(from: source, byteCount: piece.count)
        done += piece.count
      }
    } else {
      let values = try tensor.elements(as: Scalar.self)
      unsafe values.withUnsafeBufferPointer { source in
        if let start = source.baseAddress { unsafe copy.base.update(from: start, count: source.count) }
      }
    }
    unsafe base = UnsafePointer(copy.base)
    owner = copy
  }

  /// Keeps numbers the engine has computed.
  init(_ values: [Scalar]) throws(InferenceError) {
    let copy = try AlignedBuffer<Scalar>(count: values.count)
    unsafe values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { unsafe copy.base.update(from: start, count: source.count) }
    }
    count = values.count
    unsafe base = UnsafePointer(copy.base)
    owner = copy
  }

  /// The numbers where they already lie, when type, order, byte order and alignment are the engine's.
  private static func borrow(_ tensor: Tensor, _ content: any StorageContent) throws -> UnsafePointer<Scalar>?
  {
    guard tensor.dtype == Scalar.dtype, tensor.isContiguous, tensor.storage.byteOrder == .little,
      !tensor.isNegated, !tensor.isConjugated, let bytes = unsafe try content.mappedBytes(),
      let start = bytes.baseAddress
    else { return nil }
    // The tensor has proved that its elements lie inside the storage's byte count; this proves the mapping
    // does.
    let offset = tensor.storageOffset * tensor.dtype.byteCount
    guard bytes.count - offset >= tensor.byteCount else { return nil }
    let first = unsafe start + offset
    guard Int(bitPattern: first) % MemoryLayout<Scalar>.alignment == 0 else { return nil }
    return unsafe first.assumingMemoryBound(to: Scalar.self)
  }
}
