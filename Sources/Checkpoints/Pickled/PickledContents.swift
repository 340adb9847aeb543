internal import ByteParsing
internal import Pickle
internal import Tensors

/// Lists everything under a pickle's root: each tensor and each other value with its path, in the file's order.
///
/// The walk keeps its own stack, so depth costs no host stack; shared values are listed under each of their
/// paths, references back to a container that is being listed once. `Limits.paths` and `Limits.depth` bound it.
struct PickledContents {
  private let graph: PickleGraph
  private let reconstruction: TensorReconstruction
  private let limits: Limits
  private(set) var contents = CheckpointContents()
  /// The path to every place visited, as a tree: what a step is and whose child.
  private var places: [Place] = []
  private var budget: ListingBudget
  private var pending: [Visit] = []
  /// Where in `contents.tensors` each object that is a tensor was listed first.
  private var listed: [PickleNodeID: Int] = [:]

  private struct Place {
    let parent: Int
    let key: PathKey
    let depth: Int
    /// Bytes of the text of all steps to here.
    let textBytes: Int
    let node: PickleNodeID?
  }

  /// A value to list, and what its surroundings say of it.
  private struct Visit {
    let value: PickleValue
    /// The place of its container, -1 for the root.
    let parent: Int
    /// nil for the root, and for the `_modules`, `_parameters` and `_buffers` that leave no step.
    let key: PathKey?
    var role: CheckpointTensor.Role?
    /// The place whose direct tensors form a state dict, when this value's container is one.
    var stateDict: StateDictPlace = .none
  }

  private enum StateDictPlace {
    case none
    /// Tensors inside an optimizer belong to no state dict, however deep.
    case optimizer
    /// Tensors directly here belong to the mapping at this place.
    case mapping(Int)
    /// Tensors anywhere below belong to the module at this place.
    case module(Int)
  }

  /// Walks a graph.
  ///
  /// - Throws: ``CheckpointError`` for a tensor whose description is wrong, and beyond the limits.
  ///
  /// - Parameters:
  ///   - path: What messages call the file.
  ///   - nesting: How many containers the file lies in.
  ///   - named: What the persistent ids that are one name stand for, where the container says it apart.
  ///   - takesPlainReferences: Whether the tuple of a storage counts without being a persistent id.
  static func list(
    _ graph: PickleGraph, path: String, nesting: Int, limits: Limits,
    named: [ExactText: PersistentObject] = [:], takesPlainReferences: Bool = false,
    storage: @escaping (StorageReference) throws(CheckpointError) -> Storage
  ) throws(CheckpointError) -> CheckpointContents {
    let inner = InnerFiles(path: path, limits: limits, nesting: nesting)
    let reconstruction = TensorReconstruction(
      graph: graph, limits: limits, storage: storage, inner: inner, named: named,
      takesPlainReferences: takesPlainReferences)
    var walk = PickledContents(graph, limits, reconstruction)
    walk.contents.sources = try graph.moduleSources(limits: limits)
    try walk.run()
    return walk.contents
  }

  private init(_ graph: PickleGraph, _ limits: Limits, _ reconstruction: TensorReconstruction) {
    self.graph = graph
    self.limits = limits
    self.reconstruction = reconstruction
    budget = ListingBudget(limits, values: graph.nodes.count)
  }

  private mutating func run() throws(CheckpointError) {
    pending = [Visit(value: graph.root, parent: -1, key: nil)]
    while let visit = pending.popLast() {
      let before = (pending.count, places.count)
      try list(visit)
      if let refusal = budget.refusal { throw refusal }
      // Nothing below this value is to come, so nobody will ask for its place.
      if pending.count == before.0 { places.removeLast(places.count - before.1) }
    }
  }

