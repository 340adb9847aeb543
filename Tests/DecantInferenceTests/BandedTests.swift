import DecantGraphs
import DecantInference
import DecantResNets
import DecantTensors
import Testing

/// Runs in small bands against PyTorch's results, and bit for bit against runs with whole values.
@Suite(.serialized) struct BandedTests {
  /// Returns settings for bands of one line or one tile, with tiles so narrow that small feature maps have several.
  private func banding(_ choice: BandSettings.Choice, widestTile: Int) -> BandSettings {
    var banding = BandSettings()
    (banding.choice, banding.lines, banding.tiles, banding.widestTile) = (choice, 1, 1, widestTile)
    return banding
  }

  private func network<T: ReferenceScalar>(
    _ graph: Graph, _ choice: BandSettings.Choice, widestTile: Int, threads: Int
  ) throws -> ReferenceNetwork<T> {
    try ReferenceNetwork(
      graph: graph, weights: SyntheticWeights.stateDict(graph, seed: 7), threads: threads,
      banding: banding(choice, widestTile: widestTile))
  }

  /// Returns the output and all stages of a run by name, compared bit for bit by the tests.
  private func outcome<T: ReferenceScalar>(
    _ network: ReferenceNetwork<T>, _ input: Activation<T>, _ stages: [String]
  )
    throws -> [String: Activation<T>]
  {
    var found: [String: Activation<T>] = [:]
    var order: [String] = []
    let output = try network.run(input, stages: Set(stages)) {
      found[$0] = $1
      order.append($0)
    }
    #expect(order == stages)
    found["output"] = output
    return found
  }

  private func expectSameBits<T: ReferenceScalar>(
    _ scalar: T.Type, _ graph: Graph, _ shape: [Int], widestTile: Int, what: String
  ) throws {
    let count = shape.reduce(1, *)
    let values = integers([count], 7919, 10007, 5003).map { T($0) / 3001 }
    let input = try Activation<T>(shape: shape, values: values)
    let stages = graph.stages.map(\.name)
    let whole: ReferenceNetwork<T> = try network(graph, .never, widestTile: widestTile, threads: 2)
    let expected = try outcome(whole, input, stages)
    #expect(try whole.bandPlan(inputSizes: shape) == nil)
    for threads in [1, 3] {
      let banded: ReferenceNetwork<T> = try network(graph, .always, widestTile: widestTile, threads: threads)
      // Twice, because memory is reused, and once without stages, because reported stages are copied during the run.
      for _ in 0..<2 {
        #expect(try outcome(banded, input, stages) == expected, "\(what), \(threads) threads")
      }
      #expect(try banded.run(input) == expected["output"], "\(what), \(threads) threads, no stages")
    }
  }

  /// One operation between two that change nothing, so that neither its input nor its result is ever whole.
  private func checksum(_ operation: DecantGraphs.GraphOperation, _ sizes: [Int], channels: Int, threads: Int)
    throws
    -> Double
  {
    var graph = Graph(inputChannels: sizes[1])
    func same(_ name: String, _ count: Int, _ value: Value) -> Value {
      let result = graph.append(name, .channelAffine(channels: count), value)
      graph.nameStage(name, result)
      return result
    }
    let made = graph.append("node", operation, same("before", sizes[1], graph.input))
    graph.nameStage("node", made)
    _ = same("after", channels, made)
    let tensors = try graph.parameters.map { parameter in
      let count = parameter.shape.reduce(1, *)
      let values =
        parameter.name.hasPrefix("node.")
        ? integers(parameter.shape, 5, 13, 6)
        : [Float](repeating: parameter.name.hasSuffix("weight") ? 1 : 0, count: count)
      return StateDict.Entry(name: parameter.name, tensor: try Tensor(values, shape: parameter.shape))
    }
    let network = try ReferenceNetwork<Float>(
      graph: graph, weights: StateDict(tensors), threads: threads, banding: banding(.always, widestTile: 7))
    let shape = Array(sizes[0..<4])
    let plan = try #require(try network.bandPlan(inputSizes: shape))
    #expect(plan.steps.count == 3)
    let centre = if case .conv = operation { 11 } else { 30 }
    let input = try Activation(shape: shape, values: integers(shape, 7, 23, Int(centre)))
    return DecantInferenceTests.checksum(try network.run(input))
  }

