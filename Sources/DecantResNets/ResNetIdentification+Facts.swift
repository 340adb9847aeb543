internal import DecantBytes
internal import DecantTensors

extension ResNetIdentification {
  /// Returns the facts that names and shapes show, each with the tensor that shows it.
  static func facts(
    _ naming: ResNetTensorNameMap, _ configuration: ResNetConfiguration, _ verification: ResNetVerification
  ) -> [Fact] {
    func shape(_ canonical: String) -> String {
      let name = naming.spelling(of: canonical)
      guard let tensor = naming.tensors[canonical] else { return "there is no \(name)" }
      return "\(name) \(tensor.shape)"
    }
    var facts: [Fact] = []
    func add(_ name: String, _ value: String, _ source: String) {
      facts.append(Fact(name: name, value: value, source: source))
    }
    if naming.isByStructure {
      add(
        "recognition", ResNetDialect.structure.summary,
        "\(Format.count(naming.entries.count, "tensor")) in the file's order, all in the network")
    }
    let layers = configuration.layers
    let last = layers.count
    add("block", configuration.block.rawValue, shape("layer1.0.conv3.weight"))
    add(
      "layers", layers.map(String.init).joined(separator: ", "),
      "blocks counted, the last being \(naming.spelling(of: "layer\(last).\((layers.last ?? 1) - 1).conv1.weight"))"
    )
    let summary = ResNetSummary(configuration)
    add(
      "depth", String(summary.weightedLayers), "\(summary.arithmetic); shortcuts are not counted")
    switch configuration.stem {
    case .single(let kernel, let channels):
      add("stem", "one \(kernel)×\(kernel) convolution, \(channels) channels", shape("conv1.weight"))
    case .deep(let channels, _):
      let words = channels.map(String.init).joined(separator: ", ")
      add(
        "stem", "\(Format.count(channels.count, "convolution")) of 3×3, \(words) channels",
        shape("conv1.0.weight"))
    }
    if configuration.block != .basic {
      add(
        "groups", String(configuration.groups),
        shape("layer1.0.conv2.weight") + " of " + shape("layer1.0.conv1.weight"))
      if summary.stages.allSatisfy(\.differingBlocks.isEmpty) {
        add("width_per_group", String(configuration.widthPerGroup), shape("layer1.0.conv1.weight"))
      }
    }
    for stage in summary.stages {
      for (index, widths) in stage.differingBlocks.enumerated() {
        add(
          "\(stage.name).\(index)", widths.map(String.init).joined(separator: " → "),
          shape("\(stage.name).\(index).conv1.weight"))
      }
    }
    if configuration.order == .pre {
      add(
        "order", configuration.order.rawValue,
        "\(shape("layer2.0.bn1.weight")) as wide as \(shape("layer2.0.conv1.weight")) reads")
    }
    if configuration.isQuantized { add("quantised", "weights and sums", shape("layer1.0.conv1.zero_point")) }
    if configuration.normalization != .batch {
      add("normalization", configuration.normalization.rawValue, shape("layer1.0.bn1.running_var"))
    }
    let second = "layer\(min(2, last)).0.downsample"
    switch configuration.shortcut {
    case .projection:
      add("shortcut", configuration.projectionWords, shape("\(second).0.weight"))
    case .pooledProjection:
      add(
        "shortcut", "average pool, projection",
        shape(configuration.order == .pre ? "\(second).0.weight" : "\(second).1.weight"))
    case .padding:
      add(
        "shortcut", "without parameters (option A), if there is one",
        "no tensor stands between stages of different channels")
    }
    if let attention = configuration.stages.last?.attention {
      add(
        "attention", attention.words,
        shape("layer\(last).0.se.fc1.weight", or: "layer\(last).0.se.conv.weight"))
    }
    func shape(_ one: String, or other: String) -> String { shape(naming.tensors[one] == nil ? other : one) }
    if configuration.classes == 0 {
      // A matrix outside the network may be a head of an unknown kind.
      let beside = Set(verification.beside)
      let matrices = naming.entries.lazy.filter { $0.tensor.shape.count == 2 && beside.contains($0.name) }
        .prefix(4).map { "\($0.name) \($0.tensor.shape)" }
      if matrices.isEmpty {
        add("classes", "no head", shape("fc.weight"))
      } else {
        add(
          "classes", "no head that is known",
          "\(matrices.joined(separator: ", ")) \(matrices.count == 1 ? "stands" : "stand") beside the network"
        )
      }
    } else {
      let name = configuration.head.lastParameter
      add("classes", String(configuration.classes), shape(name))
      if configuration.head != .linear() { add("head", configuration.head.words, shape(name)) }
    }
    add("input_channels", String(configuration.inputChannels), shape("conv1.weight", or: "conv1.0.weight"))
    return facts
  }
}

