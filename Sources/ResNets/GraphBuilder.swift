public import Graphs

extension ResNet.Configuration {
  /// The network as a graph, with torchvision's module names in the order of its `state_dict()`.
  ///
  /// Input N×`inputChannels`×H×W, output N×`classes`. Stages: `stem`, `maxpool`, `layer1` …, `avgpool`,
  /// `logits`.
  /// - Throws: ``ResNet/ConfigurationError`` when ``validate()`` does. O(blocks).
  public func graph() throws(ResNet.ConfigurationError) -> Graph {
    try validate()
    var graph = Graph(inputChannels: inputChannels)

    var value = appendStem(to: &graph)
    graph.nameStage("stem", value)
    switch stemPooling {
    case .none: break
    case .max:
      let pooling = Pooling(kernel: 3, stride: antialiases ? 1 : stride0, padding: 1)
      value = graph.append("maxpool", .maxPool(pooling), value)
      if antialiases { value = graph.append("maxpool.aa", .antialias(stride: stride0), value) }
      graph.nameStage("maxpool", value)
    case .convolution:
      let convolution = Convolution(
        inputChannels: stemChannels, outputChannels: stemChannels, kernel: 3,
        stride: antialiases ? 1 : stride0,
        padding: 1)
      value = graph.normalized("maxpool.0", convolution, "maxpool.1", epsilon, value)
      value = graph.append("maxpool.2", .relu, value)
      if antialiases { value = graph.append("maxpool.aa", .antialias(stride: stride0), value) }
      graph.nameStage("maxpool", value)
    }

    var channels = stemChannels
    for (index, (blocks, planes)) in zip(layers, planes).enumerated() {
      let stage = "layer\(index + 1)"
      for block in 0..<blocks {
        let stride = index > 0 && block == 0 ? 2 : 1
        value = append(
          "\(stage).\(block)", planes: planes, stride: stride, inputChannels: channels, value, to: &graph)
        channels = planes * self.block.expansion
      }
      graph.nameStage(stage, value)
    }

    value = graph.append("avgpool", .globalAveragePool, value)
    graph.nameStage("avgpool", value)
    if classes > 0 {
      value = graph.append("fc", .gemm(inputs: channels, outputs: classes), value)
      graph.nameStage("logits", value)
    }
    return graph
  }

  /// Appends the stem's convolutions; the last normalization is `bn1` whatever their number, as in timm.
  private func appendStem(to graph: inout Graph) -> Value {
    var value = graph.input
    switch stem {
    case .single(let kernel):
      let convolution = Convolution(
        inputChannels: inputChannels, outputChannels: stemChannels, kernel: kernel, stride: stride0,
        padding: kernel / 2)
      value = graph.normalized("conv1", convolution, "bn1", epsilon, value)
    case .deep(let first, let second):
      let channels = [inputChannels, first, second, stemChannels]
      for index in 0..<3 {
        let convolution = Convolution(
          inputChannels: channels[index], outputChannels: channels[index + 1], kernel: 3,
          stride: index == 0 ? stride0 : 1, padding: 1)
        let normalization = index == 2 ? "bn1" : "conv1.\(3 * index + 1)"
        value = graph.normalized("conv1.\(3 * index)", convolution, normalization, epsilon, value)
        if index < 2 { value = graph.append("conv1.\(3 * index + 2)", .relu, value) }
      }
    }
    return graph.append("relu", .relu, value)
  }

