internal import DecantBytes
internal import DecantGraphs

/// A factor and a summand for each channel: `x × scale + shift`.
struct ChannelAffine<Scalar: ReferenceScalar>: Sendable {
  let scale: WeightBuffer<Scalar>
  let shift: WeightBuffer<Scalar>
  /// The factors in Double, before rounding; nil when all are 1.
  let factors: [Double]?
}

/// The operations applied to a step's result while it is still in the cache: affine, then residual, then ReLU.
struct Epilogue<Scalar: ReferenceScalar>: Sendable {
  /// The per-channel factors and summands; nil for none.
  var affine: ChannelAffine<Scalar>?
  /// The index of a value of the same shape to add; nil for none.
  var residual: Int?
  var relu = false

  var isEmpty: Bool { affine == nil && residual == nil && !relu }
}

/// One pass over memory: a node, fused with the following nodes that need no pass of their own.
struct Step<Scalar: ReferenceScalar>: Sendable {
  enum Kernel: Sendable {
    case convolution(Convolution, weights: WeightBuffer<Scalar>)
    case maxPool(Pooling)
    case averagePool(size: Int, isCeilMode: Bool)
    case blurPool(stride: Int)
    case padChannels(each: Int, stride: Int)
    case globalAveragePool
    case channelGate(ChannelGate<Scalar>)
    case groupNormalization(GroupNormalization<Scalar>)
    case silu
    /// A function of each vector.
    case vectorFunction(VectorFunction)
    /// A factor and a summand for each element of a vector.
    case vectorAffine(ChannelAffine<Scalar>)
    case layerNormalization(LayerNormalization<Scalar>)
    case attentionPool(AttentionPool<Scalar>)
    /// Batch normalization by the batch's own mean and variance, as in training mode.
    case batchNormalization(scale: WeightBuffer<Scalar>, bias: WeightBuffer<Scalar>, epsilon: Double)
    case linear(inputs: Int, outputs: Int, weights: WeightBuffer<Scalar>, bias: WeightBuffer<Scalar>)
    /// No operation except the epilogue.
    case pointwise
  }
  /// The first node's name, for error messages.
  let name: String
  /// The first node's operation, which determines the shape of the result.
  let operation: GraphOperation
  let kernel: Kernel
  /// The index of the value it reads, among the graph's values: 0 is the input, n the output of the n-th node.
  let input: Int
  var epilogue = Epilogue<Scalar>()
  var output: Int

  /// The indices of the values it reads.
  var reads: [Int] { [input] + (epilogue.residual.map { [$0] } ?? []) }

  /// True when the step is only an epilogue, so that it may write over its input.
  var isPointwise: Bool {
    if case .pointwise = kernel { true } else { false }
  }
}

/// A graph with bound weights as a sequence of steps, independent of the input's size.
struct Program<Scalar: ReferenceScalar>: Sendable {
  let graph: Graph
  private(set) var steps: [Step<Scalar>] = []

  /// Binds the weights. Fuses batch normalization, addition and ReLU into the step before, when only they read its
  /// result.
  init(
    _ graph: Graph, _ binding: ParameterBinding<Scalar>, normalizing: NormalizationStatistics
  ) throws(InferenceError) {
    self.graph = graph
    guard !graph.nodes.isEmpty else {
      throw .unsupportedGraph(node: "-", reason: "the graph has no nodes")
    }
    var readers = [[Int]](repeating: [], count: graph.nodes.count + 1)
    for (index, node) in graph.nodes.enumerated() {
      for input in node.inputs { readers[input.index].append(index) }
    }
    // A stage, the output, and a value that several nodes read must be stored in memory, so nothing is fused across
    // them.
    let kept = Set(graph.stages.map(\.value.index) + [graph.output.index])
    var isFused = [Bool](repeating: false, count: graph.nodes.count)
    // A value is a vector when global pooling or a fully connected layer made it.
    var isVector = [false]
    for node in graph.nodes {
      isVector.append(node.operation.makesVector || node.inputs.first.map { isVector[$0.index] } ?? false)
    }
    for start in graph.nodes.indices where !isFused[start] {
      var step = try Self.step(
        graph.nodes[start], at: start, ofVector: isVector[start + 1], binding, normalizing)
      while !kept.contains(step.output), readers[step.output].count == 1,
        let next = readers[step.output].first,
        try Self.fuse(graph.nodes[next], into: &step, startedAt: start, binding, normalizing)
      {
        isFused[next] = true
        step.output = next + 1
      }
      steps.append(step)
    }
  }

