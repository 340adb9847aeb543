/// A published network: its name and its configuration.
///
///     ResNetArchitecture.resnet50nodown
///     ResNetArchitecture.named("resnext50_32x4d")
public struct ResNetArchitecture: Sendable, Equatable {
  /// The name in torchvision, else in timm, else its authors': `resnet50nodown`, `resnet20`.
  public let name: String
  /// The network's blocks, widths, strides and number of classes.
  public let configuration: ResNetConfiguration
  /// The naming dialects in which this network is published; empty when it is not tied to one.
  ///
  /// They decide between architectures whose tensor names and shapes are equal.
  private(set) var dialects: [String] = []

  /// Returns this architecture tied to the given dialects.
  func of(_ dialects: String...) -> ResNetArchitecture {
    var architecture = self
    architecture.dialects = dialects
    return architecture
  }

  /// Every architecture that has a name, in the order in which they are listed to users.
  public static let all: [ResNetArchitecture] =
    torchvision + detectors + timm + pruned + preactivated + byobnet + clips + cifar + legacy

  /// Returns the architecture with a published name, such as `resnext50_32x4d`, or nil when there is none.
  public static func named(_ name: String) -> ResNetArchitecture? { all.first { $0.name == name } }

  /// Returns the architectures with a configuration's tensor names and shapes; the number of outputs may differ.
  ///
  /// When none of them has the same kind of head, the result has those that match in everything else. Architectures of
  /// the dialect come first, and those of other dialects last. For a backbone, those without a head come first within
  /// each group.
  static func sharing(_ configuration: ResNetConfiguration, _ dialect: ResNetDialect) -> [ResNetArchitecture]
  {
    let alike = all.filter { $0.configuration.hasTrunk(of: configuration) }
    let equal = alike.filter { configuration.hasHead(of: $0.configuration) }
    func rank(_ architecture: ResNetArchitecture) -> Int {
      let dialects = architecture.dialects
      let place = dialects.contains(dialect.name) ? 0 : dialects.isEmpty ? 1 : 2
      return 2 * place + (architecture.configuration.classes == 0 && configuration.classes == 0 ? 0 : 1)
    }
    let found = equal.isEmpty ? alike : equal
    return (0...5).flatMap { place in found.filter { rank($0) == place } }
  }

  /// Creates a network with torchvision's layout, then applies `changes` in order.
  init(
    _ name: String, _ block: ResNetBlock, _ layers: [Int], planes: [Int] = [64, 128, 256, 512],
    groups: Int = 1,
    width: Int = 64, _ changes: Change...
  ) {
    self.name = name
    var configuration = ResNetConfiguration(
      block: block, layers: layers, planes: planes, groups: groups, widthPerGroup: width)
    for change in changes { change.apply(&configuration) }
    self.configuration = configuration
  }

  /// Creates a network from its stages, then applies `changes` in order.
  init(_ name: String, _ stages: [ResNetStage], _ changes: Change...) {
    self.name = name
    var configuration = ResNetConfiguration(stages: stages)
    for change in changes { change.apply(&configuration) }
    self.configuration = configuration
  }

  /// A modification of a configuration, such as adding squeeze and excitation.
  struct Change: Sendable {
    let apply: @Sendable (inout ResNetConfiguration) -> Void

    init(_ apply: @escaping @Sendable (inout ResNetConfiguration) -> Void) { self.apply = apply }

    /// Returns a change that gives every stage an attention, made from the number of channels that it weights.
    static func attention(_ attention: @escaping @Sendable (_ channels: Int) -> ResNetAttention) -> Change {
      Change { configuration in
        for index in configuration.stages.indices {
          let stage = configuration.stages[index]
          let channels =
            configuration.hasInnerAttention ? stage.blocks[0].dropLast().last : stage.outputChannels
          configuration.stages[index].attention = attention(channels ?? 0)
        }
      }
    }

    /// Returns a change that adds squeeze and excitation to every stage.
    ///
    /// The reduced width is `channels / ratio`, rounded to a multiple of 8. It is at least 8, and the nearest multiple
    /// that is at most 10% below the exact quotient.
    static func squeezed(by ratio: Int) -> Change {
      attention { channels in
        let exact = Double(channels) / Double(ratio)
        let rounded = max(8, Int(exact + 4) / 8 * 8)
        return .squeezeExcitation(reduced: Double(rounded) < 0.9 * exact ? rounded + 8 : rounded)
      }
    }

    /// A change that adds efficient channel attention to every stage.
    ///
    /// The kernel size is odd, at least 3, and about half the base-2 logarithm of the number of channels.
    static let efficient = attention { channels in
      let length = (Int.bitWidth - channels.leadingZeroBitCount) / 2
      return .efficient(kernel: max(3, length.isMultiple(of: 2) ? length + 1 : length))
    }
  }
}
