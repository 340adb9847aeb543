public import Graphs
public import Tensors

extension ResNet {
  /// Which network a ResNet's tensors are, how that is known, and what they cannot say.
  public struct Identification: Sendable {
    /// Something about the network, and what says so.
    public struct Fact: Sendable, Equatable {
      public let name: String
      public let value: String
      /// The tensor and shape, the name or the count that settles it.
      public let source: String
    }

    /// Something that the file does not settle.
    public struct OpenQuestion: Sendable, Equatable {
      public let name: String
      /// What is usual for networks of these names.
      public let usual: String
      /// The option that declares it; nil where nothing but a run depends on it.
      public let option: String?
    }

    public let naming: Naming
    public let configuration: Configuration
    /// The published name that fits in everything a shape tells; nil when none does.
    public let architecture: String?
    /// Every published name with the same names and shapes, ``architecture`` among them.
    public let sameShapes: [String]
    /// The published name that needs the fewest changes, and those, when none fits.
    public let nearest: (name: String, differences: [String])?
    public let facts: [Fact]
    public let undetermined: [OpenQuestion]
    /// How names and shapes compare with the network's.
    public let verification: Verification

    /// Reads what names and shapes tell. O(tensors).
    ///
    /// - Parameter published: the published file these are the tensors of, which settles what shapes cannot.
    /// - Throws: ``TensorError`` when they make no network.
    public init(_ naming: Naming, published: PublishedFile? = nil) throws {
      self.naming = naming
      let configuration = try Configuration(shapesOf: naming.tensors)
      let graph: Graph
      do { graph = try configuration.graph() } catch {
        throw TensorError("its shapes make no network: \(error.reason)")
      }
      self.configuration = configuration
      verification = try Verification(of: naming, against: graph, readsNumbers: false)
      let all = Architecture.all
      let sameShapes =
        verification.isMatch ? all.filter { $0.configuration.hasShapes(of: configuration) }.map(\.name) : []
      let fitting = all.first {
        sameShapes.contains($0.name) && $0.configuration.stride0 == configuration.stride0
      }
      self.sameShapes = sameShapes
      architecture = sameShapes.first { $0 == published?.architecture } ?? fitting?.name
      nearest =
        sameShapes.isEmpty
        ? all.map { ($0.name, configuration.differences(from: $0.configuration)) }
          .min { $0.1.count < $1.1.count }.map { (name: $0.0, differences: $0.1) }
        : nil
      let questions = Self.openQuestions(configuration, sameShapes)
      guard let published, sameShapes.contains(published.architecture) else {
        facts = Self.facts(naming, configuration)
        undetermined = questions
        return
      }
      facts =
        Self.facts(naming, configuration)
        + questions.filter { $0.name != "preprocessing" }.map { question in
          Fact(
            name: question.name, value: question.name == "residual" ? "shortcuts are added" : question.usual,
            source: "torchvision's code, of which this is a published file (SHA-256 \(published.digest)…)")
        }
      undetermined = questions.filter { $0.name == "preprocessing" }
    }

