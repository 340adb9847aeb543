import DecantCheckpoints
import DecantGraphs
import DecantResNets
import DecantTensors
import TestSupport
import Testing
@testable import DecantInference

/// The oneDNN engine against PyTorch's results and compared with the reference engine in float64.
@Suite(.serialized) struct OneDNNTests {
  private func alone(
    _ operation: DecantGraphs.GraphOperation, _ sizes: [Int], weights: StateDict? = nil, _ input: [Float]
  ) throws -> Activation<Float> {
    var graph = Graph(inputChannels: sizes[1])
    _ = graph.append("conv", operation, graph.input)
    let network = try OneDNNNetwork(graph: graph, weights: weights ?? StateDict([]), threads: 2)
    return try network.run(Activation(shape: Array(sizes[0..<4]), values: input))
  }

  @Test(arguments: convolutionCases.indices)
  func convolutionIsPyTorchs(_ index: Int) throws {
    let (sizes, expected) = convolutionCases[index]
    let convolution = Convolution(
      inputChannels: sizes[1], outputChannels: sizes[4], kernel: sizes[5], stride: sizes[6],
      padding: sizes[7],
      dilation: sizes[8], groups: sizes[9])
    let weights = try StateDict([
      .init(
        name: "conv.weight",
        tensor: Tensor(integers(convolution.weightShape, 5, 13, 6), shape: convolution.weightShape))
    ])
    let output = try alone(
      .conv(convolution), sizes, weights: weights, integers(Array(sizes[0..<4]), 7, 23, 11))
    #expect(checksum(output) == expected, "\(sizes)")
  }

  @Test func poolsArePyTorchs() throws {
    func check(_ operation: DecantGraphs.GraphOperation, _ sizes: [Int], _ expected: Double) throws {
      let output = try alone(operation, sizes, integers(Array(sizes[0..<4]), 7, 23, 30))
      #expect(checksum(output) == expected, "\(operation) \(sizes)")
    }
    for (sizes, expected) in poolCases {
      try check(.maxPool(Pooling(kernel: sizes[4], stride: sizes[5], padding: sizes[6])), sizes, expected)
    }
    for (sizes, expected) in edgePoolCases {
      let pooling = Pooling(kernel: sizes[4], stride: sizes[5], padding: sizes[6], isCeilMode: true)
      try check(.maxPool(pooling), sizes, expected)
    }
    for (sizes, expected) in meanCases {
      try check(.averagePool(size: sizes[4], isCeilMode: true), sizes, expected)
    }
    for (sizes, expected) in wholeMeanCases {
      try check(.averagePool(size: sizes[4], isCeilMode: false), sizes, expected)
    }
    for (sizes, expected) in padCases {
      try check(.padChannels(each: sizes[4], stride: sizes[5]), sizes, expected)
    }
  }

  private func images<T: ReferenceScalar>(_ count: Int, _ height: Int, _ width: Int) throws -> Activation<T> {
    let values = try SyntheticImage.values(seed: 7, count: count, height: height, width: width)
    return try Activation(shape: [count, 3, height, width], values: values.map { T($0) })
  }

  private func graph(_ name: String) throws -> Graph {
    try #require(ResNetArchitecture.named(name)).configuration.graph()
  }

  private func network(_ name: String, _ numerics: Numerics = .exact, threads: Int = 2) throws
    -> OneDNNNetwork
  {
    let graph = try graph(name)
    return try OneDNNNetwork(
      graph: graph, weights: SyntheticWeights.stateDict(graph, seed: 7), threads: threads, numerics: numerics)
  }

  private func golden(_ name: String) throws -> StateDict {
    try Checkpoint(path: Fixtures.path("goldens/\(name).safetensors")).stateDict(at: ".")
  }

