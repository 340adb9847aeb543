internal import DecantBytes
package import DecantGraphs
package import DecantTensors

/// A network's convolutions with the batch norms after them folded in.
///
/// The arithmetic is in double precision, and each result is rounded once. Source: Jacob et al. 2017, 3.2; PyTorch
/// `torch/nn/utils/fusion.py`.
package struct FoldedNormalization: Sendable {
  /// The folded weight and bias of one convolution.
  package struct Convolution: Sendable {
    /// The weight's name in the file, and the folded tensor.
    package let weight: (name: String, tensor: Tensor)
    /// The bias's name in the file, its canonical name and the folded tensor. The bias may be new in the file.
    package let bias: (name: String, canonical: String, tensor: Tensor)
  }

  package let convolutions: [Convolution]
  /// The names in the file of the normalization tensors that folding replaces.
  package let removed: [String]

  /// Folds every normalization that directly follows a convolution. O(channels).
  ///
  /// The weights are computed when they are read.
  ///
  /// - Throws: ``DecantError`` when there is nothing to fold, a tensor is missing, or the dialect has no name for a
  ///   bias.
  package init(_ naming: ResNetTensorNameMap, _ graph: Graph) throws {
    var convolutions: [Convolution] = []
    var removed: [String] = []
    let pairs = graph.foldableNormalizations
    for (place, node) in graph.nodes.enumerated() {
      guard let normalization = pairs[place].map({ graph.nodes[$0] }) else { continue }
      func tensor(_ node: Node, _ role: Parameter.Role) throws(DecantError) -> (String, Tensor)? {
        guard let name = node.parameters.first(where: { $0.role == role })?.name else { return nil }
        guard let tensor = naming.tensors[name] else {
          throw DecantError(.mismatch, "\(name) is missing", advice: .verify)
        }
        return (name, tensor)
      }
      func numbers(_ role: Parameter.Role) throws -> [Double] {
        try tensor(normalization, role)?.1.elements(as: Double.self) ?? []
      }
      guard let (weightName, weight) = try tensor(node, .convolutionWeight) else { continue }
      let (scale, bias) = (try numbers(.normalizationScale), try numbers(.normalizationBias))
      let affine: ChannelFactors
      if case .batchNormalization(_, let epsilon) = normalization.operation {
        affine = ChannelFactors(
          scale: scale, bias: bias, mean: try numbers(.runningMean),
          variance: try numbers(.runningVariance),
          epsilon: epsilon)
      } else {
        affine = ChannelFactors(scale: scale, bias: bias)
      }
      let own = try tensor(node, .convolutionBias)
      let summands = affine.summands(behind: try own?.1.elements(as: Double.self) ?? [])
      let canonical = String(weightName.dropLast("weight".count)) + "bias"
      convolutions.append(
        Convolution(
          weight: (naming.spelling(of: weightName), try weight.scaled(by: affine.factors)),
          bias: (
            try Self.biasName(canonical, weightName, naming), canonical,
            try weight.dtype == .float64
              ? Tensor(summands, shape: [summands.count])
              : Tensor(summands.map { Float($0) }, shape: [summands.count])
          )))
      for parameter in normalization.parameters where naming.tensors[parameter.name] != nil {
        removed.append(naming.spelling(of: parameter.name))
      }
    }
    guard !convolutions.isEmpty else {
      throw DecantError(.unsupportedNetwork, "no batch norm follows a convolution directly")
    }
    self.convolutions = convolutions
    self.removed = removed
  }

  /// Returns the dialect's name for a bias, or else the weight's name with the last part `bias`.
  private static func biasName(
    _ canonical: String, _ weight: String, _ naming: ResNetTensorNameMap
  ) throws(DecantError) -> String {
    if naming.dialect.spelling(of: canonical) != nil { return naming.spelling(of: canonical) }
    let name = naming.spelling(of: weight)
    guard name.hasSuffix("weight") else {
      throw DecantError(
        .notRepresentable,
        "\(naming.dialect.name) naming has no name for the bias of \(name.escapedForDisplay)")
    }
    return name.dropLast("weight".count) + "bias"
  }
}
