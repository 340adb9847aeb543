public import DecantBytes

/// A view of stored elements: type, sizes and strides, as PyTorch's tensors are.
///
/// Elements are read when they are asked for. Every element has been proved to lie inside the storage.
///
///     let bias = weights["fc.bias"]!
///     print(bias.dtype, bias.shape, try bias.values(as: Float.self))
public struct Tensor: Sendable {
  /// The type of the elements.
  public let dtype: DType
  /// The sizes, outermost first; empty for a scalar.
  public let shape: [Int]
  /// The distance of neighbours along each dimension, in elements.
  public let strides: [Int]
  package let storage: Storage
  /// The offset of the first element in its storage, in elements.
  public let storageOffset: Int
  /// Whether the stored numbers stand for their complex conjugates (PyTorch's lazy `conj` bit).
  package let isConjugated: Bool
  /// Whether the stored numbers stand for their negatives (PyTorch's lazy `neg` bit).
  package let isNegated: Bool
  /// PyTorch would train it: `requires_grad`.
  public private(set) var requiresGrad: Bool
  /// How the file stores the elements: strided, or a sparse format. Reading gives all elements, zeros included.
  public private(set) var layout = TensorLayout.strided
  /// The tensors a sparse or quantised one is made from, in PyTorch's order.
  package private(set) var parts: [TensorPart] = []
  /// What the integers of a quantised tensor stand for.
  package private(set) var quantization: Quantization?
  /// The number of elements; those of an expanded view count each time (`numel`).
  public let elementCount: Int

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
        limits.exceeded(\.rank, need: shape.count), "the tensor has \(shape.count) dimensions")
    }
    guard let elementCount = checkedProduct(shape),
      let byteCount = elementCount.checkedMultiplying(by: dtype.byteCount)
    else { throw DecantError(.damaged, "the shape \(shape) is negative or too large") }
    let strides = strides ?? Tensor.contiguousStrides(shape)
    guard strides.count == shape.count else {
      throw DecantError(.damaged, "the shape \(shape) has \(shape.count) sizes and \(strides.count) strides")
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
            + "which holds \(capacity) elements of \(dtype.rawValue) (\(storage.byteCount) bytes)")
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

  /// Makes a contiguous tensor of values in row-major order, copied. O(elements).
  ///
  /// - Throws: ``DecantError`` with the code `invalidArgument` when the shape has not as many elements as there are values.
  public init<T: TensorScalar>(_ values: [T], shape: [Int]) throws(DecantError) {
    guard checkedProduct(shape) == values.count else {
      throw DecantError(.invalidArgument, "\(values.count) values do not fill the shape \(shape)")
    }
    let content = unsafe values.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: T.dtype, shape: shape, storage: storage)
  }

  /// Makes a line of int64 values, copied.
  package init(integers: [Int64]) throws(DecantError) {
    let content = unsafe integers.withUnsafeBytes { unsafe BytesInMemory($0) }
    let storage = Storage(key: "memory", byteCount: content.byteCount, content: content)
    try self.init(dtype: .int64, shape: [integers.count], storage: storage)
  }

  /// The number of bytes of all elements in row-major order.
  public var byteCount: Int {
    // Packed elements share bytes; the last may be filled in part.
    let perByte = dtype.elementsPerByte
    return elementCount / perByte * dtype.byteCount + (elementCount % perByte == 0 ? 0 : 1)
  }

  /// Where the first element stands: bytes from the storage's start.
  var byteOffset: Int { storageOffset / dtype.elementsPerByte * dtype.byteCount }

  /// The elements are stored in row-major order without gaps (`is_contiguous`).
  public var isContiguous: Bool {
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
    else { throw DecantError(.invalidArgument, "the axes \(axes) do not fit a tensor of shape \(shape)") }
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
