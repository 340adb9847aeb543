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
    for input in inputs { message.append(1, input) }
    message.append(2, output)
    message.append(3, name)
    message.append(4, type)
    for (name, value) in attributes { message.append(5, value.message(named: name)) }
    return message
  }
}

extension ONNXNode.Attribute {
  /// Returns the fields of an `AttributeProto`. Field 20 is the attribute's type.
  func message(named name: String) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(1, name)
    switch self {
    case .float(let value):
      message.append(2, value)
      message.append(20, 1)
    case .integer(let value):
      message.append(3, value)
      message.append(20, 2)
    case .text(let value):
      message.append(4, value)
      message.append(20, 3)
    case .integers(let values):
      // Not packed, as protobuf's own writer does for this field.
      for value in values { message.append(8, value) }
      message.append(20, 7)
    }
    return message
  }
}