  @Test(arguments: ["resnet50", "resnet50nodown"], Numerics.allCases)
  func everyStageIsPyTorchs(_ name: String, _ numerics: Numerics) throws {
    let golden = ReferenceOutputs(try golden("\(name)-97x131"))
    let stages = try graph(name).stages.map(\.name)
    var found: [String] = []
    _ = try network(name, numerics).run(images(1, 97, 131), stages: Set(stages)) { stage, value in
      found.append(stage)
      let comparison = try? golden.compare(stage, value, tolerance: 1e-5)
      #expect(
        comparison?.passes == true, "\(name) \(stage): \(comparison?.maxRelative ?? .nan) of the largest")
    }
    #expect(found == stages)
  }

  /// Compares the RMS error over the logits of 16 images, as a fraction of the largest logit, with PyTorch's own.
  @Test(arguments: ["resnet18", "resnet50", "resnet50nodown"])
  func errorIsStated(_ name: String) throws {
    let goldens = try golden("logits16")
    let truth = try #require(goldens[name + ".float64"]).elements(as: Double.self)
    let largest = truth.map(\.magnitude).max() ?? 0
    func error(_ values: [Double]) -> Double {
      let squares = zip(values, truth).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      return (squares / Double(truth.count)).squareRoot() / largest
    }
    let theirs = error(try #require(goldens[name + ".float32"]).elements(as: Double.self))
    let errors = try Numerics.allCases.map { numerics in
      error(try network(name, numerics).run(images(16, 96, 96)).values.map { Double($0) })
    }
    print("\(name): RMS error of onednn \(errors[0]) exact, \(errors[1]) fast, of PyTorch's \(theirs)")
    #expect(errors[0] <= 2 * theirs)
    #expect(errors[1] <= 10 * theirs)
  }

  /// Networks with groups, gates, deep stems, pooled and padded shortcuts, and pre-activation.
  @Test(arguments: [
    "resnext50_32x4d", "seresnet50", "ecaresnet50d", "resnet50d", "resnet20", "resnetv2_50",
    "legacy_seresnet18",
  ])
  func agreesWithTheTruth(_ name: String) throws {
    guard let configuration = ResNetArchitecture.named(name)?.configuration else {
      Issue.record("no architecture is called \(name)")
      return
    }
    let graph = try configuration.graph()
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    let truth = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: 2)
    for numerics in Numerics.allCases {
      let network = try OneDNNNetwork(graph: graph, weights: weights, threads: 2, numerics: numerics)
      for (count, height, width) in [(3, 33, 64), (1, 65, 51)] {
        let expected = try truth.run(images(count, height, width))
        let found = try network.run(images(count, height, width))
        let largest = expected.values.reduce(0) { max($0, $1.magnitude) }
        let worst = zip(found.values, expected.values).map { (Double($0) - $1).magnitude }.max() ?? .nan
        #expect(found.shape == expected.shape)
        #expect(
          worst <= 2e-5 * largest, "\(name) \(numerics) \(count)×\(height)×\(width): \(worst / largest)")
      }
    }
  }

  /// Bands of lines against whole values. The last bits may differ; the stages must be the same.
  @Test(arguments: [
    "resnet18", "resnet50", "resnet50nodown", "resnext50_32x4d", "resnet50d", "resnet20", "seresnet18",
  ])
  func bandsAgreeWithWholeValues(_ name: String) throws {
    let graph = try graph(name)
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    let stages = Set(graph.stages.map(\.name))
    for numerics in Numerics.allCases {
      let networks = try [BandSettings.Choice.never, .always].map {
        try OneDNNNetwork(graph: graph, weights: weights, threads: 2, numerics: numerics, bands: $0)
      }
      for (count, height, width) in [(1, 97, 51), (2, 70, 33), (1, 5, 40), (1, 1, 1)] {
        var found = [[(String, Activation<Float>)]](repeating: [], count: 2)
        for (place, network) in networks.enumerated() {
          _ = try network.run(images(count, height, width), stages: stages) { found[place].append(($0, $1)) }
        }
        #expect(found[0].map(\.0) == found[1].map(\.0))
        for (whole, banded) in zip(found[0], found[1]) {
          let largest = whole.1.values.reduce(0) { max($0, $1.magnitude) }
          let worst = zip(whole.1.values, banded.1.values).map { ($0 - $1).magnitude }.max() ?? .nan
          #expect(whole.1.shape == banded.1.shape)
          #expect(
            worst <= 1e-5 * largest, "\(name) \(numerics) \(height)×\(width) \(whole.0): \(worst / largest)")
        }
      }
    }
  }

  @Test(arguments: [(1, 1), (1, 40), (33, 2), (8, 7)])
  func smallMapsRun(_ height: Int, _ width: Int) throws {
    let graph = try graph("resnet18")
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    let expected = try ReferenceNetwork<Double>(graph: graph, weights: weights).run(images(1, height, width))
      .values
    for numerics in Numerics.allCases {
      let found = try OneDNNNetwork(graph: graph, weights: weights, numerics: numerics).run(
        images(1, height, width))
      let largest = expected.map(\.magnitude).max() ?? 0
      let worst = zip(found.values, expected).map { (Double($0) - $1).magnitude }.max() ?? .nan
      #expect(worst <= 1e-5 * largest, "\(numerics) \(height)×\(width): \(worst / largest)")
    }
  }

  @Test(arguments: Numerics.allCases) func bitsRepeat(_ numerics: Numerics) throws {
    let input: Activation<Float> = try images(1, 97, 131)
    let first = try network("resnet18", numerics).run(input)
    let again = try network("resnet18", numerics)
    for _ in 0..<3 { #expect(try again.run(input) == first) }
  }

  @Test func oneNetworkServesSeveralCallersAndSizes() async throws {
    let network = try network("resnet18")
    let sizes = [(1, 33, 33), (2, 40, 31), (1, 33, 33), (3, 35, 64)]
    let alone = try sizes.map { try network.run(images($0.0, $0.1, $0.2)) }
    await withTaskGroup(of: Bool.self) { group in
      for round in 0..<12 {
        let (count, height, width) = sizes[round % sizes.count]
        group.addTask {
          let input: Activation<Float>? = try? images(count, height, width)
          return input.flatMap { try? network.run($0) } == alone[round % sizes.count]
        }
      }
      for await same in group { #expect(same) }
    }
  }

  @Test func whatItDoesNotComputeIsNamed() throws {
    let graph = try graph("resnetblur50")
    #expect {
      _ = try OneDNNNetwork(graph: graph, weights: SyntheticWeights.stateDict(graph, seed: 7))
    } throws: { error in "\(error)".contains("the engine onednn has no blur pooling") }
  }

  @Test func valuesThatLiveTogetherLieApart() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let values = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
        let first = Int.random(in: 0..<30, using: &generator)
        return (
          byteCount: Int.random(in: 0..<5000, using: &generator),
          lifetime: first...first + Int.random(in: 0..<8, using: &generator)
        )
      }
      let plan = OneDNNMemoryPlan(values)
      for one in values.indices {
        #expect(plan.offsets[one] % 64 == 0 && plan.offsets[one] + values[one].byteCount <= plan.byteCount)
        for two in values.indices where two > one && values[one].lifetime.overlaps(values[two].lifetime) {
          let (a, b) = (plan.offsets[one], plan.offsets[two])
          #expect(a + values[one].byteCount <= b || b + values[two].byteCount <= a)
        }
      }
    }
  }

  /// The choice depends on a model of the sizes alone.
  @Test(arguments: [(64, 56, true), (128, 28, true), (512, 7, true), (512, 1, false), (8, 56, false)])
  func winogradIsForMapsThatPay(_ channels: Int, _ size: Int, _ expected: Bool) {
    let shape = ValueShape(batch: 1, channels: channels, height: size, width: size)
    let window = OneDNNWindow(kernel: (3, 3), before: (1, 1), after: (1, 1))
    #expect(Winograd.isWorthIt(shape, shape, window, groups: 1) == expected)
    #expect(!Winograd.isWorthIt(shape, shape, window, groups: 2))
  }
}
