internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// Lists everything under a pickle's root: each tensor and each other value with its path, in the file's order.
///
/// The walk keeps its own stack, so depth costs no host stack; shared values are listed under each of their
/// paths, references back to a container that is being listed once. `Limits.paths` and `Limits.depth` bound it.
struct PickledContents {
  let graph: PickleGraph
  let reconstruction: TensorReconstruction
  private let limits: Limits
  var contents = CheckpointContents()
  /// The path to every place visited, as a tree: what a step is and whose child.
  private var places: [Place] = []
  var budget: ListingBudget
  private var pending: [Visit] = []
  /// Where in `contents.tensors` each object that is a tensor was listed first.
  var listed: [PickleNodeID: Int] = [:]
  /// The number of each parameter of a pickled optimizer, whose state has the parameters themselves as keys.
  var parameterNumbers: [PickleNodeID: Int64] = [:]
  /// Whether an object that is neither tensor nor module is listed once only, and those that have been.
  var listsOnce = false
  /// Finds the calls that make tensors and are not known.
  var search: ArrayDataSearch
  /// Storages that no call was found to make a tensor of: which object lists each.
  private var bareStorages: [(object: Int, key: String, byteCount: Int, stateDict: [PathKey]?)] = []
  /// The objects that hold one process's parts of tensors, by their paths.
  var partOwners: [[PathKey]: RankPart] = [:]
  var listedOnce: Set<PickleNodeID> = []

  private struct Place {
    let parent: Int
    let key: PathKey
    let depth: Int
    /// Bytes of the text of all steps to here.
    let textBytes: Int
    let node: PickleNodeID?
  }

  /// A value to list, and what its surroundings say of it.
  struct Visit {
    let value: PickleValue
    /// The place of its container, -1 for the root.
    let parent: Int
    /// nil for the root, and for the `_modules`, `_parameters` and `_buffers` that leave no step.
    let key: PathKey?
    var role: CheckpointTensor.Role?
    /// The place whose direct tensors form a state dict, when this value's container is one.
    var stateDict: StateDictPlace = .none
  }

  enum StateDictPlace {
    case none
    /// Tensors inside an optimizer, or attached to a tensor, belong to no state dict, however deep.
    case outside
    /// Tensors directly here belong to the mapping at this place.
    case mapping(Int)
    /// Tensors anywhere below belong to the module at this place.
    case module(Int)
  }

  /// Walks a graph.
  ///
  /// - Throws: ``DecantError`` for a tensor whose description is wrong, and beyond the limits.
  ///
  /// - Parameters:
  ///   - path: What messages call the file.
  ///   - nesting: How many containers the file lies in.
  ///   - named: What the persistent ids that are one name stand for, where the container says it apart.
  ///   - takesPlainReferences: Whether the tuple of a storage counts without being a persistent id.
  static func list(
    _ graph: PickleGraph, path: String, nesting: Int, limits: Limits,
    named: [ExactText: PersistentObject] = [:], takesPlainReferences: Bool = false,
    storage: @escaping (StorageReference) throws(DecantError) -> Storage
  ) throws(DecantError) -> CheckpointContents {
    let inner = InnerFiles(path: path, limits: limits, nesting: nesting)
    let reconstruction = TensorReconstruction(
      graph: graph, limits: limits, storage: storage, inner: inner, named: named,
      takesPlainReferences: takesPlainReferences)
    let sources = try graph.moduleSources(limits: limits)
    var walk = PickledContents(graph, limits, reconstruction)
    do throws(DecantError) { try walk.run() } catch {
      guard walk.budget.isCrowded else { throw error }
      // Programs and configurations refer to each other so often that their paths multiply.
      walk = PickledContents(graph, limits, reconstruction)
      walk.listsOnce = true
      try walk.run()
    }
    walk.contents.sources = sources
    walk.contents.graph = graph
    return walk.contents
  }

  private init(_ graph: PickleGraph, _ limits: Limits, _ reconstruction: TensorReconstruction) {
    self.graph = graph
    self.limits = limits
    self.reconstruction = reconstruction
    search = ArrayDataSearch(graph)
    budget = ListingBudget(limits, values: graph.nodes.count)
  }

  private mutating func run() throws(DecantError) {
    pending = [Visit(value: graph.root, parent: -1, key: nil)]
    while let visit = pending.popLast() {
      let before = (pending.count, places.count)
      try list(visit)
      if let refusal = budget.refusal { throw refusal }
      // Nothing below this value is to come, so nobody will ask for its place.
      if pending.count == before.0 { places.removeLast(places.count - before.1) }
    }
    keepUnreadStorages()
    RankPart.mark(&contents, owners: partOwners)
  }

  /// Calls a storage that stands by itself unread, unless tensors have all of its data.
  private mutating func keepUnreadStorages() {
    guard !bareStorages.isEmpty else { return }
    var byteCounts: [String: (read: Int, all: Int)] = [:]
    for entry in contents.tensors {
      let tensor = entry.tensor
      let read = byteCounts[tensor.storage.key]?.read ?? 0
      byteCounts[tensor.storage.key] = (
        read.checkedAdding(tensor.byteCount) ?? .max, tensor.storage.byteCount
      )
    }
    for storage in bareStorages {
      if let known = byteCounts[storage.key], known.read >= known.all { continue }
      contents.objects[storage.object].unreadTensor = "a storage that no tensor has"
      contents.objects[storage.object].isStorage = true
      contents.objects[storage.object].byteCount = storage.byteCount
      contents.objects[storage.object].stateDict = storage.stateDict
    }
  }

