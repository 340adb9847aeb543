internal import DecantFormats

/// An operator of an ONNX graph: a `NodeProto` with one output. Unless changed, the output has the node's name.
struct ONNXNode {
  /// An attribute, of one of the types that the exported operators use.
  enum Attribute {
    case integer(Int)
    case integers([Int])
    case float(Float)
    case text(String)
  }

  let type: String
  let name: String
  let inputs: [String]
  var output: String
  /// The attributes in the order in which they are written.
  var attributes: [(name: String, value: Attribute)] = []

  /// The fields of a `NodeProto`.
  var message: ProtobufMessage {
    var message = ProtobufMessage()
    for input in inputs { message.append(ONNXField.Node.input, input) }
    message.append(ONNXField.Node.output, output)
    message.append(ONNXField.Node.name, name)
    message.append(ONNXField.Node.operatorType, type)
    for (name, value) in attributes {
      message.append(ONNXField.Node.attribute, value.message(named: name))
    }
    return message
  }
}

extension ONNXNode.Attribute {
  /// Returns the fields of an `AttributeProto`.
  func message(named name: String) -> ProtobufMessage {
    typealias Field = ONNXField.Attribute
    var message = ProtobufMessage()
    message.append(Field.name, name)
    switch self {
    case .float(let value):
      message.append(Field.float, value)
      message.append(Field.type, 1)
    case .integer(let value):
      message.append(Field.integer, value)
      message.append(Field.type, 2)
    case .text(let value):
      message.append(Field.text, value)
      message.append(Field.type, 3)
    case .integers(let values):
      // Not packed, as protobuf's own writer does for this field.
      for value in values { message.append(Field.integers, value) }
      message.append(Field.type, 7)
    }
    return message
  }
}
