internal import DecantTensors

/// The layers that continue a network from its pooled features to its output, found by names and shapes.
///
/// A head is a chain: each layer reads as many numbers as the one before returns. Layers come in the file's order,
/// which is the order in which modules were defined.
package struct HeadChain: Sendable {
  /// A layer, and the path of its module in the file.
  package struct Member: Sendable {
    package let path: String
    package let layer: ResNetHeadLayer
  }

  /// The layers in order; empty when there are none, or only the one with the dialect's name.
  package private(set) var members: [Member] = []
  /// The names of tensors that read the features or continue the head, and form no chain with it, in the file's order.
  package private(set) var unresolved: [String] = []

  /// The largest number of layers in a head. Real heads have fewer.
  private static let mostLayers = 64
  /// A head that reads feature maps, or several poolings of them, reads at most this many times the features.
  private static let mostPixels = 1024

  /// No layers.
  init() {}

  /// Finds the chain. O(tensors).
  ///
  /// - Parameters:
  ///   - entries: every tensor of the state dict, with its canonical name if it has one.
  ///   - prefix: the prefix of the network's names.
  ///   - features: the number of pooled features.
  init(_ entries: [ResNetTensorNameMap.Entry], prefix: String, features: Int) {
    guard features > 0, let modules = Module.all(entries, prefix: prefix) else { return }
    var chain: [Member] = []
    var widths: Set<Int> = [features]
    var width = features
    var others: [Module] = []
    var used: [Module] = []
    for module in modules {
      guard let kind = module.kind(isFirst: chain.isEmpty), chain.count < Self.mostLayers else {
        others.append(module)
        continue
      }
      var layer = ResNetHeadLayer(kind: kind, gap: .closed)
      guard layer.inputs == width else {
        others.append(module)
        continue
      }
      if let last = chain.last { layer.gap = Self.gap(between: last.path, and: module.path) }
      chain.append(Member(path: module.path, layer: layer))
      used.append(module)
      width = layer.outputs
      widths.insert(width)
    }
    // The published head may stand beside another that reads the same features, but not beside a normalization.
    let isPublished = used.count == 1 && used[0].isNamedByDialect
    let containers = used.map { Self.container($0.path) }.filter {
      !$0.isEmpty && !prefix.hasPrefix($0 + ".")
    }
    let strangers = others.filter { module in
      let isInContainer = containers.contains { module.path == $0 || module.path.hasPrefix($0 + ".") }
      guard let inputs = module.inputs else { return isInContainer }
      if isPublished, module.isMatrix { return false }
      return isInContainer || widths.contains(inputs) || module.isScalarActivation
        || used.isEmpty && module.isMatrix && inputs.isMultiple(of: features)
          && inputs / features <= Self.mostPixels
        || used.isEmpty && !module.isMatrix && module.kind(isFirst: true) != nil
          && inputs.isMultiple(of: features)
    }
    if strangers.isEmpty, used.contains(where: \.isMatrix) {
      if !isPublished { members = chain }
      return
    }
    // A module in the same container, or of as many inputs as they have outputs, belongs to the same head.
    let strangeContainers = Set(strangers.map { Self.container($0.path) }).filter {
      !$0.isEmpty && !prefix.hasPrefix($0 + ".")
    }
    var outputs = Set(strangers.compactMap(\.outputs))
    let rest = others.filter { module in
      let reads = module.inputs.map(outputs.contains) ?? false
      guard reads || strangeContainers.contains(Self.container(module.path)) else { return false }
      if let count = module.outputs { outputs.insert(count) }
      return true
    }
    let isHead = Set((used + strangers + rest).filter { !isPublished || !$0.isNamedByDialect }.map(\.path))
    unresolved = modules.filter { isHead.contains($0.path) }.flatMap(\.names)
  }

  /// Returns the canonical module of the layer with an index: `head.0`, `head.1` ….
  static func canonicalModule(_ index: Int) -> String { "head.\(index)" }

  /// The paths of the modules that contain the layers, such as the Sequential `fc`; the root is left out.
  var containers: [String] {
    var found: [String] = []
    for member in members {
      let container = Self.container(member.path)
      if !container.isEmpty, !found.contains(container) { found.append(container) }
    }
    return found
  }

  /// Returns the path of the module that contains a module.
  static func container(_ path: String) -> String {
    path.split(separator: ".", omittingEmptySubsequences: false).dropLast().joined(separator: ".")
  }

  /// Returns what indices in a Sequential show about the place between two modules.
  private static func gap(between one: String, and other: String) -> ResNetHeadLayer.Gap {
    guard container(one) == container(other), let before = index(one), let after = index(other),
      before < Int.max, after == before + 1
    else { return .open }
    return .closed
  }

  /// Returns a module's index in a Sequential; nil when its name is not a number.
  static func index(_ path: String) -> Int? { path.split(separator: ".").last.flatMap { Int($0) } }

  /// A module with tensors outside the stem and the stages.
  private struct Module {
    let path: String
    /// True for a head's layer that has a name in the dialect.
    let isNamedByDialect: Bool
    let isInside: Bool
    var tensors: [(name: String, shape: [Int])]
    var names: [String]

    private func shape(_ name: String) -> [Int]? { tensors.first { $0.name == name }?.shape }

    /// True for a module with a matrix.
    var isMatrix: Bool { tensors.contains { $0.shape.count > 1 } }

    /// True for an activation with one trainable number.
    var isScalarActivation: Bool { tensors.count == 1 && shape("weight") == [1] }

    /// The number of numbers that a matrix returns; nil when there is none.
    var outputs: Int? { tensors.first { $0.shape.count > 1 }?.shape[0] }

    /// The number of numbers that a matrix, or a vector of weights, reads; nil when there is none.
    var inputs: Int? {
      if let matrix = tensors.first(where: { $0.shape.count > 1 }) { return matrix.shape[1] }
      let isLoss = path.split(separator: ".").contains { $0.hasPrefix("criterion") || $0.contains("loss") }
      return isLoss ? nil : (shape("weight") ?? shape("running_mean")).flatMap { $0.first }
    }

    /// True when the name says that the module is a normalization.
    private var isNamedNormalization: Bool {
      path.split(separator: ".").last.map { $0.contains("norm") || $0.hasPrefix("ln") } ?? false
    }

    /// Returns the layer with these tensors; nil for another module.
    ///
    /// A vector of weights alone can be a layer norm without bias or an activation with trainable slopes. It is taken
    /// for a layer norm when its name says so, and as the first layer: the features are not negative, where slopes
    /// would do nothing.
    func kind(isFirst: Bool) -> ResNetHeadLayer.Kind? {
      let names = Set(tensors.map(\.name))
      if names.subtracting(["num_batches_tracked"]) == ["running_mean", "running_var"],
        let mean = shape("running_mean"), mean.count == 1, mean == shape("running_var"),
        1...1 << 24 ~= mean[0]
      {
        return .standardization(channels: mean[0])
      }
      guard let weight = shape("weight"), weight.allSatisfy({ 1...1 << 24 ~= $0 }) else { return nil }
      let bias = shape("bias")
      switch weight.count {
      case 2, 4:
        guard names.isSubset(of: ["weight", "bias"]), weight.dropFirst(2).allSatisfy({ $0 == 1 }),
          bias == nil || bias == [weight[0]]
        else { return nil }
        return .linear(
          ResNetHeadLayer.FullyConnectedShape(
            inputs: weight[1], outputs: weight[0], hasBias: bias != nil, isConvolution: weight.count == 4))
      case 1:
        if names == ["weight"], weight[0] > 1, isFirst || isNamedNormalization {
          return .layerNormalization(channels: weight[0], hasBias: false)
        }
        guard bias == weight else { return nil }
        if names == ["weight", "bias"] { return .layerNormalization(channels: weight[0], hasBias: true) }
        guard shape("running_mean") == weight, shape("running_var") == weight,
          names.isSubset(of: ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"])
        else { return nil }
        return .batchNormalization(channels: weight[0])
      default: return nil
      }
    }

    /// Returns the modules outside the stem and the stages, in the file's order. Those outside the prefix are left out
    /// when they belong to more than a head: to convolutions or to attention.
    ///
    /// The result is nil when such modules are inside the prefix, and for a head of another kind that the dialect names.
    static func all(_ entries: [ResNetTensorNameMap.Entry], prefix: String) -> [Module]? {
      func first(_ name: String) -> Substring {
        Substring(
          name.utf8.dropFirst(prefix.utf8.count).prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "/") }
        )
      }
      var trunk: Set<Substring> = []
      for entry in entries {
        guard let canonical = entry.canonical else { continue }
        if ["attnpool.", "head.", "fc.scale"].contains(where: { canonical.hasPrefix($0) }) { return nil }
        if !canonical.hasPrefix("fc.") { trunk.insert(first(entry.name)) }
      }
      var modules: [Module] = []
      var places: [String: Int] = [:]
      var isLargerOutside = false
      for entry in entries {
        let isInside = entry.name.utf8.starts(with: prefix.utf8)
        let isHead = entry.canonical?.hasPrefix("fc.") ?? false
        let isPublished = ["fc.weight", "fc.bias"].contains(entry.canonical)
        guard isHead || entry.canonical == nil && !(isInside && trunk.contains(first(entry.name))) else {
          continue
        }
        let shape = entry.tensor.shape
        let steps = entry.name.split(separator: ".", omittingEmptySubsequences: false)
        guard let last = steps.last, isLayer(steps, shape) else {
          if isInside { return nil }
          isLargerOutside = true
          continue
        }
        var (path, parameter) = (steps.dropLast().joined(separator: "."), String(last))
        if isPublished, let leaf = entry.canonical?.dropFirst("fc.".count), leaf != last {
          // Dialects such as Caffe2's name the layer's parameters without a dot: `fc1000_w`.
          (path, parameter) = (prefix + "fc", String(leaf))
        }
        if let place = places[path] {
          modules[place].tensors.append((parameter, shape))
          modules[place].names.append(entry.name)
        } else {
          places[path] = modules.count
          modules.append(
            Module(
              path: path, isNamedByDialect: isPublished, isInside: isInside, tensors: [(parameter, shape)],
              names: [entry.name]))
        }
      }
      return isLargerOutside ? modules.filter(\.isInside) : modules
    }

    /// Returns false for tensors of convolutions and of attention.
    private static func isLayer(_ steps: [Substring], _ shape: [Int]) -> Bool {
      (shape.count <= 2 || shape.count == 4 && shape.dropFirst(2).allSatisfy { $0 == 1 })
        && !steps.contains { $0.contains("attn") || $0.contains("attention") || $0.hasPrefix("in_proj") }
    }
  }
}
