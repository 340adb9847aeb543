/// What a checkpoint and the files beside it say of a network's geometry, which no name or shape tells.
///
/// It is gathered from ``ResNetTraces``; docs/adr/0009 has the order of the sources and why they stand so.
package struct ResNetEvidence: Sendable {
  /// Where something was found; the strongest first.
  package enum Source: Int, Sendable, Comparable, CaseIterable {
    /// An attribute of a pickled module: the object that ran.
    case attribute
    /// Code that stands in the file: TorchScript, or the source of a class.
    case code
    /// A configuration inside the file or beside it.
    case configuration
    /// The version that `_metadata` records of a module, which decides how its numbers are read.
    case moduleVersion
    /// The modules that `_metadata` lists: which there are, not what they do.
    case moduleList
    /// The file's name.
    case fileName

    /// Whether a run relies on it: what is below is shown and never used.
    package var isStrong: Bool { self <= .moduleVersion }

    /// The source as scripts read it.
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

  /// What something found means for a ``ResNetConfiguration``.
  package enum Setting: Sendable, Equatable {
    case stride0(Int)
    case blockStride(ResNetBlockStride)
    /// The strides of the stages' first blocks.
    case stageStrides([Int])
    case stemPooling(ResNetStemPooling)
    case antialiasing(ResNetAntialiasing)
    /// Nil where no stride is replaced by dilation.
    case outputStride(Int?)
    case nonlinearity(ResNetNonlinearity)
    case epsilon(Double)
    /// What each normalization adds to the variance, where they are not all alike; this project's names.
    case epsilons([String: Double])
    case normalizationGroups(Int)
    case standardizesWeights(Bool)
    /// A published network.
    case architecture(String)
    /// A geometry that no configuration describes: what is built from the shapes would not be this network.
    case other
  }

  /// One thing that was found.
  package struct Item: Sendable, Equatable {
    /// What it is about: `stride0`, `block_stride`, `max_pool`, `epsilon`, `architecture`, …
    package let name: String
    package let value: String
    package let source: Source
    /// Where it stands, for a person: `module attributes`, `config.json`.
    package let place: String
    /// What stands there: `conv1.stride 1, maxpool.stride 1`.
    package let detail: String
    /// What it means for the network; nil for what is only told.
    package let setting: Setting?

    /// Notes something that was found.
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

    /// The place and what stands there.
    package var words: String { detail.isEmpty ? place : "\(place): \(detail)" }
  }

  /// Sources that say different things of one matter; the strongest first.
  package struct Contradiction: Sendable, Equatable {
    package struct Claim: Sendable, Equatable {
      package let value: String
      package let source: String
    }
    package let name: String
    package let claims: [Claim]
  }

  /// What was found; the strongest first, and as it was found among equals.
  package private(set) var items: [Item] = []
  /// Whether the file names or holds the code that runs the network, blocks with shortcuts among it.
  package internal(set) var provesNetwork = false

  /// Nothing.
  package static let none = ResNetEvidence()

  init() {}

  mutating func add(_ items: [Item]) {
    for item in items where !self.items.contains(item) {
      let place = self.items.firstIndex { $0.source > item.source } ?? self.items.count
      self.items.insert(item, at: place)
    }
  }

  /// The strongest that was found of a matter; nil when nothing or only a hint was.
  package func settled(_ name: String) -> Item? { items.first { $0.name == name && $0.source.isStrong } }

  /// What a run would do wrong that is built from the shapes: geometry beyond any ``ResNetConfiguration``.
  ///
  /// Something weaker that says otherwise is a contradiction and no way out.
  var beyondConfiguration: [Item] {
    items.filter { item in item.setting == .other && settled(item.name)?.setting == .other }
  }
}