  private mutating func list(_ visit: Visit) throws(DecantError) {
    var place = visit.parent
    if let key = visit.key {
      let depth = visit.parent < 0 ? 1 : places[visit.parent].depth + 1
      guard depth <= limits.depth else {
        throw DecantError(
          limits.exceeded(\.depth), "values nest at least \(depth) deep")
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
  ) throws(DecantError) {
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
    case .list(let elements):
      addIfArray(id, "list", visit, place)
      addSequence(elements, "list", visit, place)
    case .tuple(let elements):
      addIfArray(id, "tuple", visit, place)
      addSequence(elements, "tuple", visit, place)
    case .set(let elements): addSequence(elements, "set", visit, place)
    case .frozenSet(let elements): addSequence(elements, "frozenset", visit, place)
    case .dictionary(let pairs):
      if pairs.isEmpty { add(place, "dict", nil, count: 0) }
      addIfArray(id, "dict", visit, place)
      push(pairs: pairs, visit, place)
    case .global(let global): add(place, "global", .string(global.qualifiedName))
    case .persistentID:
      if let tensor = reconstruction.persistentTensor(.node(id)) {
        addTensor(tensor, nil, "", visit, place)
        return
      }
      if place < 0 { contents.rootStorage = try? reconstruction.storage(of: .node(id)) }
      add(place, persistentType(.node(id)), nil)
      noteStorage(id, visit)
    case .extensionCode(let code): add(place, "copyreg extension \(code)", nil)
    case .outOfBandBuffer(let index, _): add(place, "out-of-band buffer \(index)", nil)
    case .object(let object): try list(object, id, visit, place)
    }
  }

  // MARK: Containers

  /// Lists a sequence: one entry when it holds only scalars and is long or empty, else its elements.
  mutating func addSequence(_ elements: [PickleValue], _ type: String, _ visit: Visit, _ place: Int) {
    if elements.isEmpty || (elements.count > 16 && elements.allSatisfy { graph.isPlain($0) }) {
      add(place, type, nil, count: elements.count)
      return
    }
    guard budget.admit(visits: elements.count) else { return }
    // The weight and bias of a quantised linear layer are one entry of its state dict.
    let isPacked = if case .text(let name)? = visit.key { name.hasSuffix("_packed_params") } else { false }
    let stateDict = isPacked ? visit.stateDict : inherited(visit.stateDict)
    push(
      elements.enumerated().map {
        Visit(value: $1, parent: place, key: .position($0), stateDict: stateDict)
      })
  }

  mutating func push(pairs: [PicklePair], _ visit: Visit, _ place: Int) {
    guard budget.admit(visits: pairs.count) else { return }
    let stateDict: StateDictPlace
    switch visit.stateDict {
    case .module, .outside: stateDict = visit.stateDict
    case .none, .mapping:
      func has(_ name: String) -> Bool { pairs.prefix(64).contains { graph.isText($0.key, name) } }
      // fastai calls the groups hypers.
      let isOptimizer = has("state") && (has("param_groups") || has("hypers"))
      stateDict = isOptimizer ? .outside : .mapping(place)
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
  func inherited(_ stateDict: StateDictPlace) -> StateDictPlace {
    switch stateDict {
    case .mapping, .none: .none
    case .module, .outside: stateDict
    }
  }

  /// Puts visits on the stack so that the first comes off first.
  mutating func push(_ visits: [Visit]) { pending.append(contentsOf: visits.reversed()) }

  // MARK: Names

  /// The steps to a place; none when all paths together have become too long.
  mutating func path(to place: Int) -> [PathKey] {
    guard place >= 0, budget.admit(steps: places[place].depth, textBytes: places[place].textBytes) else {
      return []
    }
    let depth = places[place].depth
    var place = place
    var keys = [PathKey](repeating: places[place].key, count: depth)
    for step in keys.indices.reversed() {
      keys[step] = places[place].key
      place = places[place].parent
    }
    return keys
  }

  /// A key as a step; nothing of it is copied once all of them have become too long.
  mutating func key(_ value: PickleValue) -> PathKey {
    guard budget.admit(steps: 1, textBytes: graph.textByteCount(value)) else { return .position(0) }
    if case .node(let id) = value, let number = parameterNumbers[id] { return .integer(number) }
    return graph.pathKey(value)
  }

  /// Lists a tensor of a kind that is not read.
  mutating func addUnread(
    _ finding: ArrayDataSearch.Finding, _ type: String, _ visit: Visit, _ place: Int, count: Int? = nil
  ) {
    contents.objects.append(
      CheckpointObject(
        path: path(to: place), type: type, value: nil, count: count, unreadTensor: finding.kind,
        stateDict: stateDictPath(visit), shape: finding.shape, byteCount: finding.byteCount))
  }

  /// Lists a container that is an array's type, shape and bytes.
  private mutating func addIfArray(_ id: PickleNodeID, _ type: String, _ visit: Visit, _ place: Int) {
    if let finding = search.finding(container: .node(id), type) { addUnread(finding, type, visit, place) }
  }

  /// Remembers a storage that no call was found to make a tensor of.
  private mutating func noteStorage(_ id: PickleNodeID, _ visit: Visit) {
    guard !search.claimed.contains(id) else { return }
    let named = reconstruction.namedStorage(.node(id))?.0
    guard let byteCount = named?.byteCount ?? search.storageByteCount(.node(id)), byteCount > 0 else {
      return
    }
    let key = named?.key ?? (try? graph.storageReference(.node(id)))?.0.key ?? ""
    bareStorages.append((contents.objects.count - 1, key, byteCount, stateDictPath(visit)))
  }

  /// The path of the state dict that a value belongs to.
  mutating func stateDictPath(_ visit: Visit) -> [PathKey]? {
    switch visit.stateDict {
    case .mapping(let place), .module(let place): path(to: place)
    case .none, .outside: nil
    }
  }

  mutating func add(_ place: Int, _ type: String, _ value: JSONValue?, count: Int? = nil) {
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
