package import DecantBytes

/// Interprets a pickle stream without executing it and returns inert values.
///
/// Nothing is imported or called. GLOBAL gives a name. REDUCE and the other constructing opcodes give a
/// record of the requested call. Stack, marks and memo behave as in CPython 3.11's `_pickle.c`, so a stream
/// has the same meaning. The machine never recurses, and it refuses streams that exceed its ``Limits``.
package struct PickleMachine: ~Escapable {
  let bytes: RawSpan
  let limits: Limits
  /// The offset of the next byte to read.
  private var offset = 0
  /// The offset of the current opcode.
  private(set) var start = 0
  /// The current opcode; nil until its byte is known to be a valid opcode.
  private var opcode: PickleOpcode?
  private(set) var stack: [PickleValue] = []
  /// For each open MARK, the stack height at which it was set.
  private var marks: [Int] = []
  /// The height of the topmost MARK. Values below it cannot be popped.
  private var fence = 0
  private var memo = PickleMemo()
  var graph = PickleGraph()
  var globals = PickleGlobalCache()
  /// The number of values pushed so far, shared references included. It bounds the memory of a hostile
  /// stream.
  private var pushes = 0
  var buffers = 0
  var emptyTuple: PickleValue?

  @_lifetime(copy bytes)
  private init(_ bytes: RawSpan, limits: Limits) {
    self.bytes = bytes
    self.limits = limits
  }

  /// Interprets the stream at the start of `bytes`, up to its STOP.
  ///
  /// Bytes after STOP are not read. O(length) in time and memory: at most about a hundred bytes of memory for
  /// each byte of the stream, and bounded by `limits.pickleValues` whatever the length.
  ///
  /// - Parameters:
  ///   - bytes: The stream. Offsets are relative to its first byte.
  ///   - limits: The resource limits for the stream.
  /// - Throws: ``PickleError`` at the first opcode that exceeds a limit, or that CPython would refuse
  ///   whatever its imports did.
  package static func interpret(_ bytes: RawSpan, limits: Limits = Limits()) throws(PickleError)
    -> PickleGraph
  {
    var machine = PickleMachine(bytes, limits: limits)
    try machine.run()
    return machine.graph
  }

  /// Interprets as ``interpret(_:limits:)`` does, and also returns the values created before an error.
  ///
  /// CPython imports and calls as it reads, so a stream that fails late has already acted. An audit needs the
  /// part before the error. Without a STOP the root is `.none`.
  package static func interpretAsFarAsPossible(
    _ bytes: RawSpan, limits: Limits = Limits()
  ) -> (graph: PickleGraph, error: PickleError?) {
    var machine = PickleMachine(bytes, limits: limits)
    do throws(PickleError) {
      try machine.run()
      return (machine.graph, nil)
    } catch {
      machine.graph.byteCount = machine.start
      return (machine.graph, error)
    }
  }

  @_lifetime(self: copy self)
  private mutating func run() throws(PickleError) {
    while true {
      start = offset
      opcode = nil
      guard offset < bytes.byteCount else { throw failure("the stream ends before STOP", cause: .truncated) }
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
      guard let next = PickleOpcode(rawValue: byte) else {
        throw failure("0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16)) is not an opcode")
      }
      opcode = next
      offset += 1
      try execute(next)
      if next == .stop { return }
    }
  }

  /// Executes one opcode.
  @inline(__always)
  @_lifetime(self: copy self)
  private mutating func execute(_ opcode: PickleOpcode) throws(PickleError) {
    switch opcode {
    // Scalars
    case .noneValue: try push(.none)
    case .newTrue: try push(.bool(true))
    case .newFalse: try push(.bool(false))
    case .binInt1: try push(.int(Int64(try read(UInt8.self))))
    case .binInt2: try push(.int(Int64(try read(UInt16.self))))
    case .binInt: try push(.int(Int64(try read(Int32.self))))
    case .binFloat: try push(.float(Double(bitPattern: try read(UInt64.self).byteSwapped)))
    case .int: try pushIntegerLine()
    case .long: try pushLongLine()
    case .long1: try pushLong(byteCount: Int(try read(UInt8.self)))
    case .long4: try pushLong(byteCount: try readSignedLength())
    case .float: try pushFloatLine()

    // Strings and buffers
    case .shortBinUnicode: try pushText(byteCount: Int(try read(UInt8.self)))
    case .binUnicode: try pushText(byteCount: Int(try read(UInt32.self)))
    case .binUnicode8: try pushText(byteCount: try readLength())
    case .unicode: try pushTextLine()
    case .shortBinString: try push(node: .byteString(try readBytes(Int(try read(UInt8.self)))))
    case .binString: try push(node: .byteString(try readBytes(try readSignedLength())))
    case .string: try pushStringLine()
    case .shortBinBytes: try push(node: .bytes(try readBytes(Int(try read(UInt8.self)))))
    case .binBytes: try push(node: .bytes(try readBytes(Int(try read(UInt32.self)))))
    case .binBytes8: try push(node: .bytes(try readBytes(try readLength())))
    case .byteArray8: try push(node: .byteArray(try readBytes(try readLength())))
    case .nextBuffer: try pushNextBuffer()
    case .readonlyBuffer: try makeTopReadOnly()

    // Stack and memo
    case .mark: try setMark()
    case .pop: try popOrUnmark()
    case .popMark: stack.removeSubrange(try popMark()...)
    case .dup: try push(try top())
    case .binGet: try pushMemo(Int(try read(UInt8.self)))
    case .longBinGet: try pushMemo(Int(try read(UInt32.self)))
    case .get: try pushMemo(try readIndexLine())
    case .binPut: try memoize(at: Int(try read(UInt8.self)))
    case .longBinPut: try memoize(at: Int(try read(UInt32.self)))
    case .put: try memoize(at: try readIndexLine())
    case .memoize: try memoize(at: memo.count)

    // Containers
    case .emptyTuple: try pushEmptyTuple()
    case .tuple1: try pushTuple(count: 1)
    case .tuple2: try pushTuple(count: 2)
    case .tuple3: try pushTuple(count: 3)
    case .tuple: try push(node: .tuple(try popSlice(from: try popMark())))
    case .emptyList: try push(node: .list([]))
    case .list: try push(node: .list(try popSlice(from: try popMark())))
    case .append: try append()
    case .appends: try appends()
    case .emptyDict: try push(node: .dictionary([]))
    case .dict: try push(node: .dictionary(try popPairs(from: try popMark())))
    case .setItem: try setItem()
    case .setItems: try setItems()
    case .emptySet: try push(node: .set([]))
    case .addItems: try addItems()
    case .frozenSet: try push(node: .frozenSet(try popSlice(from: try popMark())))

    // Names and objects
    case .global: try pushGlobal()
    case .stackGlobal: try pushStackGlobal()
    case .inst: try pushInstanceByName()
    case .obj: try pushInstance()
    case .reduce: try pushObject(.reduce)
    case .newObj: try pushObject(.newObject)
    case .newObjEx: try pushObjectWithKeywords()
    case .build: try build()
    case .ext1: try pushExtension(Int32(try read(UInt8.self)))
    case .ext2: try pushExtension(Int32(try read(UInt16.self)))
    case .ext4: try pushExtension(try read(Int32.self))
    case .persID: try pushPersistentIDLine()
    case .binPersID: try push(node: .persistentID(try pop()))

    // The stream itself
    case .proto: try announceProtocol()
    case .frame: try checkFrame()
    case .stop: try stop()
    }
  }

  // MARK: - The stream itself

  @_lifetime(self: copy self)
  private mutating func announceProtocol() throws(PickleError) {
    let version = Int(try read(UInt8.self))
    guard version <= 5 else {
      throw failure("protocol \(version) is not supported; 5 is the highest", cause: .unsupported)
    }
    graph.protocolVersion = version
  }

  /// Checks that the frame's bytes exist. As in `_pickle.c`, opcodes may cross the end of a frame.
  @_lifetime(self: copy self)
  private mutating func checkFrame() throws(PickleError) {
    let length = try read(UInt64.self)
    guard length <= UInt64(bytes.byteCount - offset) else {
      throw failure(
        "the frame needs \(Format.count(length, "byte")), but \(Format.count(bytes.byteCount - offset)) are left",
        cause: .truncated)
    }
  }

  @_lifetime(self: copy self)
  private mutating func stop() throws(PickleError) {
    graph.root = try pop()
    graph.byteCount = offset
  }

  // MARK: - Arguments

  /// Reads a little-endian integer.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(PickleError) -> T {
    let size = MemoryLayout<T>.size
    guard bytes.byteCount - offset >= size else { throw truncated(size) }
    let value = T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
    offset += size
    return value
  }

  @inline(never)
  private func truncated(_ count: some BinaryInteger) -> PickleError {
    failure(
      "its argument needs \(Format.count(count, "byte")), but \(Format.count(bytes.byteCount - offset)) are left",
      cause: .truncated)
  }

  /// Reads an eight-byte length.
  @_lifetime(self: copy self)
  mutating func readLength() throws(PickleError) -> Int {
    let length = try read(UInt64.self)
    guard let length = Int(exactly: length) else { throw truncated(length) }
    return length
  }

  /// Reads a four-byte length and refuses negative ones.
  @_lifetime(self: copy self)
  mutating func readSignedLength() throws(PickleError) -> Int {
    let length = Int(try read(Int32.self))
    guard length >= 0 else { throw failure("its length, \(length), is negative") }
    return length
  }

  /// Copies bytes after checking that they exist.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func readBytes(_ count: Int) throws(PickleError) -> [UInt8] {
    guard count <= bytes.byteCount - offset else { throw truncated(count) }
    let end = offset + count
    defer { offset = end }
    return bytes.copy(offset..<end)
  }

  /// Moves past a line and returns its byte range, without the newline.
  @_lifetime(self: copy self)
  mutating func readLineRange() throws(PickleError) -> Range<Int> {
    var end = offset
    let count = bytes.byteCount
    while end < count {
      if unsafe bytes.unsafeLoad(fromUncheckedByteOffset: end, as: UInt8.self) == 0x0A {
        defer { offset = end + 1 }
        return offset..<end
      }
      end += 1
    }
    throw failure("its argument does not end with a newline", cause: .truncated)
  }

  @_lifetime(self: copy self)
  mutating func readLine() throws(PickleError) -> [UInt8] {
    let range = try readLineRange()
    return bytes.copy(range)
  }

  /// Reads the line of a number. C's number parsers stop at the first NUL and ignore the rest, so the number
  /// does too.
  @_lifetime(self: copy self)
  mutating func readNumberLine() throws(PickleError) -> (number: ArraySlice<UInt8>, line: [UInt8]) {
    let line = try readLine()
    return (line.prefix { $0 != 0 }, line)
  }

  /// Reads the memo index of GET and PUT.
  @_lifetime(self: copy self)
  private mutating func readIndexLine() throws(PickleError) -> Int {
    let (number, line) = try readNumberLine()
    switch PythonInteger.parse(number, .decimal) {
    case .small(let index):
      guard index >= 0 else { throw failure("the memo index, \(index), is negative") }
      return Int(index)
    case .large, .tooManyDigits: throw failure("the memo index does not fit 64 bits")
    case .invalid: throw failure("\(PythonRepr.bytes(line.prefix(40))) is not a decimal number")
    }
  }

  // MARK: - Stack and nodes

  @inline(never)
  private func underflow() -> PickleError {
    failure(marks.isEmpty ? "the stack holds too few values" : "a MARK is found where a value is needed")
  }

  @inline(never)
  private func stackLimit() -> PickleError {
    if pushes > limits.pickleValues {
      failure("at least \(pushes) values are made", exceeding: \.pickleValues)
    } else {
      failure(
        "at least \(Format.count(stack.count + 1, "value", ("is", "are"))) on the stack",
        exceeding: \.pickleStack)
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
      throw failure(
        "at least \(Format.count(graph.nodes.count + 1, "node", ("is", "are"))) made",
        exceeding: \.pickleNodes)
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
  private mutating func setMark() throws(PickleError) {
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
  private mutating func popOrUnmark() throws(PickleError) {
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
  private mutating func pushMemo(_ index: Int) throws(PickleError) {
    guard let value = memo[index] else { throw failure("the memo has no value at \(index)") }
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
  private mutating func memoize(at index: Int) throws(PickleError) {
    let value = try top()
    guard memo.count < limits.pickleMemo else {
      throw failure(
        "at least \(Format.count(memo.count + 1, "value", ("is", "are"))) memoised", exceeding: \.pickleMemo)
    }
    if let old = memo[index], old != value { noteChange(of: index, from: old, to: value) }
    memo.store(value, at: index)
  }

  // MARK: - Errors

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
}
