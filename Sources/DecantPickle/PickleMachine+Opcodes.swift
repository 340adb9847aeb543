internal import DecantBytes

/// The opcodes that make values: numbers, strings, buffers, containers, names and objects.
extension PickleMachine {
  // MARK: - Numbers

  @_lifetime(self: copy self)
  mutating func pushIntegerLine() throws(PickleError) {
    let (number, line) = try readNumberLine()
    // strtol reads an empty number as 0.
    let value =
      number.isEmpty && !line.isEmpty ? .int(0) : try integer(number, .prefixed(legacyOctal: true))
    // "00" and "01" are False and True. _pickle.c accepts any two characters whose value is 0 or 1.
    if line.count == 2, let digit = line.last,
      digit == UInt8(ascii: "0") || digit == UInt8(ascii: "1") || digit == 0,
      value == .int(0) || value == .int(1)
    {
      try push(.bool(value == .int(1)))
    } else {
      try push(value)
    }
  }

  @_lifetime(self: copy self)
  mutating func pushLongLine() throws(PickleError) {
    var (number, line) = try readNumberLine()
    if number.count == line.count, number.last == UInt8(ascii: "L") { number.removeLast() }
    try push(try integer(number, .prefixed(legacyOctal: false)))
  }

  @_lifetime(self: copy self)
  private mutating func integer(
    _ text: ArraySlice<UInt8>, _ notation: PythonInteger.Notation
  ) throws(PickleError) -> PickleValue {
    try checkLong(text.count)
    switch PythonInteger.parse(text, notation) {
    case .small(let value): return try integer(.small(value))
    case .large(let value): return try integer(.large(value))
    case .invalid:
      let failure = failure("\(PythonRepr.bytes(text.prefix(40))) is not an integer")
      guard isAudit, let value = python2Integer(text) else { throw failure }
      try refuse(failure)
      return try integer(value)
    case .tooManyDigits(let count):
      graph.mostDigits = max(graph.mostDigits, count)
      try refuse(failure("an integer of \(count) decimal digits exceeds CPython's limit of 4300"))
      return try integer(.large([UInt8](repeating: 1, count: PythonInteger.maximumDigits)))
    }
  }

  @_lifetime(self: copy self)
  private mutating func integer(_ parsed: PythonInteger.Parsed) throws(PickleError) -> PickleValue {
    switch parsed {
    case .small(let value): .int(value)
    case .large(let value): try make(.longInteger(value))
    case .invalid, .tooManyDigits: throw failure("its text is not an integer")
    }
  }

  /// Parses the integers that only Python 2 reads: octal ones with a leading zero, and a final `L` or `l`.
  private func python2Integer(_ text: ArraySlice<UInt8>) -> PythonInteger.Parsed? {
    var text = ByteSlice(trimming: text)
    if let last = text.last, last == UInt8(ascii: "L") || last == UInt8(ascii: "l") { text.removeLast() }
    switch PythonInteger.parse(text, .prefixed(legacyOctal: true)) {
    case .small(let value): return .small(value)
    case .large(let value): return .large(value)
    case .invalid, .tooManyDigits: return nil
    }
  }

  private func checkLong(_ count: Int) throws(PickleError) {
    guard count <= limits.longBytes else {
      throw failure("the integer has \(Format.count(count, "byte"))", exceeding: \.longBytes, need: count)
    }
  }

  @_lifetime(self: copy self)
  mutating func pushLong(byteCount: Int) throws(PickleError) {
    try checkLong(byteCount)
    let digits = try readBytes(byteCount)
    let form = PythonInteger.shortest(digits)
    if let small = PythonInteger.small(form) {
      try push(.int(small))
    } else {
      try push(node: .longInteger(form.count == digits.count ? digits : Array(form)))
    }
  }

  @_lifetime(self: copy self)
  mutating func pushFloatLine() throws(PickleError) {
    let (number, line) = try readNumberLine()
    guard let value = PythonText.float(number) else {
      throw failure("\(PythonRepr.bytes(line.prefix(40))) is not a number")
    }
    try push(.float(value))
  }

  // MARK: - Strings

  @_lifetime(self: copy self)
  mutating func pushText(byteCount: Int) throws(PickleError) {
    let utf8 = try readBytes(byteCount)
    if let fault = PythonText.utf8Fault(utf8) {
      throw failure("its text is not UTF-8 at byte \(fault.range.lowerBound) (\(fault.reason))")
    }
    try push(node: .text(PickleText(utf8: utf8)))
  }

  @_lifetime(self: copy self)
  mutating func pushTextLine() throws(PickleError) {
    let line = try readLine()
    let utf8: [UInt8]
    do throws(PythonText.Fault) {
      utf8 = try PythonText.rawUnicodeEscape(line[...])
    } catch {
      throw failure("its text is not valid at byte \(error.range.lowerBound) (\(error.reason))")
    }
    try push(node: .text(PickleText(utf8: utf8)))
  }

