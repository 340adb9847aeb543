internal import DecantTensors

/// The layers of a state dict in order, found without the names of modules.
struct LayerSequence {
  /// A layer, with the indices of its tensors in the state dict.
  struct Layer {
    enum Kind {
      /// A convolution: O×I×k×k.
      case convolution(outputs: Int, inputs: Int, kernel: Int)
      /// A normalization of this many channels.
      case normalization(Int)
      /// A fully connected layer.
      case linear(outputs: Int, inputs: Int)
      /// A convolution along the channels: 1×1×k.
      case channelConvolution
    }
    let kind: Kind
    /// The tensors by the last part of their canonical names, such as `weight`.
    var tensors: [(leaf: String, index: Int)]

    var hasBias: Bool { tensors.contains { $0.leaf == "bias" } }
    var isConvolution: Bool { if case .convolution = kind { true } else { false } }
    var isLinear: Bool { if case .linear = kind { true } else { false } }
  }

  let layers: [Layer]
  /// True when a normalization has running statistics.
  let hasStatistics: Bool
  /// True when the names of tensors end in PyTorch's names of parameters.
  let isNamed: Bool
  /// True when the order alone tells the tensors of a normalization from each other, without counters or names.
  let isOrderUnmarked: Bool

  /// The largest number of tensors in a sequence. The largest published ResNet has 5,000.
  private static let mostTensors = 50_000

  /// The tensors of a normalization, in the order in which PyTorch registers them.
  private static let statistics = ["weight", "bias", "running_mean", "running_var"]

  /// Returns every way to read a state dict as layers. O(tensors).
  ///
  /// There is one way where the names end in PyTorch's names of parameters, or where counters of batches end each
  /// normalization. Otherwise normalizations may have two or four tensors.
  static func all(in stateDict: StateDict) -> [LayerSequence] {
    let entries = stateDict.entries
    guard 8...mostTensors ~= entries.count else { return [] }
    if let modules = byModules(entries) { return [modules] }
    if hasKnownLeaves(entries) || !areModulesWhole(entries) || isAlphabetical(entries.map(\.name)) {
      return []
    }
    let hasCounters = entries.contains { $0.tensor.shape.isEmpty }
    return (hasCounters ? [4] : [4, 2]).compactMap {
      byOrder(entries, size: $0, hasCounters: hasCounters)
    }
  }

  private init(_ layers: [Layer], isNamed: Bool, isOrderUnmarked: Bool) {
    self.layers = layers
    self.isNamed = isNamed
    hasStatistics = layers.contains { $0.tensors.contains { $0.leaf == "running_var" } }
    self.isOrderUnmarked = isOrderUnmarked && hasStatistics
  }

  // MARK: By the names of parameters

  private static let leaves = Set(statistics + ["num_batches_tracked"])

  /// Returns true when names are in alphabetical order, so that the order of registration is lost.
  ///
  /// Names that differ only in a number of equal length, such as `t001`, `t002`, keep the order that numbered them.
  private static func isAlphabetical(_ names: [String]) -> Bool {
    guard names == names.sorted() else { return false }
    let isNumbered = Set(names.map { $0.filter { !$0.isNumber } }).count == 1
    return !isNumbered || Set(names.map(\.utf8.count)).count > 1
  }

  private static func hasKnownLeaves(_ entries: [StateDict.Entry]) -> Bool {
    entries.allSatisfy { entry in leaves.contains(split(entry.name).leaf) }
  }

  /// Splits a name at its last dot or slash.
  private static func split(_ name: String) -> (module: String, leaf: String) {
    guard let end = name.lastIndex(where: { $0 == "." || $0 == "/" }) else { return ("", name) }
    return (String(name[..<end]), String(name[name.index(after: end)...]))
  }

  /// Returns the layers of modules whose names end in PyTorch's names of parameters; nil when some names do not.
  private static func byModules(_ entries: [StateDict.Entry]) -> LayerSequence? {
    var order: [String] = []
    var modules: [String: [(leaf: String, index: Int)]] = [:]
    for (index, entry) in entries.enumerated() {
      let (module, leaf) = split(entry.name)
      guard leaves.contains(leaf) else { return nil }
      // Counters may come before all others: safetensors' writer puts the widest type first.
      if leaf == "weight" { order.append(module) }
      modules[module, default: []].append((leaf, index))
    }
    guard order.count == modules.count, !isAlphabetical(order) else { return nil }
    var layers: [Layer] = []
    for module in order {
      guard let tensors = modules[module], let layer = layer(tensors, entries) else { return nil }
      layers.append(layer)
    }
    return LayerSequence(layers, isNamed: true, isOrderUnmarked: false)
  }

