internal import DecantBytes
internal import DecantGraphs

/// Evidence about the functions and normalizations in a head.
///
/// TorchScript's code shows all of them. Of a pickled module, only a Sequential shows what runs, and in which order: its
/// children in the order of the file.
struct HeadEvidence {
  private(set) var items: [ResNetEvidence.Item] = []
  /// True when the file has code after the head that cannot be followed.
  private(set) var isOutputOpen = false
  private let source: ResNetEvidence.Source
  private let place: String

  /// Reads the attributes of pickled modules.
  init(_ naming: ResNetTensorNameMap, _ tree: ModuleTree) {
    (source, place) = (.attribute, "module attributes")
    let paths = naming.headPaths
    guard !paths.isEmpty else { return }
    read(naming, tree, SequentialOrder(tree).steps(around: paths))
  }

  /// Reads the code of a TorchScript archive.
  ///
  /// - Parameters:
  ///   - modules: the modules with plain class names, and the literals of their calls as attributes.
  ///   - script: the code by class name.
  ///   - tree: the modules with the class names of the code.
  init(
    _ naming: ResNetTensorNameMap, _ modules: ModuleTree, _ script: [String: String], _ tree: ModuleTree
  ) {
    (source, place) = (.code, "TorchScript code")
    let paths = naming.headPaths
    guard !paths.isEmpty else { return }
    let steps = ScriptChain.steps(around: paths, script, tree)
    isOutputOpen = steps.isOutputOpen
    read(naming, modules, steps)
  }

  /// A step of a head other than its layers.
  enum Step: Equatable {
    case function(VectorFunction, text: String)
    /// A step that is not supported, with a clause that names it.
    case other(String)
  }

  /// The steps before, between and after the layers of a head; nil where nothing shows them.
  struct Steps {
    var before: [Step]?
    var between: [[Step]?]
    var after: [Step]?
    /// True when the file has code after the head that cannot be followed.
    var isOutputOpen = false
  }

  private mutating func add(
    _ name: String, _ value: String, _ detail: String, _ setting: ResNetEvidence.Setting? = nil
  ) {
    items.append(ResNetEvidence.Item(name, value, source, place: place, detail, setting: setting))
  }

  private mutating func read(_ naming: ResNetTensorNameMap, _ tree: ModuleTree, _ steps: Steps) {
    let layers = naming.head.members.map(\.layer)
    let paths = naming.headPaths
    for (index, path) in paths.enumerated() {
      guard let kind = tree.kind(path) else { continue }
      let layer = layers.isEmpty ? nil : layers[index]
      let expected =
        layer?.classNames ?? ["Linear", "NonDynamicallyQuantizableLinear", "LazyLinear", "Conv2d"]
      // Other classes of fully connected layers compute what their names say, such as a cosine.
      if !expected.contains(kind) {
        return add("head", "the head's layer \(path) is a \(kind)", path, .otherHead)
      }
      if layer?.isLayerNormalizationWithoutBias == true {
        add("head_normalization", ResNetHeadLayer.normalizationWithoutBias, "\(path) is \(kind)")
      }
    }
    readEpsilons(naming, tree)
    var functions: [[VectorFunction]] = []
    var details: [String] = []
    for (steps, layer) in zip(steps.between, layers.dropFirst()) where layer.gap != .closed {
      guard let steps else { break }
      guard let found = supported(steps, "head_activation", "between its layers") else { return }
      functions.append(found)
      details.append(Self.text(steps))
    }
    let texts = functions.map(\.text)
    if !functions.isEmpty, functions.count == layers.placeCount {
      add(
        "head_activation",
        texts.allSatisfy { $0 == texts[0] } ? texts[0] : texts.joined(separator: ", "),
        details.joined(separator: "; "), .headActivations(functions))
    }
    if let steps = steps.before, !steps.isEmpty || naming.hasModulesBeforeHead {
      guard let found = supported(steps, "head_input", "to the features") else { return }
      add(
        "head_input", found.text, steps.isEmpty ? "nothing before the first layer" : Self.text(steps),
        .headInput(found))
    }
    if let steps = steps.after, !steps.isEmpty {
      guard let found = supported(steps, "output_activation", "to the logits") else { return }
      add("output_activation", found.text, Self.text(steps), .outputFunctions(found))
    }
  }

  private static func text(_ steps: [Step]) -> String {
    let texts = steps.map { step in
      switch step {
      case .function(_, let text), .other(let text): text
      }
    }
    return texts.isEmpty ? "nothing between two layers" : texts.joined(separator: ", ")
  }

  /// Returns the functions of steps; nil, with an item that says so, when one is not supported.
  private mutating func supported(_ steps: [Step], _ name: String, _ where: String) -> [VectorFunction]? {
    var functions: [VectorFunction] = []
    for step in steps {
      switch step {
      case .function(let function, _): functions.append(function)
      case .other(let text):
        add(name, "the head applies \(text) \(`where`)", text, .otherHead)
        return nil
      }
    }
    return functions
  }

