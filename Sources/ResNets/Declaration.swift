internal import ByteParsing

/// What a caller says of a network: what it should be, and what no file tells. Nil where nothing is said.
package struct ResNetOverrides: Sendable {
  /// The network it should be.
  package var architecture: ResNetArchitecture?
  /// What stands before the names of the one that is meant, when there are several.
  package var prefix: String?
  /// How many outputs it should have; 0 for a network without a head.
  package var classes: Int?
  package var stride0: Int?
  package var blockStride: ResNetBlockStride?
  package var stemPooling: ResNetStemPooling?
  package var outputStride: Int?
  /// The stride of each stage's first block.
  package var stageStrides: [Int]?
  package var epsilon: Double?
  /// Whether only the weights are asked about, so that the geometry that they fit may stay open.
  package var leavesGeometryOpen = false

  /// Nothing said.
  package init() {}

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
          .unclassified, "it has \(changed.stages.count) stages, and \(stageStrides.count) strides are given")
      }
      for (index, stride) in stageStrides.enumerated() { changed.stages[index].stride = stride }
    }
    return changed
  }

  /// The options that declare a fact, by the fact's name.
  static let options = [
    "stride0": "--stride0", "block_stride": "--block-stride", "max_pool": "--stem-pooling",
    "output_stride": "--output-stride", "stage_strides": "--stage-strides", "epsilon": "--epsilon",
  ]

  /// What is said, by the facts' names: each option with its value.
  var said: [String: String] {
    let values: [String: String?] = [
      "stride0": stride0.map { "\($0)" },
      "block_stride": blockStride.map { $0 == .first ? "1x1" : "3x3" },
      "max_pool": stemPooling?.rawValue, "output_stride": outputStride.map { "\($0)" },
      "stage_strides": stageStrides?.map(String.init).joined(separator: ","),
      "epsilon": epsilon.map { "\($0)" },
    ]
    return Self.options.reduce(into: [:]) { said, option in
      if let value = values[option.key] ?? nil { said[option.key] = "\(option.value) \(value)" }
    }
  }
}
