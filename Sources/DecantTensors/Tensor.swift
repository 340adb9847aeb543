public import DecantBytes

/// A view of a storage: dtype, sizes and strides, as in PyTorch.
///
/// Elements are read on demand. The initializer has checked that every element lies inside the storage.
///
///     let bias = weights["fc.bias"]!
///     print(bias.dtype, bias.shape, try bias.values(as: Float.self))
public struct Tensor: Sendable {
  /// The data type of the elements.
  public let dtype: DType
  /// The sizes, outermost first; empty for a scalar.
  public let shape: [Int]
  /// The strides: the distance between neighbours along each dimension, in elements.
  public let strides: [Int]
  package let storage: Storage
  /// The offset of the first element in its storage, in elements.
  public let storageOffset: Int
  /// True when the stored numbers must be conjugated (PyTorch's lazy `conj` bit).
  package let isConjugated: Bool
  /// True when the stored numbers must be negated (PyTorch's lazy `neg` bit).
  package let isNegated: Bool
  /// True when PyTorch would train the tensor (`requires_grad`).
  public private(set) var requiresGrad: Bool
  /// The layout in the file: strided, or a sparse format. Reading a sparse tensor gives all elements, zeros
  /// included.
  public private(set) var layout = TensorLayout.strided
  /// The tensors that a sparse or quantised tensor consists of, in PyTorch's order.
  package private(set) var parts: [TensorPart] = []
  /// The quantisation parameters; nil for a tensor that is not quantised.
  package private(set) var quantization: Quantization?
  /// The number of elements (`numel`). Repeated elements of an expanded view count each time.
  public let elementCount: Int

