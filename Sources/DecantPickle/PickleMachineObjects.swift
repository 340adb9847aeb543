import DecantBytes

/// Imports, and records of the calls and objects that a stream requests.
extension PickleMachine {
  /// GLOBAL: reads two lines of UTF-8, the module and the name, and keeps their spelling.
  @_lifetime(self: copy self)
  mutating func pushGlobal() throws(PickleError) {
    let (module, name) = try readGlobalLines()
    try push(try global(module, name))
  }

  @_lifetime(self: copy self)
  private mutating func readGlobalLines() throws(PickleError) -> (module: Range<Int>, name: Range<Int>) {
    let module = try readLineRange()
    let name = try readLineRange()
    guard !module.isEmpty, !name.isEmpty else { throw failure("the line of its module or its name is empty") }
    return (module, name)
  }

  /// Returns the node of an imported name. Recent names share a node, because names repeat.
  @_lifetime(self: copy self)
  private mutating func global(_ module: Range<Int>, _ name: Range<Int>) throws(PickleError) -> PickleValue {
    if let known = globals.find(module.lowerBound..<name.upperBound, in: bytes) { return known }
    let parts = (bytes.copy(module), bytes.copy(name))
    guard let moduleText = String(validating: parts.0, as: UTF8.self),
      let nameText = String(validating: parts.1, as: UTF8.self)
    else { throw failure("its module or its name is no UTF-8") }
    let value = try make(.global(PickleGlobal(module: moduleText, name: nameText)))
    graph.imports.append(.init(value: value, offset: start))
    globals.insert(value, module.lowerBound..<name.upperBound, in: bytes)
    return value
  }

  /// STACK_GLOBAL: takes module and name from the stack. They need not be text if a call would compute them.
  @_lifetime(self: copy self)
  mutating func pushStackGlobal() throws(PickleError) {
    let name = try pop()
    let module = try pop()
    if let moduleText = graph.text(module), let nameText = graph.text(name) {
      let value = try make(.global(PickleGlobal(module: moduleText, name: nameText)))
      graph.imports.append(.init(value: value, offset: start))
      try push(value)
    } else {
      let operands = try make(.tuple([module, name]))
      try push(
        node: .object(PickleObject(.computedGlobal, callable: .none, arguments: operands, offset: start)))
    }
  }

  /// INST: reads the class name from the stream and takes the arguments above the MARK.
  @_lifetime(self: copy self)
  mutating func pushInstanceByName() throws(PickleError) {
    let mark = try popMark()
    let (module, name) = try readGlobalLines()
    for line in [module, name] {
      guard bytes.copy(line).allSatisfy({ $0 < 0x80 }) else {
        throw failure("its module or its name is no ASCII")
      }
    }
    let callable = try global(module, name)
    let arguments = try make(.tuple(try popSlice(from: mark)))
    try push(
      node: .object(PickleObject(.instance, callable: callable, arguments: arguments, offset: start)))
  }

  /// OBJ: takes the class, which is the first value above the MARK, and the arguments after it.
  @_lifetime(self: copy self)
  mutating func pushInstance() throws(PickleError) {
    let mark = try popMark()
    guard stack.count > mark else { throw failure("no class is above the MARK") }
    let arguments = try make(.tuple(try popSlice(from: mark + 1)))
    let callable = try pop()
    try push(
      node: .object(PickleObject(.instance, callable: callable, arguments: arguments, offset: start)))
  }

  /// REDUCE and NEWOBJ: takes the callable and its arguments.
  @_lifetime(self: copy self)
  mutating func pushObject(_ construction: PickleObject.Construction) throws(PickleError) {
    let arguments = try pop()
    let callable = try pop()
    try push(
      node: .object(PickleObject(construction, callable: callable, arguments: arguments, offset: start)))
  }

  @_lifetime(self: copy self)
  mutating func pushObjectWithKeywords() throws(PickleError) {
    let keywords = try pop()
    let arguments = try pop()
    let callable = try pop()
    try push(
      node: .object(
        PickleObject(
          .newObjectWithKeywords, callable: callable, arguments: arguments, keywords: keywords, offset: start)
      ))
  }

  /// BUILD: adds the state to the object's record, or to `irregularBuilds` when the target is not an object.
  @_lifetime(self: copy self)
  mutating func build() throws(PickleError) {
    let state = try pop()
    let target = try top()
    if case .node(let id) = target, case .object(var object) = graph[id] {
      graph.nodes[Int(id.index)] = .tuple([])
      object.states.append(state)
      graph.nodes[Int(id.index)] = .object(object)
    } else {
      graph.irregularBuilds.append(.init(target: target, state: state, offset: start))
    }
  }

  @_lifetime(self: copy self)
  mutating func pushExtension(_ code: Int32) throws(PickleError) {
    guard code > 0 else { throw failure("the extension code, \(code), is not positive") }
    try push(node: .extensionCode(code))
  }

  /// PERSID: reads the id from a line of ASCII.
  @_lifetime(self: copy self)
  mutating func pushPersistentIDLine() throws(PickleError) {
    let line = try readLine()
    guard line.allSatisfy({ $0 < 0x80 }) else { throw failure("its persistent id is no ASCII") }
    let text = try make(.text(PickleText(utf8: line)))
    try push(node: .persistentID(text))
  }
}
