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

/// The models in protocol buffers. They have no signature, so they are recognised by their first fields.
package enum ProtobufModel: Sendable {
  case onnx, coreML, savedModel, caffe, frozenGraph, paddle

  /// Returns the kind of model that a file begins like; nil for other files.
  package init?(_ head: [UInt8]) {
    let fields = ProtobufField.first(of: ByteSource(BytesInMemory(head), path: ""))
    guard let first = fields.first else { return nil }
    let second = fields.count > 1 ? fields[1] : nil
    if first.number == 1, let version = first.varint, 1...64 ~= version {
      guard let second, let kind = ProtobufModel(version: version, second, fields) else { return nil }
      self = kind
    } else if first.number == 1, first.varint == nil,
      let kind = ProtobufModel(first, second, inner: first.inner)
    {
      self = kind
    } else {
      return nil
    }
  }

  /// Recognises the messages that begin with a version.
  private init?(version: UInt64, _ second: ProtobufField, _ fields: [ProtobufField]) {
    // ONNX ModelProto: ir_version, producer_name, then producer_version, domain, graph or opset.
    if second.number == 2, second.name != nil, fields.count > 2, 3...8 ~= fields[2].number {
      self = .onnx
      return
    }
    // ONNX without a producer: the graph, whose first field is a node, a name or an initializer, then the opset.
    if second.number == 7, second.varint == nil, version >= 3, let part = second.inner.first,
      [1, 2, 5].contains(part.number), part.varint == nil
    {
      self = .onnx
      return
    }
    guard let inner = second.number == 2 ? second.inner.first : nil else { return nil }
    // Core ML Model: version, description { input { name } }.
    if inner.number == 1, let innermost = inner.inner.first {
      if innermost.number == 1, innermost.name != nil {
        self = .coreML
        return
      }
      // TensorFlow SavedModel: schema 1, meta graph { meta information { operations … } }.
      if version == 1, 2...7 ~= innermost.number {
        self = .savedModel
        return
      }
    }
    return nil
  }

  /// Recognises the messages that begin with a name or another message.
  private init?(_ first: ProtobufField, _ second: ProtobufField?, inner: [ProtobufField]) {
    // Caffe NetParameter: name, then layers, inputs or layer.
    if first.name != nil, let second, [2, 3, 100].contains(second.number), second.varint == nil {
      self = .caffe
      return
    }
    guard inner.count >= 2 else { return nil }
    // TensorFlow GraphDef: node { name, op }. The name of an op begins with a capital letter.
    if inner[0].number == 1, inner[0].name != nil, inner[1].number == 2,
      let operation = inner[1].name, operation.first?.isUppercase == true
    {
      self = .frozenGraph
      return
    }
    // Paddle ProgramDesc: block { index 0, parent -1, variables }.
    if inner[0].number == 1, inner[0].varint == 0, inner[1].number == 2, inner[1].varint == .max {
      self = .paddle
      return
    }
    return nil
  }
}
