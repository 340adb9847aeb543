internal import DecantBytes
internal import DecantPickle
internal import DecantTensors
internal import Synchronization

/// Reconstruction of NumPy's arrays and scalars from pickles.
///
/// Source: NumPy `numpy/_core/src/multiarray/methods.c` (`array_reduce`, `array_setstate`), `scalartypes.c`,
/// `numpy/_core/numeric.py` (`_frombuffer`); docs/formats/torch-objects.md.
extension TensorReconstruction {
  /// Returns the result of a call to NumPy; nil for other calls.
  func numpyOutcome(
    of global: PickleGlobal, _ arguments: [PickleValue], _ object: PickleObject
  ) throws(DecantError) -> Outcome? {
    // NumPy 2 renamed numpy.core to numpy._core.
    switch (global.module, global.name) {
    case ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"):
      return try array(filledBy: object.states.last, object)
    case ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"):
      guard arguments.count == 4 else {
        throw DecantError(.damaged, "\(global.qualifiedName) does not have four arguments")
      }
      guard let shape = integers(arguments[2]) else {
        throw DecantError(.damaged, "the array's shape is not a tuple of integers")
      }
      return try array(
        arguments[0], arguments[1], shape, isColumnMajor: graph.text(arguments[3]) == "F", object)
    case ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"):
      if arguments.count == 2, let type = recordType(arguments[0]), let bytes = graph.bytes(arguments[1]) {
        return try records(type, bytes, [], isColumnMajor: false, object)
      }
      return try scalar(arguments)
    case ("numpy.ma.core", "_mareconstruct"):
      return try maskedArray(object)
    default:
      // Other libraries pass the function, its arguments and the state, as JAX does.
      guard arguments.count >= 3, let function = graph.global(arguments[0]), function.name == "_reconstruct",
        ["numpy.core.multiarray", "numpy._core.multiarray"].contains(function.module),
        graph.tuple(arguments[2]) != nil
      else { return nil }
      return try array(filledBy: arguments[2], object)
    }
  }

  /// Returns a masked array from its BUILD state `(version, shape, dtype, is_fortran, data, mask, fill value)`.
  ///
  /// An array with masked elements is not read as a tensor, which has no mask.
  ///
  /// Source: NumPy `numpy/ma/core.py`, `MaskedArray.__getstate__`.
  private func maskedArray(_ object: PickleObject) throws(DecantError) -> Outcome? {
    guard let state = object.states.last.flatMap({ graph.tuple($0) }), state.count == 7,
      let mask = graph.bytes(state[5])
    else { return nil }
    let maskedCount = mask.count { $0 != 0 }
    guard maskedCount == 0 else {
      return .unread(
        ArrayDataSearch.Finding(
          kind: "masked array, \(maskedCount) of \(Format.count(mask.count, "element")) masked",
          shape: integers(state[1]),
          byteCount: graph.bytes(state[4])?.count))
    }
    return try array(
      state[4], state[2], integers(state[1]) ?? [-1], isColumnMajor: state[3] == .bool(true), object)
  }

  /// Returns an array from its BUILD state `(version, shape, dtype, is_fortran, data)`. The version may be missing.
  private func array(filledBy state: PickleValue?, _ object: PickleObject) throws(DecantError) -> Outcome {
    guard let state else { return .array(type: "numpy.ndarray", count: 0, elements: nil) }
    guard let all = graph.tuple(state), all.count == 4 || all.count == 5 else {
      throw DecantError(.damaged, "the array's state is not a tuple of its shape, dtype, order and data")
    }
    let fields = all.suffix(4).map { $0 }
    guard let shape = integers(fields[0]) else {
      throw DecantError(.damaged, "the array's shape is not a tuple of integers")
    }
    let isColumnMajor = fields[2] == .bool(true) || fields[2] == .int(1)
    return try array(fields[3], fields[1], shape, isColumnMajor: isColumnMajor, object)
  }