  private mutating func list(_ visit: Visit) throws(CheckpointError) {
    var place = visit.parent
    if let key = visit.key {
      let depth = visit.parent < 0 ? 1 : places[visit.parent].depth + 1
      guard depth <= limits.depth else {
        throw CheckpointError("values nest more than \(limits.depth) deep (Limits.depth)")
      }
      var node: PickleNodeID?
      if case .node(let id) = visit.value { node = id }
      let textBytes = key.textByteCount + (visit.parent < 0 ? 0 : places[visit.parent].textBytes)
      places.append(Place(parent: visit.parent, key: key, depth: depth, textBytes: textBytes, node: node))
      place = places.count - 1
    }
    guard case .node(let id) = visit.value else {
      switch visit.value {
      case .bool(let value): add(place, "bool", .bool(value))
      case .int(let value): add(place, "int", .exact(value))
      case .float(let value): add(place, "float", .exact(value))
      default: add(place, "NoneType", .null)
      }
      return
    }
    if visit.key != nil, isOpen(id, above: visit.parent) {
      add(place, "reference to a container that holds it", nil)
      return
    }
    try list(graph[id], id, visit, place)
  }

  /// Whether a container is being listed: the value is inside itself.
  private func isOpen(_ id: PickleNodeID, above parent: Int) -> Bool {
    if graph.root == .node(id) { return true }
    var place = parent
    while place >= 0 {
      if places[place].node == id { return true }
      place = places[place].parent
    }
    return false
  }

  private mutating func list(
    _ node: PickleNode, _ id: PickleNodeID, _ visit: Visit, _ place: Int
  ) throws(CheckpointError) {
    switch node {
    case .longInteger(let bytes):
      if bytes.count <= WideInteger.longestSpelled, budget.listsText(byteCount: 3 * bytes.count) {
        add(place, "int", .string(WideInteger.decimal(bytes)))
      } else {
        add(place, "int", nil, count: bytes.count)
      }
    case .text(let text): addText(.node(id), byteCount: text.utf8.count, place)
    case .byteString(let bytes): addText(.node(id), byteCount: bytes.count, place)
    case .bytes(let bytes): add(place, "bytes", nil, count: bytes.count)
    case .byteArray(let bytes): add(place, "bytearray", nil, count: bytes.count)
    case .list(let elements): addSequence(elements, "list", visit, place)
    case .tuple(let elements): addSequence(elements, "tuple", visit, place)
    case .set(let elements): addSequence(elements, "set", visit, place)
    case .frozenSet(let elements): addSequence(elements, "frozenset", visit, place)
    case .dictionary(let pairs):
      if pairs.isEmpty { add(place, "dict", nil, count: 0) }
      push(pairs: pairs, visit, place)
    case .global(let global): add(place, "global", .string(global.qualifiedName))
    case .persistentID:
      if let tensor = reconstruction.persistentTensor(.node(id)) {
        addTensor(tensor, nil, "", visit, place)
        return
      }
      if place < 0 { contents.rootStorage = try? reconstruction.storage(of: .node(id)) }
      add(place, persistentType(.node(id)), nil)
    case .extensionCode(let code): add(place, "copyreg extension \(code)", nil)
    case .outOfBandBuffer(let index, _): add(place, "out-of-band buffer \(index)", nil)
    case .object(let object): try list(object, id, visit, place)
    }
  }

  // MARK: Objects

  private mutating func list(
    _ object: PickleObject, _ id: PickleNodeID, _ visit: Visit, _ place: Int
  ) throws(CheckpointError) {
    let outcome: TensorReconstruction.Outcome
    if let known = listed[id] {
      outcome = .tensor(contents.tensors[known].tensor)
    } else {
      do throws(CheckpointError) { outcome = try reconstruction.outcome(object) } catch {
        throw error.located(tensor: path(to: place).joinedName)
      }
      if case .tensor = outcome { listed[id] = contents.tensors.count }
    }
    let type =
      (graph.madeClass(object) ?? graph.callable(object.callable))?.qualifiedName ?? "computed name"
    switch outcome {
    case .tensor(let tensor):
      addTensor(tensor, object, type, visit, place)
      listAttached(object, type, place, ofNested: false)
    case .nested(let components):
      add(place, "nested tensor", nil, count: components.count)
      guard budget.admit(visits: components.count) else { return }
      let path = path(to: place)
      for (index, component) in components.enumerated() where budget.refusal == nil {
        addTensor(component, object, type, visit, place, path + [.position(index)])
      }
      listAttached(object, type, place, ofNested: true)
    case .scalar(let type, let value): add(place, type, value)
    case .array(let type, let count, let elements):
      add(place, type, nil, count: count)
      if let elements, !elements.allSatisfy({ graph.isPlain($0) }) {
        addSequence(elements, type, visit, place)
      }
    case .contents(let inner): try graft(inner, place)
    case .unread(let kind):
      contents.objects.append(
        CheckpointObject(path: path(to: place), type: type, value: nil, count: nil, unreadTensor: kind))
    case .noTensor: listPlain(object, type, visit, place)
    }
  }

