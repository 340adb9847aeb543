internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// NumPy's dtypes and scalars in a pickle.
extension PickleGraph {
  /// Returns the type that a dtype object describes: its code, its byte order, and its ``DType``, which is nil when
  /// tensors do not have it.
  ///
  /// The object is `numpy.dtype('f4', False, True)`, then BUILD `(3, '<', …)`.
  func numpyElementType(_ value: PickleValue) -> (code: String, DType?, Storage.ByteOrder)? {
    guard let object = object(value), global(object.callable)?.qualifiedName == "numpy.dtype",
      let arguments = tuple(object.arguments), let given = arguments.first
    else { return nil }
    var order = Storage.ByteOrder.little
    if let state = object.states.last.flatMap({ tuple($0) }), state.count > 1,
      isText(state[1], ">")
    {
      order = .big
    }
    if let global = global(given) {
      // Types of the package ml_dtypes have no code. Those that PyTorch has, too, have the same names.
      let dtype = global.module == "ml_dtypes" ? DType(rawValue: global.name) : nil
      return (global.qualifiedName, dtype?.kind == .floatingPoint ? dtype : nil, order)
    }
    guard var code = text(given) else { return nil }
    if let mark = code.first, "<>|=".contains(mark) {
      if mark == ">" { order = .big }
      code.removeFirst()
    }
    return (code, NumpyTypes.dtype(code), order)
  }

  /// Returns a NumPy scalar that is a mapping's key, as the Python number or text that it equals; nil for other values.
  ///
  /// Source: NumPy `numpy/_core/src/multiarray/scalartypes.c.src`: a scalar is `scalar(dtype, bytes)`.
  func numpyKey(_ value: PickleValue) -> PathKey? {
    guard let object = object(value), let function = global(object.callable), function.name == "scalar",
      ["numpy.core.multiarray", "numpy._core.multiarray"].contains(function.module),
      let arguments = tuple(object.arguments), arguments.count == 2,
      let (code, dtype, order) = numpyElementType(arguments[0]), var data = bytes(arguments[1])
    else { return nil }
    if code.hasPrefix("U"), data.count % 4 == 0 {
      let scalars = stride(from: 0, to: data.count, by: 4).map { start -> Unicode.Scalar? in
        Unicode.Scalar(Self.bits(data[start..<start + 4], order) as UInt32)
      }
      // NumPy pads texts with zeros.
      guard scalars.allSatisfy({ $0 != nil }) else { return nil }
      var text = String(String.UnicodeScalarView(scalars.compactMap { $0 }))
      while text.unicodeScalars.last?.value == 0 { text.unicodeScalars.removeLast() }
      return .text(text)
    }
    guard let dtype, data.count == dtype.byteCount, data.count <= 8 else { return nil }
    if order == .big { data.reverse() }
    let bits: UInt64 = Self.bits(data[...], .little)
    switch dtype {
    case .bool: return .other(bits == 0 ? "False" : "True")
    case .uint8, .uint16, .uint32, .uint64:
      return Int64(exactly: bits).map { .integer($0) } ?? .other(String(bits))
    case .int8, .int16, .int32, .int64:
      let unused = 64 - 8 * data.count
      return .integer(Int64(bitPattern: bits << unused) >> unused)
    case .float32: return .other(Float(bitPattern: UInt32(truncatingIfNeeded: bits)).description)
    case .float64: return .other(Double(bitPattern: bits).description)
    default: return nil
    }
  }

  private static func bits<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _ order: Storage.ByteOrder) -> T
  {
    let ordered = order == .big ? Array(bytes) : bytes.reversed()
    return ordered.reduce(0) { $0 << 8 | T($1) }
  }
}
