import DecantCheckpoints
import DecantGraphs
import DecantInference
import DecantResNets
import DecantTensors
import TestSupport
import Testing

/// Whole networks with seeded weights against PyTorch's activations.
@Suite(.serialized) struct NetworkTests {
  private func graph(_ name: String) throws -> Graph {
    if name == "small_nodown" {
      var small = ResNetConfiguration(block: .bottleneck, layers: [1, 2, 1, 1], planes: [8, 16, 32, 64])
      (small.stem, small.stride0, small.classes) = (.single(kernel: 7, channels: 8), 1, 1)
      return try small.graph()
    }
    return try #require(ResNetArchitecture.named(name)).configuration.graph()
  }

  private func network<T: ReferenceScalar>(_ name: String, threads: Int = 2) throws -> ReferenceNetwork<T> {
    let graph = try graph(name)
    return try ReferenceNetwork(
      graph: graph, weights: SyntheticWeights.stateDict(graph, seed: 7), threads: threads)
  }

  private func images<T: ReferenceScalar>(_ count: Int, _ height: Int, _ width: Int) throws -> Activation<T> {
    let values = try SyntheticImage.values(seed: 7, count: count, height: height, width: width)
    return try Activation(shape: [count, 3, height, width], values: values.map { T($0) })
  }

  private func golden(_ name: String) throws -> StateDict {
    try Checkpoint(path: Fixtures.path("goldens/\(name).safetensors")).stateDict(at: ".")
  }

  @Test(arguments: [
    ("resnet50", "resnet50-97x131", 1, 97, 131), ("resnet50nodown", "resnet50nodown-97x131", 1, 97, 131),
    ("small_nodown", "small_nodown", 2, 13, 11),
  ])
  func everyStageIsPyTorchs(_ name: String, _ file: String, _ count: Int, _ height: Int, _ width: Int) throws
  {
    let golden = ReferenceOutputs(try golden(file))
    func check<T: ReferenceScalar>(_ network: ReferenceNetwork<T>, tolerance: Double) throws {
      let stages = try graph(name).stages.map(\.name)
      var found: [(String, Activation<T>)] = []
      _ = try network.run(images(count, height, width), stages: Set(stages)) { found.append(($0, $1)) }
      #expect(found.map(\.0) == stages)
      for (stage, activation) in found {
        let comparison = try golden.compare(stage, activation, tolerance: tolerance)
        #expect(comparison.passes, "\(name) \(stage): \(comparison.maxRelative) of the largest")
      }
    }
    try check(network(name) as ReferenceNetwork<Double>, tolerance: 1e-12)
    try check(network(name) as ReferenceNetwork<Float>, tolerance: 2e-6)
  }

  /// Compares the RMS error over the logits of 16 images, as a fraction of the largest logit, with PyTorch's own.
  @Test(arguments: ["resnet18", "resnet50", "resnet50nodown"])
  func errorIsThatOfPyTorch(_ name: String) throws {
    let goldens = try golden("logits16")
    let truth = try #require(goldens[name + ".float64"]).elements(as: Double.self)
    let theirs = try #require(goldens[name + ".float32"]).elements(as: Double.self)
    let single = try (network(name) as ReferenceNetwork<Float>).run(images(16, 96, 96)).values.map {
      Double($0)
    }
    let double = try (network(name) as ReferenceNetwork<Double>).run(images(16, 96, 96)).values
    try #require(single.count == truth.count && theirs.count == truth.count && double.count == truth.count)
    let largest = truth.map(\.magnitude).max() ?? 0
    func error(_ values: [Double]) -> Double {
      let squares = zip(values, truth).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      return (squares / Double(truth.count)).squareRoot() / largest
    }
    let worst = zip(double, truth).map { ($0 - $1).magnitude }.max() ?? 0
    print("\(name): RMS error of float32 \(error(single)), of PyTorch's \(error(theirs));", terminator: " ")
    print("float64 off by \(worst / largest)")
    #expect(error(single) <= 1.2 * error(theirs))
    #expect(worst <= 1e-12 * largest)
  }

  @Test(arguments: [(1, 1), (1, 40), (33, 2), (97, 131)])
  func bitsDoNotDependOnThreadsNorRepetition(_ height: Int, _ width: Int) throws {
    let input: Activation<Float> = try images(1, height, width)
    let first = try (network("resnet18", threads: 1) as ReferenceNetwork<Float>).run(input)
    for threads in [1, 2, 3, 7] {
      let network: ReferenceNetwork<Float> = try network("resnet18", threads: threads)
      for _ in 0..<3 { #expect(try network.run(input) == first) }
    }
  }

  @Test func oneNetworkServesSeveralCallersAndSizes() async throws {
    let network: ReferenceNetwork<Float> = try network("small_nodown")
    let sizes = [(1, 9, 9), (2, 30, 31), (1, 9, 9), (3, 5, 64)]
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

  /// An image's logits do not depend on its neighbours in the batch.
  @Test func imagesOfABatchAreApart() throws {
    let network: ReferenceNetwork<Double> = try network("small_nodown")
    let both = try network.run(images(2, 13, 11)).values
    let values = try SyntheticImage.values(seed: 7, first: 1, height: 13, width: 11).map { Double($0) }
    let second = try network.run(Activation(shape: [1, 3, 13, 11], values: values)).values
    #expect((both[1] - second[0]).magnitude <= 1e-13 * second[0].magnitude)
  }
}
