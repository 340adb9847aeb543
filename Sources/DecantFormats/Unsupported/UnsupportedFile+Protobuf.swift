internal import DecantBytes

/// The first fields of a protocol buffer, as far as the first bytes of a file contain them.
///
/// Source: the encoding of Protocol Buffers; the messages are those of ONNX, TensorFlow, Core ML, Caffe and Paddle.
struct ProtobufFields {
  package struct Field {
    package let number: UInt64
    /// The value of a number; nil for bytes.
    package let varint: UInt64?
    /// The bytes of the field that are available.
    package let bytes: ArraySlice<UInt8>
    /// True when all bytes of the field are available.
    package let isWhole: Bool

    /// True when the field is a short text of printable ASCII whose bytes are all available.
    package var isName: Bool {
      varint == nil && isWhole && 1...128 ~= bytes.count && bytes.allSatisfy { 0x20..<0x7F ~= $0 }
    }
    /// The first fields of the field's bytes, read as a nested message.
    package var inner: [Field] { ProtobufFields(bytes).fields }
  }

  private(set) var fields: [Field] = []

  /// Reads at most eight fields. Stops at the first bytes that are not a field.
  init(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    while fields.count < 8, let tag = ProtobufFields.varint(&rest), 1...4096 ~= tag >> 3 {
      switch tag & 7 {
      case 0:
        guard let value = ProtobufFields.varint(&rest) else { return }
        fields.append(Field(number: tag >> 3, varint: value, bytes: [], isWhole: true))
      case 2:
        guard let length = ProtobufFields.varint(&rest) else { return }
        let count = Int(min(length, UInt64(rest.count)))
        fields.append(
          Field(
            number: tag >> 3, varint: nil, bytes: rest.prefix(count), isWhole: length <= UInt64(rest.count)))
        rest = rest.dropFirst(count)
      default: return
      }
    }
  }

  private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = bytes.popFirst() else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}

extension UnsupportedFile {
  /// Recognises models in protocol buffers. They have no signature, so they are judged by their first fields.
  package init?(protobuf head: [UInt8]) {
    let fields = ProtobufFields(head[...]).fields
    guard fields.count >= 1 else { return nil }
    let first = fields[0]
    let second = fields.count > 1 ? fields[1] : nil
    let remedy = "Pass the PyTorch checkpoint it was made from."
    if first.number == 1, let version = first.varint, 1...64 ~= version, let second {
      // ONNX ModelProto: ir_version, producer_name, then producer_version, domain, graph or opset.
      if second.number == 2, second.isName, fields.count > 2, 3...8 ~= fields[2].number {
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
        if innermost.number == 1, innermost.isName {
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
    if first.isName, let second, [2, 3, 100].contains(second.number), second.varint == nil {
      self.init("is a Caffe model", remedy, .unsupportedFormat)
      return
    }
    let inner = first.inner
    guard inner.count >= 2 else { return nil }
    // TensorFlow GraphDef: node { name, op }. The name of an op begins with a capital letter.
    if inner[0].number == 1, inner[0].isName, inner[1].number == 2, inner[1].isName,
      inner[1].bytes.first.map({ 0x41...0x5A ~= $0 }) == true
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
