internal import DecantGraphs
internal import DecantTensors

extension ResNetResolution {
  /// Returns the names of tensors that continue the network where its graph ends, or change what its head reads: a second
  /// fully connected layer, a normalization of the pooled features, a head that is built otherwise. In the file's order.
  ///
  /// This is the one place that decides so. A matrix continues the network when it reads as many numbers as the graph
  /// ends with, and what follows it reads as many as it makes. What lies outside the network's prefix belongs to whatever
  /// the network is a part of, such as a detector or a pretraining task, unless it is a classifier beside it.
  /// O(tensors × layers of the head).
  package var headContinuation: [String] {
    HeadContinuation(self).names
  }
}

/// The search for tensors that continue a network.
private struct HeadContinuation {
  /// A tensor that the graph does not have.
  private struct Rest {
    let name: String
    /// The steps behind the network's prefix; for one outside of it, those behind what both have in common.
    let steps: [Substring]
    let shape: [Int]
    let isInside: Bool

    /// Everything but the tensor's own name.
    var module: ArraySlice<Substring> { steps.dropLast() }
    var isWeight: Bool {
      guard let last = steps.last else { return false }
      return last.hasPrefix("weight") || last.hasPrefix("kernel") || last.hasPrefix("original")
    }
    /// Outputs and inputs of a matrix; also of one that is stored as a 1×1 convolution.
    var matrix: (outputs: Int, inputs: Int)? {
      shape.count >= 2 && shape.dropFirst(2).allSatisfy { $0 == 1 } ? (shape[0], shape[1]) : nil
    }
    /// Whether it belongs to a network of more than a head: a convolution, or attention.
    var isOfNetwork: Bool {
      shape.count > 2 && shape.dropFirst(2).contains { $0 > 1 }
        || steps.contains { $0.contains("attn") || $0.contains("attention") || $0.hasPrefix("in_proj") }
    }
  }

  /// Heads are not deeper.
  private static let mostLayers = 64

  /// The names, in the file's order.
  let names: [String]

  init(_ resolution: ResNetResolution) {
    let rest = Self.rest(resolution)
    guard !rest.isEmpty else {
      names = []
      return
    }
    let configuration = resolution.configuration
    let features = configuration.lastConvolution ?? configuration.stages.last?.outputChannels ?? 0
    let hasHead = configuration.classes > 0
    let isLargerInside = rest.contains { $0.isInside && $0.isOfNetwork }
    let isLarger = rest.contains(where: \.isOfNetwork)
    var widths: Set<Int> = [hasHead ? configuration.classes : features]
    var found: Set<Int> = []

    /// Whether a tensor's names allow it to be part of the head at all; `certain` when its width does not matter.
    func mayContinue(_ entry: Rest) -> (possible: Bool, certain: Bool) {
      if entry.isInside {
        let isNamed = entry.module.first.map { Self.isHead($0) } ?? false
        return (isNamed || (!isLargerInside && !entry.module.contains { Self.isPretraining($0) }), isNamed)
      }
      // `fc` or `head.fc1`, where the network is `backbone`.
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
        // Two layers that read the features beside each other are two heads, not one that goes on.
        let fits = widths.contains(matrix.inputs) || (certain && !(hasHead && matrix.inputs == features))
        guard possible, fits else { continue }
        found.insert(index)
        widths.insert(matrix.outputs)
        isGrowing = true
      }
    }
    // Normalizations of what the head reads or makes.
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
    // Whatever stands in the same modules, and between them.
    let own = Set(found.map { rest[$0].module })
    let containers = Set(own.map { $0.dropLast() }.filter { !$0.isEmpty })
    for (index, entry) in rest.enumerated()
    where own.contains(entry.module) || containers.contains(entry.module.dropLast()) {
      found.insert(index)
    }
    names = found.sorted().map { rest[$0].name }
  }

  /// The tensors that the graph does not have, but for those inside the modules of its stages.
  private static func rest(_ resolution: ResNetResolution) -> [Rest] {
    let naming = resolution.naming
    func steps(_ name: String) -> [Substring] {
      name.split(separator: ".", omittingEmptySubsequences: false)
    }
    func behindPrefix(_ name: String) -> String {
      String(Substring(name.utf8.dropFirst(naming.prefix.utf8.count)))
    }
    let prefix = steps(naming.prefix)
    var known: Set<String> = []
    var trunk: Set<Substring> = []
    for parameter in resolution.graph.parameters {
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

  /// Names of layers that a classifier alone has; `head` and `mlp` stand before the projections of pretraining too.
  private static func isClassifier(_ step: Substring) -> Bool {
    let step = step.lowercased()
    return ["fc", "classifier", "cls", "clf", "linear", "last_linear", "logits"].contains { name in
      step.hasPrefix(name) && step.dropFirst(name.count).allSatisfy { $0.isNumber || $0 == "_" }
    }
  }

  /// What only pretraining uses, so that a network without it is whole.
  private static func isPretraining(_ step: Substring) -> Bool {
    let step = step.lowercased()
    return ["project", "predict", "prototype", "queue", "memory", "center", "proxies"].contains {
      step.hasPrefix($0)
    }
  }
}