  /// Lists what a file within the pickle holds below the place where it stands.
  private mutating func graft(_ inner: CheckpointContents, _ place: Int) throws(CheckpointError) {
    guard budget.admit(visits: inner.tensors.count + inner.objects.count) else { return }
    let steps = path(to: place)
    for entry in inner.tensors {
      guard budget.admit(steps: entry.path.count + steps.count, textBytes: 0) else { return }
      contents.tensors.append(entry.moved(below: steps))
    }
    for object in inner.objects {
      guard budget.admit(steps: object.path.count + steps.count, textBytes: 0) else { return }
      contents.objects.append(object.moved(below: steps))
    }
  }

  private mutating func addTensor(
    _ tensor: Tensor, _ object: PickleObject?, _ type: String, _ visit: Visit, _ place: Int,
    _ steps: [PathKey]? = nil
  ) {
    let stateDict: Int?
    switch visit.stateDict {
    case .mapping(let mapping): stateDict = mapping
    case .module(let module): stateDict = module
    case .none, .optimizer: stateDict = nil
    }
    let arguments = object.flatMap { graph.tuple($0.arguments) } ?? []
    let isFromType = type.hasPrefix("torch._tensor._rebuild_from_type") && arguments.count == 4
    let subclass = isFromType ? graph.global(arguments[1])?.qualifiedName : nil
    let isParameter =
      type.hasPrefix("torch._utils._rebuild_parameter") || subclass == "torch.nn.parameter.Parameter"
      || OldTensors.parameters.contains(type)
    contents.tensors.append(
      CheckpointTensor(
        path: steps ?? path(to: place), tensor: tensor,
        role: visit.role ?? (isParameter ? .parameter : nil),
        stateDict: stateDict.map { path(to: $0) },
        subclass: subclass.flatMap {
          ["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"].contains($0) ? nil : $0
        }))
  }

  /// Lists what Python code had attached to a tensor: `(…, state)`, the state a dictionary or a pair of them.
  private mutating func listAttached(_ object: PickleObject, _ type: String, _ place: Int, ofNested: Bool) {
    guard type.hasSuffix("_with_state") || type.hasPrefix("torch._tensor._rebuild_from_type"),
      let state = graph.tuple(object.arguments)?.last
    else { return }
    let pairs = (graph.tuple(state) ?? [state]).compactMap { graph.dictionary($0) }.flatMap { $0 }
    if ofNested {
      // What begins with _ is what the components were made from.
      let own = pairs.filter { graph.text($0.key)?.hasPrefix("_") != true }
      guard budget.admit(visits: own.count) else { return }
      push(own.map { Visit(value: $0.value, parent: place, key: .text("__dict__." + key($0.key).name)) })
    } else if !pairs.isEmpty {
      push([Visit(value: state, parent: place, key: .text("__dict__"))])
    }
  }

