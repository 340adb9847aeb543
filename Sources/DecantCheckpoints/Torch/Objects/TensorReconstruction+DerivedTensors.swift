internal import DecantBytes
package import DecantPickle
package import DecantTensors

/// Reconstruction of tensors that are made from other tensors, or without data.
///
/// Source: PyTorch `torch/_utils.py`; docs/formats/torch-objects.md.
extension TensorReconstruction {
  /// Returns a quantised tensor, made by `(storage, offset, size, stride, quantizer, requires_grad, hooks)`.
  func quantized(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> Tensor {
    let integers = try view(arguments, dtype: nil, requiresGrad: arguments[5], metadata: nil)
    guard let parameters = graph.tuple(arguments[4]), parameters.count >= 3,
      let scheme = graph.global(parameters[0]), scheme.module == "torch"
    else { throw DecantError(.damaged, "the quantised tensor's parameters do not name a scheme") }
    let quantization: Quantization
    switch scheme.name {
    case "per_tensor_affine":
      guard let scale = graph.number(parameters[1]), case .int(let zeroPoint) = parameters[2] else {
        throw DecantError(.damaged, "the quantised tensor's scale and zero point are not numbers")
      }
      quantization = .perTensor(scale: scale, zeroPoint: zeroPoint)
    case "per_channel_affine", "per_channel_affine_float_qparams":
      guard parameters.count == 4, case .int(let axis) = parameters[3], let axis = Int(exactly: axis) else {
        throw DecantError(.damaged, "the quantised tensor's axis is not an integer")
      }
      let zeroPoints = try numbers(parameters[2], "the zero points", nesting: nesting)
      // PyTorch writes per_channel_affine for both schemes. The dtype of the zero points tells them apart.
      quantization = .perChannel(
        scales: try numbers(parameters[1], "the scales", nesting: nesting), zeroPoints: zeroPoints,
        axis: axis,
        hasFloatZeroPoints: zeroPoints.dtype.kind == .floatingPoint)
    default:
      throw DecantError(
        .unsupportedFormat, "the quantisation scheme \(scheme.name.escapedForDisplay) is not supported")
    }
    return try checked { () throws(DecantError) in try integers.with(quantization) }
  }

  /// Returns a tensor of numbers: either a tensor of the file, or the list of numbers that older files have.
  private func numbers(
    _ value: PickleValue, _ role: String, nesting: Int
  ) throws(DecantError) -> Tensor {
    guard let elements = graph.list(value) ?? graph.tuple(value) else {
      return try tensor(value, role, nesting: nesting)
    }
    var numbers: [Double] = []
    var isWhole = true
    for element in elements {
      guard let number = graph.number(element) else {
        throw DecantError(.damaged, "\(role) are not numbers")
      }
      if case .float = element { isWhole = false }
      numbers.append(number)
    }
    if isWhole {
      let integers = elements.compactMap { if case .int(let integer) = $0 { integer } else { nil } }
      return try checked { () throws(DecantError) in try Tensor(integers: integers) }
    }
    return try checked { () throws(DecantError) in try Tensor(numbers, shape: [numbers.count]) }
  }

  /// Returns a sparse tensor, made by `(layout, data)`: the data holds the indices, the values and the shape.
  func sparse(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> Tensor {
    guard let layout = graph.layout(arguments[0]), let data = graph.tuple(arguments[1]) else {
      throw DecantError(.unsupportedFormat, "the sparse tensor's layout is not supported")
    }
    let names = layout.partNames
    // A COO tensor may have a fourth value: a flag for sorted and unique indices.
    guard !names.isEmpty, data.count == names.count + 1 || (layout == .sparseCOO && data.count == 4),
      let shape = integers(data[names.count])
    else {
      throw DecantError(.damaged, "the \(layout.rawValue) tensor does not have the parts that PyTorch saves")
    }
    var parts: [Tensor] = []
    for (name, value) in zip(names, data) { parts.append(try tensor(value, "the \(name)", nesting: nesting)) }
    return try checked { () throws(DecantError) in
      try Tensor.sparse(layout, shape: shape, parts: parts, limits: limits)
    }
  }

  /// Returns the components of a nested tensor, made by `(buffer, sizes, strides, storage_offsets)`: one for each row
  /// of sizes.
  func nested(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> [Tensor] {
    let buffer = try tensor(arguments[0], "the nested tensor's buffer", nesting: nesting)
    let sizes = try tensor(arguments[1], "the nested tensor's sizes", nesting: nesting)
    let strides = try tensor(arguments[2], "the nested tensor's strides", nesting: nesting)
    guard buffer.shape.count == 1, buffer.strides == [1], sizes.shape.count == 2, strides.shape == sizes.shape
    else {
      throw DecantError(.damaged, "the nested tensor's sizes do not fit its buffer")
    }
    let allSizes = try smallIntegers(sizes)
    let allStrides = try smallIntegers(strides)
    let offsets =
      if let given = integers(arguments[3]) { given } else {
        try smallIntegers(try tensor(arguments[3], "the nested tensor's offsets", nesting: nesting))
      }
    guard offsets.count == sizes.shape[0] else {
      throw DecantError(
        .damaged, "the nested tensor has \(sizes.shape[0]) sizes and \(offsets.count) offsets")
    }
    let rank = sizes.shape[1]
    var components: [Tensor] = []
    for (index, offset) in offsets.enumerated() {
      let row = index * rank..<(index + 1) * rank
      components.append(
        try part(
          of: buffer, shape: Array(allSizes[row]), strides: Array(allStrides[row]), offset: offset))
    }
    return components
  }

  /// Returns the components of a jagged nested tensor. Its keywords are the values, and each component's offset along
  /// one dimension.
  func jagged(_ keywords: PickleValue, nesting: Int) throws(DecantError) -> [Tensor] {
    guard let pairs = graph.mappingPairs(keywords) else {
      throw DecantError(.damaged, "the jagged tensor is not made from a dictionary")
    }
    func value(_ name: String) -> PickleValue? {
      pairs.last { graph.isText($0.key, name) }.map(\.value).flatMap { $0 == .none ? nil : $0 }
    }
    guard let given = value("values"), let starts = value("offsets") else {
      throw DecantError(.damaged, "the jagged tensor has no values or no offsets")
    }
    let values = try tensor(given, "the jagged tensor's values", nesting: nesting)
    let offsets = try smallIntegers(try tensor(starts, "the jagged tensor's offsets", nesting: nesting))
    var lengths: [Int]?
    if let given = value("lengths") {
      lengths = try smallIntegers(try tensor(given, "the jagged tensor's lengths", nesting: nesting))
    }
    var ragged = 1
    if let given = value("_ragged_idx") ?? value("ragged_idx") {
      guard case .int(let index) = given, let index = Int(exactly: index) else {
        throw DecantError(.damaged, "the jagged tensor's ragged dimension is not an integer")
      }
      ragged = index
    }
    let axis = ragged - 1
    let count = max(offsets.count - 1, 0)
    guard values.shape.indices.contains(axis), lengths == nil || lengths?.count == count else {
      throw DecantError(.damaged, "the jagged tensor's offsets do not fit its values")
    }
    let requiresGrad = value("requires_grad") == .bool(true)
    var components: [Tensor] = []
    for index in 0..<count {
      let start = offsets[index]
      let length = lengths?[index] ?? offsets[index + 1] - start
      guard start >= 0, length >= 0, start <= values.shape[axis], length <= values.shape[axis] - start else {
        throw DecantError(.damaged, "component \(index) of the jagged tensor is outside its values")
      }
      var shape = values.shape
      shape[axis] = length
      let component = try part(
        of: values, shape: shape, strides: values.strides, offset: start * values.strides[axis])
      components.append(component.with(requiresGrad: requiresGrad))
    }
    return components
  }

  /// Returns a view of another tensor's storage. `offset` counts elements from that tensor's own offset.
  private func part(
    of tensor: Tensor, shape: [Int], strides: [Int], offset: Int
  ) throws(DecantError) -> Tensor {
    guard let offset = tensor.storageOffset.checkedAdding(offset) else {
      throw DecantError(.damaged, "the offset \(offset) is outside the nested tensor")
    }
    return try checked { () throws(DecantError) in
      try Tensor(
        dtype: tensor.dtype, shape: shape, strides: strides, storage: tensor.storage, storageOffset: offset,
        isConjugated: tensor.isConjugated, isNegated: tensor.isNegated, requiresGrad: tensor.requiresGrad,
        limits: limits)
    }
  }

  /// Returns the elements of a tensor that describes other tensors. They are read at once.
  private func smallIntegers(_ tensor: Tensor) throws(DecantError) -> [Int] {
    guard tensor.elementCount <= limits.paths, tensor.byteCount <= tensor.storage.byteCount else {
      throw DecantError(
        limits.exceeded(\.paths, need: tensor.elementCount),
        "a nested tensor has \(tensor.elementCount) sizes")
    }
    do { return try tensor.integers() } catch let error as DecantError { throw error } catch {
      throw DecantError(.readFailed, "the sizes of a nested tensor cannot be read: \(error)")
    }
  }

  /// Returns a tensor whose elements are not in the file.
  func withoutData(
    dtype: PickleValue, size: PickleValue, stride: PickleValue, offset: PickleValue, location: String,
    requiresGrad: PickleValue
  ) throws(DecantError) -> Tensor {
    let elementType = try self.dtype(dtype)
    guard let shape = integers(size), let count = checkedProduct(shape),
      let byteCount = count.checkedMultiplying(by: elementType.byteCount)
    else { throw DecantError(.damaged, "the tensor's size is not valid") }
    // A wrapper may have no strides or a symbolic offset. No data is read through them.
    let strides = integers(stride).flatMap { $0.count == shape.count && $0.allSatisfy { $0 >= 0 } ? $0 : nil }
    let strideSpan = zip(shape, strides ?? []).reduce(Int?.some(1)) { sum, next in
      (next.0 - 1).checkedMultiplying(by: next.1).flatMap { step in sum?.checkedAdding(step) }
    }
    guard let span = count == 0 || strides == nil ? count : strideSpan,
      let storageBytes = span.checkedMultiplying(by: elementType.byteCount)
    else { throw DecantError(.damaged, "the tensor's strides are not valid") }
    let storage = Storage(
      key: location, location: location, byteCount: max(byteCount, storageBytes), content: nil)
    return try checked { () throws(DecantError) in
      try Tensor(
        dtype: elementType, shape: shape, strides: strides, storage: storage,
        requiresGrad: requiresGrad == .bool(true), limits: limits)
    }
  }

  /// Returns a tensor of another device, made by `(data, dtype, device, requires_grad)`. The data is a PyTorch tensor
  /// or a NumPy array of the host.
  func deviceTensor(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> Tensor {
    let data = try tensor(arguments[0], "the device tensor's data", nesting: nesting)
    let elementType = try dtype(arguments[1])
    let location = graph.deviceName(arguments[2])
    guard
      elementType == data.dtype || Cast(data, to: elementType) != nil
    else {
      throw DecantError(
        .unsupportedFormat,
        "a device tensor of \(elementType.rawValue) is saved as \(data.dtype.rawValue), which is not supported"
      )
    }
    do {
      // Types that NumPy lacks are saved as wider types, so the cast is exact.
      let content = elementType == data.dtype ? data.storage.content : try data.castInMemory(to: elementType)
      let isSame = elementType == data.dtype
      let storage = Storage(
        key: data.storage.key, location: location, byteOrder: isSame ? data.storage.byteOrder : .little,
        byteCount: isSame ? data.storage.byteCount : content?.byteCount ?? 0, content: content,
        entry: data.storage.entry)
      return try Tensor(
        dtype: elementType, shape: data.shape, strides: isSame ? data.strides : nil, storage: storage,
        storageOffset: isSame ? data.storageOffset : 0, requiresGrad: arguments[3] == .bool(true),
        limits: limits)
    } catch let error as DecantError { throw error } catch {
      throw DecantError(.readFailed, "the device tensor cannot be read: \(error)")
    }
  }

  /// Returns the tensor that `make` makes. Errors without advice are given the advice of ``DecantError/ofTensor``.
  func checked(_ make: () throws(DecantError) -> Tensor) throws(DecantError) -> Tensor {
    do throws(DecantError) { return try make() } catch { throw error.ofTensor }
  }
}

extension DecantError {
  /// The same error, with advice for a wrong tensor description if it has none.
  var ofTensor: DecantError {
    advice != nil
      ? self
      : advising(.text("The file is damaged or malicious."))
  }
}

extension Tensor {
  /// Casts every element to another floating-point type, in memory. O(elements).
  fileprivate func castInMemory(to target: DType) throws -> BytesInMemory {
    guard var cast = Cast(self, to: target) else {
      throw DecantError(.unsupportedFormat, "a cast to \(target.rawValue) is not supported")
    }
    return try unsafe BytesInMemory(byteCount: elementCount * target.byteCount) { bytes in
      var done = 0
      try unsafe readRowMajor { elements in
        let end = done + elements.count / dtype.byteCount * target.byteCount
        unsafe cast.convert(
          UnsafeRawBufferPointer(elements), into: UnsafeMutableRawBufferPointer(rebasing: bytes[done..<end]))
        done = end
      }
    }
  }
}

extension PickleGraph {
  /// Returns the value of a float or an integer; nil for other values.
  package func number(_ value: PickleValue) -> Double? {
    switch value {
    case .float(let number): number
    case .int(let number): Double(number)
    default: nil
    }
  }

  /// Returns the layout that `torch.serialization._get_layout('torch.sparse_coo')` returns in PyTorch; nil for other
  /// values.
  package func layout(_ value: PickleValue) -> TensorLayout? {
    guard let object = object(value),
      global(object.callable)?.qualifiedName == "torch.serialization._get_layout",
      let arguments = tuple(object.arguments), arguments.count == 1, let name = text(arguments[0]),
      name.hasPrefix("torch.")
    else { return nil }
    return TensorLayout(rawValue: String(name.dropFirst("torch.".count)))
  }

  /// Returns the name of a device, given as text or as `torch.device('cuda', 0)`, in PyTorch's notation.
  func deviceName(_ value: PickleValue) -> String {
    if let text = text(value) { return text }
    guard let object = object(value), global(object.callable)?.qualifiedName == "torch.device",
      let arguments = tuple(object.arguments), let kind = arguments.first.flatMap({ text($0) })
    else { return "unknown" }
    if arguments.count > 1, case .int(let index) = arguments[1] { return "\(kind):\(index)" }
    return kind
  }
}