extension ResNetConfiguration {
  /// The value of the fact `output_stride` when no stride is replaced by dilation.
  package static let undilatedOutputStride = "as the strides make it"

  /// The facts that inference depends on and no shape shows, as text.
  var geometry: [(name: String, value: String)] {
    let addition =
      order == .post ? "added before the last \(nonlinearity.rawValue)" : "added, and nothing after it"
    let shortcuts =
      switch shortcut {
      case .projection: addition
      case .pooledProjection: "2×2 average pool, projection; \(addition)"
      case .padding: "every second pixel between channels of zeros; \(addition)"
      }
    let pool =
      switch stemPooling {
      case .none: "none"
      case .max: "3×3, padding 1"
      case .maxOverZeros: "3×3, over a border of zeros"
      case .maxOverEdge: "3×3, no padding, a last window over the edge"
      case .average: "none; a 2×2 average pool"
      case .convolution: "a 3×3 convolution in its place"
      case .lastConvolution: "none; the stem's last convolution has the stride"
      }
    var facts: [(name: String, value: String)] = [
      ("stride0", String(stride0)),
      (
        "block_stride",
        block == .basic || block == .edge
          ? "on the first convolution"
          : blockStride == .second ? "on the 3×3 convolution (v1.5)" : "on the first 1×1 convolution (v1)"
      ), ("max_pool", pool), ("epsilon", "\(epsilon)"), ("shortcut", shortcuts),
      ("activation", nonlinearity.rawValue),
      (
        "antialiasing",
        antialiasing == .none ? "none" : antialiasing == .average ? "average pools" : "binomial filters"
      ),
    ]
    facts.append(("stage_strides", stages.map { String($0.stride) }.joined(separator: ", ")))
    facts.append(("output_stride", outputStride.map { "\($0), by dilation" } ?? Self.undilatedOutputStride))
    if classes > 0, case .layers(let layers) = head, let text = layers.activationText {
      facts.append(("head_activation", text))
    }
    if classes > 0, case .layers(let layers) = head, layers.contains(where: \.isLayerNormalizationWithoutBias)
    {
      facts.append(("head_normalization", ResNetHeadLayer.normalizationWithoutBias))
    }
    if normalization == .group {
      facts.append(
        (
          "normalization",
          usesBatchStatistics
            ? "batch normalization by each batch's own statistics"
            : "group normalization of \(Format.count(normalizationGroups, "group"))"
        ))
      facts.append(("weight_standardization", hasStandardizedWeights ? "yes" : "no"))
    }
    return facts
  }
}

