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
  var offset = 0
  /// The offset of the current opcode.
  var start = 0
  /// The current opcode; nil until its byte is known to be a valid opcode.
  var opcode: PickleOpcode?
  var stack: [PickleValue] = []
  /// For each open MARK, the stack height at which it was set.
  var marks: [Int] = []
  /// The height of the topmost MARK. Values below it cannot be popped.
  var fence = 0
  var memo = PickleMemo()
  var graph = PickleGraph()
  var globals = PickleGlobalCache()
  /// The number of values pushed so far, shared references included. It bounds the memory of a hostile
  /// stream.
  var pushes = 0
  var buffers = 0
  var emptyTuple: PickleValue?

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, limits: Limits) {
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
        throw failure("0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16)) is no opcode")
      }
      opcode = next
      offset += 1
      try execute(next)
      if next == .stop { return }
    }
  }

  /// Executes one opcode. Each family of opcodes has its own file.
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
      throw failure("protocol \(version) is unknown; 5 is the highest", cause: .unsupported)
    }
    graph.protocolVersion = version
  }

  /// Checks that the frame's bytes exist. As in `_pickle.c`, opcodes may cross the end of a frame.
  @_lifetime(self: copy self)
  private mutating func checkFrame() throws(PickleError) {
    let length = try read(UInt64.self)
    guard length <= UInt64(bytes.byteCount - offset) else {
      throw failure(
        "the frame has \(length) bytes and \(bytes.byteCount - offset) are left", cause: .truncated)
    }
  }

  @_lifetime(self: copy self)
  private mutating func stop() throws(PickleError) {
    graph.root = try pop()
    graph.byteCount = offset
  }
}
