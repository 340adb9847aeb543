internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// Listing of the objects that a pickle's calls make: tensors, inner files, mappings, modules and everything else.
extension PickledContents {
  mutating func list(
    _ object: PickleObject, _ id: PickleNodeID, _ visit: Visit, _ place: Int
  ) throws(DecantError) {
    let outcome: TensorReconstruction.Outcome
    if let tensor = listedTensor(id) {
      outcome = .tensor(tensor)
    } else {
      do throws(DecantError) {
        if let tensor = try reconstruction.plainTensor(object) {
          noteTensor(id)
          contents.tensors.append(
            CheckpointTensor(
              path: path(to: place), tensor: tensor, role: visit.role, stateDict: stateDictPath(visit),
              subclass: nil, purpose: purpose(visit)))
          return
        }
        outcome = try reconstruction.outcome(object)
      } catch {
        throw error.located(tensor: path(to: place).joinedName)
      }
      if case .tensor = outcome {
        noteTensor(id)
        if let function = reconstruction.foreignFunction(of: object) { countTensor(of: function) }
      }
    }
    let type =
      (graph.madeClass(object) ?? graph.callable(object.callable))?.qualifiedName ?? "computed name"
    switch outcome {
    case .tensor(let tensor):
      addTensor(tensor, object, type, visit, place)
      if tensor.storage.content == nil, reconstruction.plainShardedState(object) != nil,
        let state = object.states.last
      {
        push([Visit(value: state, parent: place, key: .text("__dict__"), stateDict: .outside(.attachment))])
      }
      listAttached(object, type, place, ofNested: false, isWhole: tensor.storage.content != nil)
    case .nested(let components):
      add(place, "nested tensor", nil, count: components.count)
      guard budget.admit(visits: components.count) else { return }
      let path = path(to: place)
      for (index, component) in components.enumerated() where budget.refusal == nil {
        addTensor(component, object, type, visit, place, path + [.position(index)])
      }
      listAttached(object, type, place, ofNested: true)
    case .scalar(let type, let value): add(place, type, value)
    case .array(let type, let count, let elements, let unread):
      if let unread {
        addUnread(unread, type, visit, place, count: count)
      } else {
        add(place, type, nil, count: count)
      }
      if let elements, !elements.allSatisfy({ graph.isPlain($0) }) {
        addSequence(elements, type, visit, place)
      }
    case .records(let fields, let shape):
      guard budget.admit(visits: fields.count) else { return }
      let path = path(to: place)
      for (field, tensor) in fields where budget.refusal == nil {
        let own = path + field.names.map { .text($0) }
        if let tensor {
          addTensor(tensor, object, type, visit, place, own)
        } else {
          contents.objects.append(
            CheckpointObject(
              path: own, type: "numpy.ndarray of \(field.type.escapedForDisplay)", value: nil, count: nil,
              unreadTensor: field.isUnread ? "numpy array of \(field.type.escapedForDisplay)" : nil,
              stateDict: stateDictPath(visit), purpose: purpose(visit), shape: shape + field.shape))
        }
      }
    case .contents(let inner): try addInnerContents(inner, visit, place)
    case .unread(let finding): addUnread(finding, type, visit, place)
    case .noTensor: listPlain(object, id, type, visit, place)
    }
  }

  private mutating func countTensor(of function: PickleGlobal) {
    let name = function.qualifiedName
    if let place = foreignFunctions.firstIndex(where: { $0.name == name }) {
      foreignFunctions[place].count += 1
    } else {
      foreignFunctions.append((name, 1))
    }
  }

  /// Lists the contents of a file inside the pickle below the path of its value.
  private mutating func addInnerContents(
    _ inner: CheckpointContents, _ visit: Visit, _ place: Int
  ) throws(DecantError) {
    guard budget.admit(visits: inner.tensors.count + inner.objects.count) else { return }
    let steps = path(to: place)
    for entry in inner.tensors {
      guard budget.admit(steps: entry.path.count + steps.count, textBytes: 0) else { return }
      contents.tensors.append(entry.moved(below: steps))
    }
    contents.notes += inner.notes
    for object in inner.objects {
      guard budget.admit(steps: object.path.count + steps.count, textBytes: 0) else { return }
      var moved = object.moved(below: steps)
      if object.unreadTensor != nil, object.path.isEmpty { moved.stateDict = stateDictPath(visit) }
      contents.objects.append(moved)
    }
  }

