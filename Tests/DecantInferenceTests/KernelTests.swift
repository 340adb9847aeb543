import DecantGraphs
import DecantInference
import DecantTensors
import Testing

/// Single convolutions and pools against PyTorch. The results are exact because all values are small integers.
@Suite struct KernelTests {
  @Test(arguments: convolutionCases.indices)
  func convolutionIsPyTorchs(_ index: Int) throws {
    let (sizes, expected) = convolutionCases[index]
    let shape = Array(sizes[0..<4])
    let convolution = Convolution(
      inputChannels: sizes[1], outputChannels: sizes[4], kernel: sizes[5], stride: sizes[6],
      padding: sizes[7],
      dilation: sizes[8], groups: sizes[9])
    var graph = Graph(inputChannels: sizes[1])
    _ = graph.append("conv", .conv(convolution), graph.input)
    let weightShape = graph.parameters[0].shape
    let weights = try StateDict([
      .init(name: "conv.weight", tensor: Tensor(integers(weightShape, 5, 13, 6), shape: weightShape))
    ])
    for threads in [1, 2, 5] {
      let single = try ReferenceNetwork<Float>(graph: graph, weights: weights, threads: threads)
      let double = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: threads)
      let input = integers(shape, 7, 23, 11)
      let output = try single.run(Activation(shape: shape, values: input))
      #expect(
        output.shape == [
          sizes[0], sizes[4], convolution.outputSize(sizes[2]), convolution.outputSize(sizes[3]),
        ])
      #expect(checksum(output) == expected, "\(sizes) in Float on \(threads) threads")
      let precise = try double.run(Activation(shape: shape, values: input.map { Double($0) }))
      #expect(checksum(precise) == expected, "\(sizes) in Double on \(threads) threads")
    }
  }

  @Test(arguments: poolCases.indices)
  func maxPoolIsPyTorchs(_ index: Int) throws {
    let (sizes, expected) = poolCases[index]
    let shape = Array(sizes[0..<4])
    var graph = Graph(inputChannels: sizes[1])
    _ = graph.append(
      "pool", .maxPool(Pooling(kernel: sizes[4], stride: sizes[5], padding: sizes[6])), graph.input)
    let network = try ReferenceNetwork<Float>(graph: graph, weights: StateDict([]), threads: 2)
    let output = try network.run(Activation(shape: shape, values: integers(shape, 7, 23, 30)))
    #expect(checksum(output) == expected, "\(sizes)")
  }

  private func checksumAlone(_ operation: DecantGraphs.GraphOperation, _ sizes: [Int], threads: Int) throws
    -> Double
  {
    var graph = Graph(inputChannels: sizes[1])
    _ = graph.append("node", operation, graph.input)
    let network = try ReferenceNetwork<Float>(graph: graph, weights: StateDict([]), threads: threads)
    let shape = Array(sizes[0..<4])
    return checksum(try network.run(Activation(shape: shape, values: integers(shape, 7, 23, 30))))
  }

  @Test(arguments: meanCases.indices, [1, 3])
  func averagePoolIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = meanCases[index]
    #expect(
      try checksumAlone(.averagePool(size: sizes[4], isCeilMode: true), sizes, threads: threads) == expected,
      "\(sizes)")
  }

  @Test(arguments: wholeMeanCases.indices, [1, 3])
  func averagePoolOfFullWindowsIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = wholeMeanCases[index]
    let operation = DecantGraphs.GraphOperation.averagePool(size: sizes[4], isCeilMode: false)
    #expect(try checksumAlone(operation, sizes, threads: threads) == expected, "\(sizes)")
  }

  @Test(arguments: blurCases.indices, [1, 3])
  func blurPoolIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = blurCases[index]
    #expect(try checksumAlone(.blurPool(stride: sizes[4]), sizes, threads: threads) == expected, "\(sizes)")
  }

  @Test(arguments: edgePoolCases.indices, [1, 3])
  func maxPoolOverTheEdgeIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = edgePoolCases[index]
    let pooling = Pooling(kernel: sizes[4], stride: sizes[5], padding: sizes[6], isCeilMode: true)
    #expect(try checksumAlone(.maxPool(pooling), sizes, threads: threads) == expected, "\(sizes)")
  }

  @Test(arguments: zeroPoolCases.indices, [1, 3])
  func maxPoolOverZerosIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = zeroPoolCases[index]
    let pooling = Pooling(kernel: sizes[4], stride: sizes[5], padding: sizes[6], hasZeroPadding: true)
    #expect(try checksumAlone(.maxPool(pooling), sizes, threads: threads) == expected, "\(sizes)")
  }

  @Test(arguments: padCases.indices, [1, 3])
  func paddedShortcutIsPyTorchs(_ index: Int, _ threads: Int) throws {
    let (sizes, expected) = padCases[index]
    let operation = DecantGraphs.GraphOperation.padChannels(each: sizes[4], stride: sizes[5])
    #expect(try checksumAlone(operation, sizes, threads: threads) == expected, "\(sizes)")
  }

  /// Groups of two channels, computed by hand: mean 2 and deviation 1 in the first image, 0 and 2 in the second.
  @Test func groupNormalizationByHand() throws {
    var graph = Graph(inputChannels: 2)
    _ = graph.append("gn", .groupNormalization(channels: 2, groups: 1, epsilon: 0), graph.input)
    let weights = try StateDict([
      .init(name: "gn.weight", tensor: Tensor([2, -1] as [Float], shape: [2])),
      .init(name: "gn.bias", tensor: Tensor([0, 10] as [Float], shape: [2])),
    ])
    let network = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: 2)
    let input = try Activation<Double>(shape: [2, 2, 1, 2], values: [1, 3, 3, 1, 2, -2, -2, 2])
    #expect(try network.run(input).values == [-2, 2, 9, 11, 2, -2, 11, 9])
    var odd = Graph(inputChannels: 2)
    _ = odd.append("gn", .groupNormalization(channels: 2, groups: 3, epsilon: 0), odd.input)
    let refusing = try ReferenceNetwork<Double>(graph: odd, weights: weights)
    #expect(throws: InferenceError.self) { try refusing.run(input) }
  }

  private static let vectorFunctions: [(VectorFunction, [Double], [Double])] = [
    (.relu, [-1, 0.5, 8], [0, 0.5, 8]), (.relu6, [-1, 0.5, 8], [0, 0.5, 6]),
    (.leakyReLU(slope: 0.5), [-1, 0.5, 8], [-0.5, 0.5, 8]), (.sigmoid, [0, 40, -800], [0.5, 1, 0]),
    (.tanh, [0, 40, -40], [0, 1, -1]), (.silu, [0, 40, -800], [0, 40, 0]),
    (.gelu, [0, 40, -40], [0, 40, 0]), (.tanhGELU, [0, 40, -40], [0, 40, 0]),
    (.softmax, [5, 5, -795], [0.5, 0.5, 0]), (.logSoftmax, [800, 0, 0], [0, -800, -800]),
  ]

  /// Functions of vectors, by hand.
  @Test(arguments: vectorFunctions)
  func functionsOfVectors(_ function: VectorFunction, _ values: [Double], _ expected: [Double]) throws {
    var graph = Graph(inputChannels: 3)
    let value = graph.append("pool", .globalAveragePool, graph.input)
    _ = graph.append("f", .vectorFunction(function), value)
    let network = try ReferenceNetwork<Double>(graph: graph, weights: StateDict([]), threads: 2)
    let twice = try Activation<Double>(shape: [2, 3, 1, 1], values: values + values)
    let result = try network.run(twice).values
    #expect(zip(result, expected + expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(result)")
    // Feature maps are no vectors.
    var map = Graph(inputChannels: 3)
    _ = map.append("f", .vectorFunction(function), map.input)
    #expect(throws: InferenceError.self) {
      try ReferenceNetwork<Double>(graph: map, weights: StateDict([]), threads: 2)
    }
  }

  @Test func normalizationsOfVectorsWithoutParameters() throws {
    var graph = Graph(inputChannels: 2)
    var value = graph.append("pool", .globalAveragePool, graph.input)
    value = graph.append("bn", .vectorStandardization(channels: 2, epsilon: 0), value)
    _ = graph.append("ln", .layerNormalization(channels: 2, epsilon: 0, hasBias: false), value)
    func vector(_ name: String, _ values: [Float]) throws -> StateDict.Entry {
      .init(name: name, tensor: try Tensor(values, shape: [2]))
    }
    let weights = try StateDict([
      vector("bn.running_mean", [1, 2]), vector("bn.running_var", [4, 9]), vector("ln.weight", [10, 20]),
    ])
    let network = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: 2)
    // (5 − 1) / 2 = 2 and (2 − 2) / 3 = 0, whose mean and deviation are 1.
    #expect(try network.run(Activation(shape: [1, 2, 1, 1], values: [5, 2])).values == [10, -20])
  }

  /// With zero keys all positions have the same weight, so the result is the mean of all values; one large key selects
  /// its position. Computed by hand.
  @Test func attentionPoolByHand() throws {
    var graph = Graph(inputChannels: 2)
    let pooling = AttentionPooling(channels: 2, tokens: 3, heads: 1, outputs: 1)
    _ = graph.append("pool", .attentionPool(pooling), graph.input)
    func output(key: [Float]) throws -> [Double] {
      let parameters: [(String, [Float], [Int])] = [
        ("positional_embedding", [0, 0, 1, 0, 0, 1], [3, 2]), ("k_proj.weight", key, [2, 2]),
        ("k_proj.bias", [0, 0], [2]), ("q_proj.weight", [0, 0, 0, 0], [2, 2]), ("q_proj.bias", [1, 0], [2]),
        ("v_proj.weight", [1, 0, 0, 1], [2, 2]), ("v_proj.bias", [0, 0], [2]),
        ("c_proj.weight", [1, 10], [1, 2]),
        ("c_proj.bias", [5], [1]),
      ]
      let weights = try StateDict(
        parameters.map { .init(name: "pool." + $0.0, tensor: try Tensor($0.1, shape: $0.2)) })
      let network = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: 2)
      // The number of pixels must be that of the positional embeddings without the mean's.
      #expect(throws: InferenceError.self) {
        try network.run(Activation(shape: [1, 2, 1, 1], values: [2, 6]))
      }
      return try network.run(Activation(shape: [1, 2, 1, 2], values: [2, 4, 6, 8])).values
    }
    // Rows: the mean [3, 7], the pixels [2, 6] + [1, 0] and [4, 8] + [0, 1].
    #expect(try output(key: [0, 0, 0, 0]) == [5 + 10.0 / 3 + 10 * 22.0 / 3])
    // The last pixel's key is larger by thousands.
    #expect(try output(key: [0, 2000, 0, 0]) == [5 + 4 + 90])
  }

  /// Computed by hand: channel 0 holds 1, 3, 5, 7 (mean 4, variance 5), channel 1 is constant. The running statistics
  /// must not matter.
  @Test(arguments: [1, 3])
  func normalizationByTheBatch(_ threads: Int) throws {
    var graph = Graph(inputChannels: 2)
    let value = graph.append("bn", .batchNormalization(channels: 2, epsilon: 4), graph.input)
    _ = graph.append("relu", .relu, value)
    func vector(_ name: String, _ values: [Float]) throws -> StateDict.Entry {
      .init(name: "bn." + name, tensor: try Tensor(values, shape: [2]))
    }
    let weights = try StateDict([
      vector("weight", [6, 1]), vector("bias", [1, 0.5]), vector("running_mean", [100, 100]),
      vector("running_var", [9, 9]),
    ])
    let network = try ReferenceNetwork<Double>(
      graph: graph, weights: weights, threads: threads, normalizing: .currentBatch)
    let input = try Activation<Double>(shape: [2, 2, 1, 2], values: [1, 3, 8, 8, 5, 7, 8, 8])
    #expect(try network.run(input).values == [0, 0, 0.5, 0.5, 3, 7, 0.5, 0.5])
  }

  /// NaN passes through max_pool2d and ReLU, as in PyTorch.
  @Test func notANumberIsNotHidden() throws {
    var graph = Graph(inputChannels: 1)
    let pooled = graph.append("pool", .maxPool(Pooling(kernel: 3, stride: 2, padding: 1)), graph.input)
    _ = graph.append("relu", .relu, pooled)
    let network = try ReferenceNetwork<Float>(graph: graph, weights: StateDict([]))
    for place in 0..<25 * 25 {
      var values = integers([1, 1, 25, 25], 7, 23, 11)
      values[place] = .nan
      let output = try network.run(Activation(shape: [1, 1, 25, 25], values: values))
      // Two windows contain an odd line or column, one an even one.
      let expected = (1 + place / 25 % 2) * (1 + place % 25 % 2)
      #expect(output.values.filter(\.isNaN).count == expected)
    }
  }

  /// Nodes that cannot be fused into a convolution run as steps of their own: batch norm, sum and ReLU of the input
  /// itself.
  @Test func nodesRunAloneToo() throws {
    var graph = Graph(inputChannels: 2)
    let normal = graph.append("bn", .batchNormalization(channels: 2, epsilon: 0), graph.input)
    graph.nameStage("norm", normal)
    let sum = graph.append("add", .add, normal, graph.input)
    let twice = graph.append("twice", .add, sum, sum)
    let rectified = graph.append("relu", .relu, twice)
    let mean = graph.append("mean", .globalAveragePool, rectified)
    _ = graph.append("last", .relu, mean)
    let parameters: [(String, [Float])] = [
      ("weight", [2, -1]), ("bias", [1, 0]), ("running_mean", [1, 2]), ("running_var", [4, 0.25]),
    ]
    let weights = try StateDict(
      parameters.map { .init(name: "bn." + $0.0, tensor: try Tensor($0.1, shape: [2])) })
    let network = try ReferenceNetwork<Double>(graph: graph, weights: weights, threads: 2)
    var norms: [Double] = []
    let input = try Activation<Double>(shape: [2, 2, 1, 2], values: [1, 3, 2, 1, -5, 0, 4, 8])
    let output = try network.run(input, stages: ["norm"]) { norms = $1.values }
    // (x − mean) / √variance × weight + bias, by hand.
    #expect(norms == [1, 3, 0, 2, -5, 0, -4, -12])
    #expect(output.shape == [2, 2] && output.values == [8, 5, 0, 0])
  }
}

/// Returns the same integers as pytorch_cases.py.
func integers(_ shape: [Int], _ factor: Int, _ modulus: Int, _ centre: Int) -> [Float] {
  (0..<shape.reduce(1, *)).map { Float($0 * factor % modulus - centre) }
}

func checksum<T>(_ activation: Activation<T>) -> Double {
  activation.values.enumerated().reduce(0) { $0 + Double($1.offset % 97 + 1) * Double($1.element) }
}
