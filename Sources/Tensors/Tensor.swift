package import ByteParsing

/// A view of a storage: element type, sizes, strides and where it begins.
///
/// Making one proves that every element lies inside the storage; it reads nothing.
package struct Tensor: Sendable {
  package let dtype: DType
  /// The sizes, outermost first; empty for a scalar.
  package let shape: [Int]
  /// Elements between neighbours along each dimension.
  package let strides: [Int]
  package let storage: Storage
  /// Where the first element stands: elements from the storage's start.
  package let storageOffset: Int
  /// Whether the stored numbers stand for their complex conjugates (PyTorch's lazy `conj` bit).
  package let isConjugated: Bool
  /// Whether the stored numbers stand for their negatives (PyTorch's lazy `neg` bit).
  package let isNegated: Bool
  /// Whether PyTorch would train it.
  package private(set) var requiresGrad: Bool
  /// How the file holds the elements; `storage` gives them as one view whatever it is.
  package private(set) var layout = TensorLayout.strided
  /// The tensors a sparse or quantised one is made from, in PyTorch's order.
  package private(set) var parts: [TensorPart] = []
  /// What the integers of a quantised tensor stand for.
  package private(set) var quantization: Quantization?
  /// How many elements it has, views counted in full.
  package let elementCount: Int

  /// Proves a view and makes it.
  ///
  /// - Throws: ``DecantError`` when sizes or strides are negative, differ in number, overflow, reach outside the
  ///   storage, or expand it beyond `limits`. O(rank).
  package init(
    dtype: DType, shape: [Int], strides: [Int]? = nil, storage: Storage, storageOffset: Int = 0,
    isConjugated: Bool = false, isNegated: Bool = false, requiresGrad: Bool = false, limits: Limits = Limits()
  ) throws(DecantError) {
    guard shape.count <= limits.rank else {
      throw DecantError(
        .unclassified, "a tensor of \(shape.count) dimensions has more than Limits.rank (\(limits.rank))")
    }
    guard let elementCount = checkedProduct(shape),
      let byteCount = elementCount.checkedMultiplying(by: dtype.byteCount)
    else { throw DecantError(.unclassified, "shape \(shape) is negative or too large") }
    let strides = strides ?? Tensor.contiguousStrides(shape)
    guard strides.count == shape.count else {
      throw DecantError(.unclassified, "shape \(shape) has \(shape.count) sizes and \(strides.count) strides")
    }
    guard strides.allSatisfy({ $0 >= 0 }), storageOffset >= 0 else {
      throw DecantError(.unclassified, "strides \(strides) or offset \(storageOffset) is negative")
    }
    let capacity =
      (storage.byteCount / dtype.byteCount).checkedMultiplying(by: dtype.elementsPerByte) ?? .max
    if elementCount > 0 {
      var last: Int? = storageOffset
      for (size, stride) in zip(shape, strides) {
        last = (size - 1).checkedMultiplying(by: stride).flatMap { step in last?.checkedAdding(step) }
      }
      guard let last, last < capacity else {
        throw DecantError(
          .unclassified,
          "shape \(shape), strides \(strides) and offset \(storageOffset) reach beyond storage \(storage.key.escapedForDisplay), "
            + "which holds \(capacity) elements of \(dtype.rawValue) (\(storage.byteCount) bytes)")
      }
      let allowed = storage.byteCount.multipliedReportingOverflow(by: limits.expansion)
      guard byteCount <= limits.expansionFloor || allowed.overflow || byteCount <= allowed.partialValue else {
        throw DecantError(
          .unclassified,
          "the view spreads \(storage.byteCount) stored bytes over \(byteCount), more than "
            + "\(limits.expansion) times as many (Limits.expansion)")
      }
    }
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.storage = storage
    self.storageOffset = storageOffset
    self.isConjugated = isConjugated
    self.isNegated = isNegated
    self.requiresGrad = requiresGrad
    self.elementCount = elementCount
    guard dtype.elementsPerByte == 1 || (isContiguous && storageOffset % dtype.elementsPerByte == 0) else {
      throw DecantError(
        .unclassified, "a view of \(dtype.rawValue), which packs elements into bytes, is not contiguous")
    }
  }

  /// Makes a contiguous tensor of values in row-major order, copied.
  package init<T: TensorScalar>(_ values: [T], shape: [Int]) throws(DecantError) {
    let content = unsafe values.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: T.dtype, shape: shape, storage: storage)
    guard elementCount == values.count else {
      throw DecantError(.unclassified, "shape \(shape) needs \(elementCount) values, not \(values.count)")
    }
  }

  /// Makes a line of int64 values, copied.
  package init(integers: [Int64]) throws(DecantError) {
    let content = unsafe integers.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: .int64, shape: [integers.count], storage: storage)
  }

  /// Bytes of all elements in row-major order, views counted in full.
  package var byteCount: Int {
    // Packed elements share bytes; the last may be filled in part.
    let perByte = dtype.elementsPerByte
    return elementCount / perByte * dtype.byteCount + (elementCount % perByte == 0 ? 0 : 1)
  }

  /// Where the first element stands: bytes from the storage's start.
  var byteOffset: Int { storageOffset / dtype.elementsPerByte * dtype.byteCount }

  /// Whether the elements stand in row-major order without gaps (PyTorch's `is_contiguous`).
  package var isContiguous: Bool {
    if elementCount == 0 { return true }
    var expected = 1
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      if strides[axis] != expected { return false }
      expected *= shape[axis]
    }
    return true
  }

  /// The strides of row-major order, as PyTorch counts them (a size of 0 counts as 1).
  ///
  /// Beside a size of 0 the others may be so large that a stride does not fit; it is then the largest that does,
  /// and no element uses it.
  package static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1].checkedMultiplying(by: max(shape[axis + 1], 1)) ?? .max
    }
    return strides
  }

  /// The same elements with their axes in another order: a view, as PyTorch's `permute`, `squeeze` and `unsqueeze`.
  ///
  /// - Parameter axes: which of this tensor's axes each new one is; nil for a new one of size 1. Axes of size 1 may be left
  ///   out.
  /// - Throws: ``DecantError`` when a larger axis is left out, or elements share bytes and would no longer stand in order.
  package func arranged(_ axes: [Int?]) throws(DecantError) -> Tensor {
    if axes == Array(shape.indices) { return self }
    let used = Set(axes.compactMap { $0 })
    guard used.count == axes.count(where: { $0 != nil }), used.isSubset(of: shape.indices),
      shape.indices.allSatisfy({ used.contains($0) || shape[$0] == 1 })
    else { throw DecantError(.unclassified, "a tensor of shape \(shape) has no such order of axes: \(axes)") }
    return try Tensor(
      dtype: dtype, shape: axes.map { $0.map { shape[$0] } ?? 1 },
      strides: axes.map { $0.map { strides[$0] } ?? 1 },
      storage: storage, storageOffset: storageOffset, isConjugated: isConjugated, isNegated: isNegated,
      requiresGrad: requiresGrad)
  }

  /// The same view of other bookkeeping: what `_rebuild_parameter` says of a tensor.
  package func with(requiresGrad: Bool) -> Tensor {
    var tensor = self
    tensor.requiresGrad = requiresGrad
    return tensor
  }

  /// The same tensor with what it was made from.
  func with(layout: TensorLayout, parts: [TensorPart]) -> Tensor {
    var tensor = self
    tensor.layout = layout
    tensor.parts = parts
    return tensor
  }

  /// The same integers with what they stand for.
  ///
  /// - Throws: ``DecantError`` when the tensor is not quantised, or the scales do not fit its shape.
  package func with(_ quantization: Quantization) throws(DecantError) -> Tensor {
    try quantization.require(dtype, shape)
    var tensor = self
    tensor.quantization = quantization
    tensor.parts = quantization.parts
    return tensor
  }
}
