internal import DecantBytes
internal import DecantGraphs
internal import DecantTensors

/// Access to a graph's parameters in a state dict. All required parameters are present and have the graph's shapes.
struct ParameterBinding<Scalar: ReferenceScalar> {
  private let weights: StateDict

  /// Checks every required parameter. Optional parameters are not checked.
  ///
  /// - Throws: ``InferenceError/missingParameters(_:)`` with every missing name, or the first shape mismatch.
  init(_ graph: Graph, _ weights: StateDict) throws(InferenceError) {
    self.weights = weights
    let needed = graph.parameters.filter { !$0.isOptional }
    let missing = needed.filter { weights[$0.name] == nil }.map(\.name)
    guard missing.isEmpty else { throw .missingParameters(missing) }
    for parameter in needed {
      if let found = weights[parameter.name]?.shape, found != parameter.shape {
        throw .mismatchedParameter(name: parameter.name, expected: parameter.shape, found: found)
      }
    }
  }

  /// Returns the elements of a node's parameter with the given role.
  func buffer(_ node: Node, _ role: Parameter.Role) throws(InferenceError) -> WeightBuffer<Scalar> {
    let (name, tensor) = try tensor(node, role)
    do { return try WeightBuffer(tensor) } catch let error as InferenceError { throw error } catch {
      throw .unreadableParameter(name: name, cause: DecantError(reading: error))
    }
  }

  /// Returns batch normalization as `x × scale + shift` per channel. Both are computed in Double and rounded once.
  func normalization(
    _ node: Node, epsilon: Double, isAffine: Bool = true
  ) throws(InferenceError) -> ChannelAffine<Scalar> {
    let mean = try doubles(node, .runningMean)
    let variance = try doubles(node, .runningVariance)
    let weight = try isAffine ? doubles(node, .normalizationScale) : mean.map { _ in 1 }
    let bias = try isAffine ? doubles(node, .normalizationBias) : mean.map { _ in 0 }
    var factors: [Double] = []
    var shifts: [Scalar] = []
    for channel in weight.indices {
      let scale = weight[channel] / (variance[channel] + epsilon).squareRoot()
      factors.append(scale)
      shifts.append(Scalar(bias[channel] - mean[channel] * scale))
    }
    return ChannelAffine(
      scale: try WeightBuffer(factors.map { Scalar($0) }), shift: try WeightBuffer(shifts), factors: factors)
  }

  /// Returns the factors and summands of a normalization that is stored as scale and shift.
  func affine(_ node: Node) throws(InferenceError) -> ChannelAffine<Scalar> {
    ChannelAffine(
      scale: try buffer(node, .normalizationScale), shift: try buffer(node, .normalizationBias),
      factors: try doubles(node, .normalizationScale))
  }

  /// Returns a convolution's weights standardised to mean 0 and variance 1 per output channel, computed in Double and
  /// rounded once.
  func standardized(_ node: Node, epsilon: Double) throws(InferenceError) -> WeightBuffer<Scalar> {
    let (_, tensor) = try tensor(node, .convolutionWeight)
    var values = try doubles(node, .convolutionWeight)
    let count = tensor.shape.dropFirst().reduce(1, *)
    for start in stride(from: 0, to: values.count, by: max(count, 1)) {
      let row = start..<start + count
      let mean = values[row].reduce(0, +) / Double(count)
      let variance = values[row].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
      let factor = 1 / (variance + epsilon).squareRoot()
      for place in row { values[place] = (values[place] - mean) * factor }
    }
    return try WeightBuffer(values.map { Scalar($0) })
  }

  private func doubles(_ node: Node, _ role: Parameter.Role) throws(InferenceError) -> [Double] {
    let (name, tensor) = try tensor(node, role)
    guard tensor.dtype.kind == .floatingPoint else {
      throw .unreadableParameter(
        name: name,
        cause: DecantError(
          .unsupportedNetwork, "its elements are \(tensor.dtype.rawValue), not floating-point numbers"))
    }
    do { return try tensor.elements(as: Double.self) } catch {
      throw .unreadableParameter(name: name, cause: DecantError(reading: error))
    }
  }

  private func tensor(_ node: Node, _ role: Parameter.Role) throws(InferenceError) -> (String, Tensor) {
    guard let name = node.parameters.first(where: { $0.role == role })?.name, let tensor = weights[name]
    else {
      throw .unsupportedGraph(node: node.name, reason: "it has no parameter for \(role.rawValue)")
    }
    return (name, tensor)
  }
}
