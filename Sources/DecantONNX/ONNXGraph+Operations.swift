internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
internal import DecantTensors

/// The conversion of each operation of a network to ONNX's operators of opset 17. docs/formats/onnx.md has the table.
extension ONNXGraph {
  /// Appends a node of the network.
  ///
  /// - Parameter folding: the batch normalization to fold into the convolution; nil for none.
  /// - Returns: the name of the node's output and its channel count.
  mutating func append(
    _ node: Node, _ inputs: [String], channels: Int, folding: Node?
  ) throws(DecantError) -> (name: String, channels: Int) {
    let name = node.name
    guard let x = inputs.first, inputs.count == (node.operation == .add ? 2 : 1) else {
      throw Self.refusal(node, "it has \(inputs.count) inputs")
    }
    switch node.operation {
    case .conv(let convolution):
      return (try append(convolution, node, x, folding), convolution.outputChannels)
    case .batchNormalization(_, let epsilon):
      let roles: [Parameter.Role] = [.normalizationScale, .normalizationBias, .runningMean, .runningVariance]
      var operands = [x]
      for role in roles { operands.append(try parameter(node, role)) }
      return (append("BatchNormalization", operands, name, [("epsilon", .float(Float(epsilon)))]), channels)
    case .channelAffine:
      return (try appendAffine(node, x, channels), channels)
    case .groupNormalization(_, let groups, let epsilon):
      return (try appendGroupNormalization(node, x, channels, groups, epsilon), channels)
    case .batchStatisticsNormalization(_, let epsilon):
      // The channels come first, so that a group is one channel of all images.
      let exchange: [(name: String, value: ONNXNode.Attribute)] = [("perm", .integers([1, 0, 2, 3]))]
      let turned = append("Transpose", [x], name + "/Transpose", exchange)
      let sizes = append("Shape", [turned], name + "/Shape")
      let normalized = appendNormalization(turned, name, groups: [1, channels, -1], count: channels, epsilon)
      let map = append("Reshape", [normalized, sizes], name + "/map")
      return (
        try appendAffine(node, append("Transpose", [map], name + "/images", exchange), channels), channels
      )
    case .relu:
      return (append("Relu", [x], name), channels)
    case .silu:
      let gate = append("Sigmoid", [x], name + "/Sigmoid")
      return (append("Mul", [x, gate], name), channels)
    case .vectorFunction(let function):
      return (append(function, name, x), channels)
    case .vectorStandardization(let count, let epsilon):
      let operands = [
        x, constant(name + "/ones", shape: [count], .floats([Float](repeating: 1, count: count))),
        constant(name + "/zeros", shape: [count], .floats([Float](repeating: 0, count: count))),
        try parameter(node, .runningMean), try parameter(node, .runningVariance),
      ]
      return (append("BatchNormalization", operands, name, [("epsilon", .float(Float(epsilon)))]), channels)
    case .layerNormalization(_, let epsilon, let hasBias):
      var operands = [x, try parameter(node, .normalizationScale)]
      if hasBias { operands.append(try parameter(node, .normalizationBias)) }
      return (
        append(
          "LayerNormalization", operands, name, [("axis", .integer(-1)), ("epsilon", .float(Float(epsilon)))]),
        channels
      )
    case .add:
      return (append("Add", inputs, name), channels)
    case .maxPool(let pooling):
      return (try append(pooling, node, x), channels)
    case .averagePool(let size, let isCeilMode):
      let attributes: [(name: String, value: ONNXNode.Attribute)] = [
        ("ceil_mode", .integer(isCeilMode ? 1 : 0)), ("count_include_pad", .integer(0)),
        ("kernel_shape", .integers([size, size])), ("strides", .integers([size, size])),
      ]
      return (append("AveragePool", [x], name, attributes), channels)
    case .padChannels(let each, let stride):
      return (appendPadding(name, x, each: each, stride: stride), channels + 2 * each)
    case .squeezeExcitation:
      return (try appendSqueezeExcitation(node, x), channels)
    case .efficientChannelAttention(let kernel):
      return (try appendChannelAttention(node, x, channels, kernel: kernel), channels)
    case .blurPool(let stride):
      let pads = integers(name + "/pads", [0, 0, 1, 1, 0, 0, 1, 1])
      let padded = append("Pad", [x, pads], name + "/Pad", [("mode", .text("reflect"))])
      let filter = binomialFilter(channels: channels)
      let attributes = Self.convolution(kernel: [3, 3], strides: [stride, stride], groups: channels)
      return (append("Conv", [padded, filter], name, attributes), channels)
    case .globalAveragePool:
      let means = append("GlobalAveragePool", [x], name + "/GlobalAveragePool")
      return (append("Flatten", [means], name, [("axis", .integer(1))]), channels)
    case .gemm(let layer):
      return (try append(layer, node, x), layer.outputs)
    case .attentionPool(let pooling):
      return (try append(pooling, node, x), pooling.outputs)
    case .opaque(let operation):
      throw Self.refusal(node, "\(operation.name) is not supported")
    }
  }