  private static func step(
    _ node: Node, at index: Int, ofVector isVector: Bool, _ binding: ParameterBinding<Scalar>,
    _ normalizing: NormalizationStatistics
  ) throws(InferenceError) -> Step<Scalar> {
    let operands = node.operation == .add ? 2 : 1
    guard let input = node.inputs.first?.index, node.inputs.count == operands else {
      throw .unsupportedGraph(node: node.name, reason: "it has \(node.inputs.count) inputs, not \(operands)")
    }
    var epilogue = Epilogue<Scalar>()
    let kernel: Step<Scalar>.Kernel
    switch node.operation {
    case .conv(let convolution):
      try convolution.check(node.name)
      let weights =
        if let epsilon = convolution.standardization {
          try binding.standardized(node, epsilon: epsilon)
        } else { try binding.buffer(node, .convolutionWeight) }
      kernel = .convolution(convolution, weights: weights)
      if convolution.hasBias {
        let ones = [Scalar](repeating: 1, count: convolution.outputChannels)
        epilogue.affine = ChannelAffine(
          scale: try WeightBuffer(ones), shift: try binding.buffer(node, .convolutionBias), factors: nil)
      }
    case .maxPool(let pooling):
      try pooling.check(node.name)
      kernel = .maxPool(pooling)
    case .averagePool(let size, let isCeilMode):
      guard 1...(1 << 24) ~= size else {
        throw .unsupportedGraph(node: node.name, reason: "its size makes no pooling")
      }
      kernel = .averagePool(size: size, isCeilMode: isCeilMode)
    case .blurPool(let stride):
      guard 1...(1 << 24) ~= stride else {
        throw .unsupportedGraph(node: node.name, reason: "its stride makes no pooling")
      }
      kernel = .blurPool(stride: stride)
    case .padChannels(let each, let stride):
      guard 0...(1 << 24) ~= each, 1...(1 << 24) ~= stride else {
        throw .unsupportedGraph(node: node.name, reason: "its sizes make no padding")
      }
      kernel = .padChannels(each: each, stride: stride)
    case .globalAveragePool:
      kernel = .globalAveragePool
    case .squeezeExcitation(let channels, let reduced):
      kernel = .channelGate(
        .squeezeExcitation(
          channels: channels, reduced: reduced, squeeze: try binding.buffer(node, .squeezeWeight),
          squeezeBias: try binding.buffer(node, .squeezeBias),
          excitation: try binding.buffer(node, .excitationWeight),
          excitationBias: try binding.buffer(node, .excitationBias)))
    case .efficientChannelAttention(let length):
      kernel = .channelGate(
        .efficient(length: length, weights: try binding.buffer(node, .channelConvolutionWeight)))
    case .opaque(let operation):
      throw .unsupportedGraph(node: node.name, reason: "this engine has no \(operation.name)")
    case .gemm(let layer):
      let bias =
        layer.hasBias
        ? try binding.buffer(node, .linearBias)
        : try WeightBuffer([Scalar](repeating: 0, count: layer.outputs))
      kernel = .linear(
        inputs: layer.inputs, outputs: layer.outputs, weights: try binding.buffer(node, .linearWeight),
        bias: bias)
    case .attentionPool(let pooling):
      kernel = .attentionPool(try AttentionPool(pooling, node, binding))
    case .groupNormalization(let channels, let groups, let epsilon):
      kernel = .groupNormalization(
        GroupNormalization(
          channels: channels, groups: groups, epsilon: epsilon,
          scale: try binding.buffer(node, .normalizationScale),
          shift: try binding.buffer(node, .normalizationBias)))
    case .silu:
      kernel = .silu
    case .vectorFunction(let function):
      guard isVector else { throw .unsupportedGraph(node: node.name, reason: "its input is not a vector") }
      kernel = .vectorFunction(function)
    case .vectorStandardization(_, let epsilon):
      guard isVector else { throw .unsupportedGraph(node: node.name, reason: "its input is not a vector") }
      kernel = .vectorAffine(try binding.normalization(node, epsilon: epsilon, isAffine: false))
    case .layerNormalization(let channels, let epsilon, let hasBias):
      guard isVector else { throw .unsupportedGraph(node: node.name, reason: "its input is not a vector") }
      kernel = .layerNormalization(
        LayerNormalization(
          channels: channels, epsilon: epsilon, scale: try binding.buffer(node, .normalizationScale),
          shift: try hasBias
            ? binding.buffer(node, .normalizationBias)
            : WeightBuffer([Scalar](repeating: 0, count: channels))))
    case .batchNormalization(_, let epsilon) where isVector:
      kernel = .vectorAffine(try binding.normalization(node, epsilon: epsilon))
    case .channelAffine:
      kernel = .pointwise
      epilogue.affine = try binding.affine(node)
    case .batchStatisticsNormalization(_, let epsilon),
      .batchNormalization(_, let epsilon) where normalizing == .currentBatch:
      kernel = .batchNormalization(
        scale: try binding.buffer(node, .normalizationScale),
        bias: try binding.buffer(node, .normalizationBias),
        epsilon: epsilon)
    case .batchNormalization(_, let epsilon):
      kernel = .pointwise
      epilogue.affine = try binding.normalization(node, epsilon: epsilon)
    case .add:
      kernel = .pointwise
      epilogue.residual = node.inputs.last?.index
    case .relu:
      kernel = .pointwise
      epilogue.relu = true
    }
    return Step(
      name: node.name, operation: node.operation, kernel: kernel, input: input, epilogue: epilogue,
      output: index + 1)
  }