  private func array(
    _ data: PickleValue, _ type: PickleValue, _ shape: [Int], isColumnMajor: Bool, _ object: PickleObject
  ) throws(DecantError) -> Outcome {
    guard let count = checkedProduct(shape) else {
      throw DecantError(.damaged, "the array's shape \(shape) is negative or too large")
    }
    if let records = recordType(type), let bytes = graph.bytes(data) {
      return try self.records(records, bytes, shape, isColumnMajor: isColumnMajor, object)
    }
    guard let (code, dtype, order) = graph.numpyElementType(type) else {
      // The variable-length strings of NumPy 2 have a dtype of another class.
      guard let made = graph.object(type).flatMap({ graph.callable($0.callable) }) else {
        throw DecantError(.damaged, "the array's dtype is not a call of numpy.dtype")
      }
      return .array(
        type: "numpy.ndarray of \(made.name.escapedForDisplay)", count: count, elements: graph.list(data))
    }
    guard let dtype else {
      let elements = graph.list(data)
      var unread: ArrayDataSearch.Finding?
      // Numbers and records of numbers are unread tensors. Texts, dates and Python objects are not tensors.
      if let first = code.first,
        "fcV".contains(first) || code.hasPrefix("ml_dtypes.") || code.hasPrefix("numpy."),
        let bytes = graph.bytes(data), !bytes.isEmpty
      {
        unread = ArrayDataSearch.Finding(
          kind: "numpy array of \(code.escapedForDisplay)", shape: shape, byteCount: bytes.count)
      }
      return .array(
        type: "numpy.ndarray of \(code.escapedForDisplay)", count: count, elements: elements, unread: unread)
    }
    if case .outOfBandBuffer = graph.node(data) {
      return .unread(
        ArrayDataSearch.Finding(kind: "array whose data was saved apart from the pickle", shape: shape))
    }
    guard let bytes = graph.bytes(data) else {
      throw DecantError(.damaged, "the array's data is not bytes")
    }
    guard count.checkedMultiplying(by: dtype.byteCount) == bytes.count else {
      throw DecantError(
        .damaged,
        "an array of shape \(shape) and type \(dtype.rawValue) has \(Format.count(bytes.count, "byte")) of data"
      )
    }
    let storage = Storage(
      key: "numpy@\(object.offset)", byteOrder: order, byteCount: bytes.count, content: PickledBytes(bytes))
    let strides = isColumnMajor ? Array(Tensor.contiguousStrides(shape.reversed()).reversed()) : nil
    return .tensor(
      try checked { () throws(DecantError) in
        try Tensor(dtype: dtype, shape: shape, strides: strides, storage: storage, limits: limits)
      })
  }

  // MARK: Records

  /// Returns the fields of an array of records.
  private func records(
    _ type: RecordType, _ bytes: [UInt8], _ shape: [Int], isColumnMajor: Bool, _ object: PickleObject
  ) throws(DecantError) -> Outcome {
    guard checkedProduct(shape)?.checkedMultiplying(by: type.byteCount) == bytes.count else {
      throw DecantError(
        .damaged,
        "an array of shape \(shape) and records of \(Format.count(type.byteCount, "byte")) has \(Format.count(bytes.count, "byte")) of data"
      )
    }
    let content = PickledBytes(bytes)
    var fields: [(field: RecordType.Field, tensor: Tensor?)] = []
    for field in type.fields {
      guard field.numbers != nil else {
        fields.append((field, nil))
        continue
      }
      let tensor = try checked { () throws(DecantError) in
        guard
          let tensor = try type.tensor(
            of: field, in: content, shape: shape, isColumnMajor: isColumnMajor, key: "numpy@\(object.offset)",
            limits: limits)
        else { throw DecantError(.damaged, "the field is too large") }
        return tensor
      }
      fields.append((field, tensor))
    }
    return .records(fields, shape: shape)
  }

  /// Returns the record type that a dtype object describes; nil for types without fields, and when it is not
  /// understood.
  ///
  /// The object is `numpy.dtype('V12', False, True)`, then BUILD `(3, '|', None, names, {name: (dtype, offset)}, 12, …)`.
  private func recordType(_ value: PickleValue, depth: Int = 8) -> RecordType? {
    guard depth > 0, let state = dtypeState(value), let names = graph.tuple(state[3]), !names.isEmpty,
      let places = graph.mappingPairs(state[4]), case .int(let size) = state[5],
      let size = Int(exactly: size)
    else { return nil }
    var byName: [ExactText: PickleValue] = [:]
    for pair in places { if let name = graph.text(pair.key) { byName[ExactText(name)] = pair.value } }
    var fields: [RecordType.Field] = []
    for value in names {
      guard let name = graph.text(value), let place = byName[ExactText(name)].flatMap({ graph.tuple($0) }),
        place.count >= 2, case .int(let offset) = place[1], let offset = Int(exactly: offset),
        let found = self.fields(name, place[0], at: offset, depth: depth - 1)
      else { return nil }
      fields += found
    }
    return RecordType(byteCount: size, fields: fields)
  }

