internal import DecantBytes

/// Facts about a network that the caller gives, since no weights can tell them; nil leaves a fact to the file or its default.
public struct ResNetOverrides: Sendable {
  /// The network it should be.
  public var architecture: ResNetArchitecture?
  /// The prefix of the network's names, when the state dict holds several networks.
  public var prefix: String?
  /// The number of outputs; 0 for a network without a head.
  public var classes: Int?
  /// The stride of the stem's convolution and max pool: 1 or 2.
  public var stride0: Int?
  /// The convolution of a bottleneck that has the stride.
  public var blockStride: ResNetBlockStride?
  /// The pooling behind the stem's convolution.
  public var stemPooling: ResNetStemPooling?
  /// The ratio of the input's size to the last stage's; where strides would exceed it, stages are dilated.
  public var outputStride: Int?
  /// The stride of each stage's first block.
  public var stageStrides: [Int]?
  /// The number that batch norm adds to the variance.
  public var epsilon: Double?
  /// Whether only the weights are asked about, so that the geometry that they fit may stay open.
  package var leavesGeometryOpen = false

  /// Leaves every fact to the file or its default.
  public init() {}

  /// The same network with what is said of its geometry.
  ///
  /// - Throws: ``DecantError`` when it has another count of stages.
  func applied(to configuration: ResNetConfiguration) throws(DecantError) -> ResNetConfiguration {
    var changed = configuration
    if let stride0 { changed.stride0 = stride0 }
    if let blockStride { changed.blockStride = blockStride }
    if let stemPooling { changed.stemPooling = stemPooling }
    if let outputStride { changed.outputStride = outputStride }
    if let epsilon { changed.epsilon = epsilon }
    if let stageStrides {
      guard stageStrides.count == changed.stages.count else {
        throw DecantError(
          .invalidArgument,
          "the network has \(changed.stages.count) stages, and \(stageStrides.count) strides were given for them"
        )
      }
      for (index, stride) in stageStrides.enumerated() { changed.stages[index].stride = stride }
    }
    return changed
  }

  /// The values of the settings that declare a fact, by the facts' names.
  var said: [String: String] {
    let values: [String: String?] = [
      "stride0": stride0.map { "\($0)" },
      "block_stride": blockStride.map { $0 == .first ? "1x1" : "3x3" },
      "max_pool": stemPooling?.rawValue, "output_stride": outputStride.map { "\($0)" },
      "stage_strides": stageStrides?.map(String.init).joined(separator: ","),
      "epsilon": epsilon.map { "\($0)" },
    ]
    return values.compactMapValues { $0 }
  }
}
