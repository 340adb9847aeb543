/// The settings of a ``ResNetOverrides``; the raw values are the names of its properties.
package enum ResNetOverrideKey: String, Sendable, CaseIterable {
  case architecture, prefix, classes, stride0, blockStride, stemPooling, outputStride, stageStrides, epsilon,
    normalization, headActivations

  /// Creates the setting that declares a fact of a network's geometry; nil when there is none.
  init?(fact name: String) {
    switch name {
    case "stride0": self = .stride0
    case "block_stride": self = .blockStride
    case "max_pool": self = .stemPooling
    case "output_stride": self = .outputStride
    case "stage_strides": self = .stageStrides
    case "epsilon": self = .epsilon
    case "normalization": self = .normalization
    case "head_activation": self = .headActivations
    default: return nil
    }
  }
}

/// A warning about evidence that was not used. Its description is one clause.
package enum ResNetWarning: Sendable, Equatable, CustomStringConvertible {
  /// A declared setting contradicts strong evidence.
  case contradicted(ResNetOverrideKey, value: String, evidence: String)
  /// A source names a network whose shapes differ from the file's.
  case otherShapes(architecture: String, source: String)
  /// The file has code after the head that cannot be followed.
  case openOutput

  package var description: String {
    switch self {
    case .contradicted(let setting, let value, _): text(naming: "\(setting.rawValue) \(value)")
    case .otherShapes, .openOutput: text(naming: "")
    }
  }

  /// Returns the clause with `setting` as the caller's text for the setting and its value.
  package func text(naming setting: String) -> String {
    switch self {
    case .contradicted(_, _, let evidence): "\(setting) contradicts \(evidence)"
    case .otherShapes(let architecture, let source):
      "\(source) names \(architecture), but the shapes are another network's"
    case .openOutput:
      "the TorchScript code cannot be followed to the end: the output is taken after the head's last layer, and later operations of the code are missing"
    }
  }
}
