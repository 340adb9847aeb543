public import Graphs
public import Tensors

extension ResNet {
  /// Which network a state dict is taken for, and what had to be assumed to say so.
  public struct Resolution: Sendable {
    /// A fact that no shape tells and that a run depends on.
    public struct Fact: Sendable, Equatable {
      public let name: String
      public let value: String
    }

    public let configuration: Configuration
    /// The network of the configuration.
    public let graph: Graph
    /// The published name, when the configuration has one or the caller gave it.
    public let architecture: String?
    /// The network's tensors, whose names they have, and what else the state dict holds.
    public let naming: Naming
    /// Facts the caller declared, by naming an architecture or by themselves.
    public let declared: [Fact]
    /// Facts nobody declared and the file cannot tell.
    public let assumed: [Fact]

    /// Takes a state dict for a network.
    ///
    /// - Parameters:
    ///   - architecture: the network it should be; nil reads the configuration from the shapes.
    ///   - prefix: what stands before the names of the one that is meant, when there are several.
    ///   - stride0: the declared stride of the stem's convolution and pooling.
    ///   - classes: how many outputs it should have; nil takes the file's.
    /// - Throws: ``TensorError`` when the names are no ResNet's or those of several, or when a file with one output could
    ///   be a detector of either stride and nobody says which: a plausible wrong logit is the worst answer.
    public init(
      of stateDict: StateDict, as architecture: Architecture?, prefix: String? = nil, stride0: Int?,
      classes: Int?
    ) throws(TensorError) {
      naming =
        prefix == nil && Naming.all(in: stateDict).isEmpty
        ? try Naming(stateDict, Dialect.all[0], prefix: "") : try Naming.only(in: stateDict, prefix: prefix)
      let tensors = naming.tensors
      var configuration: Configuration
      if let architecture {
        configuration = architecture.configuration
        if let head = tensors["fc.weight"], head.shape.count == 2, head.shape[0] > 0 {
          configuration.classes = head.shape[0]
        }
      } else {
        configuration = try Configuration(shapesOf: tensors)
      }
      if let classes { configuration.classes = classes }

      var declared: [Fact] = []
      var assumed: [Fact] = []
      if let stride0 { configuration.stride0 = stride0 }
      let stride = Fact(name: "stride0", value: String(configuration.stride0))
      if stride0 != nil || architecture != nil {
        declared.append(stride)
      } else if configuration.classes == 1, configuration.stemPooling != .none {
        throw TensorError(
          "the file has one output, and detectors of one output exist with stride0 1 (resnet50nodown) and with stride0 2 (resnet50), with the same names and shapes; "
            + "say which with --arch or --stride0")
      } else {
        assumed.append(stride)
      }
      let geometry = configuration.geometry
      if architecture != nil { declared += geometry } else { assumed += geometry }
      do throws(ConfigurationError) { graph = try configuration.graph() } catch {
        throw TensorError("its shapes make no network: \(error.reason)")
      }
      self.configuration = configuration
      self.architecture = architecture?.name ?? Architecture.name(fitting: configuration)
      self.declared = declared
      self.assumed = assumed
    }
  }
}

extension ResNet.Architecture {
  /// The published network of this configuration, whatever its classes; nil when none is.
  static func name(fitting configuration: ResNet.Configuration) -> String? {
    all.first {
      $0.configuration.hasShapes(of: configuration) && $0.configuration.stride0 == configuration.stride0
    }?
    .name
  }
}

extension ResNet.Configuration {
  /// What no shape tells and a run depends on, ``stride0`` aside, in words.
  var geometry: [ResNet.Resolution.Fact] {
    let shortcuts =
      switch shortcut {
      case .projection: "added before the last ReLU"
      case .pooledProjection: "2×2 average pool, projection; added before the last ReLU"
      case .padding: "every second pixel between channels of zeros; added before the last ReLU"
      }
    return [
      ResNet.Resolution.Fact(
        name: "block_stride",
        value: block == .bottleneck ? "on the 3×3 convolution (v1.5)" : "on the first convolution"),
      ResNet.Resolution.Fact(
        name: "max_pool",
        value: stemPooling == .max
          ? "3×3, padding 1" : stemPooling == .none ? "none" : "a 3×3 convolution in its place"),
      ResNet.Resolution.Fact(name: "epsilon", value: "\(epsilon)"),
      ResNet.Resolution.Fact(name: "shortcut", value: shortcuts),
    ]
  }

  /// Whether another configuration has the same names and shapes, the number of outputs aside.
  public func hasShapes(of other: ResNet.Configuration) -> Bool {
    var own = self
    own.classes = other.classes
    own.stride0 = other.stride0
    own.epsilon = other.epsilon
    own.antialiases = other.antialiases
    return own == other
  }
}
