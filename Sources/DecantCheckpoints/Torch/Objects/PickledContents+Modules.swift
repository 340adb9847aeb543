internal import DecantBytes
internal import DecantPickle

/// The meaning of the state of PyTorch's own classes: modules, graph modules, quantised layers, optimizers.
///
/// Source: PyTorch `torch/nn/modules/module.py`, `torch/fx/graph_module.py`, `torch/ao/nn/quantized/modules/conv.py`,
/// `torch/optim/optimizer.py`; docs/formats/torch-objects.md.
extension PickledContents {
  /// Returns the children of a pickled `torch.nn.Module`; nil when the state is not a module's.
  ///
  /// Parameters, buffers and modules come first, under their PyTorch names and in PyTorch's order. Every other
  /// attribute follows.
  mutating func moduleChildren(_ state: PickleValue, _ visit: Visit, _ place: Int) -> [Visit]? {
    guard let pairs = graph.dictionary(state) else { return nil }
    func inner(_ name: String) -> [PicklePair]? {
      pairs.first { graph.isText($0.key, name) }.flatMap { graph.mappingPairs($0.value) }
    }
    guard let parameters = inner("_parameters"), let modules = inner("_modules") else { return nil }
    let buffers = inner("_buffers") ?? []
    guard budget.admit(visits: pairs.count + parameters.count + modules.count + buffers.count) else {
      return []
    }
    let stateDict = moduleStateDict(visit, place)
    func visits(_ pairs: [PicklePair], _ role: CheckpointTensor.Role?) -> [Visit] {
      pairs.map { Visit(value: $0.value, parent: place, key: key($0.key), role: role, stateDict: stateDict) }
    }
    // Non-persistent buffers belong to the module but not to its state dict.
    let names =
      pairs.first { graph.isText($0.key, "_non_persistent_buffers_set") }
      .flatMap { graph.elements($0.value) } ?? []
    guard budget.admit(visits: names.count) else { return [] }
    let unsaved = Set(names.compactMap { graph.text($0).map(ExactText.init) })
    let listedBuffers = visits(buffers, .buffer).map { visit in
      guard case .text(let name)? = visit.key, unsaved.contains(ExactText(name)) else { return visit }
      return Visit(
        value: visit.value, parent: place, key: visit.key, role: .buffer, stateDict: .outside(.unsavedBuffer))
    }
    let own = ["_parameters", "_buffers", "_modules"]
    let others = pairs.filter { pair in !own.contains { graph.isText(pair.key, $0) } }
    return visits(parameters, .parameter) + listedBuffers + visits(modules, nil)
      + others.map {
        Visit(value: $0.value, parent: place, key: key($0.key), stateDict: .outside(.attribute))
      }
  }

  /// Returns the children of a module whose state is an argument of the call that makes it, or is inside one; nil when
  /// there is no such state, or several.
  ///
  /// Classes that carry their own source code are pickled this way: `_reconstruct_persistent_obj({…, "state": {…}})`.
  mutating func moduleChildren(ofCall arguments: [PickleValue], _ visit: Visit, _ place: Int) -> [Visit]? {
    guard 1...8 ~= arguments.count,
      let found = nestedState(
        among: arguments.enumerated().map { ("__args__.\($0)", $1, !graph.isPlain($1)) }, depth: 3)
    else { return nil }
    return moduleChildren(found, visit, place)
  }

  /// Returns the children of a module whose state is inside the state that BUILD sets, such as that of a class with
  /// slots; nil when there is no such state, or several.
  mutating func moduleChildren(insideState state: PickleValue, _ visit: Visit, _ place: Int) -> [Visit]? {
    let isMapping = graph.dictionary(state) != nil
    guard let found = nestedState(in: state, isMapping ? "" : "__setstate__", depth: 2) else { return nil }
    return moduleChildren(found, visit, place)
  }

  private mutating func moduleChildren(_ found: NestedState, _ visit: Visit, _ place: Int) -> [Visit]? {
    guard let children = moduleChildren(found.state, visit, place) else { return nil }
    return children
      + found.others.map {
        Visit(value: $0.value, parent: place, key: .text($0.name), stateDict: .outside(.attribute))
      }
  }

  /// The state of a module inside containers, and the values beside it with the names of their paths.
  private struct NestedState {
    let state: PickleValue
    var others: [(name: String, value: PickleValue)] = []
  }

  /// Returns the state of the only module inside a value; nil when it holds no module, or several. O(values) up to `depth`.
  private mutating func nestedState(in value: PickleValue, _ name: String, depth: Int) -> NestedState? {
    if isModuleState(value) { return NestedState(state: value) }
    guard depth > 0, case .node(let id) = value, (withoutModuleState[id] ?? 0) < depth else { return nil }
    let prefix = name.isEmpty ? "" : name + "."
    let pairs = members(of: value)
    var inner: [(name: String, value: PickleValue, isListed: Bool)] = []
    if 1...64 ~= pairs.count {
      inner = pairs.map { (prefix + key($0.key).name, $0.value, true) }
    } else if let elements = graph.tuple(value) ?? graph.list(value), 1...8 ~= elements.count {
      inner = elements.enumerated().map { (prefix + String($0), $1, !graph.isPlain($1)) }
    }
    if let found = nestedState(among: inner, depth: depth - 1) { return found }
    withoutModuleState[id] = depth
    return nil
  }

  /// Returns the only module's state in several values. Those beside it are kept if they are to be listed.
  private mutating func nestedState(
    among values: [(name: String, value: PickleValue, isListed: Bool)], depth: Int
  ) -> NestedState? {
    var found: NestedState?
    var others: [(name: String, value: PickleValue)] = []
    for (name, value, isListed) in values {
      if let state = nestedState(in: value, name, depth: depth) {
        guard found == nil else { return nil }
        found = state
      } else if isListed {
        others.append((name, value))
      }
    }
    found?.others += others
    return found
  }

