internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A parameter's elements in row-major order, in the engine's element type.
///
/// The buffer points into the memory-mapped file when the data there already has this form, else it holds a copy. It
/// is immutable, hence `@unchecked Sendable`.
@safe final class WeightBuffer<Scalar: ReferenceScalar>: @unchecked Sendable {
  let base: UnsafePointer<Scalar>
  let count: Int
  /// The object that keeps `base` valid: an `AlignedBuffer` or a storage's content.
  private let owner: any Sendable

  /// Creates a buffer from a tensor, without a copy where possible.
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

  /// Creates a buffer from computed elements.
  init(_ values: [Scalar]) throws(InferenceError) {
    let copy = try AlignedBuffer<Scalar>(count: values.count)
    unsafe values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { unsafe copy.base.update(from: start, count: source.count) }
    }
    count = values.count
    unsafe base = UnsafePointer(copy.base)
    owner = copy
  }

  /// Returns the address of the mapped elements when dtype, layout, byte order and alignment match the engine's; nil
  /// otherwise.
  private static func borrow(_ tensor: Tensor, _ content: any StorageContent) throws -> UnsafePointer<Scalar>?
  {
    guard tensor.dtype == Scalar.dtype, tensor.isContiguous, tensor.storage.byteOrder == .little,
      !tensor.isNegated, !tensor.isConjugated, let bytes = unsafe try content.mappedBytes(),
      let start = bytes.baseAddress
    else { return nil }
    // The tensor guarantees that its elements are inside the storage's byte count. This checks that the mapping is as
    // long.
    let offset = tensor.storageOffset * tensor.dtype.byteCount
    guard bytes.count - offset >= tensor.byteCount else { return nil }
    let first = unsafe start + offset
    guard Int(bitPattern: first) % MemoryLayout<Scalar>.alignment == 0 else { return nil }
    return unsafe first.assumingMemoryBound(to: Scalar.self)
  }
}
