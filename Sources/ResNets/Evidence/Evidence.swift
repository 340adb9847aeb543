extension ResNet {
  /// What a checkpoint and the files beside it say of a network's geometry, which no name or shape tells.
  ///
  /// It is gathered from ``Traces``; docs/adr/0009 has the order of the sources and why they stand so.
  public struct Evidence: Sendable {
    /// Where something was found; the strongest first.
    public enum Source: Int, Sendable, Comparable, CaseIterable {
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
      public var isStrong: Bool { self <= .moduleVersion }

      /// The source as scripts read it.
      public var name: String {
        switch self {
        case .attribute: "attribute"
        case .code: "code"
        case .configuration: "configuration"
        case .moduleVersion: "module_version"
        case .moduleList: "module_list"
        case .fileName: "file_name"
        }
      }

      public static func < (left: Source, right: Source) -> Bool { left.rawValue < right.rawValue }
    }

    /// What something found means for a ``Configuration``.
    public enum Setting: Sendable, Equatable {
      case stride0(Int)
      case blockStride(BlockStride)
      /// The strides of the stages' first blocks.
      case stageStrides([Int])
      case stemPooling(StemPooling)
      case antialiasing(Antialiasing)
      /// Nil where no stride is replaced by dilation.
      case outputStride(Int?)
      case nonlinearity(Nonlinearity)
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
    public struct Item: Sendable, Equatable {
      /// What it is about: `stride0`, `block_stride`, `max_pool`, `epsilon`, `architecture`, …
      public let name: String
      public let value: String
      public let source: Source
      /// Where it stands, for a person: `module attributes`, `config.json`.
      public let place: String
      /// What stands there: `conv1.stride 1, maxpool.stride 1`.
      public let detail: String
      /// What it means for the network; nil for what is only told.
      public let setting: Setting?

      /// Notes something that was found.
      public init(
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
      public var words: String { detail.isEmpty ? place : "\(place): \(detail)" }
    }

    /// Sources that say different things of one matter; the strongest first.
    public struct Contradiction: Sendable, Equatable {
      public struct Claim: Sendable, Equatable {
        public let value: String
        public let source: String
      }
      public let name: String
      public let claims: [Claim]
    }

    /// What was found; the strongest first, and as it was found among equals.
    public private(set) var items: [Item] = []
    /// Whether the file names or holds the code that runs the network, blocks with shortcuts among it.
    public internal(set) var provesNetwork = false

    /// Nothing.
    public static let none = Evidence()

    init() {}

    mutating func add(_ items: [Item]) {
      for item in items where !self.items.contains(item) {
        let place = self.items.firstIndex { $0.source > item.source } ?? self.items.count
        self.items.insert(item, at: place)
      }
    }

    /// The strongest that was found of a matter; nil when nothing or only a hint was.
    public func settled(_ name: String) -> Item? { items.first { $0.name == name && $0.source.isStrong } }

    /// What a run would do wrong that is built from the shapes: geometry beyond any ``Configuration``.
    ///
    /// Something weaker that says otherwise is a contradiction and no way out.
    var beyondConfiguration: [Item] {
      items.filter { item in item.setting == .other && settled(item.name)?.setting == .other }
    }
  }
}
