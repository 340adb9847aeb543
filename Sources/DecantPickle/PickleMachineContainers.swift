import DecantBytes

/// Filling of lists, dictionaries, sets and objects.
///
/// A payload is moved out of its node before it grows and stored again afterwards. Otherwise the node would
/// hold a second reference, and every append would copy the existing elements.
extension PickleMachine {
  @_lifetime(self: copy self)
  mutating func pushEmptyTuple() throws(PickleError) {
    // The empty tuple is immutable, so all uses share one node, as in CPython.
    let value: PickleValue
    if let emptyTuple {
      value = emptyTuple
    } else {
      value = try make(.tuple([]))
      emptyTuple = value
    }
    try push(value)
  }

  @_lifetime(self: copy self)
  mutating func pushTuple(count: Int) throws(PickleError) {
    try push(node: .tuple(try popSlice(from: stack.count - count)))
  }

  @_lifetime(self: copy self)
  mutating func append() throws(PickleError) {
    let value = try pop()
    let target = try top()
    try extend(target) { $0.append(value) }
  }

  @_lifetime(self: copy self)
  mutating func appends() throws(PickleError) {
    let mark = try popMarkAboveTarget()
    // As in _pickle.c, the kind of the target does not matter when there is nothing to add.
    guard stack.count > mark else { return }
    let values = try popSlice(from: mark)
    try extend(try top()) { $0 += values }
  }

  @_lifetime(self: copy self)
  private mutating func extend(
    _ target: PickleValue, _ add: (inout [PickleValue]) -> Void
  ) throws(PickleError) {
    if case .node(let id) = target {
      let index = Int(id.index)
      if var elements = moveOutList(index) {
        add(&elements)
        graph.nodes[index] = .list(elements)
        return
      }
      if var object = moveOutObject(index) {
        add(&object.items)
        graph.nodes[index] = .object(object)
        return
      }
      switch graph.nodes[index] {
      case .global, .persistentID, .extensionCode:
        var values: [PickleValue] = []
        add(&values)
        graph.irregularAdditions.append(.init(target: target, items: values, pairs: [], offset: start))
        return
      default: break
      }
    }
    throw failure("\(kind(of: target)) cannot be appended to")
  }

  @_lifetime(self: copy self)
  mutating func addItems() throws(PickleError) {
    let mark = try popMarkAboveTarget()
    guard stack.count > mark else { return }
    let values = try popSlice(from: mark)
    let target = try top()
    if case .node(let id) = target {
      let index = Int(id.index)
      if var elements = moveOutSet(index) {
        elements += values
        graph.nodes[index] = .set(elements)
        return
      }
      if var object = moveOutObject(index) {
        object.items += values
        graph.nodes[index] = .object(object)
        return
      }
      switch graph.nodes[index] {
      case .global, .persistentID, .extensionCode:
        graph.irregularAdditions.append(.init(target: target, items: values, pairs: [], offset: start))
        return
      default: break
      }
    }
    throw failure("\(kind(of: target)) is no set")
  }

  @_lifetime(self: copy self)
  mutating func setItem() throws(PickleError) {
    let value = try pop()
    let key = try pop()
    try setItems(CollectionOfOne(PicklePair(key: key, value: value)), in: try top())
  }

  @_lifetime(self: copy self)
  mutating func setItems() throws(PickleError) {
    let mark = try popMarkAboveTarget()
    guard stack.count > mark else { return }
    let pairs = try popPairs(from: mark)
    try setItems(pairs, in: try top())
  }

  @inline(__always)
  @_lifetime(self: copy self)
  private mutating func setItems(
    _ pairs: some Collection<PicklePair>, in target: PickleValue
  ) throws(PickleError) {
    if case .node(let id) = target {
      let index = Int(id.index)
      if var entries = moveOutDictionary(index) {
        entries.append(contentsOf: pairs)
        graph.nodes[index] = .dictionary(entries)
        return
      }
      if var object = moveOutObject(index) {
        object.pairs.append(contentsOf: pairs)
        graph.nodes[index] = .object(object)
        return
      }
      if var elements = moveOutList(index) {
        // Store the list again even on failure, so that the graph of a broken stream still contains a list.
        let failure = replaceAll(pairs, in: &elements)
        graph.nodes[index] = .list(elements)
        if let failure { throw failure }
        return
      }
      switch graph.nodes[index] {
      case .global, .persistentID, .extensionCode, .outOfBandBuffer:
        graph.irregularAdditions.append(.init(target: target, items: [], pairs: Array(pairs), offset: start))
        return
      default: break
      }
    }
    throw failure("\(kind(of: target)) takes no items by key")
  }

  private func replaceAll(
    _ pairs: some Collection<PicklePair>, in elements: inout [PickleValue]
  ) -> PickleError? {
    do throws(PickleError) {
      for pair in pairs { try replace(pair, in: &elements) }
      return nil
    } catch { return error }
  }

  /// Performs `list[index] = value`, which is how CPython applies SETITEM to a list.
  private func replace(_ pair: PicklePair, in elements: inout [PickleValue]) throws(PickleError) {
    let index: Int64
    switch pair.key {
    case .int(let value): index = value < 0 ? value + Int64(elements.count) : value
    case .bool(let value): index = value ? 1 : 0
    default: throw failure("\(kind(of: pair.key)) is no index of a list")
    }
    guard index >= 0, index < elements.count else {
      throw failure("index \(index) lies outside a list of \(elements.count)")
    }
    elements[Int(index)] = pair.value
  }

  // MARK: - Moving payloads out of nodes

  // Each is a separate function. In a switch over the node, the node's copy would live until the switch ends,
  // and a thousand appends would copy the list a thousand times.

  @_lifetime(self: copy self)
  private mutating func moveOutList(_ index: Int) -> [PickleValue]? {
    guard case .list(let elements) = graph.nodes[index] else { return nil }
    graph.nodes[index] = Self.placeholder
    return elements
  }

  @_lifetime(self: copy self)
  private mutating func moveOutSet(_ index: Int) -> [PickleValue]? {
    guard case .set(let elements) = graph.nodes[index] else { return nil }
    graph.nodes[index] = Self.placeholder
    return elements
  }

  @_lifetime(self: copy self)
  private mutating func moveOutDictionary(_ index: Int) -> [PicklePair]? {
    guard case .dictionary(let pairs) = graph.nodes[index] else { return nil }
    graph.nodes[index] = Self.placeholder
    return pairs
  }

  @_lifetime(self: copy self)
  private mutating func moveOutObject(_ index: Int) -> PickleObject? {
    guard case .object(let object) = graph.nodes[index] else { return nil }
    graph.nodes[index] = Self.placeholder
    return object
  }

  private static var placeholder: PickleNode { .tuple([]) }

  /// Returns the kind of a value, with its article, for error messages.
  @inline(never)
  func kind(of value: PickleValue) -> String {
    switch value {
    case .none: return "None"
    case .bool: return "a bool"
    case .int: return "an integer"
    case .float: return "a float"
    case .node(let id):
      switch graph[id] {
      case .longInteger: return "an integer"
      case .text, .byteString: return "a string"
      case .bytes: return "a bytes object"
      case .byteArray: return "a bytearray"
      case .list: return "a list"
      case .tuple: return "a tuple"
      case .dictionary: return "a dictionary"
      case .set: return "a set"
      case .frozenSet: return "a frozenset"
      case .global: return "a name"
      case .object: return "an object"
      case .persistentID: return "a persistent id"
      case .extensionCode: return "an extension code"
      case .outOfBandBuffer: return "an out-of-band buffer"
      }
    }
  }
}