  private mutating func listPlain(_ object: PickleObject, _ type: String, _ visit: Visit, _ place: Int) {
    var arguments = graph.tuple(object.arguments) ?? []
    // The class and its base are no content of what copy_reg makes of them.
    if graph.madeClass(object) != nil { arguments.removeAll { graph.callable($0) != nil } }
    switch type {
    case "collections.OrderedDict", "collections.Counter", "collections.defaultdict":
      listMapping(object, arguments, type, visit, place)
      return
    case "torch.jit._pickle.restore_type_tag" where arguments.count == 2:
      // TorchScript's typed containers: (value, type).
      push([Visit(value: arguments[0], parent: place, key: nil)])
      return
    case "torch.Size", "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
      "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist", "builtins.set",
      "builtins.frozenset", "__builtin__.set", "__builtin__.frozenset":
      if arguments.count == 1, object.pairs.isEmpty, object.states.isEmpty {
        let elements = graph.list(arguments[0]) ?? graph.tuple(arguments[0])
        if let elements {
          let name = type.hasPrefix("torch.jit.") ? "list" : type.split(separator: ".").last.map(String.init)
          addSequence(elements + object.items, name ?? type, visit, place)
          return
        }
      }
    default:
      if let bytes = graph.bytes(of: object) {
        add(place, "bytes", nil, count: bytes.count)
        return
      }
    }
    add(place, type, nil)
    guard budget.admit(visits: arguments.count + object.items.count) else { return }
    var children: [Visit] = []
    if !arguments.allSatisfy({ graph.isPlain($0) }) {
      children += arguments.enumerated().map {
        Visit(value: $1, parent: place, key: .text("__args__.\($0)"), stateDict: inherited(visit.stateDict))
      }
    }
    children += object.items.enumerated().map {
      Visit(value: $1, parent: place, key: .position($0), stateDict: inherited(visit.stateDict))
    }
    for state in object.states {
      if let module = moduleChildren(state, visit, place) {
        children += module
      } else if let pairs = graph.dictionary(state) {
        guard budget.admit(visits: pairs.count) else { return }
        children += pairs.map { pair in
          Visit(value: pair.value, parent: place, key: key(pair.key), stateDict: inherited(visit.stateDict))
        }
      } else if state != .none {
        children.append(
          Visit(
            value: state, parent: place, key: .text("__setstate__"), stateDict: inherited(visit.stateDict)))
      }
    }
    push(children)
    push(pairs: object.pairs, visit, place)
  }

  /// An OrderedDict and its kin: the pairs its call was given, those set later, and its attributes.
  private mutating func listMapping(
    _ object: PickleObject, _ arguments: [PickleValue], _ type: String, _ visit: Visit, _ place: Int
  ) {
    var pairs: [PicklePair] = []
    for argument in arguments {
      if let given = graph.dictionary(argument) {
        guard budget.admit(visits: given.count) else { return }
        pairs += given
      } else {
        guard budget.admit(visits: (graph.list(argument) ?? graph.tuple(argument) ?? []).count) else {
          return
        }
        for element in graph.list(argument) ?? graph.tuple(argument) ?? [] {
          if let pair = graph.tuple(element) ?? graph.list(element), pair.count == 2 {
            pairs.append(PicklePair(key: pair[0], value: pair[1]))
          }
        }
      }
    }
    pairs += object.pairs
    if pairs.isEmpty { add(place, type, nil, count: 0) }
    var attributes: [Visit] = []
    for state in object.states {
      let pairs = graph.dictionary(state) ?? []
      guard budget.admit(visits: pairs.count) else { return }
      for pair in pairs {
        let name = key(pair.key)
        // PyTorch's own record of module versions, one per module: listed as a whole.
        if name == .text("_metadata") {
          let count = graph.object(pair.value)?.pairs.count ?? graph.dictionary(pair.value)?.count
          contents.objects.append(
            CheckpointObject(
              path: path(to: place) + [name], type: "module versions", value: nil, count: count,
              unreadTensor: nil))
        } else {
          attributes.append(Visit(value: pair.value, parent: place, key: name))
        }
      }
    }
    push(attributes)
    push(pairs: pairs, visit, place)
  }

  /// The children of a pickled `torch.nn.Module`: parameters, buffers and modules under their PyTorch names and
  /// in PyTorch's order, then every other attribute.
  private mutating func moduleChildren(_ state: PickleValue, _ visit: Visit, _ place: Int) -> [Visit]? {
    guard let pairs = graph.dictionary(state) else { return nil }
    func inner(_ name: String) -> [PicklePair]? {
      pairs.first { graph.isText($0.key, name) }.flatMap { graph.mappingPairs($0.value) }
    }
    guard let parameters = inner("_parameters"), let modules = inner("_modules") else { return nil }
    let buffers = inner("_buffers") ?? []
    guard budget.admit(visits: pairs.count + parameters.count + modules.count + buffers.count) else {
      return []
    }
    var stateDict = visit.stateDict
    switch stateDict {
    case .module, .optimizer: break
    case .none, .mapping: stateDict = .module(place)
    }
    func visits(_ pairs: [PicklePair], _ role: CheckpointTensor.Role?) -> [Visit] {
      pairs.map { Visit(value: $0.value, parent: place, key: key($0.key), role: role, stateDict: stateDict) }
    }
    let own = ["_parameters", "_buffers", "_modules"]
    let others = pairs.filter { pair in !own.contains { graph.isText(pair.key, $0) } }
    return visits(parameters, .parameter) + visits(buffers, .buffer) + visits(modules, nil)
      + others.map { Visit(value: $0.value, parent: place, key: key($0.key)) }
  }

