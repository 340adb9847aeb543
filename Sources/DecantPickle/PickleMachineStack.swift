import DecantBytes

/// The stack, the marks, the memo and the nodes of the machine.
extension PickleMachine {
  /// Returns an error for the current opcode.
  @inline(never)
  func failure(_ reason: String, cause: PickleError.Cause = .invalid) -> PickleError {
    PickleError(offset: start, opcode: opcode, cause: cause, reason)
  }

  /// Returns an error for a limit that the current opcode exceeds.
  @inline(never)
  func failure(_ subject: String, exceeding limit: KeyPath<Limits, Int>, need: Int? = nil) -> PickleError {
    PickleError(offset: start, opcode: opcode, limits.exceeded(limit, need: need), subject)
  }

  @inline(never)
  private func underflow() -> PickleError {
    failure(marks.isEmpty ? "the stack holds too few values" : "a MARK is where a value is needed")
  }

  @inline(never)
  private func stackLimit() -> PickleError {
    if pushes > limits.pickleValues {
      failure("at least \(pushes) values are made", exceeding: \.pickleValues)
    } else {
      failure("at least \(stack.count + 1) values are on the stack", exceeding: \.pickleStack)
    }
  }

  @inline(__always)
  @_lifetime(self: copy self)
  mutating func push(_ value: PickleValue) throws(PickleError) {
    pushes += 1
    guard pushes <= limits.pickleValues, stack.count < limits.pickleStack else { throw stackLimit() }
    stack.append(value)
  }

  @inline(__always)
  @_lifetime(self: copy self)
  mutating func push(node: PickleNode) throws(PickleError) {
    try push(try make(node))
  }

  /// Adds a node to the graph and returns a reference to it.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func make(_ node: PickleNode) throws(PickleError) -> PickleValue {
    guard graph.nodes.count < limits.pickleNodes, let index = Int32(exactly: graph.nodes.count) else {
      throw failure("at least \(graph.nodes.count + 1) nodes are made", exceeding: \.pickleNodes)
    }
    graph.nodes.append(node)
    return .node(PickleNodeID(index: index))
  }

  @inline(__always)
  @_lifetime(self: copy self)
  mutating func pop() throws(PickleError) -> PickleValue {
    guard stack.count > fence, let value = stack.popLast() else { throw underflow() }
    return value
  }

  @inline(__always)
  func top() throws(PickleError) -> PickleValue {
    guard stack.count > fence, let value = stack.last else { throw underflow() }
    return value
  }

  @_lifetime(self: copy self)
  mutating func setMark() throws(PickleError) {
    guard marks.count < limits.pickleStack else {
      throw failure("at least \(marks.count + 1) MARKs are open", exceeding: \.pickleStack)
    }
    fence = stack.count
    marks.append(fence)
  }

  /// Removes the topmost MARK and returns the stack index of the first value above it.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func popMark() throws(PickleError) -> Int {
    guard let mark = marks.popLast() else { throw failure("no MARK is on the stack") }
    fence = marks.last ?? 0
    return mark
  }

  /// Removes the topmost MARK and returns the stack index of the first value above it. The target must be
  /// right below.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func popMarkAboveTarget() throws(PickleError) -> Int {
    let mark = try popMark()
    guard mark > fence else { throw underflow() }
    return mark
  }

  /// POP: removes the topmost value, or the topmost MARK when it has no values above it.
  @_lifetime(self: copy self)
  mutating func popOrUnmark() throws(PickleError) {
    if marks.last == stack.count {
      _ = try popMark()
    } else {
      _ = try pop()
    }
  }

  /// Pops all values from `index` to the top of the stack.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func popSlice(from index: Int) throws(PickleError) -> [PickleValue] {
    guard index >= fence, index <= stack.count else { throw underflow() }
    let values = Array(stack[index...])
    stack.removeSubrange(index...)
    return values
  }

  /// Pops all values from `index` to the top of the stack as alternating keys and values.
  @_lifetime(self: copy self)
  mutating func popPairs(from index: Int) throws(PickleError) -> [PicklePair] {
    let values = try popSlice(from: index)
    guard values.count.isMultiple(of: 2) else { throw failure("a key has no value") }
    return stride(from: 0, to: values.count, by: 2).map { PicklePair(key: values[$0], value: values[$0 + 1]) }
  }

  // MARK: - Memo

  @_lifetime(self: copy self)
  mutating func pushMemo(_ index: Int) throws(PickleError) {
    guard let value = memo[index] else { throw failure("nothing is memoised at \(index)") }
    try push(value)
  }

  /// Records an overwritten memo entry that could make one name pass for another.
  @inline(never)
  @_lifetime(self: copy self)
  private mutating func noteChange(of index: Int, from old: PickleValue, to new: PickleValue) {
    func isName(_ value: PickleValue) -> Bool {
      if case .global = graph.node(value) { true } else { graph.text(value) != nil }
    }
    guard graph.memoOverwrites.count < 100, isName(old) || isName(new) else { return }
    graph.memoOverwrites.append(.init(index: index, old: old, new: new, offset: start))
  }

  @_lifetime(self: copy self)
  mutating func memoize(at index: Int) throws(PickleError) {
    let value = try top()
    guard memo.count < limits.pickleMemo else {
      throw failure("at least \(memo.count + 1) values are memoised", exceeding: \.pickleMemo)
    }
    if let old = memo[index], old != value { noteChange(of: index, from: old, to: value) }
    memo.store(value, at: index)
  }
}
