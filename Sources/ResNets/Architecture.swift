extension ResNet {
  /// A published network: its name and its configuration.
  public struct Architecture: Sendable, Equatable {
    /// torchvision's name, or `resnet50nodown`.
    public let name: String
    public let configuration: Configuration

    /// Every architecture that can be asked for by name, in the order they are listed to users.
    public static let all: [Architecture] = [
      make("resnet18", .basic, [2, 2, 2, 2]),
      make("resnet34", .basic, [3, 4, 6, 3]),
      make("resnet50", .bottleneck, [3, 4, 6, 3]),
      make("resnet101", .bottleneck, [3, 4, 23, 3]),
      make("resnet152", .bottleneck, [3, 8, 36, 3]),
      make("resnext50_32x4d", .bottleneck, [3, 4, 6, 3]) {
        $0.groups = 32
        $0.widthPerGroup = 4
      },
      make("resnext101_32x8d", .bottleneck, [3, 4, 23, 3]) {
        $0.groups = 32
        $0.widthPerGroup = 8
      },
      make("wide_resnet50_2", .bottleneck, [3, 4, 6, 3]) { $0.widthPerGroup = 128 },
      make("wide_resnet101_2", .bottleneck, [3, 4, 23, 3]) { $0.widthPerGroup = 128 },
      // The image-forensics detector: only layer2 to layer4 halve the map, and one logit comes out.
      make("resnet50nodown", .bottleneck, [3, 4, 6, 3]) {
        $0.stride0 = 1
        $0.classes = 1
      },
    ]

    /// The architecture of a name, or nil when none is called so.
    public static func named(_ name: String) -> Architecture? { all.first { $0.name == name } }

    private static func make(
      _ name: String, _ block: Block, _ layers: [Int], _ change: (inout Configuration) -> Void = { _ in }
    ) -> Architecture {
      var configuration = Configuration(block: block, layers: layers)
      change(&configuration)
      return Architecture(name: name, configuration: configuration)
    }
  }
}