  // MARK: Containers

  /// Lists a sequence: one entry when it holds only scalars and is long or empty, else its elements.
  private mutating func addSequence(_ elements: [PickleValue], _ type: String, _ visit: Visit, _ place: Int) {
    if elements.isEmpty || (elements.count > 16 && elements.allSatisfy { graph.isPlain($0) }) {
      add(place, type, nil, count: elements.count)
      return
    }
    guard budget.admit(visits: elements.count) else { return }
    push(
      elements.enumerated().map {
        Visit(value: $1, parent: place, key: .position($0), stateDict: inherited(visit.stateDict))
      })
  }

  private mutating func push(pairs: [PicklePair], _ visit: Visit, _ place: Int) {
    guard budget.admit(visits: pairs.count) else { return }
    let stateDict: StateDictPlace
    switch visit.stateDict {
    case .module, .optimizer: stateDict = visit.stateDict
    case .none, .mapping:
      let isOptimizer = ["state", "param_groups"].allSatisfy { name in
        pairs.prefix(64).contains { graph.isText($0.key, name) }
      }
      stateDict = isOptimizer ? .optimizer : .mapping(place)
    }
    push(
      pairs.map { pair in
        let key = key(pair.key)
        var inner = stateDict
        // Tensors under integer keys are an optimizer's or a list's, not a state dict's.
        if case .mapping = inner, !key.isText { inner = .none }
        return Visit(value: pair.value, parent: place, key: key, stateDict: inner)
      })
  }

  /// What holds for a container's children whatever they are called.
  private func inherited(_ stateDict: StateDictPlace) -> StateDictPlace {
    switch stateDict {
    case .mapping, .none: .none
    case .module, .optimizer: stateDict
    }
  }

  /// Puts visits on the stack so that the first comes off first.
  private mutating func push(_ visits: [Visit]) { pending.append(contentsOf: visits.reversed()) }

  // MARK: Names

  /// The steps to a place; none when all paths together have become too long.
  private mutating func path(to place: Int) -> [PathKey] {
    guard place >= 0, budget.admit(steps: places[place].depth, textBytes: places[place].textBytes) else {
      return []
    }
    var keys: [PathKey] = []
    var place = place
    while place >= 0 {
      keys.append(places[place].key)
      place = places[place].parent
    }
    return keys.reversed()
  }

  /// A key as a step; nothing of it is copied once all of them have become too long.
  private mutating func key(_ value: PickleValue) -> PathKey {
    guard budget.admit(steps: 1, textBytes: graph.textByteCount(value)) else { return .position(0) }
    if let text = graph.text(value) { return .text(text) }
    if let bytes = graph.byteContent(value), let text = String(validating: bytes, as: UTF8.self) {
      return .bytes(text)
    }
    if case .int(let number) = value { return .integer(number) }
    return .other(graph.pythonSpelling(value))
  }

  private mutating func add(_ place: Int, _ type: String, _ value: JSONValue?, count: Int? = nil) {
    contents.objects.append(
      CheckpointObject(path: path(to: place), type: type, value: value, count: count, unreadTensor: nil))
  }

  private mutating func addText(_ value: PickleValue, byteCount: Int, _ place: Int) {
    if budget.listsText(byteCount: byteCount) {
      add(place, "str", .string(graph.text(value) ?? ""))
    } else {
      add(place, "str", nil, count: byteCount)
    }
  }

  private func persistentType(_ value: PickleValue) -> String {
    if let callable = graph.callable(value) { return callable.qualifiedName }
    guard case .persistentID(let id) = graph.node(value), let parts = graph.tuple(id), parts.count > 1,
      let kind = graph.text(parts[0])
    else { return reconstruction.storageClassName(value) ?? "persistent id" }
    return graph.global(parts[1])?.qualifiedName ?? kind
  }
}
