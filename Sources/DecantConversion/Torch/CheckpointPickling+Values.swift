internal import DecantBytes
package import DecantCheckpoints
package import DecantPickle
internal import DecantTensors

/// Pickling of the values of a source that is a pickle.
extension CheckpointPickling {
  mutating func write(_ value: PickleValue, _ place: Int?, _ way: Int) throws(DecantError) {
    guard let graph else { return }
    if case .node(let id) = value, memo[Int(id.index)] >= 0, place == nil || sharesContainers {
      if let place { markWritten(below: place) }
      return writer.recall(memo[Int(id.index)])
    }
    if let place {
      if places[place].form == .stateDict {
        // Only the root gets here: for other values, the container has recorded the refusal.
        note(way, typeName(value))
        return try write(stateDict: place)
      }
      if let tensor = places[place].tensor { return writeTensor(tensor, value, place, way) }
    }
    let loadable = LoadableValue(value, in: graph)
    guard case .node(let id) = value else { return write(scalar: loadable) }
    switch loadable {
    case .list(let elements):
      writer.write(.emptyList)
      memo[Int(id.index)] = writer.remember()
      guard !elements.isEmpty else { return }
      writer.write(.mark)
      pending.append(.opcode(.appends))
      pushElements(elements, place, way)
    case .tuple(let elements):
      guard openTuples.insert(id).inserted else {
        // CPython pickles such a tuple with POP opcodes, which the loader refuses.
        note(way, "tuple inside itself")
        return writer.write(.none)
      }
      writer.beginTuple(count: elements.count)
      pending.append(.endTuple(id, count: elements.count))
      pushElements(elements, place, way)
    case .mapping(let kind, let pairs, let attributes):
      try write(mapping: kind, pairs, attributes, id, place, way)
    case .set(let elements):
      writer.global("__builtin__", "set")
      writer.write(.emptyList)
      var isOpen = false
      for (position, element) in elements.enumerated() {
        guard isKey(element) else {
          note(add(.position(position), to: way), typeName(element))
          continue
        }
        if !isOpen { writer.write(.mark) }
        isOpen = true
        writeKey(element)
      }
      if isOpen { writer.write(.appends) }
      writer.write(.tuple1)
      writer.write(.reduce)
      memo[Int(id.index)] = writer.remember()
    case .refused(let type):
      note(way, type)
      writer.write(.none)
    default:
      write(scalar: loadable)
      memo[Int(id.index)] = writer.remember()
    }
  }

  /// Writes a value that contains no other value.
  mutating func write(scalar: LoadableValue) {
    switch scalar {
    case .nothing: writer.write(.none)
    case .boolean(let value): writer.boolean(value)
    case .integer(let value): writer.integer(Int(value))
    case .long(let form): writer.long(form)
    case .float(let value): writer.float(value)
    case .text(let utf8): writer.text(utf8: utf8)
    case .bytes(let content): writer.byteString(content)
    case .byteArray(let content): writer.byteArray(content)
    case .name(let global): writer.global(global.module, global.name)
    case .call(let global, let arguments):
      writer.global(global.module, global.name)
      writer.beginTuple(count: arguments.count)
      for argument in arguments { write(argument: argument) }
      writer.endTuple(count: arguments.count)
      writer.write(.reduce)
    case .list, .tuple, .set, .mapping, .refused: writer.write(.none)
    }
  }

  /// Writes a number, a text, or the sizes of a `torch.Size`.
  private mutating func write(argument: PickleValue) {
    guard let graph else { return }
    switch LoadableValue(argument, in: graph) {
    case .list(let sizes), .tuple(let sizes):
      writer.integers(sizes.compactMap { if case .int(let size) = $0 { Int(size) } else { nil } })
    case let scalar: write(scalar: scalar)
    }
  }