  /// Returns all attributes of a Conv.
  static func convolution(
    kernel: [Int], strides: [Int], pads: [Int]? = nil, dilations: [Int]? = nil, groups: Int = 1
  ) -> [(name: String, value: ONNXNode.Attribute)] {
    [
      ("dilations", .integers(dilations ?? kernel.map { _ in 1 })), ("group", .integer(groups)),
      ("kernel_shape", .integers(kernel)), ("pads", .integers(pads ?? (kernel + kernel).map { _ in 0 })),
      ("strides", .integers(strides)),
    ]
  }

  private mutating func append(
    _ convolution: Convolution, _ node: Node, _ x: String, _ folding: Node?
  ) throws(DecantError) -> String {
    let weight = try weights[node, .convolutionWeight]
    var operands = [x]
    var less = [Double](repeating: 0, count: convolution.outputChannels)
    var times = [Double](repeating: 1, count: convolution.outputChannels)
    if let epsilon = convolution.standardization {
      (less, times) = try weights.standardization(node, epsilon: epsilon)
    }
    if let folding {
      let affine = try weights.affine(folding)
      let bias = convolution.hasBias ? try weights.numbers(node, .convolutionBias) : []
      let summands = affine.summands(behind: bias).map { Float($0) }
      times = zip(times, affine.factors).map { $0 * $1 }
      operands.append(
        constant(
          weight.name + ".folded", shape: weight.tensor.shape,
          .scaled(weight.tensor, less: less, times: times), isWeight: true))
      let name = try weights[folding, .normalizationBias].name
      operands.append(
        constant(name + ".folded", shape: [summands.count], .floats(summands), isWeight: true))
    } else {
      if convolution.standardization != nil {
        operands.append(
          constant(
            weight.name + ".standardized", shape: weight.tensor.shape,
            .scaled(weight.tensor, less: less, times: times), isWeight: true))
      } else {
        operands.append(try parameter(node, .convolutionWeight))
      }
      if convolution.hasBias { operands.append(try parameter(node, .convolutionBias)) }
    }
    func both(_ size: Int) -> [Int] { [size, size] }
    let attributes = Self.convolution(
      kernel: both(convolution.kernel), strides: both(convolution.stride),
      pads: both(convolution.padding) + both(convolution.padding), dilations: both(convolution.dilation),
      groups: convolution.groups)
    return append("Conv", operands, node.name, attributes)
  }

  /// Appends a function of vectors. Opset 17 has no Gelu.
  private mutating func append(_ function: VectorFunction, _ name: String, _ x: String) -> String {
    func number(_ value: Double, _ part: String) -> String {
      constant(name + "/" + part, shape: [], .floats([Float(value)]))
    }
    /// Appends `x × 0.5 × (1 + y)`.
    func half(_ y: String) -> String {
      let sum = append("Add", [y, number(1, "one")], name + "/Add")
      let scaled = append("Mul", [x, sum], name + "/Mul")
      return append("Mul", [scaled, number(0.5, "half")], name)
    }
    switch function {
    case .relu: return append("Relu", [x], name)
    case .relu6: return append("Clip", [x, number(0, "zero"), number(6, "six")], name)
    case .leakyReLU(let slope): return append("LeakyRelu", [x], name, [("alpha", .float(Float(slope)))])
    case .gelu:
      let scaled = append("Div", [x, number(2.0.squareRoot(), "root")], name + "/Div")
      return half(append("Erf", [scaled], name + "/Erf"))
    case .tanhGELU:
      // x × 0.5 × (1 + tanh(√(2/π) × (x + 0.044715 × x³))).
      let square = append("Mul", [x, x], name + "/square")
      let cube = append("Mul", [square, x], name + "/cube")
      let term = append("Mul", [cube, number(0.044715, "factor")], name + "/term")
      let sum = append("Add", [x, term], name + "/sum")
      let scaled = append("Mul", [sum, number((2 / Double.pi).squareRoot(), "root")], name + "/scaled")
      return half(append("Tanh", [scaled], name + "/Tanh"))
    case .silu: return append("Mul", [x, append("Sigmoid", [x], name + "/Sigmoid")], name)
    case .tanh: return append("Tanh", [x], name)
    case .sigmoid: return append("Sigmoid", [x], name)
    case .softmax: return append("Softmax", [x], name, [("axis", .integer(-1))])
    case .logSoftmax: return append("LogSoftmax", [x], name, [("axis", .integer(-1))])
    }
  }