  @_lifetime(self: copy self)
  mutating func pushStringLine() throws(PickleError) {
    var line = try readLine()
    if !isQuoted(line) {
      let failure = failure("\(PythonRepr.bytes(line.prefix(40))) is not quoted")
      // Python 2 ignores white space after the string, and treats every byte beyond ASCII as white space.
      while let last = line.last, last <= 0x20 || last >= 0x80 { line.removeLast() }
      guard isQuoted(line) else { throw failure }
      try refuse(failure)
    }
    let string: [UInt8]
    do throws(PythonText.Fault) {
      string = try PythonText.unescaped(line.dropFirst().dropLast())
    } catch {
      throw failure("its text is not valid at byte \(error.range.lowerBound) (\(error.reason))")
    }
    try push(node: .byteString(string))
  }

  private func isQuoted(_ line: [UInt8]) -> Bool {
    guard line.count >= 2, let quote = line.first, quote == line.last else { return false }
    return quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"")
  }

  // MARK: - Buffers

  @_lifetime(self: copy self)
  mutating func pushNextBuffer() throws(PickleError) {
    try push(node: .outOfBandBuffer(index: buffers, isReadOnly: false))
    buffers += 1
  }

  /// READONLY_BUFFER: replaces the buffer on top of the stack with a read-only view. The memo keeps the
  /// writable one.
  @_lifetime(self: copy self)
  mutating func makeTopReadOnly() throws(PickleError) {
    let value = try top()
    switch graph.node(value) {
    case .outOfBandBuffer(let index, isReadOnly: false):
      _ = try pop()
      try push(node: .outOfBandBuffer(index: index, isReadOnly: true))
    // A string is bytes when the loader asks for it: `encoding="bytes"`.
    case .outOfBandBuffer, .bytes, .byteArray, .byteString, .object, .persistentID, .extensionCode, .global:
      break
    default: throw failure("\(kind(of: value)) is not a buffer")
    }
  }

  // MARK: - Containers

  // A payload is moved out of its node before it grows and stored again afterwards. Otherwise the node would
  // hold a second reference, and every append would copy the existing elements.

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
      case .byteArray where isAudit:
        var values: [PickleValue] = []
        add(&values)
        for value in values where !isComputed(value) { _ = try byte(value) }
        graph.irregularAdditions.append(.init(target: target, items: values, pairs: [], offset: start))
        return
      case .outOfBandBuffer where !isAudit: break
      case .global, .persistentID, .extensionCode, .outOfBandBuffer:
        var values: [PickleValue] = []
        add(&values)
        graph.irregularAdditions.append(.init(target: target, items: values, pairs: [], offset: start))
        return
      default: break
      }
    }
    throw failure("\(kind(of: target)) cannot be appended to")
  }

  /// Returns the value of a byte that is put into a bytearray.
  private func byte(_ value: PickleValue) throws(PickleError) -> UInt8 {
    switch value {
    case .bool(let value): return value ? 1 : 0
    case .int(let value):
      guard let byte = UInt8(exactly: value) else { throw failure("\(value) is not a byte") }
      return byte
    default: throw failure("\(kind(of: value)) is not a byte")
    }
  }

  /// Returns true for values that only loading determines. They may be numbers or slices.
  private func isComputed(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .object, .global, .persistentID, .extensionCode: true
    default: false
    }
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
    throw failure("\(kind(of: target)) is not a set")
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
        if graph.irregularAdditions.last?.target != target {
          graph.irregularAdditions.append(
            .init(target: target, items: [], pairs: Array(pairs), offset: start))
        }
        // Store the list again even on failure, so that the graph of a broken stream still contains a list.
        let failure = replaceAll(pairs, in: &elements)
        graph.nodes[index] = .list(elements)
        if let failure { throw failure }
        return
      }
      if isAudit, case .byteArray(let bytes) = graph.nodes[index] {
        for pair in pairs where !isComputed(pair.key) && !isComputed(pair.value) {
          _ = try self.index(pair.key, count: bytes.count, "bytearray")
          _ = try byte(pair.value)
        }
        graph.irregularAdditions.append(.init(target: target, items: [], pairs: Array(pairs), offset: start))
        return
      }
      switch graph.nodes[index] {
      case .global, .persistentID, .extensionCode, .outOfBandBuffer:
        graph.irregularAdditions.append(.init(target: target, items: [], pairs: Array(pairs), offset: start))
        return
      default: break
      }
    }
    throw failure("\(kind(of: target)) does not accept items by key")
  }

  private func replaceAll(
    _ pairs: some Collection<PicklePair>, in elements: inout [PickleValue]
  ) -> PickleError? {
    do throws(PickleError) {
      for pair in pairs { try replace(pair, in: &elements) }
      return nil
    } catch { return error }
  }

  /// Performs `list[index] = value`, which is how CPython applies SETITEM to a list. In an audit, a computed
  /// key, such as a slice, changes nothing: only loading shows what it does.
  private func replace(_ pair: PicklePair, in elements: inout [PickleValue]) throws(PickleError) {
    if isAudit, isComputed(pair.key) { return }
    elements[try index(pair.key, count: elements.count, "list")] = pair.value
  }

  private func index(_ key: PickleValue, count: Int, _ kind: String) throws(PickleError) -> Int {
    let index: Int64
    switch key {
    case .int(let value): index = value < 0 ? value + Int64(count) : value
    case .bool(let value): index = value ? 1 : 0
    default: throw failure("\(self.kind(of: key)) is not a \(kind) index")
    }
    guard index >= 0, index < count else { throw failure("index \(index) is outside a \(kind) of \(count)") }
    return Int(index)
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

  // MARK: - Names and objects

  /// GLOBAL: reads two lines of UTF-8, the module and the name, and keeps their spelling.
  @_lifetime(self: copy self)
  mutating func pushGlobal() throws(PickleError) {
    let (module, name) = try readGlobalLines()
    try push(try global(module, name))
  }

  @_lifetime(self: copy self)
  private mutating func readGlobalLines() throws(PickleError) -> (module: Range<Int>, name: Range<Int>) {
    let module = try readLineRange()
    let name = try readNameRange()
    // The unpickler in Python imports the module before it looks for an empty name.
    if module.isEmpty || name.isEmpty { try refuse(failure("its module or its name is empty")) }
    return (module, name)
  }

  /// Returns the node of an imported name. Recent names share a node, because names repeat.
  @_lifetime(self: copy self)
  private mutating func global(_ module: Range<Int>, _ name: Range<Int>) throws(PickleError) -> PickleValue {
    if let known = globals.find(module.lowerBound..<name.upperBound, in: bytes) { return known }
    let parts = (bytes.copy(module), bytes.copy(name))
    if String(validating: parts.0, as: UTF8.self) == nil || String(validating: parts.1, as: UTF8.self) == nil
    {
      try refuse(failure("its module or its name is not UTF-8"))
    }
    let value = try make(
      .global(
        PickleGlobal(
          module: String(decoding: parts.0, as: UTF8.self), name: String(decoding: parts.1, as: UTF8.self))))
    graph.imports.append(.init(value: value, offset: start))
    globals.insert(value, module.lowerBound..<name.upperBound, in: bytes)
    return value
  }

  /// STACK_GLOBAL: takes module and name from the stack. They need not be text if a call would compute them.
  @_lifetime(self: copy self)
  mutating func pushStackGlobal() throws(PickleError) {
    let name = try pop()
    let module = try pop()
    let operands = PicklePair(key: module, value: name)
    if let known = longGlobals[operands] { return try push(known) }
    if let moduleText = graph.text(module), let nameText = graph.text(name) {
      let value = try make(.global(PickleGlobal(module: moduleText, name: nameText)))
      graph.imports.append(.init(value: value, offset: start))
      // A text of a megabyte can be named in five bytes.
      if moduleText.utf8.count + nameText.utf8.count > 200 { longGlobals[operands] = value }
      try push(value)
    } else {
      let arguments = try make(.tuple([module, name]))
      try push(
        node: .object(PickleObject(.computedGlobal, callable: .none, arguments: arguments, offset: start)))
    }
  }

  /// INST: reads the class name from the stream and takes the arguments above the MARK.
  @_lifetime(self: copy self)
  mutating func pushInstanceByName() throws(PickleError) {
    let mark: Int
    do throws(PickleError) { mark = try popMark() } catch {
      // The unpickler in Python imports the class before it looks for the MARK.
      if isAudit { try pushGlobal() }
      throw error
    }
    let (module, name) = try readGlobalLines()
    for line in [module, name] {
      if !bytes.copy(line).allSatisfy({ $0 < 0x80 }) {
        try refuse(failure("its module or its name is not ASCII"))
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
    guard stack.count > mark else { throw failure("the MARK is not followed by a class") }
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
      skipData(after: object)
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
    if !line.allSatisfy({ $0 < 0x80 }) {
      let failure = failure("its persistent id is not ASCII")
      // Python 2 takes any bytes. Every zip begins with the byte of PERSID, and no loader reads one as a pickle.
      guard start > 0 else { throw failure }
      try refuse(failure)
    }
    let text = try make(.text(PickleText(utf8: line)))
    try push(node: .persistentID(text))
  }

  // MARK: - Errors

  /// Returns the kind of a value, with its article, for error messages.
  @inline(never)
  private func kind(of value: PickleValue) -> String {
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