    private static func facts(_ naming: Naming, _ configuration: Configuration) -> [Fact] {
      func shape(_ canonical: String) -> String {
        let name = naming.spelling(of: canonical)
        guard let tensor = naming.tensors[canonical] else { return "there is no \(name)" }
        return "\(name) \(tensor.shape)"
      }
      let isBottleneck = configuration.block == .bottleneck
      let layers = configuration.layers.map(String.init).joined(separator: ", ")
      let last = configuration.layers.count
      var facts = [
        Fact(name: "block", value: configuration.block.rawValue, source: shape("layer1.0.conv3.weight")),
        Fact(
          name: "layers", value: layers,
          source:
            "blocks counted, the last being \(naming.spelling(of: "layer\(last).\((configuration.layers.last ?? 1) - 1).conv1.weight"))"
        ),
        Fact(
          name: "depth", value: String(configuration.depth),
          source:
            "1 + \(isBottleneck ? 3 : 2) × \(configuration.layers.reduce(0, +)) + 1 layers with weights, shortcuts not counted"
        ),
      ]
      switch configuration.stem {
      case .single(let kernel):
        facts.append(
          Fact(
            name: "stem",
            value: "one \(kernel)×\(kernel) convolution, \(configuration.stemChannels) channels",
            source: shape("conv1.weight")))
      case .deep(let first, let second):
        facts.append(
          Fact(
            name: "stem",
            value: "three 3×3 convolutions, \(first), \(second) and \(configuration.stemChannels) channels",
            source: shape("conv1.0.weight")))
      }
      if isBottleneck {
        facts.append(
          Fact(
            name: "groups", value: String(configuration.groups),
            source: shape("layer1.0.conv2.weight") + " of " + shape("layer1.0.conv1.weight")))
        facts.append(
          Fact(
            name: "width_per_group", value: String(configuration.widthPerGroup),
            source: shape("layer1.0.conv1.weight")))
      }
      switch configuration.shortcut {
      case .projection:
        facts.append(
          Fact(
            name: "shortcut", value: "projection", source: shape("layer\(min(2, last)).0.downsample.0.weight")
          ))
      case .pooledProjection:
        facts.append(
          Fact(
            name: "shortcut", value: "average pool, projection",
            source: shape("layer\(min(2, last)).0.downsample.1.weight")))
      case .padding:
        facts.append(
          Fact(
            name: "shortcut", value: "without parameters (option A), if there is one",
            source: "no tensor stands between stages of different channels"))
      }
      if let attention = configuration.attention {
        facts.append(
          Fact(
            name: "attention", value: attention.words,
            source: shape(
              attention == .efficient ? "layer1.0.se.conv.weight" : "layer\(last).0.se.fc1.weight")))
      }
      facts.append(
        Fact(
          name: "classes", value: configuration.classes == 0 ? "no head" : String(configuration.classes),
          source: shape("fc.weight")))
      facts.append(
        Fact(
          name: "input_channels", value: String(configuration.inputChannels),
          source: shape(naming.tensors["conv1.weight"] == nil ? "conv1.0.weight" : "conv1.weight")))
      return facts
    }

    private static func openQuestions(_ configuration: Configuration, _ names: [String]) -> [OpenQuestion] {
      var questions = [
        OpenQuestion(
          name: "stride0",
          usual: configuration.stemPooling == .max
            ? "\(configuration.stride0)"
              + (names.contains("resnet50nodown")
                ? " (1 in resnet50nodown, whose names and shapes are the same)" : "")
            : "\(configuration.stride0)", option: "--stride0")
      ]
      for fact in configuration.geometry {
        questions.append(OpenQuestion(name: fact.name, usual: fact.value, option: nil))
      }
      questions.append(
        OpenQuestion(
          name: "residual", usual: "shortcuts are added; a plain network can have the same names and shapes",
          option: nil))
      questions.append(
        OpenQuestion(
          name: "preprocessing",
          usual: configuration.stemPooling == .max
            ? "RGB, 224×224, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225" : "RGB, 32×32", option: nil)
      )
      return questions
    }
  }
}

extension ResNet.Configuration {
  /// What a shape tells and differs from another configuration, in words.
  func differences(from other: ResNet.Configuration) -> [String] {
    var found: [String] = []
    func compare<T: Equatable>(_ name: String, _ own: T, _ theirs: T) {
      if own != theirs { found.append("\(name) \(own), not \(theirs)") }
    }
    compare("block", block.rawValue, other.block.rawValue)
    compare("layers", layers, other.layers)
    compare("planes", planes, other.planes)
    compare("groups", groups, other.groups)
    compare("width per group", widthPerGroup, other.widthPerGroup)
    compare("stem", stem.words, other.stem.words)
    compare("stem pooling", stemPooling.rawValue, other.stemPooling.rawValue)
    compare("stem channels", stemChannels, other.stemChannels)
    compare("input channels", inputChannels, other.inputChannels)
    compare("shortcut", shortcut.rawValue, other.shortcut.rawValue)
    compare("attention", attention?.words ?? "none", other.attention?.words ?? "none")
    return found
  }
}

extension ResNet.Stem {
  var words: String {
    switch self {
    case .single(let kernel): "\(kernel)×\(kernel)"
    case .deep(let first, let second): "deep (\(first), \(second))"
    }
  }
}

extension ResNet.Attention {
  var words: String {
    switch self {
    case .squeezeExcitation(let ratio): "squeeze and excitation, channels / \(ratio)"
    case .efficient: "efficient channel attention"
    }
  }
}
