package import DecantGraphs

/// Evidence from a checkpoint and the files next to it about geometry that no name or shape shows.
///
/// It is read from ``ResNetEvidenceInputs``. docs/adr/0009 gives the order of the sources and its reasons.
package struct ResNetEvidence: Sendable {
  /// A kind of source. The strongest comes first.
  package enum Source: Int, Sendable, Comparable, CaseIterable {
    /// An attribute of a pickled module: the object that ran.
    case attribute
    /// Code in the file: TorchScript, or the source of a class.
    case code
    /// A configuration in the file or next to it.
    case configuration
    /// A module's version in `_metadata`, which decides how the module's numbers are read.
    case moduleVersion
    /// The list of modules in `_metadata`: their paths, not what they compute.
    case moduleList
    /// The file's name.
    case fileName

    /// True when inference relies on the source. Weaker sources are shown and never used.
    package var isStrong: Bool { self <= .moduleVersion }

    /// The name in machine-readable output.
    package var name: String {
      switch self {
      case .attribute: "attribute"
      case .code: "code"
      case .configuration: "configuration"
      case .moduleVersion: "module_version"
      case .moduleList: "module_list"
      case .fileName: "file_name"
      }
    }

    package static func < (left: Source, right: Source) -> Bool { left.rawValue < right.rawValue }
  }

  /// The effect of evidence on a ``ResNetConfiguration``.
  package enum Setting: Sendable, Equatable {
    case stride0(Int)
    case blockStride(ResNetBlockStride)
    /// The stride of each stage's first block.
    case stageStrides([Int])
    case stemPooling(ResNetStemPooling)
    case antialiasing(ResNetAntialiasing)
    /// The output stride; nil when dilation replaces no stride.
    case outputStride(Int?)
    case nonlinearity(ResNetNonlinearity)
    case epsilon(Double)
    /// The number that each normalization layer adds to the variance, by canonical name, when they are not all equal.
    case epsilons([String: Double])
    case normalization(ResNetNormalizationChoice)
    case hasStandardizedWeights(Bool)
    /// The activation at each place of a head of several layers.
    case headActivations([[VectorFunction]])
    /// The functions of the pooled features before a head's first layer.
    case headInput([VectorFunction])
    /// The functions of the logits that make the output.
    case outputFunctions([VectorFunction])
    /// A head that no configuration describes.
    case otherHead
    /// The number that each normalization of a head adds to the variance, by the layer's index.
    case headEpsilons([Int: Double])
    /// A published network.
    case architecture(String)
    /// A geometry that no configuration describes. The network inferred from the shapes would be wrong.
    case other
  }

  /// One item of evidence.
  package struct Item: Sendable, Equatable {
    /// The name of the fact: `stride0`, `block_stride`, `max_pool`, `epsilon`, `architecture`, …
    package let name: String
    package let value: String
    package let source: Source
    /// The location as text for people: `module attributes`, `config.json`.
    package let place: String
    /// The content at that location: `conv1.stride 1, maxpool.stride 1`.
    package let detail: String
    /// The effect on the network; nil when the item changes nothing.
    package let setting: Setting?

    /// Creates an item of evidence.
    package init(
      _ name: String, _ value: String, _ source: Source, place: String, _ detail: String,
      setting: Setting? = nil
    ) {
      self.name = name
      self.value = value
      self.source = source
      self.place = place
      self.detail = detail
      self.setting = setting
    }

    /// The location and the content, as text.
    package var words: String { detail.isEmpty ? place : "\(place): \(detail)" }
  }

  /// A fact on which sources disagree. The claim of the strongest source comes first.
  package struct Contradiction: Sendable, Equatable {
    package struct Claim: Sendable, Equatable {
      package let value: String
      package let source: String
    }
    package let name: String
    package let claims: [Claim]
  }

  /// The items found, the strongest first. Items of equal strength keep the order in which they were found.
  package private(set) var items: [Item] = []
  /// True when the file names or holds the code that runs the network, including blocks with shortcuts.
  package internal(set) var isNetworkProven = false

  /// True when the file holds the operators of the network, and they are not read.
  package internal(set) var hasUnreadOperators = false

  /// True when the file has code after the head that cannot be followed.
  package internal(set) var isOutputOpen = false

  /// No evidence.
  package static let none = ResNetEvidence()

  init() {}

  mutating func add(_ items: [Item]) {
    for item in items where !self.items.contains(item) {
      let place = self.items.firstIndex { $0.source > item.source } ?? self.items.count
      self.items.insert(item, at: place)
    }
  }

  /// Returns the strongest item about a fact; nil when there is none or it is weak.
  package func settled(_ name: String) -> Item? { items.first { $0.name == name && $0.source.isStrong } }

  /// The items about a geometry that no ``ResNetConfiguration`` describes. A network inferred from the shapes would be
  /// wrong.
  ///
  /// A weaker source that disagrees is a contradiction and does not overrule them.
  var beyondConfiguration: [Item] {
    items.filter { item in item.setting == .other && settled(item.name)?.setting == .other }
  }
}