  private mutating func pushElements(_ elements: [PickleValue], _ place: Int?, _ way: Int) {
    var steps: [Step] = []
    for (position, element) in elements.enumerated() {
      let child = place.flatMap { places.child(of: $0, .position(position)) }
      let own = if case .node = element { add(.position(position), to: way) } else { way }
      // An element that is left out becomes None, so that the others keep their indices.
      steps.append(admitted(element, child, own) ?? .nothing)
    }
    pending.append(contentsOf: steps.reversed())
  }

  /// Returns the step that writes a value in a container; nil when the value is left out.
  mutating func admitted(_ value: PickleValue, _ place: Int?, _ way: Int) -> Step? {
    guard let graph else { return nil }
    if let place {
      // A value that contained tensors, none of which is still written, is left out with them.
      if places[place].stayingCount == 0 || places[place].isMoved { return nil }
      if places[place].form == .stateDict {
        note(way, typeName(value))
        return .stateDict(place)
      }
      if places[place].tensor != nil { return .value(value, place: place, way: way) }
    }
    if case .refused(let type) = LoadableValue(value, in: graph) {
      note(way, type)
      return nil
    }
    return .value(value, place: place, way: way)
  }

  // MARK: Mappings

  private mutating func write(
    mapping kind: LoadableValue.Mapping, _ pairs: [PicklePair], _ attributes: [PicklePair],
    _ id: PickleNodeID, _ place: Int?, _ way: Int
  ) throws(DecantError) {
    guard let graph else { return }
    var distinct = place.map { hasNewKeys($0) } == true ? DistinctKeys() : nil
    var steps: [Step] = []
    for pair in pairs {
      let key = graph.pathKey(pair.key)
      let child = place.flatMap { places.child(of: $0, key) }
      let own = add(key, to: way)
      guard isKey(pair.key) else {
        note(own, "a key that is \(typeName(pair.key))")
        // The tensors below such a key are kept, under the key as Python prints it.
        if let child, let step = admitted(pair.value, child, own) { steps += [.text(key.name), step] }
        continue
      }
      guard let step = admitted(pair.value, child, own) else { continue }
      let newKey = child.flatMap { places[$0].newKey }
      if let text = newKey ?? graph.text(pair.key), let other = distinct?.add(text, of: key.name) {
        throw clash(other, key.name, text)
      }
      steps.append(newKey.map { .text($0) } ?? .key(pair.key))
      steps.append(step)
    }
    for arrival in place.map({ places[$0].movedTensors }) ?? [] {
      let source = plan.tensors[arrival.tensor].source
      if let other = distinct?.add(arrival.key, of: source) { throw clash(other, source, arrival.key) }
      steps += [.text(arrival.key), .arrival(arrival.tensor, isDetached: false)]
    }
    switch kind {
    case .dictionary: writer.write(.emptyDictionary)
    case .ordered: writer.emptyOrderedDictionary()
    case .counter:
      writer.global("collections", "Counter")
      writer.write(.emptyDictionary)
    }
    if !steps.isEmpty {
      steps.insert(.opcode(.mark), at: 0)
      steps.append(.opcode(.setItems))
    }
    if kind == .counter {
      steps += [.opcode(.tuple1), .opcode(.reduce), .remember(id)]
    } else {
      memo[Int(id.index)] = writer.remember()
    }
    steps += attributeSteps(attributes, place, way)
    pending.append(contentsOf: steps.reversed())
  }

  /// Returns true when tensors were moved into a mapping or got new keys in it.
  private func hasNewKeys(_ place: Int) -> Bool {
    !places[place].movedTensors.isEmpty || places[place].children.contains { places[$0].newKey != nil }
  }

