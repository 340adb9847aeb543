extension ResNet {
  /// A published network: its name and its configuration.
  public struct Architecture: Sendable, Equatable {
    /// torchvision's name, else timm's, else its authors': `resnet50nodown`, `resnet20`.
    public let name: String
    public let configuration: Configuration

    /// Every architecture that can be asked for by name, in the order they are listed to users.
    public static let all: [Architecture] = torchvision + detectors + timm + cifar

    /// The architecture of a name, or nil when none is called so.
    public static func named(_ name: String) -> Architecture? { all.first { $0.name == name } }

    /// Source: torchvision 0.28 `models/resnet.py`.
    private static let torchvision: [Architecture] = [
      make("resnet18", .basic, [2, 2, 2, 2]),
      make("resnet34", .basic, [3, 4, 6, 3]),
      make("resnet50", .bottleneck, [3, 4, 6, 3]),
      make("resnet101", .bottleneck, [3, 4, 23, 3]),
      make("resnet152", .bottleneck, [3, 8, 36, 3]),
      make("resnext50_32x4d", .bottleneck, [3, 4, 6, 3], grouped(32, 4)),
      make("resnext101_32x8d", .bottleneck, [3, 4, 23, 3], grouped(32, 8)),
      make("resnext101_64x4d", .bottleneck, [3, 4, 23, 3], grouped(64, 4)),
      make("wide_resnet50_2", .bottleneck, [3, 4, 6, 3], grouped(1, 128)),
      make("wide_resnet101_2", .bottleneck, [3, 4, 23, 3], grouped(1, 128)),
    ]

    private static let detectors: [Architecture] = [
      // The image-forensics detector: only layer2 to layer4 halve the map, and one logit comes out.
      make(
        "resnet50nodown", .bottleneck, [3, 4, 6, 3],
        Change {
          $0.stride0 = 1
          $0.classes = 1
        })
    ]

    /// Source: timm 1.0 `models/resnet.py`. Deep stems: `c` and `d` of 32 channels, `s` of 64, `t` of 24 and 32; `d` and
    /// `t` pool in their shortcuts.
    private static let timm: [Architecture] = [
      make("resnet10t", .basic, [1, 1, 1, 1], tiered),
      make("resnet14t", .bottleneck, [1, 1, 1, 1], tiered),
      make("resnet18d", .basic, [2, 2, 2, 2], pooled),
      make("resnet26", .bottleneck, [2, 2, 2, 2]),
      make("resnet26d", .bottleneck, [2, 2, 2, 2], pooled),
      make("resnet26t", .bottleneck, [2, 2, 2, 2], tiered),
      make("resnet34d", .basic, [3, 4, 6, 3], pooled),
      make("resnet50c", .bottleneck, [3, 4, 6, 3], deep(32, 32)),
      make("resnet50d", .bottleneck, [3, 4, 6, 3], pooled),
      make("resnet50s", .bottleneck, [3, 4, 6, 3], deep(64, 64)),
      make("resnet50t", .bottleneck, [3, 4, 6, 3], tiered),
      make("resnet101c", .bottleneck, [3, 4, 23, 3], deep(32, 32)),
      make("resnet101d", .bottleneck, [3, 4, 23, 3], pooled),
      make("resnet101s", .bottleneck, [3, 4, 23, 3], deep(64, 64)),
      make("resnet152c", .bottleneck, [3, 8, 36, 3], deep(32, 32)),
      make("resnet152d", .bottleneck, [3, 8, 36, 3], pooled),
      make("resnet152s", .bottleneck, [3, 8, 36, 3], deep(64, 64)),
      make("resnet200", .bottleneck, [3, 24, 36, 3]),
      make("resnet200d", .bottleneck, [3, 24, 36, 3], pooled),
      make("resnext50d_32x4d", .bottleneck, [3, 4, 6, 3], grouped(32, 4) + pooled),
      make("resnext101_32x4d", .bottleneck, [3, 4, 23, 3], grouped(32, 4)),
      make("resnext101_32x16d", .bottleneck, [3, 4, 23, 3], grouped(32, 16)),
      make("resnext101_32x32d", .bottleneck, [3, 4, 23, 3], grouped(32, 32)),
      make("resnetaa34d", .basic, [3, 4, 6, 3], pooled + antialiased),
      make("resnetaa50", .bottleneck, [3, 4, 6, 3], antialiased),
      make("resnetaa50d", .bottleneck, [3, 4, 6, 3], pooled + antialiased),
      make("resnetaa101d", .bottleneck, [3, 4, 23, 3], pooled + antialiased),
      make("resnetblur18", .basic, [2, 2, 2, 2], antialiased),
      make("resnetblur50", .bottleneck, [3, 4, 6, 3], antialiased),
      make("resnetblur50d", .bottleneck, [3, 4, 6, 3], pooled + antialiased),
      make("resnetblur101d", .bottleneck, [3, 4, 23, 3], pooled + antialiased),
      make("seresnet18", .basic, [2, 2, 2, 2], squeezed),
      make("seresnet34", .basic, [3, 4, 6, 3], squeezed),
      make("seresnet50", .bottleneck, [3, 4, 6, 3], squeezed),
      make("seresnet50t", .bottleneck, [3, 4, 6, 3], tiered + squeezed),
      make("seresnet101", .bottleneck, [3, 4, 23, 3], squeezed),
      make("seresnet152", .bottleneck, [3, 8, 36, 3], squeezed),
      make("seresnet152d", .bottleneck, [3, 8, 36, 3], pooled + squeezed),
      make("seresnet200d", .bottleneck, [3, 24, 36, 3], pooled + squeezed),
      make("seresnet269d", .bottleneck, [3, 30, 48, 8], pooled + squeezed),
      make("seresnetaa50d", .bottleneck, [3, 4, 6, 3], pooled + squeezed + antialiased),
      make("seresnext26d_32x4d", .bottleneck, [2, 2, 2, 2], grouped(32, 4) + pooled + squeezed),
      make("seresnext26t_32x4d", .bottleneck, [2, 2, 2, 2], grouped(32, 4) + tiered + squeezed),
      make("seresnext50_32x4d", .bottleneck, [3, 4, 6, 3], grouped(32, 4) + squeezed),
      make("seresnext101_32x4d", .bottleneck, [3, 4, 23, 3], grouped(32, 4) + squeezed),
      make("seresnext101_32x8d", .bottleneck, [3, 4, 23, 3], grouped(32, 8) + squeezed),
      make("seresnext101_64x4d", .bottleneck, [3, 4, 23, 3], grouped(64, 4) + squeezed),
      make("seresnext101d_32x8d", .bottleneck, [3, 4, 23, 3], grouped(32, 8) + pooled + squeezed),
      make(
        "seresnextaa101d_32x8d", .bottleneck, [3, 4, 23, 3], grouped(32, 8) + pooled + squeezed + antialiased),
      make(
        "seresnextaa201d_32x8d", .bottleneck, [3, 24, 36, 4],
        grouped(32, 8) + widePooled + squeezed + antialiased),
      make("ecaresnet26t", .bottleneck, [2, 2, 2, 2], tiered + efficient),
      make("ecaresnet50d", .bottleneck, [3, 4, 6, 3], pooled + efficient),
      make("ecaresnet50t", .bottleneck, [3, 4, 6, 3], tiered + efficient),
      make("ecaresnet101d", .bottleneck, [3, 4, 23, 3], pooled + efficient),
      make("ecaresnet200d", .bottleneck, [3, 24, 36, 3], pooled + efficient),
      make("ecaresnet269d", .bottleneck, [3, 30, 48, 8], pooled + efficient),
      make("ecaresnetlight", .bottleneck, [1, 1, 11, 3], plainPooled + efficient),
      make("resnetrs50", .bottleneck, [3, 4, 6, 3], pooled + rescaled),
      make("resnetrs101", .bottleneck, [3, 4, 23, 3], pooled + rescaled),
      make("resnetrs152", .bottleneck, [3, 8, 36, 3], pooled + rescaled),
      make("resnetrs200", .bottleneck, [3, 24, 36, 3], pooled + rescaled),
      make("resnetrs270", .bottleneck, [4, 29, 53, 4], pooled + rescaled),
      make("resnetrs350", .bottleneck, [4, 36, 72, 4], pooled + rescaled),
      make("resnetrs420", .bottleneck, [4, 44, 87, 4], pooled + rescaled),
    ]

    /// He et al. 2015, section 4.2: 6n + 2 layers for images of 32 pixels, as akamaster/pytorch_resnet_cifar10 has them.
    private static let cifar: [Architecture] = [3, 5, 7, 9, 18, 200].map { blocks in
      make(
        "resnet\(6 * blocks + 2)", .basic, [blocks, blocks, blocks],
        Change {
          $0.planes = [16, 32, 64]
          $0.stemChannels = 16
          $0.stem = .single(kernel: 3)
          $0.stride0 = 1
          $0.stemPooling = .none
          $0.shortcut = .padding
          $0.classes = 10
        })
    }

    /// What turns the plain network of a block and layers into another; `+` does one after the other.
    private struct Change: Sendable {
      let apply: @Sendable (inout Configuration) -> Void

      init(_ apply: @escaping @Sendable (inout Configuration) -> Void) { self.apply = apply }

      static func + (first: Change, second: Change) -> Change {
        Change {
          first.apply(&$0)
          second.apply(&$0)
        }
      }
    }

    private static func make(
      _ name: String, _ block: Block, _ layers: [Int], _ change: Change? = nil
    ) -> Architecture {
      var configuration = Configuration(block: block, layers: layers)
      change?.apply(&configuration)
      return Architecture(name: name, configuration: configuration)
    }

    private static func grouped(_ groups: Int, _ widthPerGroup: Int) -> Change {
      Change {
        $0.groups = groups
        $0.widthPerGroup = widthPerGroup
      }
    }

    private static func deep(_ first: Int, _ second: Int) -> Change {
      Change {
        $0.stem = .deep(first, second)
        $0.stemChannels = 2 * second
      }
    }

    private static let plainPooled = Change { $0.shortcut = .pooledProjection }
    private static let pooled = deep(32, 32) + plainPooled
    private static let widePooled = deep(64, 64) + plainPooled
    private static let tiered = deep(24, 32) + plainPooled
    private static let squeezed = Change { $0.attention = .squeezeExcitation(ratio: 16) }
    private static let rescaled = Change {
      $0.attention = .squeezeExcitation(ratio: 4)
      $0.stemPooling = .convolution
    }
    private static let efficient = Change { $0.attention = .efficient }
    private static let antialiased = Change { $0.antialiases = true }
  }
}
