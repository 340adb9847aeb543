internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
internal import DecantTensors

/// A network's graph as ONNX nodes and constants.
///
/// The output of a network's node has the node's name. An intermediate value has the node's name, a slash and an
/// operator's name. Values and constants share one namespace.
struct ONNXGraph {
  static let input = "input"

  let weights: ONNXWeights
  let inputChannels: Int
  private(set) var nodes: [ONNXNode] = []
  private(set) var initializers: [ONNXInitializer] = []
  /// The number of batch normalizations that were folded into convolutions.
  let foldedCount: Int
  /// The network's values, by value index.
  private var values: [Value]
  private var taken: Set<String>
  /// The names of parameters that no value or other constant may take.
  private var reserved: Set<String> = []
  private var filters: [Int: String] = [:]

  /// A value of the network: its name, channel count and rank.
  struct Value {
    let name: String
    let channels: Int
    let rank: Int
  }

  /// The network's output.
  var result: Value { values[values.count - 1] }

  /// Converts a graph.
  ///
  /// - Parameter output: the output's name.
  /// - Throws: ``DecantError`` for an operator that cannot be exported, or a parameter that cannot be read.
  init(
    _ graph: Graph, _ weights: ONNXWeights, output: String, foldsNormalization: Bool
  ) throws(DecantError) {
    self.weights = weights
    inputChannels = graph.inputChannels
    values = [Value(name: Self.input, channels: graph.inputChannels, rank: 4)]
    taken = [Self.input, output]
    for name in weights.names where taken.insert(name).inserted { reserved.insert(name) }
    let foldable = foldsNormalization ? graph.foldableNormalizations : [:]
    foldedCount = foldable.count
    var folded: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      let inputs = node.inputs.map { values[$0.index] }
      guard let first = inputs.first else { throw Self.refusal(node, "it has no inputs") }
      if folded.contains(index) {
        values.append(first)
        continue
      }
      let normalization = foldable[index].map { reader in
        folded.insert(reader)
        return graph.nodes[reader]
      }
      let made = try append(node, inputs.map(\.name), channels: first.channels, folding: normalization)
      let rank = node.makesVector ? 2 : first.rank
      values.append(Value(name: made.name, channels: made.channels, rank: rank))
    }
    guard let place = nodes.lastIndex(where: { $0.output == result.name }) else {
      throw DecantError(.unsupportedNetwork, "the network has no nodes")
    }
    nodes[place].output = output
  }

  /// Returns a unique name: the given one, or with a number appended, and reserves it.
  mutating func claim(_ name: String) -> String {
    var (unique, number) = (name, 1)
    while !taken.insert(unique).inserted {
      number += 1
      unique = "\(name)_\(number)"
    }
    return unique
  }

  /// Appends a node and returns its output's name.
  mutating func append(
    _ type: String, _ inputs: [String], _ name: String,
    _ attributes: [(name: String, value: ONNXNode.Attribute)] = []
  ) -> String {
    let name = claim(name)
    nodes.append(ONNXNode(type: type, name: name, inputs: inputs, output: name, attributes: attributes))
    return name
  }

  /// Appends a parameter under its checkpoint name, reshaped when a shape is given, and returns its name.
  mutating func parameter(
    _ node: Node, _ role: Parameter.Role, shape: [Int]? = nil
  ) throws(DecantError) -> String {
    let weight = try weights[node, role]
    if reserved.remove(weight.name) != nil { taken.remove(weight.name) }
    return constant(weight.name, shape: shape ?? weight.tensor.shape, .stored(weight.tensor), isWeight: true)
  }

  static func refusal(_ node: Node, _ reason: String) -> DecantError {
    DecantError(
      .unsupportedNetwork, "node \(node.name.escapedForDisplay) cannot be written as ONNX: \(reason)")
  }

  /// Appends a constant and returns its name.
  mutating func constant(
    _ name: String, shape: [Int], _ content: ONNXInitializer.Content, isWeight: Bool = false
  ) -> String {
    let name = claim(name)
    initializers.append(
      ONNXInitializer(name: name, shape: shape, content: content, isWeight: isWeight))
    return name
  }

  /// Appends a 1-D int64 constant, such as sizes or axes, and returns its name.
  mutating func integers(_ name: String, _ values: [Int]) -> String {
    constant(name, shape: [values.count], .integers(values.map { Int64($0) }))
  }

  /// Appends the binomial blur filter for a number of channels, once for all nodes that use it, and returns its name.
  mutating func binomialFilter(channels: Int) -> String {
    if let known = filters[channels] { return known }
    let line: [Float] = [0.25, 0.5, 0.25]
    let filter = line.flatMap { row in line.map { row * $0 } }
    let name = constant(
      "binomial_filter/\(channels)", shape: [channels, 1, 3, 3],
      .floats((0..<channels).flatMap { _ in filter }))
    filters[channels] = name
    return name
  }
}

extension Node {
  /// True when the result is a vector, without height and width.
  fileprivate var makesVector: Bool {
    switch operation {
    case .globalAveragePool, .gemm, .attentionPool: true
    default: false
    }
  }
}