  /// Returns the steps that set an OrderedDict's attributes, such as `_metadata`.
  private mutating func attributeSteps(_ attributes: [PicklePair], _ place: Int?, _ way: Int) -> [Step] {
    guard let graph else { return [] }
    var steps: [Step] = []
    for pair in attributes {
      let key = graph.pathKey(pair.key)
      let own = add(key, to: way)
      if key == .text("_metadata"), let versions = renamedVersions(pair.value, of: place, own) {
        steps += versions
        continue
      }
      guard isKey(pair.key),
        let step = admitted(pair.value, place.flatMap { places.child(of: $0, key) }, own)
      else { continue }
      steps += [.key(pair.key), step]
    }
    guard !steps.isEmpty else { return [] }
    return [.opcode(.emptyDictionary), .opcode(.mark)] + steps + [.opcode(.setItems), .opcode(.build)]
  }

  /// Returns true when a value can be a key of a mapping or an element of a set: a scalar, or a tuple of keys.
  private mutating func isKey(_ value: PickleValue, depth: Int = 8) -> Bool {
    guard let graph else { return false }
    switch LoadableValue(value, in: graph) {
    case .nothing, .boolean, .integer, .long, .float, .text, .bytes, .name, .call: return true
    case .tuple(let elements):
      guard case .node(let id) = value, depth > 0 else { return false }
      if let verdict = keyVerdicts[id] { return verdict }
      keyVerdicts[id] = false
      let verdict = elements.allSatisfy { isKey($0, depth: depth - 1) }
      keyVerdicts[id] = verdict
      return verdict
    case .byteArray, .list, .set, .mapping, .refused: return false
    }
  }

  /// Writes a key: a scalar, or a tuple of keys.
  mutating func writeKey(_ key: PickleValue) {
    // Checkpoints of several files have no graph. Their keys are integers and texts.
    if case .int(let number) = key { return write(scalar: .integer(number)) }
    guard let graph else { return }
    guard case .node(let id) = key else { return write(scalar: LoadableValue(key, in: graph)) }
    if memo[Int(id.index)] >= 0 { return writer.recall(memo[Int(id.index)]) }
    if case .tuple(let elements) = LoadableValue(key, in: graph) {
      writer.beginTuple(count: elements.count)
      for element in elements { writeKey(element) }
      writer.endTuple(count: elements.count)
    } else {
      write(scalar: LoadableValue(key, in: graph))
    }
    memo[Int(id.index)] = writer.remember()
  }

  // MARK: Tensors

  private mutating func writeTensor(_ index: Int, _ value: PickleValue, _ place: Int, _ way: Int) {
    guard let graph else { return }
    let entry = plan.tensors[index].entry
    let isCoalesced = graph.isCoalesced(value)
    let attachment = attachment(to: value, in: graph)
    if let subclass = entry.subclass, attachment == nil { note(way, subclass) }
    isWritten[index] = true
    if let attachment {
      writer.global(
        attachment.isParameter ? "torch._utils" : "torch._tensor",
        attachment.isParameter ? "_rebuild_parameter_with_state" : "_rebuild_from_type_v2")
      writer.write(.mark)
      if attachment.isParameter {
        tensors.write(index, as: .tensor, isCoalesced: isCoalesced, isDetached: true, to: &writer)
        writer.boolean(entry.tensor.requiresGrad)
        writer.emptyOrderedDictionary()
      } else {
        writer.global("torch._utils", tensors.function(index, .tensor))
        writer.global("torch", "Tensor")
        tensors.writeArguments(index, .tensor, isCoalesced, entry.tensor.requiresGrad, &writer)
      }
      let own = add(.text("__dict__"), to: way)
      var steps = [admittedState(attachment.state, places.child(of: place, .text("__dict__")), own)]
      steps += [.opcode(.tuple), .opcode(.reduce)]
      if case .node(let id) = value { steps.append(.remember(id)) }
      pending.append(contentsOf: steps.reversed())
      return
    }
    tensors.write(
      index, as: entry.role == .parameter ? .parameter : .tensor, isCoalesced: isCoalesced, isDetached: false,
      to: &writer)
    if case .node(let id) = value { memo[Int(id.index)] = writer.remember() }
  }