  /// Returns the fields of a record's member: itself, or those of a record inside it.
  private func fields(_ name: String, _ type: PickleValue, at offset: Int, depth: Int) -> [RecordType.Field]?
  {
    var (type, shape) = (type, [Int]())
    if let state = dtypeState(type), let parts = graph.tuple(state[2]), parts.count == 2 {
      guard let sizes = integers(parts[1]) else { return nil }
      (type, shape) = (parts[0], sizes)
    }
    if let inner = recordType(type, depth: depth), shape.isEmpty {
      return inner.fields.map { $0.inside(name, at: offset) }
    }
    guard let (code, dtype, order) = graph.numpyElementType(type), let count = checkedProduct(shape) else {
      return nil
    }
    let kind = code.first ?? "V"
    var width = dtype?.byteCount
    if width == nil, case .int(let size)? = dtypeState(type)?[5], size >= 0 { width = Int(exactly: size) }
    if width == nil { width = Int(code.dropFirst()).map { kind == "U" ? 4 * $0 : $0 } }
    guard let width, width >= 0, let byteCount = count.checkedMultiplying(by: width) else { return nil }
    return [
      RecordType.Field(
        names: [name], type: code, numbers: dtype.map { ($0, order) },
        isUnread: dtype == nil && !"SUMm".contains(kind), shape: shape, offset: offset, byteCount: byteCount)
    ]
  }

  /// Returns the state of a dtype object: `(version, order, (base, shape), names, fields, size, …)`; nil without one.
  private func dtypeState(_ value: PickleValue) -> [PickleValue]? {
    guard let object = graph.object(value), graph.global(object.callable)?.qualifiedName == "numpy.dtype",
      let state = object.states.last.flatMap({ graph.tuple($0) }), state.count >= 7
    else { return nil }
    return state
  }

  /// Returns a scalar, made by `(dtype, bytes)`.
  private func scalar(_ arguments: [PickleValue]) throws(DecantError) -> Outcome {
    guard arguments.count == 2, let (code, dtype, order) = graph.numpyElementType(arguments[0]) else {
      throw DecantError(.damaged, "a NumPy scalar has no dtype")
    }
    guard let dtype, let bytes = graph.bytes(arguments[1]), bytes.count == dtype.byteCount else {
      return .array(type: "numpy scalar of \(code.escapedForDisplay)", count: 1, elements: [arguments[1]])
    }
    let storage = Storage(
      key: "scalar", byteOrder: order, byteCount: bytes.count, content: PickledBytes(bytes))
    let tensor = try checked { () throws(DecantError) in try Tensor(dtype: dtype, shape: [], storage: storage)
    }
    return .scalar(type: "numpy.\(dtype.rawValue)", try value(tensor))
  }

  private func value(_ tensor: Tensor) throws(DecantError) -> JSONValue {
    do {
      switch tensor.dtype.kind {
      case .boolean: return .bool(try tensor.elements(as: Double.self) != [0])
      case .signedInteger: return try tensor.integers().first.map { .exact(Int64($0)) } ?? .null
      case .unsignedInteger:
        let bytes = try tensor.rowMajorBytes()
        let number = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int64(exactly: number).map { .exact($0) } ?? .string(String(number))
      case .complex:
        let bytes = try tensor.rowMajorBytes()
        let part = tensor.dtype.part ?? .float64
        let storage = Storage(key: "scalar", byteCount: bytes.count, content: PickledBytes(bytes))
        let pair = try Tensor(dtype: part, shape: [2], storage: storage).elements(as: Double.self)
        return .array(pair.map { .exact($0) })
      default: return try tensor.elements(as: Double.self).first.map { .exact($0) } ?? .null
      }
    } catch let error as DecantError { throw error } catch {
      throw DecantError(.readFailed, "a NumPy scalar cannot be read: \(error)")
    }
  }
}

/// A storage's content that is a byte string of the pickle. The bytes are shared with the pickle and copied when
/// read.
final class PickledBytes: StorageContent {
  private let bytes: [UInt8]
  private let aligned = Mutex<BytesInMemory?>(nil)

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var byteCount: Int { bytes.count }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + buffer.count]))
    }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? {
    unsafe aligned.withLock { aligned in
      let made = aligned ?? BytesInMemory(bytes)
      aligned = made
      return unsafe made.mappedBytes()
    }
  }
}
