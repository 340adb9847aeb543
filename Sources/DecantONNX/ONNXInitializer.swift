internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantTensors

/// A constant of an ONNX graph: a `TensorProto` whose data is written after the file is planned.
struct ONNXInitializer {
  /// The source of the data.
  enum Content {
    /// A tensor's elements as float32, in row-major order.
    case stored(Tensor)
    /// A convolution's weights as float32: for each output channel, (weight − `less`) × `times`.
    case scaled(Tensor, less: [Double], times: [Double])
    case floats([Float])
    case integers([Int64])
  }

  let name: String
  let shape: [Int]
  let content: Content

  /// True for the network's parameters and constants computed from them; false for an operator's own constants.
  var isWeight = true

  /// The number of bytes of the data.
  var byteCount: Int {
    switch content {
    case .stored(let tensor), .scaled(let tensor, _, _): tensor.elementCount * 4
    case .floats(let values): values.count * 4
    case .integers(let values): values.count * 8
    }
  }

  /// The data type in ONNX's `TensorProto.DataType`: 1 is float32, 7 is int64.
  var elementType: UInt64 {
    if case .integers = content { 7 } else { 1 }
  }

  /// Returns the fields of a `TensorProto` up to the data. Internal data follows them in the file.
  func message(external: (location: String, offset: Int)?) -> ProtobufMessage {
    typealias Field = ONNXField.Tensor
    var message = ProtobufMessage()
    for size in shape { message.append(Field.dims, size) }
    message.append(Field.dataType, Int(elementType))
    message.append(Field.name, name)
    guard let external else {
      message.beginBytes(Field.rawData, count: byteCount)
      return message
    }
    for (key, value) in [
      ("location", external.location), ("offset", "\(external.offset)"), ("length", "\(byteCount)"),
    ] {
      message.append(Field.externalData, .entry(key, value))
    }
    message.append(Field.dataLocation, 1)
    return message
  }

  /// Calls `body` with the data as it is written, piece by piece.
  ///
  /// - Throws: ``DecantError`` when the data cannot be read, or an element is not finite in float32.
  func readNumbers(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    do {
      switch content {
      case .stored(let tensor) where tensor.dtype == .float32:
        // Not read into the output's buffers directly, because a buffer can end in the middle of an element.
        try unsafe tensor.readRowMajor { try unsafe body(UnsafeRawBufferPointer($0)) }
      case .stored(let tensor):
        try tensor.readNumbers { numbers in try unsafe hand(numbers.map { Float($0) }, to: body) }
      case .scaled(let tensor, let less, let times):
        try tensor.readRows { row, numbers in
          let (less, times) = (less[row], times[row])
          try unsafe hand(numbers.map { Float(($0 - less) * times) }, to: body)
        }
      case .floats(let values): try unsafe hand(values, to: body)
      case .integers(let values): try unsafe values.withUnsafeBytes { try unsafe body($0) }
      }
    } catch let error as DecantError { throw error.located(tensor: name) }
  }

  private func hand(_ values: [Float], to body: (UnsafeRawBufferPointer) throws -> Void) throws {
    if let other = values.first(where: { !$0.isFinite }) {
      throw DecantError(
        .notRepresentable, "a number would be \(other) in float32", tensor: name, advice: .showRanges)
    }
    try unsafe values.withUnsafeBytes { try unsafe body($0) }
  }
}

extension ProtobufMessage {
  /// Returns a `StringStringEntryProto`.
  static func entry(_ key: String, _ value: String) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(ONNXField.Entry.key, key)
    message.append(ONNXField.Entry.value, value)
    return message
  }
}