extension ResNetConfiguration {
  /// Returns the differences from another configuration that shapes show, as text.
  func differences(from other: ResNetConfiguration) -> [String] {
    var found: [String] = []
    func compare(_ name: String, _ own: String, _ theirs: String) {
      if own != theirs { found.append("\(name) \(own) instead of \(theirs)") }
    }
    func compare(_ name: String, _ value: KeyPath<Self, Int>) {
      compare(name, String(self[keyPath: value]), String(other[keyPath: value]))
    }
    compare("block", block.rawValue, other.block.rawValue)
    compare("layers", "\(layers)", "\(other.layers)")
    compare("channels", "\(stages.map(\.outputChannels))", "\(other.stages.map(\.outputChannels))")
    compare("widths", "\(stages.map { $0.blocks[0][0] })", "\(other.stages.map { $0.blocks[0][0] })")
    if zip(stages, other.stages).contains(where: { $0.groups != $1.groups }) {
      compare("groups", "\(stages.map(\.groups))", "\(other.stages.map(\.groups))")
    }
    compare("stem", stem.words, other.stem.words)
    if (stemPooling == .convolution) != (other.stemPooling == .convolution) {
      compare("stem pooling", stemPooling.rawValue, other.stemPooling.rawValue)
    }
    compare("input channels", \.inputChannels)
    if shortcut != other.shortcut {
      found.append("\(shortcut.words) shortcuts instead of \(other.shortcut.words)")
    } else if shortcut == .projection {
      compare("shortcut", projectionWords, other.projectionWords)
    }
    compare("order", order.rawValue, other.order.rawValue)
    compare("normalization", normalization.rawValue, other.normalization.rawValue)
    compare(
      "biases", hasConvolutionBias ? "in convolutions" : "none",
      other.hasConvolutionBias ? "in convolutions" : "none")
    let attentions = [self, other].map { $0.stages.map { $0.attention?.words ?? "none" } }
    if attentions[0] != attentions[1] {
      compare("attention", attentions[0].last ?? "none", attentions[1].last ?? "none")
    }
    compare(
      "channels of the last convolution", lastConvolution.map(String.init) ?? "none",
      other.lastConvolution.map(String.init) ?? "none")
    if classes > 0, other.classes > 0 { compare("head", head.words, other.head.words) }
    if found.isEmpty, !hasTrunk(of: other) { found.append("widths of single blocks") }
    return found
  }
}

extension ResNetConfiguration {
  /// The kind of projection shortcut, in words: `projection`, `3×3 projection without normalization`.
  fileprivate var projectionWords: String {
    (shortcutKernel == 1 ? "projection" : "\(shortcutKernel)×\(shortcutKernel) projection")
      + (hasShortcutNormalization ? "" : " without normalization")
  }

  /// Returns true when another network has the same kind of attention.
  func hasAttention(of other: ResNetConfiguration) -> Bool {
    switch (stages.last?.attention, other.stages.last?.attention) {
    case (nil, nil), (.squeezeExcitation, .squeezeExcitation), (.efficient, .efficient),
      (.globalContext, .globalContext), (.bilinear, .bilinear):
      true
    default: false
    }
  }
}

extension ResNetStem {
  var words: String {
    switch self {
    case .single(let kernel, let channels): "\(kernel)×\(kernel) of \(channels) channels"
    case .deep(let channels, _): "deep, of \(channels) channels"
    }
  }
}

extension ResNetShortcut {
  /// The kind of shortcut, in words.
  var words: String {
    switch self {
    case .projection: "projection"
    case .pooledProjection: "average-pooled projection"
    case .padding: "zero padding"
    }
  }
}

extension ResNetAttention {
  var words: String {
    switch self {
    case .squeezeExcitation(let reduced): "squeeze and excitation, \(reduced) channels"
    case .efficient(let kernel): "efficient channel attention, length \(kernel)"
    case .globalContext(let reduced): "global context, \(reduced) channels"
    case .bilinear(let reduced, let groups, let block):
      "bilinear attention, \(reduced) channels in \(groups) groups, blocks of \(block)×\(block)"
    }
  }
}

extension ResNetHead {
  var words: String {
    switch self {
    case .linear(true): "fully connected"
    case .linear(false): "fully connected, without bias"
    case .convolution: "1×1 convolution"
    case .layers(let layers): layers.map(\.words).joined(separator: ", ")
    case .normalizedPerceptron(let hidden): "normalization and two fully connected layers, \(hidden) hidden"
    case .attention(let tokens): "attention pool of \(tokens) positions"
    }
  }

  /// The parameter whose first dimension is the number of outputs.
  var lastParameter: String {
    switch self {
    case .linear, .convolution, .normalizedPerceptron: "fc.weight"
    case .layers(let layers):
      HeadChain.canonicalModule(layers.lastIndex(where: \.isLinear) ?? 0) + ".weight"
    case .attention: "attnpool.c_proj.weight"
    }
  }
}
