internal import DecantBytes

/// Evidence from the classes of pickled modules about the code that runs them.
///
/// A pickle holds only a class's name. The code is known for the classes that torchvision, timm and transformers define
/// under their module paths. For other classes it is read from their source, if the file holds it.
struct BlockClassEvidence {
  private(set) var items: [ResNetEvidence.Item] = []
  /// True when the classes prove the network.
  ///
  /// Either the network and every block have library classes, or the source of every block adds its shortcut.
  private(set) var isWhole = false

  private static let networks: Set<String> = [
    "torchvision.models.resnet.ResNet", "timm.models.resnet.ResNet", "timm.models.resnetv2.ResNetV2",
  ]
  private static let blocks: Set<String> = [
    "torchvision.models.resnet.BasicBlock", "torchvision.models.resnet.Bottleneck",
    "timm.models.resnet.BasicBlock", "timm.models.resnet.Bottleneck", "timm.models.resnetv2.PreActBasic",
    "timm.models.resnetv2.PreActBottleneck",
    "transformers.models.resnet.modeling_resnet.ResNetBasicLayer",
    "transformers.models.resnet.modeling_resnet.ResNetBottleNeckLayer",
  ]

  init(_ tree: ModuleTree, _ layout: ModulePathMap, sources: [String: String]) {
    let classes = Self.blockClasses(tree, layout)
    guard !classes.isEmpty, let names = classes.all else { return }
    let root = tree.classes[layout.root]
    if let root {
      items.append(
        ResNetEvidence.Item(
          "class", root, .attribute, place: "module attributes",
          layout.root.isEmpty ? "the outermost module" : layout.root))
    }
    // A replaced `forward` or a hook runs other code than the class has.
    guard !Self.isTampered(tree, layout) else { return }
    let sorted = names.sorted()
    if names.isSubset(of: Self.blocks) {
      addShortcuts(
        .attribute, place: "module attributes", "the blocks are \(sorted.joined(separator: ", "))", layout)
      isWhole = root.map { Self.networks.contains($0) } ?? false
    } else if sorted.allSatisfy({ name in sources[name].map(ForwardSourceParser.addsShortcut) ?? false }) {
      addShortcuts(
        .code, place: "embedded source", sorted.joined(separator: ", "), layout)
      isWhole = true
    }
  }

  private mutating func addShortcuts(
    _ source: ResNetEvidence.Source, place: String, _ detail: String, _ layout: ModulePathMap
  ) {
    items.append(
      ResNetEvidence.Item("residual", "shortcuts are added", source, place: place, detail))
    let usual = layout.configuration.geometry.first { $0.name == "shortcut" }
    // Source code that adds a shortcut does not show what a shortcut without a projection computes; library classes do.
    if let usual, source == .attribute || layout.configuration.shortcut == .projection {
      items.append(ResNetEvidence.Item("shortcut", usual.value, source, place: place, detail))
    }
  }

  /// Returns the classes of the blocks; `all` is nil when a block's class is not listed.
  private static func blockClasses(
    _ tree: ModuleTree, _ layout: ModulePathMap
  ) -> (all: Set<String>?, isEmpty: Bool) {
    var names: Set<String> = []
    for path in layout.blocks.flatMap({ $0 }) {
      guard var name = tree.classes[path] else { return (nil, false) }
      // transformers keeps a block's convolutions in a Sequential inside the block.
      if ModuleTree.kind(name) == "Sequential", let dot = path.lastIndex(of: ".") {
        guard let outer = tree.classes[String(path[..<dot])] else { return (nil, false) }
        name = outer
      }
      names.insert(name)
    }
    return (names, names.isEmpty)
  }

  /// Returns true when a module of the network has a hook, or a `forward` among its attributes.
  private static func isTampered(_ tree: ModuleTree, _ layout: ModulePathMap) -> Bool {
    tree.altered.contains { layout.isInside($0) }
  }
}
