package import DecantGraphs
internal import DecantTensors

extension ResNetIdentification {
  /// Returns the names of tensors that continue the network after its graph, or change the head's input, in the file's
  /// order.
  ///
  /// Examples: a second fully connected layer, a normalization of the pooled features, a head with another structure.
  /// No other code decides this.
  ///
  /// A matrix continues the network when its number of inputs is the graph's number of outputs. The next matrix must
  /// then read as many numbers as this one outputs. Tensors outside the network's prefix belong to a larger model, such
  /// as a detector or a pretraining task. The exception is a classifier next to the network. O(tensors × layers of the
  /// head).
  package func headContinuation(of graph: Graph) -> [String] {
    HeadContinuation(self, graph).names
  }
}

/// The search for tensors that continue a network.
private struct HeadContinuation {
  /// A tensor of the file that the graph does not have.
  private struct Rest {
    let name: String
    /// The parts of the name after the network's prefix; outside the prefix, the parts after what both have in common.
    let steps: [Substring]
    let shape: [Int]
    let isInside: Bool

    /// The parts of the name without the last, which names the tensor in its module.
    var module: ArraySlice<Substring> { steps.dropLast() }
    var isWeight: Bool {
      guard let last = steps.last else { return false }
      return last.hasPrefix("weight") || last.hasPrefix("kernel") || last.hasPrefix("original")
    }
    /// The number of outputs and inputs of a matrix, also when it is stored as a 1×1 convolution; nil for other
    /// tensors.
    var matrix: (outputs: Int, inputs: Int)? {
      shape.count >= 2 && shape.dropFirst(2).allSatisfy { $0 == 1 } ? (shape[0], shape[1]) : nil
    }
    /// True when the tensor belongs to more than a head: to a convolution or to attention.
    var isOfNetwork: Bool {
      shape.count > 2 && shape.dropFirst(2).contains { $0 > 1 }
        || steps.contains { $0.contains("attn") || $0.contains("attention") || $0.hasPrefix("in_proj") }
    }
  }

  /// The largest number of layers in a head. Real heads have fewer.
  private static let mostLayers = 64

  /// The names of the tensors found, in the file's order.
  let names: [String]

  init(_ identification: ResNetIdentification, _ graph: Graph) {
    let rest = Self.rest(identification.naming, graph)
    guard !rest.isEmpty else {
      names = []
      return
    }
    let configuration = identification.configuration
    let features = configuration.lastConvolution ?? configuration.stages.last?.outputChannels ?? 0
    let hasHead = configuration.classes > 0
    let isLargerInside = rest.contains { $0.isInside && $0.isOfNetwork }
    let isLarger = rest.contains(where: \.isOfNetwork)
    var widths: Set<Int> = [hasHead ? configuration.classes : features]
    var found: Set<Int> = []

    /// Returns whether a tensor's name allows it to be part of the head. It is `certain` when its width does not
    /// matter.
    func mayContinue(_ entry: Rest) -> (possible: Bool, certain: Bool) {
      if entry.isInside {
        let isNamed = entry.module.first.map { Self.isHead($0) } ?? false
        return (isNamed || (!isLargerInside && !entry.module.contains { Self.isPretraining($0) }), isNamed)
      }
      // Accepts `fc` or `head.fc1` next to a network with the prefix `backbone`.
      let steps =
        entry.module.first.map { ["head", "heads"].contains($0) } == true
        ? entry.module.dropFirst() : entry.module
      return (!hasHead && !isLarger && steps.first.map { Self.isClassifier($0) } == true, false)
    }

    var isGrowing = true
    var layerCount = 0
    while isGrowing, layerCount < Self.mostLayers {
      isGrowing = false
      layerCount += 1
      for (index, entry) in rest.enumerated() where !found.contains(index) && entry.isWeight {
        guard let matrix = entry.matrix else { continue }
        let (possible, certain) = mayContinue(entry)
        // Two layers that both read the features are two separate heads, not one deeper head.
        let fits = widths.contains(matrix.inputs) || (certain && !(hasHead && matrix.inputs == features))
        guard possible, fits else { continue }
        found.insert(index)
        widths.insert(matrix.outputs)
        isGrowing = true
      }
    }
    // Finds normalization layers of the head's inputs and outputs.
    let normalized = widths.union([features])
    let modules = Dictionary(grouping: rest.indices) { rest[$0].module }
    for (_, members) in modules where members.allSatisfy({ rest[$0].shape.count <= 1 }) {
      let last = Set(members.compactMap { rest[$0].steps.last })
      guard last.contains("weight"), last.contains("bias") || last.contains("running_mean"),
        let size = members.compactMap({ rest[$0].shape.first }).first, size > 1, normalized.contains(size)
      else { continue }
      let (possible, certain) = mayContinue(rest[members[0]])
      if possible || certain { found.formUnion(members) }
    }
    // Adds the other tensors of the same modules and of their sibling modules.
    let own = Set(found.map { rest[$0].module })
    let containers = Set(own.map { $0.dropLast() }.filter { !$0.isEmpty })
    for (index, entry) in rest.enumerated()
    where own.contains(entry.module) || containers.contains(entry.module.dropLast()) {
      found.insert(index)
    }
    names = found.sorted().map { rest[$0].name }
  }