  /// Appends one residual block; its shortcut is a `downsample` exactly when stride or channels change.
  private func append(
    _ name: String, planes: Int, stride: Int, inputChannels: Int, _ input: Value, to graph: inout Graph
  ) -> Value {
    let outputChannels = planes * block.expansion
    // `validate()` has shown that the width fits.
    let width = self.width(planes: planes) ?? planes
    var convolutions: [Convolution]
    switch block {
    case .basic:
      convolutions = [
        Convolution(
          inputChannels: inputChannels, outputChannels: width, kernel: 3, stride: stride, padding: 1),
        Convolution(inputChannels: width, outputChannels: outputChannels, kernel: 3, padding: 1),
      ]
    case .bottleneck:
      convolutions = [
        Convolution(inputChannels: inputChannels, outputChannels: width, kernel: 1),
        Convolution(
          inputChannels: width, outputChannels: width, kernel: 3, stride: stride, padding: 1, groups: groups),
        Convolution(inputChannels: width, outputChannels: outputChannels, kernel: 1),
      ]
    }
    var value = input
    for (index, strided) in convolutions.enumerated() {
      let number = index + 1
      var convolution = strided
      if antialiases { convolution.stride = 1 }
      value = graph.normalized("\(name).conv\(number)", convolution, "\(name).bn\(number)", epsilon, value)
      if number < convolutions.count { value = graph.append("\(name).relu\(number)", .relu, value) }
      if antialiases, strided.stride > 1 {
        value = graph.append("\(name).aa", .antialias(stride: strided.stride), value)
      }
    }
    switch attention {
    case .squeezeExcitation(let ratio):
      let operation = Operation.squeezeExcitation(
        channels: outputChannels, reduced: Self.reduced(outputChannels, by: ratio))
      value = graph.append("\(name).se", operation, value)
    case .efficient:
      value = graph.append(
        "\(name).se", .efficientChannelAttention(kernel: Self.efficientKernel(outputChannels)), value)
    case nil: break
    }
    let shortcut =
      stride == 1 && inputChannels == outputChannels
      ? input
      : appendShortcut(
        name + ".downsample", inputChannels: inputChannels, outputChannels: outputChannels, stride: stride,
        input,
        to: &graph)
    value = graph.append("\(name).add", .add, value, shortcut)
    return graph.append("\(name).relu\(convolutions.count)", .relu, value)
  }
}

extension ResNet.Configuration {
  /// The nearest multiple of eight that is not more than a tenth below the exact quotient.
  static func reduced(_ channels: Int, by ratio: Int) -> Int {
    let exact = Double(channels) / Double(ratio)
    let rounded = max(8, Int(exact + 4) / 8 * 8)
    return Double(rounded) < 0.9 * exact ? rounded + 8 : rounded
  }

  /// The length of the convolution along the channels: odd, about half their number's logarithm.
  static func efficientKernel(_ channels: Int) -> Int {
    let length = (Int.bitWidth - channels.leadingZeroBitCount) / 2
    return max(3, length.isMultiple(of: 2) ? length + 1 : length)
  }

  /// Appends what a shortcut does where stride or channels change.
  private func appendShortcut(
    _ name: String, inputChannels: Int, outputChannels: Int, stride: Int, _ input: Value,
    to graph: inout Graph
  ) -> Value {
    var projection = Convolution(
      inputChannels: inputChannels, outputChannels: outputChannels, kernel: 1, stride: stride)
    switch shortcut {
    case .projection: return graph.normalized("\(name).0", projection, "\(name).1", epsilon, input)
    case .pooledProjection:
      projection.stride = 1
      let pooled =
        stride == 1
        ? input
        : graph.append("\(name).0", .averagePool(size: stride), input)
      return graph.normalized("\(name).1", projection, "\(name).2", epsilon, pooled)
    case .padding:
      return graph.append(
        name, .padChannels(each: max(0, outputChannels - inputChannels) / 2, stride: stride), input)
    }
  }
}

extension Graph {
  /// Appends a convolution and its batch normalization.
  fileprivate mutating func normalized(
    _ name: String, _ convolution: Convolution, _ normalization: String, _ epsilon: Double, _ input: Value
  ) -> Value {
    let value = append(name, .conv(convolution), input)
    return append(
      normalization, .batchNormalization(channels: convolution.outputChannels, epsilon: epsilon), value)
  }
}