  /// Creates a view and checks that it stays inside its storage.
  ///
  /// - Throws: ``DecantError`` when sizes or strides are negative, differ in number, overflow, reach outside
  ///   the storage, or expand it beyond `limits`. O(rank).
  package init(
    dtype: DType, shape: [Int], strides: [Int]? = nil, storage: Storage, storageOffset: Int = 0,
    isConjugated: Bool = false, isNegated: Bool = false, requiresGrad: Bool = false, limits: Limits = Limits()
  ) throws(DecantError) {
    guard shape.count <= limits.rank else {
      throw DecantError(
        limits.exceeded(\.rank, need: shape.count), "the tensor has \(Format.count(shape.count, "dimension"))"
      )
    }
    guard let elementCount = checkedProduct(shape),
      let byteCount = elementCount.checkedMultiplying(by: dtype.byteCount)
    else { throw DecantError(.damaged, "the shape \(shape) is negative or too large") }
    let strides = strides ?? Tensor.contiguousStrides(shape)
    guard strides.count == shape.count else {
      throw DecantError(
        .damaged,
        "the shape \(shape) has \(Format.count(shape.count, "dimension")) but \(strides.count) strides")
    }
    guard strides.allSatisfy({ $0 >= 0 }), storageOffset >= 0 else {
      throw DecantError(.damaged, "the strides \(strides) or the offset \(storageOffset) are negative")
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
          .damaged,
          "shape \(shape), strides \(strides) and offset \(storageOffset) reach beyond storage \(storage.key.escapedForDisplay), "
            + "which holds \(capacity) elements of \(dtype.rawValue) (\(Format.count(storage.byteCount, "byte")))"
        )
      }
      let allowed = storage.byteCount.multipliedReportingOverflow(by: limits.expansion)
      guard byteCount <= limits.expansionFloor || allowed.overflow || byteCount <= allowed.partialValue else {
        let factor = byteCount.dividedRoundingUp(by: storage.byteCount)
        throw DecantError(
          limits.exceeded(\.expansion, need: factor),
          "the view expands \(storage.byteCount) stored bytes to \(byteCount), \(factor) times as many")
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
        .unsupportedFormat,
        "a view of \(dtype.rawValue), which packs several elements into a byte, is not contiguous")
    }
  }

  /// Creates a contiguous tensor from a copy of values in row-major order. O(elements).
  ///
  /// - Throws: ``DecantError`` with the code `invalidArgument` when the number of values is not that of the
  ///   shape's elements.
  public init<T: TensorScalar>(_ values: [T], shape: [Int]) throws(DecantError) {
    guard checkedProduct(shape) == values.count else {
      throw DecantError(
        .invalidArgument, "\(Format.count(values.count, "value", ("does", "do"))) not fill the shape \(shape)"
      )
    }
    let content = unsafe values.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: T.dtype, shape: shape, storage: storage)
  }

  /// Creates a one-dimensional int64 tensor from a copy of integers.
  package init(integers: [Int64]) throws(DecantError) {
    let content = unsafe integers.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: .int64, shape: [integers.count], storage: storage)
  }

  /// The number of bytes of all elements in row-major order.
  public var byteCount: Int {
    // Packed elements share bytes; the last byte may be partly unused.
    let perByte = dtype.elementsPerByte
    return elementCount / perByte * dtype.byteCount + (elementCount % perByte == 0 ? 0 : 1)
  }

  /// The offset of the first element, in bytes from the start of the storage.
  var byteOffset: Int { storageOffset / dtype.elementsPerByte * dtype.byteCount }

  /// True when the elements are stored in row-major order without gaps (`is_contiguous`).
  public var isContiguous: Bool {
    if elementCount == 0 { return true }
    var expected = 1
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      if strides[axis] != expected { return false }
      expected *= shape[axis]
    }
    return true
  }

  /// Returns the strides of row-major order, as PyTorch counts them (a size of 0 counts as 1).
  ///
  /// When one size is 0, the others may be so large that a stride overflows. It is then `Int.max`, and no
  /// element uses it.
  package static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1].checkedMultiplying(by: max(shape[axis + 1], 1)) ?? .max
    }
    return strides
  }

  /// Returns a view with the axes in another order, like PyTorch's `permute`, `squeeze` and `unsqueeze`.
  ///
  /// - Parameter axes: for each new axis, the index of this tensor's axis, or nil for a new axis of size 1.
  ///   Axes of size 1 may be left out.
  /// - Throws: ``DecantError`` when a larger axis is left out, or packed elements would no longer be in
  ///   order.
  package func permuted(_ axes: [Int?]) throws(DecantError) -> Tensor {
    if axes == Array(shape.indices) { return self }
    let used = Set(axes.compactMap { $0 })
    guard used.count == axes.count(where: { $0 != nil }), used.isSubset(of: shape.indices),
      shape.indices.allSatisfy({ used.contains($0) || shape[$0] == 1 })
    else { throw DecantError(.invalidArgument, "the axes \(axes) do not fit a tensor of shape \(shape)") }
    return try Tensor(
      dtype: dtype, shape: axes.map { $0.map { shape[$0] } ?? 1 },
      strides: axes.map { $0.map { strides[$0] } ?? 1 },
      storage: storage, storageOffset: storageOffset, isConjugated: isConjugated, isNegated: isNegated,
      requiresGrad: requiresGrad)
  }

  /// Returns a view of the first elements along the first axis; all of a scalar, and of a sparse or quantised tensor.
  ///
  /// - Throws: ``DecantError`` when packed elements would no longer be in order.
  package func prefix(_ count: Int) throws(DecantError) -> Tensor {
    guard let size = shape.first, count < size, layout == .strided, quantization == nil else { return self }
    return try Tensor(
      dtype: dtype, shape: [count] + shape.dropFirst(), strides: strides, storage: storage,
      storageOffset: storageOffset, isConjugated: isConjugated, isNegated: isNegated,
      requiresGrad: requiresGrad)
  }

  /// Returns the same view with another `requires_grad`, as `_rebuild_parameter` sets it.
  package func with(requiresGrad: Bool) -> Tensor {
    var tensor = self
    tensor.requiresGrad = requiresGrad
    return tensor
  }

  /// Returns the same tensor with the layout and the parts that it was created from.
  func with(layout: TensorLayout, parts: [TensorPart]) -> Tensor {
    var tensor = self
    tensor.layout = layout
    tensor.parts = parts
    return tensor
  }

  /// Returns the same integers with quantisation parameters.
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
