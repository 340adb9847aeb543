internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// A walk that lists everything below a pickle's root: each tensor and each other value, with its path, in the file's
/// order.
///
/// The walk keeps its own stack, so deep nesting does not use the host's stack. A shared value is listed under each
/// of its paths. A reference back to a container that contains it is listed once. `Limits.paths` and `Limits.depth`
/// bound the walk.
struct PickledContents {
  let graph: PickleGraph
  let reconstruction: TensorReconstruction
  private let limits: Limits
  var contents = CheckpointContents()
  /// The paths visited, as a tree. Each node has a key and the index of its parent.
  private var places: [Place] = []
  var budget: ListingBudget
  private var pending: [Visit] = []
  /// For each node that is a tensor, the index of its first entry in `contents.tensors`; -1 for other nodes.
  private var listed: [Int32]
  /// The depth to which containers were searched that hold no module's state.
  var withoutModuleState: [PickleNodeID: Int] = [:]
  /// True for each `state` that holds nothing but an optimizer's values of its parameters.
  var optimizerStates: [PickleNodeID: Bool] = [:]
  /// The number of each parameter of a pickled optimizer, whose state has the parameters themselves as keys.
  var parameterNumbers: [PickleNodeID: Int64] = [:]
  /// True when each object that is neither tensor nor module is listed only once. `listedOnce` holds those already
  /// listed.
  var listsSharedObjectsOnce = false
  /// The search for calls that make tensors and are not known.
  var search: ArrayDataSearch
  /// The storages that no known or found call makes a tensor of. `object` is the index of the entry that lists it.
  private var storagesWithoutTensor:
    [(object: Int, kind: String, key: String, byteCount: Int, stateDict: [PathKey]?, purpose: Purpose?)] = []
  /// The objects that hold one process's parts of tensors, by path.
  var partOwners: [[PathKey]: RankPart] = [:]
  var listedOnce: Set<PickleNodeID> = []
  /// The number of shards that the tensors so far record. Tensors can share one long list, so their number is limited.
  var recordedShards = 0
  static let mostRecordedShards = 4_000_000

  private struct Place {
    let parent: Int
    let key: PathKey
    let depth: Int
    /// The number of bytes of the text of all keys on the path.
    let textBytes: Int
    let node: PickleNodeID?
  }

  /// A value to list, with its context.
  struct Visit {
    let value: PickleValue
    /// The index of its container in `places`; -1 for the root.
    let parent: Int
    /// The key in the container; nil for the root, and for `_modules`, `_parameters` and `_buffers`, which add no
    /// key.
    let key: PathKey?
    var role: CheckpointTensor.Role?
    /// The state dict that the value belongs to, if it is a tensor.
    var stateDict: StateDictScope = .none
    /// The object whose state holds the value, or a sequence with the value; nil for other values.
    var owner: StateOwner?
  }

  /// An object in `contents.objects`, and the state dict that it belongs to.
  struct StateOwner {
    let object: Int
    let stateDict: StateDictScope
  }

  enum StateDictScope {
    case none
    /// Tensors at any depth belong to no state dict, because they are certainly no weights.
    case outside(Purpose)
    /// Tensors directly in the mapping at this index belong to its state dict.
    case mapping(Int)
    /// Tensors at any depth below the module at this index belong to its state dict.
    case module(Int)
  }