  /// Returns the tensors that the graph does not have, except those inside the modules of its stem and stages.
  private static func rest(_ naming: ResNetTensorNameMap, _ graph: Graph) -> [Rest] {
    func steps(_ name: String) -> [Substring] {
      name.split(separator: ".", omittingEmptySubsequences: false)
    }
    func behindPrefix(_ name: String) -> String {
      String(Substring(name.utf8.dropFirst(naming.prefix.utf8.count)))
    }
    let prefix = steps(naming.prefix)
    var known: Set<String> = []
    var trunk: Set<Substring> = []
    for parameter in graph.parameters {
      known.insert(parameter.name)
      let isHead = ["fc.", "head.", "attnpool."].contains { parameter.name.hasPrefix($0) }
      if !isHead, let first = steps(behindPrefix(naming.spelling(of: parameter.name))).first {
        trunk.insert(first)
      }
    }
    return naming.entries.compactMap { entry in
      guard entry.canonical.map({ !known.contains($0) }) ?? true else { return nil }
      let isInside = entry.name.utf8.starts(with: naming.prefix.utf8)
      var all = steps(isInside ? behindPrefix(entry.name) : entry.name)
      if !isInside { all.removeFirst(min(zip(all, prefix).prefix { $0 == $1 }.count, all.count - 1)) }
      guard !isInside || !(all.first.map { trunk.contains($0) } ?? false) else { return nil }
      return Rest(name: entry.name, steps: all, shape: entry.tensor.shape, isInside: isInside)
    }
  }

  private static func isHead(_ step: Substring) -> Bool {
    let step = step.lowercased()
    return [
      "fc", "head", "classif", "cls", "clf", "linear", "last_linear", "logit", "dense", "output", "mlp",
      "final",
    ]
    .contains { step.hasPrefix($0) }
  }

  /// Returns true for names that only classifiers have. `head` and `mlp` are also used for pretraining projections.
  private static func isClassifier(_ step: Substring) -> Bool {
    let step = step.lowercased()
    return ["fc", "classifier", "cls", "clf", "linear", "last_linear", "logits"].contains { name in
      step.hasPrefix(name) && step.dropFirst(name.count).allSatisfy { $0.isNumber || $0 == "_" }
    }
  }

  /// Returns true for modules that only pretraining uses. A network without them is complete.
  private static func isPretraining(_ step: Substring) -> Bool {
    let step = step.lowercased()
    return ["project", "predict", "prototype", "queue", "memory", "center", "proxies"].contains {
      step.hasPrefix($0)
    }
  }
}