  /// Returns the step that writes a tensor's attributes. Attributes without tensors have no tree node, and are
  /// written too.
  private mutating func admittedState(_ state: PickleValue, _ place: Int?, _ way: Int) -> Step {
    admitted(state, place.flatMap { places[$0].stayingCount > 0 ? $0 : nil }, way)
      ?? .opcode(.emptyDictionary)
  }

  /// Writes an OrderedDict of the tensors that were moved to a node.
  mutating func write(stateDict place: Int) throws(DecantError) {
    writer.emptyOrderedDictionary()
    _ = writer.remember()
    guard !places[place].movedTensors.isEmpty else { return }
    var distinct = DistinctKeys()
    writer.write(.mark)
    for arrival in places[place].movedTensors {
      let source = plan.tensors[arrival.tensor].source
      if let other = distinct.add(arrival.key, of: source) { throw clash(other, source, arrival.key) }
      writeNew(text: arrival.key)
      write(arrival: arrival.tensor, isDetached: true)
    }
    writer.write(.setItems)
  }

  /// Writes a tensor that was moved from another path.
  mutating func write(arrival index: Int, isDetached: Bool) {
    isWritten[index] = true
    let isParameter = !isDetached && plan.tensors[index].entry.role == .parameter
    tensors.write(
      index, as: isParameter ? .parameter : .tensor, isCoalesced: nil, isDetached: isDetached, to: &writer)
    // Memoised like values that come from a source pickle, so that converting the output again gives the same bytes.
    _ = writer.remember()
  }

  /// Writes a text that is not in the source.
  mutating func writeNew(text: String) {
    writer.text(text)
    _ = writer.remember()
  }

  /// Marks the tensors below a node as written, for a value that is shared by several paths.
  private mutating func markWritten(below place: Int) {
    var open = [place]
    while let place = open.popLast() {
      if let tensor = places[place].tensor { isWritten[tensor] = true }
      open += places[place].children
    }
  }
}

extension PickleGraph {
  /// Returns the value at a path; nil when the path leads through a value that the loader does not build.
  package func value(at path: [PathKey]) -> PickleValue? {
    var value = root
    for key in path {
      switch LoadableValue(value, in: self) {
      case .mapping(_, let pairs, _):
        guard let pair = pairs.last(where: { pathKey($0.key) == key }) else { return nil }
        value = pair.value
      case .list(let elements), .tuple(let elements):
        guard case .position(let position) = key, elements.indices.contains(position) else { return nil }
        value = elements[position]
      default: return nil
      }
    }
    return value
  }

  /// Returns the source's `is_coalesced`: true when a sparse tensor's indices are sorted and unique. Nil when the
  /// file does not say.
  fileprivate func isCoalesced(_ value: PickleValue) -> Bool? {
    guard let object = object(value),
      global(object.callable)?.qualifiedName == "torch._utils._rebuild_sparse_tensor",
      let arguments = tuple(object.arguments), arguments.count == 2, let data = tuple(arguments[1]),
      data.count == 4, case .bool(let isCoalesced) = data[3]
    else { return nil }
    return isCoalesced
  }
}

/// The keys of a mapping in which some are new. Two equal keys would lose a value, so they are an error.
private struct DistinctKeys {
  /// The name in the source of the value that has each key.
  private var sources: [ExactText: String] = [:]

  /// Adds the key of a value; returns the name of another value with the same key.
  mutating func add(_ key: String, of source: String) -> String? {
    sources.updateValue(source, forKey: ExactText(key))
  }
}

extension CheckpointPickling {
  /// Returns the error for two values, by their names in the source, that would have one key in a dictionary.
  func clash(_ left: String, _ right: String, _ key: String) -> DecantError {
    DecantError(
      .duplicateName,
      "two values of one dictionary would have the key \(key.quoted): \(left.quoted) and \(right.quoted)",
      file: plan.checkpoint.path, advice: plan.options.substitutions.isEmpty ? nil : .keepNames)
  }
}
