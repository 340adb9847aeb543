import DecantBytes
import DecantGraphs
import DecantIO
import DecantInference
import DecantTensors
import Testing

/// Invalid weights, graphs and inputs throw typed errors.
@Suite struct ErrorTests {
  private func graph(kernel: Int = 3, padding: Int = 0) -> Graph {
    var graph = Graph(inputChannels: 2)
    let convolution = Convolution(inputChannels: 2, outputChannels: 4, kernel: kernel, padding: padding)
    let value = graph.append("conv", .conv(convolution), graph.input)
    _ = graph.append("bn", .batchNormalization(channels: 4, epsilon: 1e-5), value)
    return graph
  }

  private func weights(_ graph: Graph, _ change: (String, [Int]) -> Tensor? = { _, _ in nil }) throws
    -> StateDict
  {
    try StateDict(
      graph.parameters.map { parameter in
        let count = parameter.shape.reduce(1, *)
        let plain = try Tensor([Float](repeating: 1, count: count), shape: parameter.shape)
        return .init(name: parameter.name, tensor: change(parameter.name, parameter.shape) ?? plain)
      })
  }

  private func error(_ graph: Graph, _ weights: StateDict, _ shape: [Int] = [1, 2, 8, 8]) -> InferenceError? {
    do {
      let network = try ReferenceNetwork<Float>(graph: graph, weights: weights)
      let count = shape.allSatisfy { $0 >= 0 } ? shape.reduce(1, *) : 0
      _ = try network.run(Activation(shape: shape, values: [Float](repeating: 1, count: count)))
      return nil
    } catch { return error }
  }