  mutating func addTensor(
    _ tensor: Tensor, _ object: PickleObject?, _ type: String, _ visit: Visit, _ place: Int,
    _ steps: [PathKey]? = nil
  ) {
    let arguments = object.flatMap { graph.tuple($0.arguments) } ?? []
    let isFromType = type.hasPrefix("torch._tensor._rebuild_from_type") && arguments.count == 4
    let subclass = isFromType ? graph.global(arguments[1])?.qualifiedName : nil
    let isParameter =
      type.hasPrefix("torch._utils._rebuild_parameter") || subclass == "torch.nn.parameter.Parameter"
      || LegacyTensorClasses.parameters.contains(type)
    var entry = CheckpointTensor(
      path: steps ?? path(to: place), tensor: tensor,
      role: visit.role ?? (isParameter ? .parameter : nil),
      stateDict: stateDictPath(visit),
      subclass: subclass.flatMap {
        ["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"].contains($0) ? nil : $0
      }, purpose: purpose(visit))
    if tensor.storage.content == nil, let object, let kind = reconstruction.rankPartKind(of: object) {
      entry.rankPart = RankPart(kind: kind, owner: entry.path)
      partOwners[entry.path] = entry.rankPart
    }
    if let object, recordedShards < Self.mostRecordedShards,
      let piece = reconstruction.rankPiece(of: object)
    {
      if case .shards(let shards) = piece.division { recordedShards += shards.count }
      entry.rankPiece = piece
    }
    contents.tensors.append(entry)
  }

  /// Lists the attributes that Python code attached to a tensor: `(…, state)`. The state is a dictionary or a pair of
  /// them.
  private mutating func listAttached(
    _ object: PickleObject, _ type: String, _ place: Int, ofNested: Bool, isWhole: Bool = false
  ) {
    guard type.hasSuffix("_with_state") || type.hasPrefix("torch._tensor._rebuild_from_type"),
      let state = graph.tuple(object.arguments)?.last
    else { return }
    let pairs = (graph.tuple(state) ?? [state]).compactMap { graph.dictionary($0) }.flatMap { $0 }
    if isWhole, let type = graph.tuple(object.arguments)?.dropFirst().first.flatMap({ graph.global($0) }),
      TensorReconstruction.distributedTensors.union(TensorReconstruction.shardedTensors)
        .contains(type.qualifiedName)
    {
      // The local tensor is the tensor itself. Its placement on its only rank is listed by its class.
      let placed = pairs.first { graph.isText($0.key, "_spec") }.flatMap { graph.object($0.value) }
      if let name = placed.flatMap({ graph.callable($0.callable)?.qualifiedName }) {
        contents.objects.append(
          CheckpointObject(
            path: path(to: place) + [.text("__dict__"), .text("_spec")], type: name, value: nil, count: nil,
            unreadTensor: nil))
      }
    } else if ofNested {
      // Attributes whose names begin with _ are those that the components were made from.
      let own = pairs.filter { graph.text($0.key)?.hasPrefix("_") != true }
      guard budget.admit(visits: own.count) else { return }
      push(own.map { Visit(value: $0.value, parent: place, key: .text("__dict__." + key($0.key).name)) })
    } else if !pairs.isEmpty {
      push([Visit(value: state, parent: place, key: .text("__dict__"), stateDict: .outside(.attachment))])
    }
  }

