internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
package import DecantTensors

/// A parameter's tensor and its name in the checkpoint.
package struct ONNXWeight: Sendable {
  package let name: String
  package let tensor: Tensor

  /// Creates a weight from a name and a tensor.
  package init(name: String, tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }
}

extension Node {
  /// The parameters that the model contains. A node whose operator cannot be exported has none.
  fileprivate var writtenParameters: [Parameter] {
    if case .opaque = operation { [] } else { parameters.filter { $0.role != .batchCounter } }
  }
}

/// The parameters of a graph's nodes.
struct ONNXWeights {
  private let found: [String: ONNXWeight]

  /// Finds every parameter that inference needs.
  ///
  /// - Throws: ``DecantError`` for a parameter that is missing, has another shape, has no data, or is not
  ///   floating-point.
  init(_ graph: Graph, _ weight: (String) -> ONNXWeight?) throws(DecantError) {
    var found: [String: ONNXWeight] = [:]
    var byteCount = 0
    for parameter in graph.nodes.flatMap(\.writtenParameters) {
      guard let weight = weight(parameter.name) else {
        throw DecantError(
          .mismatch, "\(parameter.name.escapedForDisplay) is missing",
          advice: .verify)
      }
      let tensor = weight.tensor
      func refuse(_ code: DecantError.Code, _ reason: String, _ advice: DecantError.Advice?) -> DecantError {
        DecantError(code, reason, tensor: weight.name, advice: advice)
      }
      guard tensor.shape == parameter.shape else {
        throw refuse(.mismatch, "has shape \(tensor.shape), not \(parameter.shape)", .verify)
      }
      guard tensor.dtype == .float32 || tensor.isCast(to: .float32) else {
        throw refuse(
          .notRepresentable, "its elements are \(tensor.dtype.rawValue), not floating-point numbers", nil)
      }
      guard tensor.storage.content != nil else { throw refuse(.noData, "has no data", nil) }
      // The limit leaves room for alignment gaps and names.
      guard let own = tensor.elementCount.checkedMultiplying(by: 4), let sum = byteCount.checkedAdding(own),
        sum < 1 << 60
      else { throw refuse(.notRepresentable, "the weights are too large for one file", nil) }
      byteCount = sum
      found[parameter.name] = weight
    }
    self.found = found
  }

  /// The parameters' names in the checkpoint, in no particular order.
  var names: [String] { found.values.map(\.name) }

  /// Returns the number of tensors of each dtype other than float32, in order of first use.
  func castCounts(_ graph: Graph) -> [(dtype: DType, count: Int)] {
    var counts: [(dtype: DType, count: Int)] = []
    for dtype in graph.parameters.compactMap({ found[$0.name]?.tensor.dtype }) where dtype != .float32 {
      if let place = counts.firstIndex(where: { $0.dtype == dtype }) {
        counts[place].count += 1
      } else {
        counts.append((dtype, 1))
      }
    }
    return counts
  }

  /// The weight of a node's parameter with the given role.
  subscript(node: Node, role: Parameter.Role) -> ONNXWeight {
    get throws(DecantError) {
      guard let name = node.parameters.first(where: { $0.role == role })?.name, let weight = found[name]
      else {
        throw DecantError(
          .unsupportedNetwork, "node \(node.name.escapedForDisplay) has no parameter for \(role.rawValue)")
      }
      return weight
    }
  }

  /// Returns all elements of a node's parameter.
  func numbers(_ node: Node, _ role: Parameter.Role) throws(DecantError) -> [Double] {
    let weight = try self[node, role]
    do { return try weight.tensor.elements(as: Double.self) } catch {
      throw DecantError(reading: error).located(tensor: weight.name)
    }
  }

  /// Returns a normalization as a factor and a summand for each channel.
  func affine(_ node: Node) throws(DecantError) -> ChannelFactors {
    let scale = try numbers(node, .normalizationScale)
    let bias = try numbers(node, .normalizationBias)
    guard case .batchNormalization(_, let epsilon) = node.operation else {
      return ChannelFactors(scale: scale, bias: bias)
    }
    return ChannelFactors(
      scale: scale, bias: bias, mean: try numbers(node, .runningMean),
      variance: try numbers(node, .runningVariance), epsilon: epsilon)
  }

  /// Returns the mean and the inverse standard deviation of each output channel of a convolution's weights, in Double.
  /// O(weights), in two passes over the data; memory for two values per channel.
  func standardization(
    _ node: Node, epsilon: Double
  ) throws(DecantError) -> (less: [Double], times: [Double]) {
    let weight = try self[node, .convolutionWeight]
    let rows = weight.tensor.shape[0]
    let length = Double(weight.tensor.elementCount / max(rows, 1))
    var (means, squares) = ([Double](repeating: 0, count: rows), [Double](repeating: 0, count: rows))
    do {
      try weight.tensor.readRows { row, numbers in
        var sum = means[row]
        for number in numbers { sum += number }
        means[row] = sum
      }
      means = means.map { $0 / length }
      try weight.tensor.readRows { row, numbers in
        let mean = means[row]
        var sum = squares[row]
        for number in numbers { sum += (number - mean) * (number - mean) }
        squares[row] = sum
      }
    } catch { throw DecantError(reading: error).located(tensor: weight.name) }
    return (means, squares.map { 1 / ($0 / length + epsilon).squareRoot() })
  }
}

extension Tensor {
  /// Calls `body` with every element in row-major order, in slices that do not cross an index of the first dimension.
  func readRows(_ body: (Int, ArraySlice<Double>) throws -> Void) throws {
    let length = elementCount / max(shape.first ?? 1, 1)
    var (row, left) = (0, length)
    try readNumbers { numbers in
      var start = 0
      while start < numbers.count {
        let end = min(start + left, numbers.count)
        try body(row, numbers[start..<end])
        left -= end - start
        if left == 0 { (row, left) = (row + 1, length) }
        start = end
      }
    }
  }
}