  @Test func parametersAreNamed() throws {
    let graph = graph()
    #expect(try error(graph, weights(graph)) == nil)
    let names = ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    #expect(try error(graph, StateDict([])) == .missingParameters(names))
    let transposed = try Tensor([Float](repeating: 1, count: 72), shape: [2, 4, 3, 3])
    #expect(
      try error(graph, weights(graph) { name, _ in name == "conv.weight" ? transposed : nil })
        == .mismatchedParameter(name: "conv.weight", expected: [4, 2, 3, 3], found: [2, 4, 3, 3]))
    let empty = try weights(graph) { name, shape in
      let storage = Storage(key: "0", location: "meta", byteCount: 4096, content: nil)
      return name == "bn.bias" ? try? Tensor(dtype: .float32, shape: shape, storage: storage) : nil
    }
    let unreadable = try #require(error(graph, empty))
    let mapped = DecantError(unreadable, file: "a.pth")
    #expect(mapped.code == .noData && mapped.location.file == "a.pth" && mapped.location.tensor == "bn.bias")
  }

  /// Integer weights must be refused: without a quantised network's scales, they give plausible but wrong results.
  @Test(arguments: ["conv.weight", "bn.running_mean"])
  func integersAreNoWeights(_ victim: String) throws {
    let graph = graph()
    let bytes = BytesInMemory([UInt8](repeating: 1, count: 4096))
    let weights = try weights(graph) { name, shape in
      let storage = Storage(key: "0", byteCount: 4096, content: bytes)
      return name == victim ? try? Tensor(dtype: .int8, shape: shape, storage: storage) : nil
    }
    let mapped = error(graph, weights).map { DecantError($0) }
    #expect(mapped?.code == .unsupportedNetwork && mapped?.location.tensor == victim)
  }

  /// Weights of every floating-point dtype, stride and byte order are read correctly.
  @Test func anyLayoutIsRead() throws {
    let graph = graph(kernel: 1)
    let plain = try weights(graph) { name, shape in
      name == "conv.weight" ? try? Tensor([1, 2, 3, 4, 5, 6, 7, 8], shape: shape) : nil
    }
    func run(_ weights: StateDict) throws -> [Float] {
      let network = try ReferenceNetwork<Float>(graph: graph, weights: weights)
      return try network.run(Activation(shape: [1, 2, 1, 1], values: [1, 10])).values
    }
    let expected = try run(plain)
    let columns = BytesInMemory([1, 3, 5, 7, 2, 4, 6, 8].flatMap { bigEndian(Float($0).bitPattern) })
    let strided = Storage(key: "0", byteOrder: .big, byteCount: 32, content: columns)
    let tensor = try Tensor(dtype: .float32, shape: [4, 2, 1, 1], strides: [1, 4, 1, 1], storage: strided)
    #expect(try run(weights(graph) { name, _ in name == "conv.weight" ? tensor : nil }) == expected)
    // 1 ... 8 as bfloat16: the upper halves of float32.
    let halves = BytesInMemory(
      (1...8).flatMap { Array(bigEndian(Float($0).bitPattern).prefix(2).reversed()) })
    let short = try Tensor(
      dtype: .bfloat16, shape: [4, 2, 1, 1], storage: Storage(key: "0", byteCount: 16, content: halves))
    #expect(try run(weights(graph) { name, _ in name == "conv.weight" ? short : nil }) == expected)
    // The data starts at a storage offset of one element.
    let odd = BytesInMemory([0, 0, 0, 0] + (1...8).flatMap { bigEndian(Float($0).bitPattern).reversed() })
    let offset = try Tensor(
      dtype: .float32, shape: [4, 2, 1, 1], storage: Storage(key: "0", byteCount: 36, content: odd),
      storageOffset: 1)
    #expect(try run(weights(graph) { name, _ in name == "conv.weight" ? offset : nil }) == expected)
  }

  private func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
  }

  @Test(arguments: [
    [], [1], [1, 2, 8], [1, 2, 8, 8, 1], [0, 2, 8, 8], [1, 3, 8, 8], [1, 2, 0, 8], [1, 2, 8, 0],
  ])
  func inputsMustBeMaps(_ shape: [Int]) throws {
    let graph = graph()
    #expect(try error(graph, weights(graph), shape) == .inputShape(found: shape, channels: 2))
  }

  @Test func aSmallMapIsNamedWithItsSize() throws {
    let graph = graph()
    #expect(
      try error(graph, weights(graph), [1, 2, 2, 9]) == .inputTooSmall(node: "conv", height: 2, width: 9))
    #expect(try error(graph, weights(graph), [1, 2, 3, 3]) == nil)
  }

  @Test func countsMustAgree() {
    #expect(throws: InferenceError.valueCount(shape: [2, 2], count: 3)) {
      try Activation<Float>(shape: [2, 2], values: [1, 2, 3])
    }
    #expect(throws: InferenceError.self) { try Activation<Float>(shape: [-1, -1], values: [1]) }
    #expect(throws: InferenceError.self) { try Activation<Float>(shape: [Int.max, 2], values: []) }
  }

  @Test(arguments: [Int.min, -1, 0, 1025, Int.max])
  func threadsHaveBounds(_ count: Int) throws {
    let graph = graph()
    let weights = try weights(graph)
    #expect(throws: InferenceError.threads(count)) {
      try ReferenceNetwork<Float>(graph: graph, weights: weights, threads: count)
    }
  }

  @Test func contradictoryGraphsAreRefused() throws {
    var channels = Graph(inputChannels: 2)
    _ = channels.append(
      "conv", .conv(Convolution(inputChannels: 3, outputChannels: 4, kernel: 1)), channels.input)
    var sum = Graph(inputChannels: 2)
    let pooled = sum.append("pool", .maxPool(Pooling(kernel: 2, stride: 2, padding: 0)), sum.input)
    _ = sum.append("add", .add, pooled, sum.input)
    var padded = Graph(inputChannels: 2)
    _ = padded.append("pool", .maxPool(Pooling(kernel: 2, stride: 2, padding: 2)), padded.input)
    var vector = Graph(inputChannels: 2)
    let mean = vector.append("mean", .globalAveragePool, vector.input)
    _ = vector.append("again", .globalAveragePool, mean)
    var norm = Graph(inputChannels: 2)
    _ = norm.append("bn", .batchNormalization(channels: 4, epsilon: 0), norm.input)
    var features = Graph(inputChannels: 2)
    _ = features.append("fc", .gemm(FullyConnected(inputs: 2, outputs: 1)), features.input)
    for graph in [channels, sum, padded, vector, norm, features, Graph(inputChannels: 2)] {
      guard case .unsupportedGraph = try error(graph, weights(graph)) else {
        Issue.record("\(graph.nodes.map(\.name)) was accepted")
        continue
      }
    }
  }

  /// Each engine error becomes a library error whose code says what a caller can do.
  @Test(
    arguments: [
      (.missingParameters(["a"]), .mismatch),
      (.mismatchedParameter(name: "a", expected: [1], found: [2]), .mismatch),
      (
        .unreadableParameter(name: "a", cause: DecantError(.checksumMismatch, "CRC-32 mismatch")),
        .checksumMismatch
      ),
      (.unsupportedGraph(node: "a", reason: "it is opaque"), .unsupportedNetwork),
      (.valueCount(shape: [2], count: 3), .invalidInput),
      (.inputShape(found: [1], channels: 3), .invalidInput),
      (.inputTooSmall(node: "a", height: 1, width: 1), .invalidInput),
      (.inputTooLarge(node: "a"), .invalidInput),
      (.outOfMemory(bytes: 1 << 40), .outOfMemory), (.threads(4), .outOfMemory),
      (.threads(0), .invalidArgument),
      (.libraryMissing("OpenBLAS is not installed"), .libraryMissing),
    ] as [(InferenceError, DecantError.Code)])
  func becomesAnErrorOfTheLibrary(_ error: InferenceError, _ code: DecantError.Code) {
    #expect(DecantError(error).code == code)
  }
}