  /// Reads the number that each normalization of the head adds to the variance.
  private mutating func readEpsilons(_ naming: ResNetTensorNameMap, _ tree: ModuleTree) {
    var epsilons: [Int: Double] = [:]
    var details: [String] = []
    for (index, member) in naming.head.members.enumerated() where !member.layer.isLinear {
      guard let epsilon = tree.value(member.path, "eps")?.double, epsilon >= 0, epsilon.isFinite else {
        continue
      }
      epsilons[index] = epsilon
      details.append("\(member.path).eps \(epsilon)")
    }
    guard !epsilons.isEmpty else { return }
    add(
      "head_epsilon", Set(epsilons.values).sorted().map { "\($0)" }.joined(separator: ", "),
      details.joined(separator: ", "), .headEpsilons(epsilons))
  }
}

/// The order in which the children of Sequentials run.
private struct SequentialOrder {
  let tree: ModuleTree
  /// The paths of each module's children, in the file's order.
  private var children: [String: [String]] = [:]

  init(_ tree: ModuleTree) {
    self.tree = tree
    for path in tree.order where !path.isEmpty {
      children[HeadChain.container(path), default: []].append(path)
    }
  }

  /// The largest number of modules to list.
  private static let mostModules = 4096

  /// Returns the steps around the layers of a head.
  func steps(around paths: [String]) -> HeadEvidence.Steps {
    var steps = HeadEvidence.Steps(between: paths.dropFirst().map { _ in nil })
    for (index, (one, other)) in zip(paths, paths.dropFirst()).enumerated() {
      let order = leaves(of: common(one, other))
      if let first = order.firstIndex(of: one), let last = order.firstIndex(of: other), first < last {
        steps.between[index] = order[(first + 1)..<last].compactMap(step)
      }
    }
    if let first = paths.first {
      let order = leaves(of: outermost(HeadChain.container(first)))
      if let index = order.firstIndex(of: first) {
        // Modules of the network itself come before its head.
        let start = order[..<index].lastIndex { isOutsideHead($0) }.map { $0 + 1 } ?? 0
        steps.before = order[start..<index].compactMap(step)
      }
    }
    if let last = paths.last {
      let order = leaves(of: outermost(HeadChain.container(last)))
      if let index = order.firstIndex(of: last) { steps.after = order[(index + 1)...].compactMap(step) }
    }
    return steps
  }

  private func isOutsideHead(_ path: String) -> Bool {
    guard let kind = tree.kind(path) else { return true }
    return kind.contains("Pool") || !(children[path] ?? []).isEmpty
      || ["Conv2d", "BatchNorm2d"].contains(kind)
  }

  private func isSequential(_ path: String) -> Bool {
    tree.kind(path) == "Sequential" && !tree.altered.contains(path)
  }

  /// Returns the path that two paths have in common.
  private func common(_ one: String, _ other: String) -> String {
    zip(one.split(separator: "."), other.split(separator: ".")).prefix { $0 == $1 }.map { String($0.0) }
      .joined(separator: ".")
  }

  /// Returns the outermost of the Sequentials that contain one another.
  private func outermost(_ path: String) -> String {
    var path = path
    while isSequential(path), !path.isEmpty, isSequential(HeadChain.container(path)) {
      path = HeadChain.container(path)
    }
    return path
  }

  /// Returns the modules in a Sequential and in the Sequentials inside it, in the order in which they run.
  private func leaves(of path: String) -> [String] {
    var found: [String] = []
    var rest = [path]
    while let path = rest.popLast(), found.count < Self.mostModules {
      if isSequential(path) {
        rest += (children[path] ?? []).reversed()
      } else if path != "" {
        found.append(path)
      }
    }
    return found
  }

  /// Returns the step that a module without tensors is in inference; nil when it does nothing.
  private func step(_ path: String) -> HeadEvidence.Step? {
    let kind = tree.kind(path) ?? ""
    let text = "\(path) is \(kind)"
    func number(_ attribute: String, _ usual: Double) -> Double {
      tree.value(path, attribute)?.double ?? usual
    }
    func function(_ function: VectorFunction) -> HeadEvidence.Step { .function(function, text: text) }
    let other = HeadEvidence.Step.other("\(kind) (\(path))")
    guard !tree.altered.contains(path) else { return other }
    switch kind {
    case "Identity", "Flatten", "Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout": return nil
    case "ReLU": return function(.relu)
    case "ReLU6": return function(.relu6)
    case "LeakyReLU": return function(.leakyReLU(slope: number("negative_slope", 0.01)))
    case "GELU":
      // Before PyTorch 1.12 there was no approximation.
      switch tree.value(path, "approximate")?.string ?? "none" {
      case "none": return function(.gelu)
      case "tanh": return function(.tanhGELU)
      default: return other
      }
    case "SiLU": return function(.silu)
    case "Tanh": return function(.tanh)
    case "Sigmoid": return function(.sigmoid)
    case "Softmax", "LogSoftmax":
      // Without a dimension, PyTorch takes that of a vector's numbers.
      guard [nil, 1, -1].contains(tree.value(path, "dim")?.double) else { return other }
      return function(kind == "Softmax" ? .softmax : .logSoftmax)
    default: return other
    }
  }
}
