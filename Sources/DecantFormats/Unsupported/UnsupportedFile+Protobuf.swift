internal import DecantBytes
internal import DecantIO

/// A field at the start of a protobuf message, of which the first bytes are available.
///
/// Source: the encoding of Protocol Buffers; the messages are those of ONNX, TensorFlow, Core ML, Caffe and Paddle.
private struct ProtobufField {
  let number: Int
  let value: ProtobufReader.Value
  /// The available bytes of the file.
  let head: ByteSource

  /// Returns at most eight fields. Stops at the first bytes that are not a field.
  static func first(of head: ByteSource, in range: Range<Int>? = nil) -> [ProtobufField] {
    var reader = ProtobufReader(head, range, isHead: true)
    var fields: [ProtobufField] = []
    while fields.count < 8, let field = try? reader.next(), 1...4096 ~= field.number {
      fields.append(ProtobufField(number: field.number, value: field.value, head: head))
    }
    return fields
  }

  /// The value of a number; nil for bytes.
  var varint: UInt64? { if case .number(let value) = value { value } else { nil } }

  /// The field as a short name of printable ASCII; nil when it is not one, or not all of it is available.
  var name: String? {
    guard case .bytes(let range) = value, 1...128 ~= range.count,
      let bytes = try? head.bytes(at: range.lowerBound, count: range.count),
      bytes.allSatisfy({ 0x20..<0x7F ~= $0 })
    else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The first fields of the field's bytes, read as a message.
  var inner: [ProtobufField] {
    if case .bytes(let range) = value { ProtobufField.first(of: head, in: range) } else { [] }
  }
}

extension UnsupportedFile {
  /// Recognises models in protocol buffers. They have no signature, so they are judged by their first fields.
  package init?(protobuf head: [UInt8]) {
    let fields = ProtobufField.first(of: ByteSource(BytesInMemory(head), path: ""))
    guard fields.count >= 1 else { return nil }
    let first = fields[0]
    let second = fields.count > 1 ? fields[1] : nil
    let remedy = "Pass the PyTorch checkpoint it was made from."
    if first.number == 1, let version = first.varint, 1...64 ~= version, let second {
      // ONNX ModelProto: ir_version, producer_name, then producer_version, domain, graph or opset.
      if second.number == 2, second.name != nil, fields.count > 2, 3...8 ~= fields[2].number {
        self.init("is an ONNX model", remedy, .unsupportedFormat)
        return
      }
      // ONNX without a producer: the graph, whose first field is a node, then the opset.
      if second.number == 7, second.varint == nil, version >= 3, let part = second.inner.first,
        [1, 2, 5].contains(part.number), part.varint == nil
      {
        self.init("is an ONNX model", remedy, .unsupportedFormat)
        return
      }
      let inner = second.number == 2 ? second.inner.first : nil
      if let inner, inner.number == 1, let innermost = inner.inner.first {
        // Core ML Model: version, description { input { name } }.
        if innermost.number == 1, innermost.name != nil {
          self.init("is a Core ML model", remedy, .unsupportedFormat)
          return
        }
        // TensorFlow SavedModel: schema 1, meta graph { meta information { operations … } }.
        if version == 1, 2...7 ~= innermost.number {
          self.init("is a TensorFlow SavedModel", remedy, .unsupportedFormat)
          return
        }
      }
      return nil
    }
    guard first.number == 1, first.varint == nil else { return nil }
    // Caffe NetParameter: name, then layers, inputs or layer.
    if first.name != nil, let second, [2, 3, 100].contains(second.number), second.varint == nil {
      self.init("is a Caffe model", remedy, .unsupportedFormat)
      return
    }
    let inner = first.inner
    guard inner.count >= 2 else { return nil }
    // TensorFlow GraphDef: node { name, op }. The name of an op begins with a capital letter.
    if inner[0].number == 1, inner[0].name != nil, inner[1].number == 2,
      let operation = inner[1].name, operation.first?.isUppercase == true
    {
      self.init("is a frozen TensorFlow graph", remedy, .unsupportedFormat)
      return
    }
    // Paddle ProgramDesc: block { index 0, parent -1, variables }.
    if inner[0].number == 1, inner[0].varint == 0, inner[1].number == 2, inner[1].varint == .max {
      self.init(
        "is a PaddlePaddle program (.pdmodel)", "Pass the .pdparams file next to it.", .unsupportedFormat)
      return
    }
    return nil
  }
}