  @Test(arguments: convolutionCases.indices, [1, 3])
  func convolutionsArePyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = convolutionCases[index]
    let convolution = Convolution(
      inputChannels: sizes[1], outputChannels: sizes[4], kernel: sizes[5], stride: sizes[6],
      padding: sizes[7],
      dilation: sizes[8], groups: sizes[9])
    #expect(
      try checksum(.conv(convolution), sizes, channels: sizes[4], threads: threads) == expected, "\(sizes)")
  }

  @Test(arguments: [1, 3])
  func poolsArePyTorchs(_ threads: Int) throws {
    func check(
      _ cases: [(sizes: [Int], checksum: Double)], _ operation: ([Int]) -> DecantGraphs.GraphOperation
    )
      throws
    {
      for (sizes, expected) in cases {
        let operation = operation(sizes)
        var channels = sizes[1]
        if case .padChannels(let each, _) = operation { channels += 2 * each }
        #expect(
          try checksum(operation, sizes, channels: channels, threads: threads) == expected,
          "\(operation) \(sizes)")
      }
    }
    func pool(_ sizes: [Int], zeros: Bool = false, rest: Bool = false) -> DecantGraphs.GraphOperation {
      .maxPool(
        Pooling(
          kernel: sizes[4], stride: sizes[5], padding: sizes[6], hasZeroPadding: zeros, isCeilMode: rest))
    }
    try check(poolCases) { pool($0) }
    try check(zeroPoolCases) { pool($0, zeros: true) }
    try check(edgePoolCases) { pool($0, rest: true) }
    try check(meanCases) { .averagePool(size: $0[4], isCeilMode: true) }
    try check(wholeMeanCases) { .averagePool(size: $0[4], isCeilMode: false) }
    try check(blurCases) { .blurPool(stride: $0[4]) }
    try check(padCases) { .padChannels(each: $0[4], stride: $0[5]) }
  }

  /// Random graphs of all operations that can run in bands, down to one pixel.
  @Test(arguments: 0..<150)
  func anyGraphHasTheSameBits(_ seed: Int) throws {
    var random = Seeded(UInt64(seed))
    let shape = [random.number(1...2), 4, random.number(1...40), random.number(1...23)]
    let graph = randomGraph(shape, &random)
    let what = "seed \(seed): \(shape) \(graph.nodes.map(\.operation))"
    let widestTile = random.number(3...40)
    try expectSameBits(Float.self, graph, shape, widestTile: widestTile, what: what)
    if seed.isMultiple(of: 3) {
      try expectSameBits(Double.self, graph, shape, widestTile: widestTile, what: what)
    }
  }

  private func randomGraph(_ shape: [Int], _ random: inout Seeded) -> Graph {
    var graph = Graph(inputChannels: shape[1])
    var values = [(value: graph.input, sizes: Array(shape[1...]))]
    while values.count < 9 {
      let (value, sizes) = values[
        random.number(0...3) == 0 ? random.number(0...values.count - 1) : values.count - 1]
      var result = sizes
      let operation: DecantGraphs.GraphOperation
      switch random.number(0...9) {
      case 0...3:
        let groups = sizes[0].isMultiple(of: 2) ? random.number(1...2) : 1
        var convolution = Convolution(
          inputChannels: sizes[0], outputChannels: 2 * random.number(1...5), kernel: random.number(1...5),
          stride: random.number(1...2), dilation: random.number(1...2), groups: groups)
        // Convolutions that keep the size are the most common in networks.
        if random.number(0...1) == 0 {
          convolution.stride = 1
          convolution.kernel = 2 * random.number(0...2) + 1
          convolution.padding = convolution.dilation * (convolution.kernel / 2)
        } else {
          convolution.padding = random.number(0...convolution.kernel)
        }
        result = [convolution.outputChannels] + sizes[1...].map { convolution.outputSize($0) }
        operation = .conv(convolution)
      case 4:
        let kernel = random.number(1...4)
        let pooling = Pooling(
          kernel: kernel, stride: random.number(1...3), padding: random.number(0...kernel / 2),
          hasZeroPadding: random.number(0...1) == 0, isCeilMode: random.number(0...1) == 0)
        result = [sizes[0]] + sizes[1...].map { pooling.outputSize($0) }
        operation = .maxPool(pooling)
      case 5:
        let (size, isCeilMode) = (random.number(1...3), random.number(0...1) == 0)
        result = [sizes[0]] + sizes[1...].map { isCeilMode ? ($0 - 1) / size + 1 : $0 / size }
        operation = .averagePool(size: size, isCeilMode: isCeilMode)
      case 6:
        let stride = random.number(1...2)
        if sizes[1...].contains(1) { continue }
        result = [sizes[0]] + sizes[1...].map { ($0 - 1) / stride + 1 }
        operation = .blurPool(stride: stride)
      case 7:
        let (each, stride) = (random.number(0...1), random.number(1...2))
        result = [sizes[0] + 2 * each] + sizes[1...].map { ($0 - 1) / stride + 1 }
        operation = .padChannels(each: each, stride: stride)
      case 8: operation = .batchNormalization(channels: sizes[0], epsilon: 1e-5)
      default: operation = random.number(0...1) == 0 ? .silu : .relu
      }
      if result.contains(0) { continue }
      var made = graph.append("node\(graph.nodes.count)", operation, value)
      if random.number(0...1) == 0, let other = values.last(where: { $0.sizes == result }) {
        made = graph.append("node\(graph.nodes.count)", .add, made, other.value)
      }
      if random.number(0...3) == 0 { graph.nameStage("stage\(graph.nodes.count)", made) }
      values.append((made, result))
    }
    if random.number(0...2) == 0, let last = values.last {
      graph.nameStage("mean", graph.append("mean", .globalAveragePool, last.value))
    }
    return graph
  }

  @Test(arguments: [
    "resnet18", "resnet50", "resnet50nodown", "resnext50_32x4d", "resnet20", "resnet20 B", "resnet26d",
    "resnetv2_50",
    "resnetaa50", "resnetblur18", "resnet33ts", "seresnet50", "resnet50_gn", "resnet50 trunk",
  ])
  func architecturesHaveTheSameBits(_ name: String) throws {
    let words = name.split(separator: " ").map(String.init)
    var configuration = try #require(ResNetArchitecture.named(words[0])).configuration
    if words.last == "B" { configuration.shortcut = .projection }
    if words.last == "trunk" { configuration.classes = 0 }
    // An average pool that drops an odd remainder does not match the shortcut's size.
    let shape = name == "resnetaa50" ? [1, 3, 64, 96] : [1, 3, 75, 61]
    let graph = try configuration.graph()
    try expectSameBits(Float.self, graph, shape, widestTile: 64, what: name)
  }

  /// Large inputs use bands by default, and the memory of bands grows with the width only. Small inputs do not.
  @Test func memoryGrowsWithTheWidth() throws {
    let graph = try #require(ResNetArchitecture.named("resnet50nodown")).configuration.graph()
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    let network = try ReferenceNetwork<Float>(graph: graph, weights: weights, threads: 2)
    #expect(try network.bandPlan(inputSizes: [1, 3, 224, 224]) == nil)
    let square = try #require(try network.bandPlan(inputSizes: [1, 3, 1024, 1024]))
    let high = try #require(try network.bandPlan(inputSizes: [1, 3, 8192, 1024]))
    // All steps up to global average pooling, the only result that later steps read.
    #expect(square.steps.count == high.steps.count && square.steps.last?.isStored == false)
    #expect(square.capacity == high.capacity)
    let bytes = zip(square.steps, square.steps.map(\.output)).reduce(0) { sum, pair in
      sum + (square.capacity[pair.1] ?? 0) * 4 * channels(of: pair.1, in: graph)
    }
    #expect(bytes < 450_000_000)
  }

  private func channels(of value: Int, in graph: Graph) -> Int {
    switch graph.nodes[value - 1].operation {
    case .conv(let convolution): convolution.outputChannels
    case .batchNormalization(let channels, _): channels
    default: channels(of: graph.nodes[value - 1].inputs[0].index, in: graph)
    }
  }
}
