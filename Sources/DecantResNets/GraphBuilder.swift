package import DecantBytes
package import DecantGraphs

extension ResNetConfiguration {
  /// Builds the network's graph, with canonical tensor names in the order of PyTorch's `state_dict()`. O(blocks).
  ///
  /// The input is N×`inputChannels`×H×W, the output N×`classes`. The stages are named `stem`, `maxpool`, `layer1` …,
  /// `avgpool` and `logits`. An activation after the logits adds the stage `output`.
  ///
  /// - Throws: ``DecantError`` when ``validate()`` does.
  package func graph() throws(DecantError) -> Graph {
    try validate()
    var builder = GraphBuilder(configuration: self, graph: Graph(inputChannels: inputChannels))
    builder.appendStem()
    builder.appendStemPooling()
    for (index, stage) in stages.enumerated() { builder.append(stage, "layer\(index + 1)") }
    builder.appendHead()
    return builder.graph
  }

  /// The ratio of the input's height and width to those of the last stage; nil when ``validate()`` throws.
  package var totalStride: Int? {
    guard (try? validate()) != nil else { return nil }
    var builder = GraphBuilder(configuration: self, graph: Graph(inputChannels: inputChannels))
    builder.appendStem()
    builder.appendStemPooling()
    for stage in stages { _ = builder.enter(stage) }
    return builder.stride
  }
}

/// A graph under construction, with the value appended last and its number of channels.
struct GraphBuilder {
  let configuration: ResNetConfiguration
  var graph: Graph
  private(set) var value: Value
  private(set) var channels: Int
  /// The ratio of the input's height and width to those of ``value``.
  private(set) var stride = 1
  /// The dilation of the 3×3 convolutions; more than 1 after dilation has replaced a stride.
  var dilation = 1

  init(configuration: ResNetConfiguration, graph: Graph) {
    self.configuration = configuration
    self.graph = graph
    value = graph.input
    channels = configuration.inputChannels
  }

  /// Continues from an earlier value.
  mutating func resume(_ value: Value, channels: Int) { (self.value, self.channels) = (value, channels) }

  mutating func append(_ name: String, _ operation: GraphOperation) {
    value = graph.append(name, operation, value)
  }

  mutating func append(
    _ name: String, kernel: Int, channels: Int, stride: Int = 1, dilation: Int = 1, groups: Int = 1,
    hasBias: Bool? = nil
  ) {
    var convolution = Convolution(
      inputChannels: self.channels, outputChannels: channels, kernel: kernel, stride: stride,
      padding: kernel / 2 * dilation, dilation: dilation, groups: groups)
    convolution.hasBias = hasBias ?? configuration.hasConvolutionBias
    // The epsilon of timm's StdConv2d.
    if configuration.hasStandardizedWeights { convolution.standardization = 1e-8 }
    if configuration.isQuantized {
      append(name, .opaque(.quantized("convolution", weight: convolution.weightShape)))
    } else {
      append(name, .conv(convolution))
    }
    self.channels = channels
  }

  mutating func appendNormalization(_ name: String) {
    let epsilon = configuration.epsilon
    func own(_ name: String, _ parameter: String) -> GraphOperation {
      .opaque(
        OpaqueOperator(
          name, parameters: ["weight", "bias", parameter].map { (suffix: $0, shape: [channels]) }))
    }
    switch configuration.normalization {
    case .batch: append(name, .batchNormalization(channels: channels, epsilon: epsilon))
    case .group where configuration.usesBatchStatistics:
      append(name, .batchStatisticsNormalization(channels: channels, epsilon: epsilon))
    case .group:
      append(
        name,
        .groupNormalization(channels: channels, groups: configuration.normalizationGroups, epsilon: epsilon))
    case .affine: append(name, .channelAffine(channels: channels))
    case .none: break
    case .evolved: append(name, own("EvoNorm-S0", "v"))
    case .filterResponse: append(name, own("filter response normalization", "tau"))
    }
  }

  mutating func appendActivation(_ name: String) {
    append(name, configuration.nonlinearity == .relu ? .relu : .silu)
  }

  /// Returns the stride of a stage's first block, and updates the total stride and the dilation.
  ///
  /// The result is 1 where dilation replaces the stride.
  mutating func enter(_ stage: ResNetStage) -> Int {
    if let limit = configuration.outputStride, stride &* stage.stride > limit {
      dilation = min(dilation &* stage.stride, ResNetConfiguration.largestSize)
      return 1
    }
    stride = stride &* stage.stride
    return stage.stride
  }

  /// Appends the antialiasing filter that has the stride; nothing when the convolution has it.
  mutating func appendAntialiasing(_ name: String, stride: Int) {
    guard stride > 1 else { return }
    switch configuration.antialiasing {
    case .none: break
    case .average: append(name, .averagePool(size: stride, isCeilMode: false))
    case .blur: append(name, .blurPool(stride: stride))
    }
  }

  /// Appends the sum of a block's result and its shortcut. A quantized sum has its own scale.
  mutating func appendSum(_ block: String, _ one: Value, _ other: Value, channels: Int) {
    resume(
      configuration.isQuantized
        ? graph.append("\(block).add_relu", .opaque(.quantized("addition", weight: nil)), one, other)
        : graph.append("\(block).add", .add, one, other), channels: channels)
  }

