internal import DecantBytes
internal import DecantPickle

/// The parts of a mapping that are certainly an optimizer's: the values of its parameters, and its parameter groups.
///
/// Everything else in that mapping, such as an average of the weights, may be weights.
extension PickledContents {
  /// The keys of a mapping that hold an optimizer's values.
  struct OptimizerParts {
    var hasState = false
    /// The key of the parameter groups; nil when the mapping is no optimizer's.
    var groups: String?

    /// Returns the state dict of the values below a key.
    func scope(of key: PathKey, else other: StateDictScope) -> StateDictScope {
      switch (key, other) {
      case (.text("state"), _) where hasState: .outside(.optimizer)
      case (.text(let name), _) where name == groups: .outside(.optimizer)
      // A parameter group lists numbers. Tensors in their place are weights.
      case (.text("params"), .outside(.optimizer)): .none
      default: other
      }
    }
  }

  /// Returns the parts of a mapping that hold an optimizer's values.
  mutating func optimizerParts(_ pairs: [PicklePair]) -> OptimizerParts {
    func value(_ name: String) -> PickleValue? {
      pairs.prefix(64).first { graph.isText($0.key, name) }?.value
    }
    guard let state = value("state") else { return OptimizerParts() }
    if let groups = value("param_groups") {
      return OptimizerParts(hasState: isOptimizerState(state, groups), groups: "param_groups")
    }
    // fastai lists the values of each parameter in order.
    guard value("hypers") != nil, graph.list(state) != nil else { return OptimizerParts() }
    return OptimizerParts(hasState: isOptimizerState(state, .none), groups: "hypers")
  }

  /// Returns true when every value of a `state` is that of one parameter. O(values), once for each `state`.
  private mutating func isOptimizerState(_ state: PickleValue, _ groups: PickleValue) -> Bool {
    guard case .node(let id) = state else { return true }
    if let known = optimizerStates[id] { return known }
    var result = true
    if let elements = graph.list(state) ?? graph.tuple(state) {
      result = elements.allSatisfy { isState(ofParameter: nil, $0, depth: 3) }
    } else {
      let pairs = members(of: state)
      let names = Set(
        pairs.contains { graph.text($0.key) != nil } ? parameterNames(groups) : [])
      result =
        (!pairs.isEmpty || graph.isPlain(state) || isEmptyMapping(state))
        && pairs.allSatisfy { pair in
          let name = graph.text(pair.key)
          let isListed = name.map { names.contains(ExactText($0)) } ?? true
          return isState(ofParameter: isListed ? nil : name, pair.value, depth: 3)
        }
    }
    optimizerStates[id] = result
    return result
  }

  /// Returns true when a value can be an optimizer's state of a parameter: a mapping without the names of weights.
  ///
  /// - Parameter name: the parameter's name when no parameter group lists it. Its values then need known names.
  private func isState(ofParameter name: String?, _ value: PickleValue, depth: Int) -> Bool {
    if graph.isPlain(value) || isEmptyMapping(value) { return true }
    let pairs = members(of: value)
    // Optimizers keep few values for a parameter.
    guard depth > 0, 1...256 ~= pairs.count else { return false }
    return pairs.allSatisfy { pair in
      if graph.isPlain(pair.value) { return true }
      if let key = graph.text(pair.key),
        OptimizerState.isWeightName(key) || name != nil && !OptimizerState.isKnown(key)
      {
        return false
      }
      if let object = graph.object(pair.value), isModule(object) { return false }
      return members(of: pair.value).isEmpty || isState(ofParameter: name, pair.value, depth: depth - 1)
    }
  }

  private func isEmptyMapping(_ value: PickleValue) -> Bool {
    guard let object = graph.object(value), object.pairs.isEmpty, object.items.isEmpty else { return false }
    return ["collections.OrderedDict", "collections.defaultdict"].contains(
      graph.global(object.callable)?.qualifiedName ?? "") && members(of: value).isEmpty
  }

  /// Returns the names of the parameters that parameter groups list.
  private mutating func parameterNames(_ groups: PickleValue) -> [ExactText] {
    var names: [ExactText] = []
    for group in graph.list(groups) ?? graph.tuple(groups) ?? [] {
      let parameters =
        members(of: group).prefix(64).first { graph.isText($0.key, "params") }
        .flatMap { graph.list($0.value) } ?? []
      guard budget.admit(visits: parameters.count) else { return names }
      names += parameters.compactMap { graph.text($0).map(ExactText.init) }
    }
    return names
  }
}
