internal import DecantBytes
internal import DecantGraphs

/// A factor and a summand for each channel.
struct ChannelAffine<Scalar: ReferenceScalar>: Sendable {
  let scale: WeightBuffer<Scalar>
  let shift: WeightBuffer<Scalar>
  /// The factors before they were rounded; nil where all are 1.
  let factors: [Double]?
}

/// What is done to a step's numbers while they are still in the cache, in this order.
struct Epilogue<Scalar: ReferenceScalar>: Sendable {
  /// Per-channel factors and summands, both or neither.
  var affine: ChannelAffine<Scalar>?
  /// The index of a value of the same shape that is added.
  var residual: Int?
  var relu = false

  var isEmpty: Bool { affine == nil && residual == nil && !relu }
}

/// One pass over memory: a node with the nodes after it that need no pass of their own.
struct Step<Scalar: ReferenceScalar>: Sendable {
  enum Kernel: Sendable {
    case convolution(Convolution, weights: WeightBuffer<Scalar>)
    case maxPool(Pooling)
    case averagePool(size: Int, keepsRest: Bool)
    case blurPool(stride: Int)
    case padChannels(each: Int, stride: Int)
    case globalAveragePool
    case channelGate(ChannelGate<Scalar>)
    case groupNormalization(GroupNormalization<Scalar>)
    case silu
    case attentionPool(AttentionPool<Scalar>)
    /// By the batch's own mean and variance, as while training.
    case batchNormalization(scale: WeightBuffer<Scalar>, bias: WeightBuffer<Scalar>, epsilon: Double)
    case linear(inputs: Int, outputs: Int, weights: WeightBuffer<Scalar>, bias: WeightBuffer<Scalar>)
    /// Only the epilogue.
    case pointwise
  }
  /// The first node's name, for messages.
  let name: String
  let kernel: Kernel
  /// Indices of the graph's values: 0 is its input, n the output of its n-th node.
  let input: Int
  var epilogue = Epilogue<Scalar>()
  var output: Int

  /// The values it reads.
  var reads: [Int] { [input] + (epilogue.residual.map { [$0] } ?? []) }

  /// Whether it is nothing but an epilogue, so that it may write where it reads.
  var isPointwise: Bool {
    if case .pointwise = kernel { true } else { false }
  }
}

/// A graph with its weights bound, as the steps that compute it; independent of the input's size.
struct Program<Scalar: ReferenceScalar>: Sendable {
  let graph: Graph
  private(set) var steps: [Step<Scalar>] = []

  /// Binds the weights and fuses BatchNormalization, Add and Relu into the step whose result only they read.
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
    // A value with a name, or the result, must come to memory; so must one that several nodes read.
    let kept = Set(graph.stages.map(\.value.index) + [graph.output.index])
    var isFused = [Bool](repeating: false, count: graph.nodes.count)
    for start in graph.nodes.indices where !isFused[start] {
      var step = try Self.step(graph.nodes[start], at: start, binding, normalizing)
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
    _ node: Node, at index: Int, _ binding: ParameterBinding<Scalar>, _ normalizing: NormalizationStatistics
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
    case .averagePool(let size, let keepsRest):
      guard 1...(1 << 24) ~= size else {
        throw .unsupportedGraph(node: node.name, reason: "its size makes no pooling")
      }
      kernel = .averagePool(size: size, keepsRest: keepsRest)
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
    case .channelAffine:
      kernel = .pointwise
      epilogue.affine = try binding.affine(node)
    case .batchNormalization(_, let epsilon) where normalizing == .ofTheBatch:
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
    return Step(name: node.name, kernel: kernel, input: input, epilogue: epilogue, output: index + 1)
  }

  /// Lets a node ride on the step whose result it reads, if it can; says whether it did.
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
      // The other operand must be there before the step starts.
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

extension Convolution {
  fileprivate func check(_ node: String) throws(InferenceError) {
    let sizes = [inputChannels, outputChannels, kernel, stride, dilation, groups]
    guard sizes.allSatisfy({ 1...(1 << 24) ~= $0 }), 0...(1 << 24) ~= padding,
      inputChannels.isMultiple(of: groups), outputChannels.isMultiple(of: groups),
      // OpenBLAS counts in 32 bits.
      let depth = checkedProduct([inputChannels / groups, kernel, kernel]), depth <= Int32.max
    else { throw .unsupportedGraph(node: node, reason: "its sizes make no convolution") }
  }
}

extension Pooling {
  fileprivate func check(_ node: String) throws(InferenceError) {
    // With more padding than half a window, a window could hold nothing but padding.
    guard 1...(1 << 24) ~= kernel, 1...(1 << 24) ~= stride, 0...kernel / 2 ~= padding else {
      throw .unsupportedGraph(node: node, reason: "its sizes make no pooling")
    }
  }
}
