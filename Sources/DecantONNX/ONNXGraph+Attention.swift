internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs

/// Channel attention and attention pooling in ONNX's operators of opset 17.
extension ONNXGraph {
  /// Appends squeeze-and-excitation: two 1×1 convolutions of the channel means with a ReLU between, then a sigmoid.
  mutating func appendSqueezeExcitation(_ node: Node, _ x: String) throws(DecantError) -> String {
    let name = node.name
    let means = append("GlobalAveragePool", [x], name + "/GlobalAveragePool")
    let attributes = Self.convolution(kernel: [1, 1], strides: [1, 1])
    let reduced = append(
      "Conv", [means, try parameter(node, .squeezeWeight), try parameter(node, .squeezeBias)], name + "/fc1",
      attributes)
    let activated = append("Relu", [reduced], name + "/Relu")
    let restored = append(
      "Conv", [activated, try parameter(node, .excitationWeight), try parameter(node, .excitationBias)],
      name + "/fc2", attributes)
    let gate = append("Sigmoid", [restored], name + "/Sigmoid")
    return append("Mul", [x, gate], name)
  }

  /// Appends efficient channel attention: one 1-D convolution along the channel means, then a sigmoid.
  mutating func appendChannelAttention(
    _ node: Node, _ x: String, _ channels: Int, kernel: Int
  ) throws(DecantError) -> String {
    let name = node.name
    let means = append("GlobalAveragePool", [x], name + "/GlobalAveragePool")
    let line = append("Reshape", [means, integers(name + "/line", [0, 1, channels])], name + "/Reshape")
    let mixed = append(
      "Conv", [line, try parameter(node, .channelConvolutionWeight)], name + "/conv",
      Self.convolution(kernel: [kernel], strides: [1], pads: [kernel / 2, kernel / 2]))
    let gate = append("Sigmoid", [mixed], name + "/Sigmoid")
    let map = append("Reshape", [gate, integers(name + "/map", [0, channels, 1, 1])], name + "/factors")
    return append("Mul", [x, map], name)
  }

  /// Appends CLIP's attention pooling: the mean of all pixels is the query, the mean and the pixels are keys and
  /// values.
  mutating func append(
    _ pooling: AttentionPooling, _ node: Node, _ x: String
  ) throws(DecantError) -> String {
    let name = node.name
    let (channels, heads) = (pooling.channels, pooling.heads)
    let size = channels / max(heads, 1)
    let flat = append("Reshape", [x, integers(name + "/pixels", [0, channels, -1])], name + "/Reshape")
    let mean = append(
      "ReduceMean", [flat], name + "/ReduceMean", [("axes", .integers([2])), ("keepdims", .integer(1))])
    let joined = append("Concat", [mean, flat], name + "/Concat", [("axis", .integer(2))])
    let rows = append("Transpose", [joined], name + "/rows", [("perm", .integers([0, 2, 1]))])
    let tokens = append("Add", [rows, try parameter(node, .positions)], name + "/Add")

    let first = constant(name + "/first", shape: [], .integers([0]))
    let query = append("Gather", [tokens, first], name + "/query", [("axis", .integer(1))])
    let queries = append(
      "Gemm", [query, try parameter(node, .queryWeight), try parameter(node, .queryBias)], name + "/q_proj",
      [("transB", .integer(1))])
    let ownQueries = append(
      "Reshape", [queries, integers(name + "/one", [0, heads, 1, size])], name + "/q")
    let split = integers(name + "/split", [0, pooling.tokens, heads, size])
    func project(
      _ letter: String, _ weight: Parameter.Role, _ bias: Parameter.Role, _ order: [Int]
    ) throws(DecantError) -> String {
      let turned = append(
        "Transpose", [try parameter(node, weight)], "\(name)/\(letter)_proj/Transpose",
        [("perm", .integers([1, 0]))])
      let product = append("MatMul", [tokens, turned], "\(name)/\(letter)_proj/MatMul")
      let sum = append("Add", [product, try parameter(node, bias)], "\(name)/\(letter)_proj")
      let parts = append("Reshape", [sum, split], "\(name)/\(letter)_proj/split")
      return append("Transpose", [parts], "\(name)/\(letter)", [("perm", .integers(order))])
    }
    let keys = try project("k", .keyWeight, .keyBias, [0, 2, 3, 1])
    let values = try project("v", .valueWeight, .valueBias, [0, 2, 1, 3])
    let products = append("MatMul", [ownQueries, keys], name + "/products")
    let factor = constant(
      name + "/factor", shape: [], .floats([Float(1 / Double(size).squareRoot())]))
    let scores = append("Mul", [products, factor], name + "/scores")
    let shares = append("Softmax", [scores], name + "/Softmax", [("axis", .integer(-1))])
    let mixed = append("MatMul", [shares, values], name + "/mixed")
    let whole = append("Reshape", [mixed, integers(name + "/whole", [0, channels])], name + "/heads")
    return append(
      "Gemm", [whole, try parameter(node, .linearWeight), try parameter(node, .linearBias)], name,
      [("transB", .integer(1))])
  }
}