  private static func layer(_ tensors: [(leaf: String, index: Int)], _ entries: [StateDict.Entry]) -> Layer? {
    func shape(_ leaf: String) -> [Int]? {
      tensors.first { $0.leaf == leaf }.map { entries[$0.index].tensor.shape }
    }
    guard let weight = shape("weight") else { return nil }
    let found = Set(tensors.map(\.leaf))
    if weight.count == 1 {
      let isWhole = [statistics.prefix(2).map { $0 }, statistics, statistics + ["num_batches_tracked"]]
        .contains {
          found == Set($0)
        }
      guard isWhole, tensors.allSatisfy({ $0.leaf == "num_batches_tracked" || shape($0.leaf) == weight })
      else { return nil }
      return Layer(kind: .normalization(weight[0]), tensors: tensors)
    }
    guard found.isSubset(of: ["weight", "bias"]), let kind = kind(weight) else { return nil }
    guard shape("bias").map({ $0 == [weight[0]] }) ?? true else { return nil }
    return Layer(kind: kind, tensors: tensors)
  }

  private static func kind(_ shape: [Int]) -> Layer.Kind? {
    switch shape.count {
    case 4 where shape[2] == shape[3]: .convolution(outputs: shape[0], inputs: shape[1], kernel: shape[2])
    case 3 where shape[0] == 1 && shape[1] == 1: .channelConvolution
    case 2: .linear(outputs: shape[0], inputs: shape[1])
    default: nil
    }
  }

  // MARK: By order and shapes alone

  /// Returns the layers of tensors in PyTorch's order of registration, whatever their names; nil when shapes do not
  /// fit.
  ///
  /// - Parameter size: the number of vectors of a normalization: 4 with running statistics, else 2.
  private static func byOrder(_ entries: [StateDict.Entry], size: Int, hasCounters: Bool) -> LayerSequence? {
    var layers: [Layer] = []
    var index = 0
    while index < entries.count {
      guard let kind = kind(entries[index].tensor.shape) else { return nil }
      layers.append(Layer(kind: kind, tensors: [("weight", index)]))
      let outputs = entries[index].tensor.shape[0]
      index += 1
      var rest = index
      while rest < entries.count, entries[rest].tensor.shape.count < 2 { rest += 1 }
      let vectors = (index..<rest).filter { entries[$0].tensor.shape.count == 1 }.count
      // One vector more than the normalizations have is the bias of the layer.
      if vectors % size == 1 {
        guard entries[index].tensor.shape == [outputs] else { return nil }
        layers[layers.count - 1].tensors.append(("bias", index))
        index += 1
      } else if vectors % size != 0 {
        return nil
      }
      while index < rest {
        let shape = entries[index].tensor.shape
        let end = index + size
        guard shape.count == 1, end <= rest,
          (index..<end).allSatisfy({
            entries[$0].tensor.shape == shape && entries[$0].tensor.dtype.kind == .floatingPoint
          })
        else { return nil }
        var tensors = zip(statistics, index..<end).map { (leaf: $0, index: $1) }
        index = end
        if hasCounters {
          guard index < rest, entries[index].tensor.shape.isEmpty else { return nil }
          tensors.append(("num_batches_tracked", index))
          index += 1
        }
        layers.append(Layer(kind: .normalization(shape[0]), tensors: tensors))
      }
    }
    return LayerSequence(layers, isNamed: false, isOrderUnmarked: !hasCounters)
  }

  /// Returns true when no name contradicts the order: names with dots that have PyTorch's names of parameters are
  /// read by modules, so names of other kinds have no modules to compare.
  private static func areModulesWhole(_ entries: [StateDict.Entry]) -> Bool {
    // A mixture of PyTorch's names and others is a file that order alone does not explain.
    !entries.contains {
      ["running_mean", "running_var", "num_batches_tracked"].contains(split($0.name).leaf)
    }
  }
}