  /// Fuses a node into the step whose result it reads, if possible. Returns true when it did.
  private static func fuse(
    _ node: Node, into step: inout Step<Scalar>, startedAt start: Int, _ binding: ParameterBinding<Scalar>,
    _ normalizing: NormalizationStatistics
  ) throws(InferenceError) -> Bool {
    switch step.kernel {
    case .convolution, .pointwise: break
    default: return false
    }
    switch node.operation {
    case .batchNormalization(_, let epsilon) where step.epilogue.isEmpty && normalizing == .running:
      step.epilogue.affine = try binding.normalization(node, epsilon: epsilon)
    case .channelAffine where step.epilogue.isEmpty:
      step.epilogue.affine = try binding.affine(node)
    case .add where step.epilogue.residual == nil && !step.epilogue.relu:
      // The other operand must be computed before the step starts.
      guard node.inputs.count == 2, let other = node.inputs.map(\.index).first(where: { $0 != step.output }),
        other <= start
      else { return false }
      step.epilogue.residual = other
    case .relu where !step.epilogue.relu:
      step.epilogue.relu = true
    default:
      return false
    }
    return true
  }
}

extension GraphOperation {
  /// True when the result has no height and width, whatever the input.
  fileprivate var makesVector: Bool {
    switch self {
    case .globalAveragePool, .gemm, .attentionPool: true
    default: false
    }
  }
}

extension Convolution {
  fileprivate func check(_ node: String) throws(InferenceError) {
    let sizes = [inputChannels, outputChannels, kernel, stride, dilation, groups]
    guard sizes.allSatisfy({ 1...(1 << 24) ~= $0 }), 0...(1 << 24) ~= padding,
      inputChannels.isMultiple(of: groups), outputChannels.isMultiple(of: groups),
      // OpenBLAS takes sizes as 32-bit integers.
      let depth = checkedProduct([inputChannels / groups, kernel, kernel]), depth <= Int32.max
    else { throw .unsupportedGraph(node: node, reason: "its sizes make no convolution") }
  }
}

extension Pooling {
  fileprivate func check(_ node: String) throws(InferenceError) {
    // With more padding than half a window, a window could lie entirely in the padding.
    guard 1...(1 << 24) ~= kernel, 1...(1 << 24) ~= stride, 0...kernel / 2 ~= padding else {
      throw .unsupportedGraph(node: node, reason: "its sizes make no pooling")
    }
  }
}
