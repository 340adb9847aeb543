internal import DecantBytes

/// The normalization by layers that have a scale and a bias and no running statistics.
public enum ResNetNormalizationChoice: Sendable, Equatable {
  /// Group normalization, with the number of groups.
  case group(Int)
  /// Batch normalization by the statistics of the batch itself, as PyTorch computes it with
  /// `track_running_stats=False`.
  case batch

  /// The choice as text, such as `group:32`.
  var text: String {
    switch self {
    case .group(let count): "group:\(count)"
    case .batch: "batch"
    }
  }

  func apply(to configuration: inout ResNetConfiguration) {
    guard configuration.normalization == .group else { return }
    switch self {
    case .group(let count):
      (configuration.usesBatchStatistics, configuration.normalizationGroups) = (false, count)
    case .batch: configuration.usesBatchStatistics = true
    }
  }
}

/// Facts about a network that the caller sets because weights cannot show them.
///
/// A property that is nil leaves its fact to the file or its default.
public struct ResNetOverrides: Sendable {
  /// The published network that the file should hold.
  public var architecture: ResNetArchitecture?
  /// The prefix of the network's tensor names, for a state dict that holds several networks.
  public var prefix: String?
  /// True to accept a network that is recognised by the order and shapes of its tensors, where no name is a ResNet's.
  public var allowsStructure = false
  /// The number of outputs; 0 for a network without a head.
  public var classes: Int?
  /// The stride of the stem's convolution and max pool: 1 or 2.
  public var stride0: Int?
  /// The convolution of a bottleneck that has the stride.
  public var blockStride: ResNetBlockStride?
  /// The pooling after the stem's convolution.
  public var stemPooling: ResNetStemPooling?
  /// The ratio of the input's height and width to those of the last stage.
  ///
  /// Stages whose stride would exceed it are dilated instead.
  public var outputStride: Int?
  /// The stride of each stage's first block.
  public var stageStrides: [Int]?
  /// The number that batch norm adds to the variance.
  public var epsilon: Double?
  /// The normalization by layers without running statistics.
  public var normalization: ResNetNormalizationChoice?
  /// The activations in a head of several layers: one for all places, or one for each place in order.
  public var headActivations: [ResNetHeadActivation]?
  /// True when only the weights matter, so that geometry they cannot show may stay undetermined.
  package var allowsUndeterminedGeometry = false

  /// Creates overrides that leave every fact to the file or its default.
  public init() {}

  /// Returns a configuration with the geometry that these overrides set.
  ///
  /// - Throws: ``DecantError`` when ``stageStrides`` does not have one stride for each stage.
  func applied(to configuration: ResNetConfiguration) throws(DecantError) -> ResNetConfiguration {
    var changed = configuration
    if let stride0 { changed.stride0 = stride0 }
    if let blockStride { changed.blockStride = blockStride }
    if let stemPooling { changed.stemPooling = stemPooling }
    if let outputStride { changed.outputStride = outputStride }
    if let epsilon { changed.epsilon = epsilon }
    if let normalization {
      guard changed.normalization == .group else {
        throw DecantError(
          .invalidArgument, "the network's weights show how it normalises, which leaves no choice",
          advice: .omitNormalization)
      }
      normalization.apply(to: &changed)
    }
    if case .layers(let layers) = changed.head, changed.classes > 0 {
      changed.head = .layers(try applied(to: layers))
    } else if headActivations != nil {
      throw DecantError(
        .invalidArgument,
        changed.classes > 0
          ? "the network's head is one layer, which has no place for an activation"
          : "the network is used without a head, which leaves no place for an activation",
        advice: .omitHeadActivation)
    }
    if let stageStrides {
      guard stageStrides.count == changed.stages.count else {
        throw DecantError(
          .invalidArgument,
          "the network has \(changed.stages.count) stages, but \(stageStrides.count) stage strides were given"
        )
      }
      for (index, stride) in stageStrides.enumerated() { changed.stages[index].stride = stride }
    }
    return changed
  }

  /// Returns a head's layers with the epsilon and the activations that these overrides set.
  private func applied(to layers: [ResNetHeadLayer]) throws(DecantError) -> [ResNetHeadLayer] {
    var layers = layers
    if let epsilon {
      for index in layers.indices where layers[index].isBatchNormalization { layers[index].epsilon = epsilon }
    }
    guard let headActivations else { return layers }
    let count = layers.placeCount
    guard count > 0 else {
      throw DecantError(
        .invalidArgument, "the network's head has no place for an activation", advice: .omitHeadActivation)
    }
    guard let filled = layers.filled(with: headActivations) else {
      throw DecantError(
        .invalidArgument,
        "the network's head has \(count) places for an activation, and \(headActivations.count) \(headActivations.count == 1 ? "was" : "were") given",
        advice: .chooseHeadActivation(placeCount: count))
    }
    return filled
  }

  /// The geometry facts that are set, as text, by the names of the facts.
  package var said: [String: String] {
    let values: [String: String?] = [
      "stride0": stride0.map { "\($0)" },
      "block_stride": blockStride.map { $0 == .first ? "1x1" : "3x3" },
      "max_pool": stemPooling?.rawValue, "output_stride": outputStride.map { "\($0)" },
      "stage_strides": stageStrides?.map(String.init).joined(separator: ","),
      "epsilon": epsilon.map { "\($0)" }, "normalization": normalization?.text,
      "head_activation": headActivations?.map(\.rawValue).joined(separator: ","),
    ]
    return values.compactMapValues { $0 }
  }
}
