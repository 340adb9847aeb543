internal import DecantBytes
internal import DecantGraphs
internal import DecantResNets

/// An explanation of a network with the numbers of the given file, for readers who are new to it.
struct ExplanationReport {
  let configuration: ResNetConfiguration
  let graph: Graph
  /// The costs, one for each node of the graph.
  let costs: [NodeCost]
  /// The height and width of the image in pixels.
  let inputSize: Int
  /// Returns the file's name for a tensor with a canonical name.
  let spelling: (_ canonical: String) -> String

  /// Creates the report; nil when an image of this size does not fit the network.
  init?(_ identification: ResNetIdentification, _ configuration: ResNetConfiguration, inputSize: Int) {
    guard let graph = try? configuration.graph(),
      let costs = graph.costs(height: inputSize, width: inputSize)
    else { return nil }
    self.configuration = configuration
    self.graph = graph
    self.costs = costs
    self.inputSize = inputSize
    spelling = { identification.naming.spelling(of: $0) }
  }

  func print() {
    StandardStreams.line(
      "for one \(inputSize)×\(inputSize) image, with stem stride \(configuration.stride0) (set with --size and --stride0)"
    )
    printStages()
    let summary = ResNetSummary(configuration)
    StandardStreams.line()
    StandardStreams.line("depth: why \(summary.weightedLayers) layers")
    StandardStreams.line(
      "  \(summary.arithmetic) = \(summary.weightedLayers). Shortcut convolutions are not counted.")
    StandardStreams.line("what each convolution of a block does")
    for line in blockLines { StandardStreams.line("  " + line) }
    StandardStreams.line("which blocks have a downsample, and why")
    StandardStreams.line("  " + downsample(summary))
  }

  /// The stages with their costs, and the texts about depth, blocks and shortcuts.
  var json: JSONValue {
    func number(_ value: Int) -> JSONValue { .exact(Int64(value)) }
    let summary = ResNetSummary(configuration)
    let stages = graph.stageCosts(costs).map { stage -> JSONValue in
      .object([
        (key: "name", value: .string(stage.name)), (key: "shape", value: .array(stage.shape.map(number))),
        (key: "multiply_adds", value: number(stage.multiplyAdds)),
        (key: "parameters", value: number(stage.parameterCount)),
      ])
    }
    return .object([
      (key: "input_size", value: number(inputSize)), (key: "stride0", value: number(configuration.stride0)),
      (key: "stages", value: .array(stages)),
      (key: "multiply_adds", value: number(costs.reduce(0) { $0 + $1.multiplyAdds })),
      (key: "parameters", value: number(costs.reduce(0) { $0 + $1.parameterCount })),
      (key: "weighted_layers", value: number(summary.weightedLayers)),
      (key: "arithmetic", value: .string(summary.arithmetic)),
      (key: "block", value: .array(blockLines.map { .string($0) })),
      (key: "downsample", value: .string(downsample(summary))),
    ])
  }

  private func printStages() {
    var table = TextTable([
      ("stage", .left), ("result", .left), ("multiply-adds", .right), ("share", .right),
      ("parameters", .right),
    ])
    let stages = graph.stageCosts(costs)
    let total = stages.reduce(0) { $0 + $1.multiplyAdds }
    func row(_ name: String, _ result: String, _ count: Int, _ parameterCount: Int) {
      table.row(
        name, result, Format.count(count),
        Format.fixed(100 * Double(count) / Double(max(total, 1)), 1) + " %", Format.count(parameterCount))
    }
    for stage in stages {
      row(stage.name, Format.shape(stage.shape), stage.multiplyAdds, stage.parameterCount)
    }
    row("total", "", total, stages.reduce(0) { $0 + $1.parameterCount })
    table.show()
  }

  /// The lines on the convolutions of the first stage's last block. In stages of several blocks, its shortcut is the
  /// identity.
  private var blockLines: [String] {
    let name = "layer1.\((configuration.layers.first ?? 1) - 1)"
    let convolutions = zip(graph.nodes, costs).compactMap { node, cost -> (String, Convolution, Int)? in
      guard node.name.hasPrefix(name + ".conv"), case .conv(let convolution) = node.operation else {
        return nil
      }
      return (spelling(node.name + ".weight"), convolution, cost.parameterCount)
    }
    var lines = convolutions.map { name, convolution, count in
      let (input, output) = (convolution.inputChannels, convolution.outputChannels)
      let verb =
        output < input
        ? "reduces \(input) channels to \(output)"
        : output > input ? "expands to \(output) channels" : "keeps \(output) channels"
      let groups = convolution.groups > 1 ? " in \(convolution.groups) groups" : ""
      return
        "\(name.escapedForDisplay) (\(convolution.kernel)×\(convolution.kernel)\(groups)) \(verb): \(Format.count(count, "weight"))"
    }
    let total = convolutions.reduce(0) { $0 + $1.2 }
    if configuration.block != .basic, let first = convolutions.first?.1, let last = convolutions.last?.1,
      total > 0
    {
      let plain = 9 * (first.inputChannels + last.outputChannels) * last.outputChannels
      lines.append(
        "in total \(Format.count(total)) weights; two 3×3 convolutions on \(last.outputChannels) channels would have \(Format.count(plain)), \(Format.fixed(Double(plain) / Double(total), 1)) times as many"
      )
    }
    return lines
  }

  private func downsample(_ summary: ResNetSummary) -> String {
    if configuration.shortcut == .padding {
      return
        "none: where stride or channels change, the shortcut drops every second pixel and pads with zero channels"
    }
    let places = summary.stages.compactMap(\.downsample)
    return places.isEmpty
      ? "none: every shortcut is the identity"
      : "\(places.joined(separator: ", ")): a shortcut must have the shape of its block's output. All other shortcuts are the identity, without weights"
  }
}