  /// Returns the pairs of a mapping, also of a class derived from `dict`; empty for other values.
  func members(of value: PickleValue) -> [PicklePair] {
    graph.mappingPairs(value) ?? graph.object(value)?.pairs ?? []
  }

  /// Returns true for the state of a pickled `torch.nn.Module`: a dictionary with `_parameters` and `_modules`.
  private func isModuleState(_ value: PickleValue) -> Bool {
    // PyTorch sets both first. A longer search could be repeated for every call that shares a long dictionary.
    guard let pairs = graph.dictionary(value)?.prefix(64) else { return false }
    return ["_parameters", "_modules"].allSatisfy { name in
      pairs.contains { graph.isText($0.key, name) && graph.mappingPairs($0.value) != nil }
    }
  }

  /// Returns the state dict of a module's contents: that of the outermost module.
  private func moduleStateDict(_ visit: Visit, _ place: Int) -> StateDictScope {
    switch visit.stateDict {
    case .module, .outside: visit.stateDict
    case .none, .mapping: .module(place)
    }
  }

  /// Returns true when an object's state is that of a module.
  func isModule(_ object: PickleObject) -> Bool {
    object.states.contains { isModuleState($0) }
  }

  /// The functions that rebuild a `torch.fx.GraphModule`. In PyTorch they run source text from the dictionary
  /// argument.
  var graphModules: [String] {
    ["reduce_graph_module", "reduce_package_graph_module", "reduce_deploy_graph_module"]
      .map { "torch.fx.graph_module." + $0 }
  }

  /// Lists a graph module, made by `(dictionary, …)`. The dictionary is a module's state. Returns false when it is
  /// not.
  mutating func listGraphModule(
    _ arguments: [PickleValue], _ type: String, _ visit: Visit, _ place: Int
  ) -> Bool {
    guard let first = arguments.first, let children = moduleChildren(first, visit, place) else {
      return false
    }
    add(place, type, nil)
    push(
      children
        + arguments.enumerated().dropFirst().map {
          Visit(value: $1, parent: place, key: .text("__args__.\($0)"))
        })
    return true
  }

  /// Lists a TorchScript object, made by `(contents, class)`. Its packed weights and biases get the paths that the
  /// state dict of the same module has.
  mutating func listScriptObject(
    _ state: PickleValue, _ type: String, _ visit: Visit, _ place: Int
  ) -> Bool {
    guard let parts = graph.tuple(state), parts.count == 2, let name = graph.text(parts[1]),
      budget.listsText(byteCount: name.utf8.count)
    else { return false }
    add(place, type, .string(name))
    push([Visit(value: parts[0], parent: place, key: nil, stateDict: inherited(visit.stateDict))])
    return true
  }

  private static let quantizedConvolution = [
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed",
    "output_padding", "groups", "padding_mode", "weight", "bias", "scale", "zero_point", "training",
  ]

  /// Returns the children of a quantised convolution, whose state is a tuple; nil otherwise. Weight and bias come
  /// first, as in its state dict.
  func quantizedChildren(_ state: PickleValue, _ type: String, _ visit: Visit, _ place: Int) -> [Visit]? {
    let names = Self.quantizedConvolution
    guard type.hasPrefix("torch.") || type.hasPrefix("__torch__.torch."), type.contains("quantized"),
      type.contains("Conv"),
      let parts = graph.tuple(state), parts.count == names.count, graph.object(parts[10]) != nil
    else { return nil }
    let stateDict = moduleStateDict(visit, place)
    let order = [10, 11, 12, 13] + Array(0..<10) + [14]
    return order.map {
      Visit(value: parts[$0], parent: place, key: .text(names[$0]), stateDict: stateDict)
    }
  }

  /// Numbers the parameters of an optimizer as `state_dict()` does. Returns false when the state is not an
  /// optimizer's.
  mutating func numberParameters(_ pairs: [PicklePair]) -> Bool {
    guard pairs.contains(where: { graph.isText($0.key, "state") }),
      let groups = pairs.first(where: { graph.isText($0.key, "param_groups") }).flatMap({
        graph.list($0.value)
      })
    else { return false }
    var number: Int64 = 0
    for group in groups {
      let parameters =
        graph.dictionary(group)?.first { graph.isText($0.key, "params") }
        .flatMap { graph.list($0.value) } ?? []
      guard budget.admit(visits: parameters.count) else { return true }
      for parameter in parameters {
        if case .node(let id) = parameter, parameterNumbers[id] == nil { parameterNumbers[id] = number }
        number += 1
      }
    }
    return true
  }

  /// Returns the records of `_metadata` for each module; nil when they exceed the listing's limits.
  mutating func moduleVersions(_ pairs: [PicklePair]) -> [ModuleVersion]? {
    guard budget.listsModules(pairs.count) else { return nil }
    var versions: [ModuleVersion] = []
    for pair in pairs {
      let byteCount = graph.textByteCount(pair.key)
      guard budget.listsText(byteCount: byteCount), let path = graph.text(pair.key) else { return nil }
      let members = graph.mappingPairs(pair.value) ?? []
      var version: Int64?
      // PyTorch writes one or two members, so only the first few are searched.
      if case .int(let number)? = members.prefix(8).first(where: { graph.isText($0.key, "version") })?.value {
        version = number
      }
      versions.append(ModuleVersion(path: path, version: version))
    }
    return versions
  }
}