  /// Lists the values of a graph.
  ///
  /// - Parameters:
  ///   - path: the path of the file, for messages.
  ///   - nesting: the number of containers around the file.
  ///   - named: the objects of persistent IDs that are a single name, when the container stores them separately.
  ///   - takesPlainReferences: true when the tuple of a storage is accepted without being a persistent ID.
  /// - Throws: ``DecantError`` for a tensor whose description is wrong, and when limits are exceeded.
  static func list(
    _ graph: PickleGraph, path: String, nesting: Int, limits: Limits,
    named: [ExactText: PersistentIDObject] = [:], acceptsPlainReferences: Bool = false,
    storage: @escaping (StorageReference) throws(DecantError) -> Storage
  ) throws(DecantError) -> CheckpointContents {
    let inner = NestedFiles(path: path, limits: limits, nesting: nesting)
    let reconstruction = TensorReconstruction(
      graph: graph, limits: limits, storage: storage, inner: inner, named: named,
      acceptsPlainReferences: acceptsPlainReferences)
    let sources = try graph.moduleSources(limits: limits)
    var walk = PickledContents(graph, limits, reconstruction)
    do throws(DecantError) { try walk.run() } catch {
      guard walk.budget.isOverLimit else { throw error }
      // Programs and configurations may refer to each other so often that the number of paths explodes.
      walk = PickledContents(graph, limits, reconstruction)
      walk.listsSharedObjectsOnce = true
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
    listed = [Int32](repeating: -1, count: graph.nodes.count)
    search = ArrayDataSearch(graph)
    budget = ListingBudget(limits, values: graph.nodes.count)
  }

  /// The functions of other libraries whose arguments are those of PyTorch's, with the number of tensors they made.
  var foreignFunctions: [(name: String, count: Int)] = []

  /// The number of tensors in the calls that Paddle writes.
  var paddleTensorCount = 0

  private mutating func run() throws(DecantError) {
    pending = [Visit(value: graph.root, parent: -1, key: nil)]
    while let visit = pending.popLast() {
      let before = (pending.count, places.count)
      try list(visit)
      if let refusal = budget.refusal { throw refusal }
      // No child was pushed, so no later visit refers to the indices added here.
      if pending.count == before.0 { places.removeLast(places.count - before.1) }
    }
    keepUnreadStorages()
    for function in foreignFunctions {
      contents.notes.append(
        "read \(Format.count(function.count, "tensor")) of \(function.name.escapedForDisplay), whose arguments are those of "
          + "torch._utils._rebuild_tensor_v2")
    }
    if paddleTensorCount > 0 {
      contents.notes.append(
        "read \(Format.count(paddleTensorCount, "tensor")) as Paddle does, from calls of eval and tuple")
    }
    RankPart.mark(&contents, owners: partOwners)
  }

  /// Marks storages that are values by themselves as unread tensors, unless tensors cover all of their data.
  private mutating func keepUnreadStorages() {
    guard !storagesWithoutTensor.isEmpty else { return }
    var byteCounts: [String: (read: Int, all: Int)] = [:]
    for entry in contents.tensors {
      let tensor = entry.tensor
      let read = byteCounts[tensor.storage.key]?.read ?? 0
      byteCounts[tensor.storage.key] = (
        read.checkedAdding(tensor.byteCount) ?? .max, tensor.storage.byteCount
      )
    }
    for storage in storagesWithoutTensor {
      if let known = byteCounts[storage.key], known.read >= known.all { continue }
      let known = contents.objects[storage.object].byteCount ?? 0
      contents.objects[storage.object].unreadTensor = storage.kind
      contents.objects[storage.object].byteCount =
        known.addingReportingOverflow(storage.byteCount).partialValue
      contents.objects[storage.object].stateDict = storage.stateDict
      contents.objects[storage.object].purpose = storage.purpose
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

  /// Returns true when a container is one of its own ancestors: the value is inside itself.
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
      // Conversion to decimal takes quadratic time.
      if bytes.count <= 1024, budget.listsText(byteCount: 3 * bytes.count),
        let text = PythonInteger.decimal(bytes)
      {
        add(place, "int", .string(text))
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
      if let children = moduleChildren(visit.value, visit, place) {
        push(children)
      } else {
        push(pairs: pairs, visit, place)
      }
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

  // MARK: Tensors

  /// Returns the tensor of an object that was listed before under another path; nil for other objects.
  func listedTensor(_ id: PickleNodeID) -> Tensor? {
    let entry = listed[Int(id.index)]
    return entry < 0 ? nil : contents.tensors[Int(entry)].tensor
  }

  /// Records that the next entry in `contents.tensors` is an object's first.
  mutating func noteTensor(_ id: PickleNodeID) {
    listed[Int(id.index)] = Int32(truncatingIfNeeded: contents.tensors.count)
  }

  // MARK: Containers

  /// Lists a sequence. It is one entry when it is empty, or long and of scalars only; otherwise its elements are
  /// listed.
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
        Visit(value: $1, parent: place, key: .position($0), stateDict: stateDict, owner: visit.owner)
      })
  }

  mutating func push(pairs: [PicklePair], _ visit: Visit, _ place: Int) {
    guard budget.admit(visits: pairs.count) else { return }
    let stateDict: StateDictScope
    var optimizer = OptimizerParts()
    switch visit.stateDict {
    case .module, .outside: stateDict = visit.stateDict
    case .none, .mapping:
      stateDict = .mapping(place)
      optimizer = optimizerParts(pairs)
    }
    push(
      pairs.map { pair in
        let key = key(pair.key)
        var inner = optimizer.scope(of: key, else: stateDict)
        // Tensors under integer keys belong to an optimizer or a list, not to a state dict.
        if case .mapping = inner, !key.isText { inner = .none }
        return Visit(value: pair.value, parent: place, key: key, stateDict: inner)
      })
  }

  /// Returns the state dict of a container's children whose keys are not text. A module or an optimizer passes its own
  /// on; a mapping does not.
  func inherited(_ stateDict: StateDictScope) -> StateDictScope {
    switch stateDict {
    case .mapping, .none: .none
    case .module, .outside: stateDict
    }
  }

  /// Pushes visits on the stack so that the first is popped first.
  mutating func push(_ visits: [Visit]) { pending.append(contentsOf: visits.reversed()) }

  // MARK: Names

  /// Returns the path of the node at an index; empty when all paths together have become too long.
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

  /// Returns a mapping's key as a key of a path. Nothing is copied once all paths together have become too long.
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
        stateDict: stateDictPath(visit), purpose: purpose(visit), shape: finding.shape,
        byteCount: finding.byteCount))
  }

  /// Lists a container that is an array's type, shape and bytes as an unread tensor.
  private mutating func addIfArray(_ id: PickleNodeID, _ type: String, _ visit: Visit, _ place: Int) {
    if let finding = search.finding(container: .node(id), type) { addUnread(finding, type, visit, place) }
  }

  /// Records a storage that no known or found call makes a tensor of.
  private mutating func noteStorage(_ id: PickleNodeID, _ visit: Visit) {
    guard !search.claimed.contains(id) else { return }
    let named = reconstruction.namedStorage(.node(id))?.0
    guard let byteCount = named?.byteCount ?? search.storageByteCount(.node(id)), byteCount > 0 else {
      return
    }
    let key = named?.key ?? (try? graph.storageReference(.node(id)))?.0.key ?? ""
    guard let owner = visit.owner else {
      storagesWithoutTensor.append(
        (
          contents.objects.count - 1, "a storage that no tensor has", key, byteCount, stateDictPath(visit),
          purpose(visit)
        ))
      return
    }
    // The object is the tensor, and the storage its data.
    let maker = Visit(value: visit.value, parent: visit.parent, key: nil, stateDict: owner.stateDict)
    storagesWithoutTensor.append(
      (
        owner.object, contents.objects[owner.object].type.escapedForDisplay, key, byteCount,
        stateDictPath(maker), purpose(maker)
      ))
  }

  /// Returns the path of the state dict that a value belongs to; nil when it belongs to none.
  mutating func stateDictPath(_ visit: Visit) -> [PathKey]? {
    switch visit.stateDict {
    case .mapping(let place), .module(let place): path(to: place)
    case .none, .outside: nil
    }
  }

  /// Returns the reason why a value at this place is certainly no weight; nil when it may be one.
  func purpose(_ visit: Visit) -> Purpose? {
    if case .outside(let purpose) = visit.stateDict { purpose } else { nil }
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