  /// Appends the stem's convolutions.
  ///
  /// The last normalization is named `bn1` for any number of convolutions, as in timm.
  mutating func appendStem() {
    if configuration.isQuantized {
      append(
        "quant",
        .opaque(
          OpaqueOperator(
            "quantisation", parameters: ["scale", "zero_point"].map { (suffix: $0, shape: [1]) }))
      )
    }
    let hasFinalNormalization = configuration.order == .post
    switch configuration.stem {
    case .single(let kernel, let channels):
      append(
        "conv1", kernel: kernel, channels: channels, stride: configuration.stride0,
        hasBias: configuration.hasConvolutionBias || configuration.stemHasBias)
      if hasFinalNormalization { appendNormalization("bn1") }
    case .deep(let sizes, let bare):
      for (index, channels) in sizes.enumerated() {
        let isLast = index == sizes.count - 1
        let halves = index == 0 || isLast && configuration.stemPooling == .lastConvolution
        append(
          "conv1.\(3 * index)", kernel: 3, channels: channels, stride: halves ? configuration.stride0 : 1)
        guard index >= bare, !isLast else { continue }
        appendNormalization("conv1.\(3 * index + 1)")
        appendActivation("conv1.\(3 * index + 2)")
      }
      if hasFinalNormalization { appendNormalization("bn1") }
    }
    if hasFinalNormalization { appendActivation("relu") }
    graph.nameStage("stem", value)
    stride = configuration.stride0 * (configuration.stemPooling == .none ? 1 : configuration.stride0)
  }

  mutating func appendStemPooling() {
    let stride = configuration.stride0
    let convolves = configuration.antialiasing == .none
    switch configuration.stemPooling {
    case .none, .lastConvolution: return
    case .max where configuration.antialiasing == .average, .average:
      // timm replaces the max pool with the antialiasing filter when that filter is a pool.
      append("maxpool", .averagePool(size: stride, isCeilMode: false))
    case .max:
      append("maxpool", .maxPool(Pooling(kernel: 3, stride: convolves ? stride : 1, padding: 1)))
      appendAntialiasing("maxpool.aa", stride: stride)
    case .maxOverZeros:
      append("maxpool", .maxPool(Pooling(kernel: 3, stride: stride, padding: 1, hasZeroPadding: true)))
    case .maxOverEdge:
      append("maxpool", .maxPool(Pooling(kernel: 3, stride: stride, padding: 0, isCeilMode: true)))
    case .convolution:
      append("maxpool.0", kernel: 3, channels: channels, stride: convolves ? stride : 1)
      appendAntialiasing("maxpool.aa", stride: stride)
      appendNormalization("maxpool.1")
      appendActivation("maxpool.2")
    }
    graph.nameStage("maxpool", value)
  }

  /// Appends a layer of a head, and the activation before it. An activation that is not known is left out.
  private mutating func append(_ layer: ResNetHeadLayer, _ name: String) {
    if case .known(let functions) = layer.gap { append(functions, name + ".act") }
    switch layer.kind {
    case .linear(let sizes):
      append(
        name,
        .gemm(
          FullyConnected(
            inputs: sizes.inputs, outputs: sizes.outputs, hasBias: sizes.hasBias,
            isConvolution: sizes.isConvolution)))
    case .batchNormalization(let channels):
      append(name, .batchNormalization(channels: channels, epsilon: layer.epsilon))
    case .standardization(let channels):
      append(name, .vectorStandardization(channels: channels, epsilon: layer.epsilon))
    case .layerNormalization(let channels, let hasBias):
      append(name, .layerNormalization(channels: channels, epsilon: layer.epsilon, hasBias: hasBias))
    }
  }

  /// Appends functions of vectors, named `name`, `name.1` ….
  private mutating func append(_ functions: [VectorFunction], _ name: String) {
    for (index, function) in functions.enumerated() {
      append(
        index == 0 ? name : "\(name).\(index)", function == .relu ? .relu : .vectorFunction(function))
    }
  }

  mutating func appendHead() {
    if configuration.hasFinalNormalization {
      appendNormalization("norm")
      appendActivation("norm.act")
    }
    if let size = configuration.lastConvolution {
      append("final_conv.conv", kernel: 1, channels: size)
      appendNormalization("final_conv.bn")
      appendActivation("final_conv.act")
    }
    let (outputs, features) = (configuration.classes, channels)
    if outputs > 0, case .attention(let tokens) = configuration.head {
      // CLIP and timm use 64 channels per attention head.
      let pooling = AttentionPooling(
        channels: features, tokens: tokens, heads: max(1, features / 64), outputs: outputs)
      append("attnpool", .attentionPool(pooling))
      return graph.nameStage("logits", value)
    }
    append("avgpool", .globalAveragePool)
    graph.nameStage("avgpool", value)
    guard outputs > 0 else { return }
    append(configuration.headInput, "head.input")
    func layer(_ inputs: Int, _ outputs: Int) -> FullyConnected {
      FullyConnected(inputs: inputs, outputs: outputs)
    }
    switch configuration.head {
    case .linear where configuration.isQuantized:
      append("fc", .opaque(.quantized("fully connected layer", weight: [outputs, features])))
    case .linear(let hasBias):
      append("fc", .gemm(FullyConnected(inputs: features, outputs: outputs, hasBias: hasBias)))
    case .convolution:
      append("fc", .gemm(FullyConnected(inputs: features, outputs: outputs, isConvolution: true)))
    case .layers(let layers):
      for (index, layer) in layers.enumerated() { append(layer, HeadChain.canonicalModule(index)) }
    case .normalizedPerceptron(let hidden):
      append("head.norm", .opaque(.pooledNormalization(features: features)))
      append("head.pre_logits.fc", .gemm(layer(features, hidden)))
      append("head.pre_logits.act", .opaque(OpaqueOperator("the activation of a hidden layer")))
      append("fc", .gemm(layer(hidden, outputs)))
    case .attention: break
    }
    graph.nameStage("logits", value)
    guard !configuration.outputFunctions.isEmpty else { return }
    append(configuration.outputFunctions, "head.output")
    graph.nameStage("output", value)
  }
}