  /// Appends `x × scale + bias`, with parameters of shape C×1×1 that broadcast over a feature map.
  private mutating func appendAffine(
    _ node: Node, _ x: String, _ channels: Int
  ) throws(DecantError) -> String {
    let scale = try parameter(node, .normalizationScale, shape: [channels, 1, 1])
    let scaled = append("Mul", [x, scale], node.name + "/Mul")
    let bias = try parameter(node, .normalizationBias, shape: [channels, 1, 1])
    return append("Add", [scaled, bias], node.name)
  }

  /// Appends group normalization as an InstanceNormalization of one channel per group, because opset 17 has no
  /// GroupNormalization.
  private mutating func appendGroupNormalization(
    _ node: Node, _ x: String, _ channels: Int, _ groups: Int, _ epsilon: Double
  ) throws(DecantError) -> String {
    let name = node.name
    let sizes = append("Shape", [x], name + "/Shape")
    let normalized = appendNormalization(x, name, groups: [0, groups, -1], count: groups, epsilon)
    let map = append("Reshape", [normalized, sizes], name + "/map")
    return try appendAffine(node, map, channels)
  }

  /// Appends the normalization of each group, without a scale and a bias.
  ///
  /// - Parameters:
  ///   - groups: the shape with a group in its second dimension.
  ///   - count: the number of groups.
  private mutating func appendNormalization(
    _ x: String, _ name: String, groups: [Int], count: Int, _ epsilon: Double
  ) -> String {
    let grouped = append("Reshape", [x, integers(name + "/groups", groups)], name + "/Reshape")
    let ones = constant(name + "/ones", shape: [count], .floats([Float](repeating: 1, count: count)))
    let zeros = constant(name + "/zeros", shape: [count], .floats([Float](repeating: 0, count: count)))
    return append(
      "InstanceNormalization", [grouped, ones, zeros], name + "/InstanceNormalization",
      [("epsilon", .float(Float(epsilon)))])
  }

  private mutating func append(
    _ pooling: Pooling, _ node: Node, _ x: String
  ) throws(DecantError) -> String {
    // PyTorch drops a window that begins beyond the feature map; ONNX runtimes differ there.
    guard !pooling.isCeilMode || pooling.padding + pooling.stride <= pooling.kernel else {
      throw Self.refusal(node, "its last window could be outside the feature map")
    }
    var (map, padding) = (x, pooling.padding)
    if pooling.hasZeroPadding, padding > 0 {
      let ends = [0, 0, padding, padding]
      map = append("Pad", [x, integers(node.name + "/pads", ends + ends)], node.name + "/Pad")
      padding = 0
    }
    return append(
      "MaxPool", [map], node.name,
      [
        ("ceil_mode", .integer(pooling.isCeilMode ? 1 : 0)),
        ("kernel_shape", .integers([pooling.kernel, pooling.kernel])),
        ("pads", .integers([Int](repeating: padding, count: 4))),
        ("strides", .integers([pooling.stride, pooling.stride])),
      ])
  }

  private mutating func appendPadding(_ name: String, _ x: String, each: Int, stride: Int) -> String {
    let starts = integers(name + "/starts", [0, 0])
    let ends = integers(name + "/ends", [.max, .max])
    let axes = integers(name + "/axes", [2, 3])
    let steps = integers(name + "/steps", [stride, stride])
    let left = append("Slice", [x, starts, ends, axes, steps], name + "/Slice")
    return append("Pad", [left, integers(name + "/pads", [0, each, 0, 0, 0, each, 0, 0])], name)
  }

  private mutating func append(
    _ layer: FullyConnected, _ node: Node, _ x: String
  ) throws(DecantError) -> String {
    // The weight of a 1×1 convolution has the same elements in the same order.
    var operands = [x, try parameter(node, .linearWeight, shape: [layer.outputs, layer.inputs])]
    if layer.hasBias { operands.append(try parameter(node, .linearBias)) }
    return append("Gemm", operands, node.name, [("transB", .integer(1))])
  }
}
