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

    let stemConvolution = Convolution(
      inputChannels: inputChannels, outputChannels: stemChannels, kernel: 7, stride: stride0, padding: 3)
    var value = graph.normalized("conv1", stemConvolution, "bn1", epsilon, graph.input)
    value = graph.append("relu", .relu, value)
    graph.nameStage("stem", value)
    value = graph.append("maxpool", .maxPool(Pooling(kernel: 3, stride: stride0, padding: 1)), value)
    graph.nameStage("maxpool", value)

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
    value = graph.append("fc", .gemm(inputs: channels, outputs: classes), value)
    graph.nameStage("logits", value)
    return graph
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
    for (index, convolution) in convolutions.enumerated() {
      let number = index + 1
      value = graph.normalized("\(name).conv\(number)", convolution, "\(name).bn\(number)", epsilon, value)
      if number < convolutions.count { value = graph.append("\(name).relu\(number)", .relu, value) }
    }
    var shortcut = input
    if stride != 1 || inputChannels != outputChannels {
      let projection = Convolution(
        inputChannels: inputChannels, outputChannels: outputChannels, kernel: 1, stride: stride)
      shortcut = graph.normalized("\(name).downsample.0", projection, "\(name).downsample.1", epsilon, input)
    }
    value = graph.append("\(name).add", .add, value, shortcut)
    return graph.append("\(name).relu\(convolutions.count)", .relu, value)
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
