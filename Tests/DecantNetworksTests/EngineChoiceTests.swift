import DecantBytes
import DecantGraphs
import DecantInference
import DecantNetworks
import DecantResNets
import DecantTensors
import Testing

/// Which engines a choice binds, for float32 and float64.
@Suite(.serialized) struct EngineChoiceTests {
  private let graph: Graph
  private let weights: StateDict

  init() throws {
    graph = try #require(ResNetArchitecture.named("resnet20")).configuration.graph()
    weights = try SyntheticWeights.stateDict(graph, seed: 7)
  }

  @Test(arguments: [
    (EngineChoice.Engines.fastest, ["onednn"]), (.oneDNN, ["onednn"]), (.reference, ["reference"]),
    (.both, ["onednn", "reference"]),
  ])
  func enginesForFloat32(_ engines: EngineChoice.Engines, _ names: [String]) throws {
    let bound = try EngineChoice(engines, numerics: .fast, threads: 1).float(graph, weights)
    #expect(bound.map(\.description.name) == names)
    for engine in bound {
      let isOneDNN = engine.description.name == "onednn"
      #expect(engine.description.numerics == (isOneDNN ? .fast : nil))
      #expect((engine.description.version != nil) == isOneDNN)
    }
  }

  @Test func float64IsTheReference() throws {
    let double: BoundEngine<Double> = try EngineChoice(threads: 1).reference(graph, weights)
    #expect(double.description.name == "reference" && "\(double.description)" == "reference engine")
    let single = try EngineChoice(.reference, threads: 1).float(graph, weights)[0]
    let shape = [1, 3, 8, 8]
    let values = (0..<192).map { Float($0 % 7) / 7 }
    let expected = try double.network.run(
      Activation(shape: shape, values: values.map { Double($0) }), stages: []
    ) { _, _ in }
    let found = try single.network.run(Activation(shape: shape, values: values), stages: []) { _, _ in }
    for (value, expected) in zip(found.values, expected.values) {
      #expect((Double(value) - expected).magnitude <= 1e-4 * max(1, expected.magnitude))
    }
  }

  /// A graph with an operator that oneDNN lacks is computed by the reference, with a note, unless oneDNN is asked for.
  @Test func whatOneDNNLacksGoesToTheReference() throws {
    let graph = try #require(ResNetArchitecture.named("resnet50_gn")).configuration.graph()
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    var notes: [String] = []
    let bound = try EngineChoice(threads: 1).float(graph, weights) { notes.append($0) }
    let name = bound[0].description.name
    #expect(bound.count == 1 && (name == "reference") == (notes.count == 1), "\(name) \(notes)")
  }

  @Test(arguments: [EngineChoice.Engines.fastest, .oneDNN, .reference])
  func threadsAreChecked(_ engines: EngineChoice.Engines) throws {
    #expect {
      try EngineChoice(engines, threads: 0).float(graph, weights)
    } throws: {
      ($0 as? DecantError)?.code == .invalidArgument
    }
  }

  @Test func weightsAreNeeded() throws {
    let none = try StateDict([])
    #expect(throws: DecantError.self) { try EngineChoice(threads: 1).float(graph, none) }
    #expect(throws: DecantError.self) {
      let _: BoundEngine<Double> = try EngineChoice(threads: 1).reference(graph, none)
    }
  }
}
