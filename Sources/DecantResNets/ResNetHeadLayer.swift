package import DecantGraphs

/// An activation function between two layers of a head, as a caller declares it.
public enum ResNetHeadActivation: String, Sendable, CaseIterable {
  case none, relu, gelu

  /// The functions to apply.
  var functions: [VectorFunction] {
    switch self {
    case .none: []
    case .relu: [.relu]
    case .gelu: [.gelu]
    }
  }
}

/// A layer with tensors in a head of several layers.
package struct ResNetHeadLayer: Sendable, Equatable {
  /// The operation of a layer.
  package enum Kind: Sendable, Equatable {
    /// A fully connected layer. Its weight may be stored as that of a 1×1 convolution.
    case linear(FullyConnectedShape)
    /// Batch normalization of each feature.
    case batchNormalization(channels: Int)
    /// Batch normalization of each feature without a scale and a bias.
    case standardization(channels: Int)
    /// Layer normalization of all features.
    case layerNormalization(channels: Int, hasBias: Bool)
  }

  /// The sizes of a fully connected layer.
  package struct FullyConnectedShape: Sendable, Equatable {
    package let inputs: Int
    package let outputs: Int
    package let hasBias: Bool
    package let isConvolution: Bool
  }

  /// The knowledge about the activation before a layer.
  package enum Gap: Sendable, Equatable {
    /// Nothing can be between the layers: their indices in a Sequential are adjacent, or the layer is the first.
    case closed
    /// No name or shape shows it.
    case open
    /// Code, attributes or the caller show it. The functions are applied in order.
    case known([VectorFunction])
  }

  package var kind: Kind
  package var gap: Gap
  /// The number that a normalization adds to the variance.
  package var epsilon = defaultEpsilon

  /// PyTorch's default of batch norm and layer norm.
  static let defaultEpsilon = 1e-5

  package init(kind: Kind, gap: Gap) { (self.kind, self.gap) = (kind, gap) }

  /// The number of numbers that the layer reads.
  var inputs: Int {
    switch kind {
    case .linear(let layer): layer.inputs
    case .batchNormalization(let channels), .standardization(let channels),
      .layerNormalization(let channels, _):
      channels
    }
  }

  /// The number of numbers that the layer returns.
  var outputs: Int { if case .linear(let layer) = kind { layer.outputs } else { inputs } }

  var isLinear: Bool { if case .linear = kind { true } else { false } }

  var isBatchNormalization: Bool {
    switch kind {
    case .batchNormalization, .standardization: true
    case .linear, .layerNormalization: false
    }
  }

  /// True for a layer norm without bias, whose tensor an RMS norm has too.
  var isLayerNormalizationWithoutBias: Bool {
    if case .layerNormalization(_, hasBias: false) = kind { true } else { false }
  }

  /// The fact about such a layer.
  static let normalizationWithoutBias = "layer norm without bias"

  /// The names of PyTorch's classes with this operation.
  var classNames: Set<String> {
    switch kind {
    case .linear(let layer):
      layer.isConvolution ? ["Conv2d"] : ["Linear", "NonDynamicallyQuantizableLinear", "LazyLinear"]
    case .batchNormalization, .standardization:
      ["BatchNorm1d", "BatchNorm2d", "SyncBatchNorm", "LazyBatchNorm1d", "NaiveSyncBatchNorm"]
    case .layerNormalization: ["LayerNorm", "FusedLayerNorm", "FastLayerNorm"]
    }
  }

  /// The kind of layer for people.
  var words: String {
    switch kind {
    case .linear(let layer): "fully connected \(layer.inputs) → \(layer.outputs)"
    case .batchNormalization(let channels): "batch norm of \(channels)"
    case .standardization(let channels): "batch norm of \(channels) without scale and bias"
    case .layerNormalization(let channels, let hasBias):
      "layer norm of \(channels)\(hasBias ? "" : " without bias")"
    }
  }
}

extension [ResNetHeadLayer] {
  /// The activations where there may be one, as text: "relu", "relu, none", "not known"; nil when there is no place for
  /// one.
  var activationText: String? {
    let texts = compactMap { layer -> String? in
      switch layer.gap {
      case .closed: nil
      case .open: "not known"
      case .known(let functions): functions.text
      }
    }
    return texts.isEmpty
      ? nil : (texts.allSatisfy { $0 == texts[0] } ? texts[0] : texts.joined(separator: ", "))
  }

  /// The number of places where an activation may be and nothing shows it.
  var openGapCount: Int { count { $0.gap == .open } }
  /// The number of places where an activation may be.
  var placeCount: Int { count { $0.gap != .closed } }

  /// Returns the layers of a head with another number of outputs.
  func returning(_ outputs: Int) -> [ResNetHeadLayer] {
    guard let last = lastIndex(where: \.isLinear), case .linear(let sizes) = self[last].kind else {
      return self
    }
    var result = self
    result[last].kind = .linear(
      ResNetHeadLayer.FullyConnectedShape(
        inputs: sizes.inputs, outputs: outputs, hasBias: sizes.hasBias, isConvolution: sizes.isConvolution))
    for index in indices where index > last {
      switch self[index].kind {
      case .linear: break
      case .batchNormalization: result[index].kind = .batchNormalization(channels: outputs)
      case .standardization: result[index].kind = .standardization(channels: outputs)
      case .layerNormalization(_, let hasBias):
        result[index].kind = .layerNormalization(channels: outputs, hasBias: hasBias)
      }
    }
    return result
  }

  /// Returns the layers with activations: one for each place, or one for all of them when no two places are between the
  /// same fully connected layers; nil when the activations do not fit.
  ///
  /// One activation for several places would be a guess: it can come before or after a normalization.
  func filled(with activations: [ResNetHeadActivation]) -> [ResNetHeadLayer]? {
    let places = indices.filter { self[$0].gap != .closed }
    if activations.count == places.count { return filled(with: activations.map(\.functions)) }
    var result = self
    guard activations.count == 1, let activation = activations.first,
      activation == .none || hasOnePlaceBetweenLinearLayers
    else { return nil }
    for index in places { result[index].gap = .known(activation.functions) }
    return result
  }

  /// Returns the layers with the functions at each place where there may be an activation; nil when the count differs.
  func filled(with functions: [[VectorFunction]]) -> [ResNetHeadLayer]? {
    let places = indices.filter { self[$0].gap != .closed }
    guard functions.count == places.count else { return nil }
    var result = self
    for (index, functions) in zip(places, functions) { result[index].gap = .known(functions) }
    return result
  }

  /// True when every place is the only one between two fully connected layers.
  private var hasOnePlaceBetweenLinearLayers: Bool {
    // The region before the first fully connected layer has index 0.
    var region = 0
    var counts: [Int: Int] = [:]
    for layer in self {
      if layer.gap != .closed { counts[region, default: 0] += 1 }
      if layer.isLinear { region += 1 }
    }
    return counts[0] == nil && counts[region] == nil && counts.values.allSatisfy { $0 == 1 }
  }
}

extension [VectorFunction] {
  /// The functions as text, such as "relu" or "Tanh then Softmax".
  var text: String {
    switch self {
    case []: ResNetHeadActivation.none.rawValue
    case [.relu]: ResNetHeadActivation.relu.rawValue
    case [.gelu]: ResNetHeadActivation.gelu.rawValue
    default: map(\.text).joined(separator: " then ")
    }
  }
}
