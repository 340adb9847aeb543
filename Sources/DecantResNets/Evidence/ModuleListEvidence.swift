internal import DecantTensors

/// Evidence from `_metadata`: the modules of a state dict, with the version of each module's format.
///
/// The list includes modules without parameters. It has their paths and not their classes, so most of it is a hint.
struct ModuleListEvidence {
  private(set) var items: [ResNetEvidence.Item] = []

  init(_ versions: [(path: String, version: Int?)], _ naming: ResNetTensorNameMap, _ layout: ModulePathMap) {
    // A list without the stem's module has other names than the network.
    let below = versions.filter { layout.isInside($0.path) }
    let listed = Dictionary(below.map { ($0.path, $0.version) }, uniquingKeysWith: { first, _ in first })
    guard let stem = layout.convolutions.first, listed[stem.path] != nil else { return }
    readStem(listed, naming, layout)
    readFrozen(listed, naming, layout)
  }

  private mutating func hint(
    _ name: String, _ value: String, _ detail: String, _ setting: ResNetEvidence.Setting?
  ) {
    items.append(
      ResNetEvidence.Item(
        name, value, .moduleList, place: "_metadata (hint)", detail, setting: setting))
  }

  private mutating func readStem(
    _ listed: [String: Int?], _ naming: ResNetTensorNameMap, _ layout: ModulePathMap
  ) {
    func has(_ step: String) -> Bool { listed[ModuleTree.join(layout.root, step)] != nil }
    let isTorchvisions = naming.dialect.name == "torchvision" || naming.dialect.name == "timm"
    guard isTorchvisions else { return }
    // A listed activation shows that modules without parameters are listed at all.
    let activation = ["relu", "act1"].first(where: has)
    if layout.configuration.stemPooling != .convolution, has("maxpool.0"), has("maxpool.1") {
      hint("antialiasing", "binomial filters", "maxpool.0 and maxpool.1 are listed", .antialiasing(.blur))
    } else if let activation, layout.configuration.stemPooling != .convolution, !has("maxpool") {
      hint("max_pool", "none", "\(activation) is listed and no maxpool is", .stemPooling(.none))
    }
    if has("dropout"), layout.configuration.block == .bottleneck {
      hint(
        "stride0", "1", "a module dropout is listed, as in resnet50nodown and not in torchvision's resnet50",
        .stride0(1))
    }
  }

  /// Reads the versions of detectron2's frozen batch norms: versions 1 and 2 use the running variance without an
  /// epsilon.
  ///
  /// Only detectron2's names count: torchvision's class of the same name has version 1 and adds its epsilon.
  private mutating func readFrozen(
    _ listed: [String: Int?], _ naming: ResNetTensorNameMap, _ layout: ModulePathMap
  ) {
    guard naming.dialect.name == "detectron2" else { return }
    var epsilons: [String: Double] = [:]
    var old: [(path: String, version: Int)] = []
    for (name, path) in layout.normalizations {
      epsilons[name] = layout.configuration.epsilon
      guard naming.tensors[name + ".num_batches_tracked"] == nil, let version = listed[path] ?? nil,
        1...2 ~= version
      else { continue }
      epsilons[name] = 0
      old.append((path, version))
    }
    guard let first = old.first else { return }
    let isWhole = old.count == layout.normalizations.count
    items.append(
      ResNetEvidence.Item(
        "epsilon", isWhole ? "0" : "0 where frozen, else \(layout.configuration.epsilon)", .moduleVersion,
        place: "_metadata",
        "\(layout.relative(first.path)) is a FrozenBatchNorm2d of version \(first.version), which added none"
          + (isWhole ? "" : "; \(old.count) of \(layout.normalizations.count) are"),
        setting: isWhole ? .epsilon(0) : .epsilons(epsilons)))
  }
}