  private mutating func listPlain(
    _ object: PickleObject, _ id: PickleNodeID, _ type: String, _ visit: Visit, _ place: Int
  ) {
    var visit = visit
    if type.hasPrefix("pandas.") { visit.stateDict = .outside(.dataFrame) }
    var arguments = graph.tuple(object.arguments) ?? []
    // The class and its base are arguments of copy_reg, but not contents of the object.
    if graph.madeClass(object) != nil { arguments.removeAll { graph.callable($0) != nil } }
    switch type {
    case "collections.OrderedDict", "collections.Counter", "collections.defaultdict":
      listMapping(object, arguments, type, visit, place)
      return
    case "torch.jit._pickle.restore_type_tag" where arguments.count == 2:
      // The typed containers of TorchScript are (value, type).
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
    case "builtins.complex", "__builtin__.complex":
      let parts = arguments.compactMap {
        if case .float(let part) = $0 { JSONValue.exact(part) } else { nil }
      }
      if parts.count == 2, arguments.count == 2 {
        add(place, "complex", .array(parts))
        return
      }
    case "torch.fx.graph.Graph", "torch.fx.node.Node":
      // A program's nodes refer to each other, and to the module, which is listed anyway.
      add(place, type, nil)
      return
    case "torch.ScriptObject" where object.states.count == 1:
      if listScriptObject(object.states[0], type, visit, place) { return }
    default:
      if let value = graph.paddleValue(of: object, type) {
        paddleTensorCount += 1
        push([
          Visit(value: value, parent: place, key: nil, role: visit.role, stateDict: visit.stateDict)
        ])
        return
      }
      if let bytes = graph.bytes(of: object) {
        add(place, "bytes", nil, count: bytes.count)
        return
      }
      if object.items.isEmpty, object.pairs.isEmpty, object.states.isEmpty,
        let made = graph.bytes(ofCall: object)
      {
        add(place, made.type, nil, count: made.content.count)
        return
      }
      if graphModules.contains(type), listGraphModule(arguments, type, visit, place) { return }
    }
    // When shared objects have too many paths, each is listed once. Modules are still listed under all their names.
    if listsSharedObjectsOnce {
      if listedOnce.contains(id) {
        add(place, "reference to a value listed before", nil)
        return
      }
      if !isModule(object) { listedOnce.insert(id) }
    }
    let module = moduleChildren(ofCall: arguments, visit, place)
    var argumentScope = inherited(visit.stateDict)
    if let finding = search.finding(object) {
      addUnread(finding, type, visit, place)
    } else if module == nil, purpose(visit) == nil, holdsTensor(object, arguments) {
      addUnread(ArrayDataSearch.Finding(kind: type.escapedForDisplay), type, visit, place)
      argumentScope = .outside(.attachment)
    } else {
      add(place, type, nil)
      if let kind = reconstruction.rankPartKind(of: object) {
        let owner = path(to: place)
        partOwners[owner] = RankPart(kind: kind, owner: owner)
      }
    }
    let listing = contents.objects.count - 1
    guard budget.admit(visits: arguments.count + object.items.count) else { return }
    var children: [Visit] = []
    if let module {
      children += module
    } else if !arguments.allSatisfy({ graph.isPlain($0) }) {
      children += arguments.enumerated().map {
        Visit(value: $1, parent: place, key: .text("__args__.\($0)"), stateDict: argumentScope)
      }
    }
    children += object.items.enumerated().map {
      Visit(value: $1, parent: place, key: .position($0), stateDict: inherited(visit.stateDict))
    }
    for state in object.states {
      if let module = moduleChildren(state, visit, place) ?? quantizedChildren(state, type, visit, place)
        ?? moduleChildren(insideState: state, visit, place)
      {
        children += module
      } else if let pairs = graph.dictionary(state) {
        guard budget.admit(visits: pairs.count) else { return }
        let optimizer = numberParameters(pairs) ? optimizerParts(pairs) : OptimizerParts()
        children += pairs.map { pair in
          let key = key(pair.key)
          return Visit(
            value: pair.value, parent: place, key: key,
            stateDict: optimizer.scope(of: key, else: inherited(visit.stateDict)),
            owner: StateOwner(object: listing, stateDict: visit.stateDict))
        }
      } else if state != .none {
        children.append(
          Visit(
            value: state, parent: place, key: .text("__setstate__"), stateDict: inherited(visit.stateDict),
            owner: StateOwner(object: listing, stateDict: visit.stateDict)))
      }
    }
    push(children)
    push(pairs: object.pairs, visit, place)
  }

  /// Returns true when a call makes a tensor of the tensors in its arguments.
  ///
  /// A mapping of several tensors is a state dict that a call happens to take. A class's own arguments of several tensors
  /// are its fields, as those of a named tuple.
  private func holdsTensor(_ object: PickleObject, _ arguments: [PickleValue]) -> Bool {
    guard object.items.isEmpty, object.pairs.isEmpty else { return false }
    let callable = graph.callable(object.callable)
    if let callable, ["collections", "functools", "operator", "itertools"].contains(callable.module) {
      return false
    }
    if let callable, ["builtins", "__builtin__"].contains(callable.module), callable.name != "eval" {
      return false
    }
    var left = 256
    guard let count = tensorCount(arguments, depth: 3, &left) else { return false }
    return object.construction == .reduce && graph.madeClass(object) == nil ? count > 0 : count == 1
  }

  /// Returns the number of tensors in values and the containers among them; nil when one is a mapping of several.
  ///
  /// - Parameter left: the number of values that are still searched.
  private func tensorCount(_ values: [PickleValue], depth: Int, _ left: inout Int) -> Int? {
    var count = 0
    for value in values {
      guard left > 0 else { break }
      left -= 1
      if let object = graph.object(value), object.pairs.isEmpty {
        guard let callable = graph.callable(object.callable), TensorReconstruction.isKnown(callable),
          !["scalar", "_get_layout"].contains(callable.name)
        else { continue }
        count += 1
      } else if depth > 0 {
        let pairs = members(of: value)
        let inner = pairs.isEmpty ? graph.list(value) ?? graph.tuple(value) ?? [] : pairs.map(\.value)
        guard let found = tensorCount(inner, depth: depth - 1, &left), pairs.isEmpty || found < 2 else {
          return nil
        }
        count += found
      }
    }
    return count
  }

  /// Lists an OrderedDict or similar mapping: the pairs that its call was given, those set later, and its attributes.
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
        // PyTorch's own record of module versions, with an entry for each module, is listed as one value.
        if name == .text("_metadata") {
          let listed = graph.object(pair.value)?.pairs ?? graph.dictionary(pair.value)
          contents.objects.append(
            CheckpointObject(
              path: path(to: place) + [name], type: "module versions", value: nil, count: listed?.count,
              unreadTensor: nil, moduleVersions: listed.flatMap { moduleVersions($0) }))
        } else {
          attributes.append(Visit(value: pair.value, parent: place, key: name))
        }
      }
    }
    push(attributes)
    push(pairs: pairs, visit, place)
  }
}
