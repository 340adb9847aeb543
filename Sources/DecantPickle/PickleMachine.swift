package import DecantBytes

/// Interprets a pickle stream without executing it and returns inert values.
///
/// Nothing is imported or called. GLOBAL gives a name. REDUCE and the other constructing opcodes give a
/// record of the requested call. Stack, marks and memo behave as in CPython 3.11's `_pickle.c`, so a stream
/// has the same meaning. The machine never recurses, and it refuses streams that exceed its ``Limits``.
///
/// ``audit(_:limits:frames:)`` also executes what only other versions of CPython, or its unpickler in Python, execute.
package struct PickleMachine: ~Escapable {
  let bytes: RawSpan
  let limits: Limits
  /// True when an opcode that another unpickler executes is executed too.
  let isAudit: Bool
  let frames: PickleFrameReading
  /// The end of the open frame; the greatest integer when none is open.
  private var frameEnd = Int.max
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
  /// The memo entries under keys that are no index: a negative or huge number, or any text in Python 2.
  private var namedMemo: [[UInt8]: PickleValue] = [:]
  var graph = PickleGraph()
  var globals = PickleGlobalCache()
  /// The nodes of STACK_GLOBAL's long names, by the texts that gave them.
  var longGlobals: [PicklePair: PickleValue] = [:]
  /// The number of values pushed so far, shared references included. It bounds the memory of a hostile
  /// stream.
  private var pushes = 0
  var buffers = 0
  var emptyTuple: PickleValue?
  private var dataAfterBuild: DataAfterBuild?

  package typealias DataAfterBuild = (PickleGraph, PickleObject, RawSpan, Int) -> Int?

  @_lifetime(copy bytes)
  private init(
    _ bytes: RawSpan, limits: Limits, isAudit: Bool = false, frames: PickleFrameReading = .straight
  ) {
    self.bytes = bytes
    self.limits = limits
    self.isAudit = isAudit
    self.frames = frames
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
    asFarAsPossible(PickleMachine(bytes, limits: limits))
  }

  /// Interprets a stream as any unpickler would, for an audit.
  ///
  /// Where CPython 3.11's C unpickler refuses an opcode and another version, or the unpickler in Python, executes it,
  /// the machine goes on and keeps the refusal in the graph. It stops where every unpickler stops.
  ///
  /// - Parameter dataAfterBuild: Returns the number of bytes that a program reads from the file after the BUILD of an
  ///   object, such as the data of an array, or nil when none. It receives the bytes after the opcode, and their offset.
  package static func audit(
    _ bytes: RawSpan, limits: Limits = Limits(), frames: PickleFrameReading = .straight,
    dataAfterBuild: DataAfterBuild? = nil
  ) -> (graph: PickleGraph, error: PickleError?) {
    var machine = PickleMachine(bytes, limits: limits, isAudit: true, frames: frames)
    machine.dataAfterBuild = dataAfterBuild
    return asFarAsPossible(machine)
  }

  private static func asFarAsPossible(
    _ machine: consuming PickleMachine
  ) -> (graph: PickleGraph, error: PickleError?) {
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
    defer { graph.valueCount = pushes }
    while true {
      start = offset
      opcode = nil
      if offset >= frameEnd { frameEnd = .max }
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
    case .shortBinBytes: try push(node: .bytes(try readObjectBytes(Int(try read(UInt8.self)))))
    case .binBytes: try push(node: .bytes(try readObjectBytes(Int(try read(UInt32.self)))))
    case .binBytes8: try push(node: .bytes(try readObjectBytes(try readLength())))
    case .byteArray8: try push(node: .byteArray(try readObjectBytes(try readLength())))
    case .nextBuffer: try pushNextBuffer()
    case .readonlyBuffer: try makeTopReadOnly()

    // Stack and memo
    case .mark: try setMark()
    case .pop: try popOrUnmark()
    case .popMark: stack.removeSubrange(min(try popMark(), stack.count)...)
    case .dup: try push(try top())
    case .binGet: try pushMemo(Int(try read(UInt8.self)))
    case .longBinGet: try pushMemo(Int(try read(UInt32.self)))
    case .get: try pushMemo(try readMemoKey())
    case .binPut: try memoize(at: Int(try read(UInt8.self)))
    case .longBinPut: try memoize(at: Int(try read(UInt32.self)))
    case .put: try memoize(at: try readMemoKey())
    case .memoize: try memoize(at: memo.count + namedMemo.count)

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
    case .frame: try openFrame()
    case .stop: try stop()
    }
  }

  // MARK: - The stream itself

  @_lifetime(self: copy self)
  private mutating func announceProtocol() throws(PickleError) {
    let version = Int(try read(UInt8.self))
    if version > 5 {
      // PyTorch's weights_only unpickler only warns.
      try refuse(failure("protocol \(version) is not supported; 5 is the highest", cause: .unsupported))
    }
    graph.protocolVersion = version
  }

  /// Opens a frame. Like `_pickle.c`, it ignores a frame that lies in the rest of the open one.
  @_lifetime(self: copy self)
  private mutating func openFrame() throws(PickleError) {
    let length = try read(UInt64.self)
    if frameEnd != .max, offset < frameEnd {
      if length <= UInt64(frameEnd - offset) { return noteCrossing(.nestedFrame) }
      crossFrame(dropsRest: true)
    }
    if length > UInt64(bytes.byteCount - offset) {
      // The unpickler in Python reads what there is.
      try refuse(
        failure(
          "the frame needs \(Format.count(length, "byte")), but \(Format.count(bytes.byteCount - offset)) are left",
          cause: .truncated))
    }
    frameEnd = offset + min(Int(clamping: length), bytes.byteCount - offset)
  }

  @_lifetime(self: copy self)
  private mutating func stop() throws(PickleError) {
    graph.root = try pop()
    if frameEnd != .max, offset < frameEnd {
      noteCrossing(.stop)
      if frames != .straight { offset = frameEnd }
    }
    graph.byteCount = offset
  }

  @_lifetime(self: copy self)
  private mutating func noteCrossing(_ kind: PickleFrameCrossing.Kind) {
    guard graph.frameCrossing == nil, let opcode else { return }
    graph.frameCrossing = PickleFrameCrossing(kind: kind, opcode: opcode, offset: start, frameEnd: frameEnd)
  }

  /// Leaves the open frame in the middle of an opcode.
  @inline(never)
  @_lifetime(self: copy self)
  private mutating func crossFrame(dropsRest: Bool) {
    noteCrossing(.argument)
    if dropsRest, frames != .straight { offset = frameEnd }
    frameEnd = .max
  }

  /// Moves past the data that a program reads from the file after BUILD.
  @_lifetime(self: copy self)
  mutating func skipData(after object: PickleObject) {
    guard let dataAfterBuild else { return }
    let rest = bytes.extracting(offset..<bytes.byteCount)
    if let count = dataAfterBuild(graph, object, rest, offset) {
      offset += min(max(count, 0), rest.byteCount)
    }
  }

  // MARK: - Arguments

  /// Reads a little-endian integer.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(PickleError) -> T {
    let size = MemoryLayout<T>.size
    if size > frameEnd - offset { crossFrame(dropsRest: true) }
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
    if count > frameEnd - offset { crossFrame(dropsRest: true) }
    guard count <= bytes.byteCount - offset else { throw truncated(count) }
    let end = offset + count
    defer { offset = end }
    return bytes.copy(offset..<end)
  }

  /// Reads the content of a `bytes` or `bytearray`. CPython 3.8 and later read it across the end of a frame.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func readObjectBytes(_ count: Int) throws(PickleError) -> [UInt8] {
    if count > frameEnd - offset { crossFrame(dropsRest: frames == .dropsRestAlways) }
    return try readBytes(count)
  }

  /// Moves past a line and returns its byte range, without the newline.
  @_lifetime(self: copy self)
  mutating func readLineRange() throws(PickleError) -> Range<Int> {
    var end = endOfLine()
    if frameEnd != .max, end ?? bytes.byteCount >= frameEnd {
      crossFrame(dropsRest: true)
      end = endOfLine()
    }
    guard let end else {
      throw failure("its argument does not end with a newline", cause: .truncated)
    }
    defer { offset = end + 1 }
    return offset..<end
  }

  /// Returns the offset of the next newline, or nil. O(length of the line).
  private func endOfLine() -> Int? {
    var end = offset
    let count = bytes.byteCount
    while end < count {
      if unsafe bytes.unsafeLoad(fromUncheckedByteOffset: end, as: UInt8.self) == 0x0A { return end }
      end += 1
    }
    return nil
  }

  /// Moves past a line of a name. Without a newline at the end of the stream, the unpickler in Python and old versions
  /// of the one in C take the line without its last byte.
  @_lifetime(self: copy self)
  mutating func readNameRange() throws(PickleError) -> Range<Int> {
    do throws(PickleError) {
      return try readLineRange()
    } catch {
      try refuse(error)
      defer { offset = bytes.byteCount }
      return offset..<max(offset, bytes.byteCount - 1)
    }
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

  /// Reads the memo key of GET and PUT. Python 2 takes any text, the unpickler in Python numbers of any size.
  @_lifetime(self: copy self)
  private mutating func readMemoKey() throws(PickleError) -> PickleMemoKey {
    let (number, line) = try readNumberLine()
    switch PythonInteger.parse(number, .decimal) {
    case .small(let index) where index >= 0: return .index(Int(index))
    case .small(let index): try refuse(failure("the memo index, \(index), is negative"))
    case .large, .tooManyDigits: try refuse(failure("the memo index does not fit 64 bits"))
    case .invalid:
      try refuse(failure("\(PythonRepr.bytes(line.prefix(40))) is not a decimal number"))
    }
    return .text(line)
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
    guard stack.count > fence, let value = stack.popLast() else { return try popBelowMark() }
    return value
  }

  /// Pops a value below the topmost MARK, as CPython before 3.6 does.
  @inline(never)
  @_lifetime(self: copy self)
  private mutating func popBelowMark() throws(PickleError) -> PickleValue {
    try refuse(underflow())
    guard let value = stack.popLast() else { throw underflow() }
    return value
  }

  @inline(__always)
  @_lifetime(self: copy self)
  mutating func top() throws(PickleError) -> PickleValue {
    guard stack.count > fence, let value = stack.last else {
      let value = try popBelowMark()
      stack.append(value)
      return value
    }
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
    if mark <= fence { try refuse(underflow()) }
    guard mark > 0 else { throw underflow() }
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
    guard index >= 0, index <= stack.count else { throw underflow() }
    if index < fence { try refuse(underflow()) }
    let values = Array(stack[index...])
    stack.removeSubrange(index...)
    return values
  }

  /// Pops all values from `index` to the top of the stack as alternating keys and values.
  @_lifetime(self: copy self)
  mutating func popPairs(from index: Int) throws(PickleError) -> [PicklePair] {
    let values = try popSlice(from: index)
    // Python 2 ignores the last key.
    if !values.count.isMultiple(of: 2) { try refuse(failure("a key has no value")) }
    return stride(from: 0, to: values.count - values.count % 2, by: 2).map {
      PicklePair(key: values[$0], value: values[$0 + 1])
    }
  }

  // MARK: - Memo

  @_lifetime(self: copy self)
  private mutating func pushMemo(_ key: PickleMemoKey) throws(PickleError) {
    switch key {
    case .index(let index): try pushMemo(index)
    case .text(let line):
      guard let value = namedMemo[line] else {
        throw failure("the memo has no value at \(PythonRepr.bytes(line.prefix(40)))")
      }
      try push(value)
    }
  }

  @_lifetime(self: copy self)
  private mutating func memoize(at key: PickleMemoKey) throws(PickleError) {
    switch key {
    case .index(let index): try memoize(at: index)
    case .text(let line):
      let value = try top()
      try checkMemo()
      namedMemo[line] = value
    }
  }

  @inline(__always)
  private func checkMemo() throws(PickleError) {
    let count = memo.count + namedMemo.count
    guard count < limits.pickleMemo else {
      throw failure(
        "at least \(Format.count(count + 1, "value", ("is", "are"))) memoised", exceeding: \.pickleMemo)
    }
  }

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
    try checkMemo()
    graph.greatestMemoIndex = max(graph.greatestMemoIndex, index)
    if let old = memo[index], old != value { noteChange(of: index, from: old, to: value) }
    memo.store(value, at: index)
  }

  // MARK: - Errors

  /// Throws an error, or keeps it in an audit, because another unpickler goes on.
  @inline(never)
  @_lifetime(self: copy self)
  mutating func refuse(_ error: PickleError) throws(PickleError) {
    guard isAudit else { throw error }
    if graph.refusal == nil { graph.refusal = error }
  }

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
