/// One value of an unpickled stream: a scalar, or the place of a node in its ``PickleGraph``.
///
/// Values are small and inert. Containers live in the graph, so shared and recursive references need no
/// reference cycles, and neither building nor dropping a deep value recurses on the host stack.
package enum PickleValue: Hashable, Sendable {
  case none
  case bool(Bool)
  /// An integer that fits 64 bits; larger ones are ``PickleNode/longInteger(_:)``.
  case int(Int64)
  case float(Double)
  /// A node of the graph that made this value.
  case node(PickleNodeID)
}

/// The place of a node in its ``PickleGraph``.
package struct PickleNodeID: Hashable, Sendable {
  package let index: Int32
}

/// What a node of a ``PickleGraph`` holds.
///
/// The two large payloads are boxed, which keeps every node at 16 bytes.
///
/// A tuple, frozenset or string never changes once made; lists, dictionaries, sets and objects are filled by
/// later opcodes, in the stream's order, duplicates kept.
package enum PickleNode: Sendable {
  /// An integer beyond 64 bits: two's complement, little-endian, shortest form.
  case longInteger([UInt8])
  /// Unicode text: UTF-8 in which lone surrogates may stand (Python's "surrogatepass").
  case text(PickleText)
  /// `bytes` of protocol 3 and later.
  case bytes([UInt8])
  /// `bytearray` of protocol 5.
  case byteArray([UInt8])
  /// A `str` of Python 2 (STRING, BINSTRING, SHORT_BINSTRING): bytes whose encoding the file does not say.
  case byteString([UInt8])
  case list([PickleValue])
  case tuple([PickleValue])
  /// Key and value pairs in order of insertion, duplicates kept.
  case dictionary([PicklePair])
  case set([PickleValue])
  case frozenSet([PickleValue])
  /// An importable name. It is never imported.
  indirect case global(PickleGlobal)
  /// What a call, an instantiation or a BUILD asked for. It is never done.
  indirect case object(PickleObject)
  /// A persistent id (PERSID gives text, BINPERSID any value).
  case persistentID(PickleValue)
  /// A code of Python's extension registry (EXT1, EXT2, EXT4), which only the writer's process can resolve.
  case extensionCode(Int32)
  /// The n-th out-of-band buffer (NEXT_BUFFER), which the stream does not hold.
  case outOfBandBuffer(index: Int, isReadOnly: Bool)
}

/// Text as pickles hold it: UTF-8 in which lone surrogates may stand.
package struct PickleText: Hashable, Sendable {
  /// The bytes as they stand in the stream (escapes of protocol 0 resolved).
  package let utf8: [UInt8]

  /// Wraps bytes.
  package init(utf8: [UInt8]) { self.utf8 = utf8 }

  /// The text; lone surrogates become U+FFFD. O(length).
  package var string: String { String(decoding: utf8, as: UTF8.self) }
}

/// One key and its value.
package struct PicklePair: Hashable, Sendable {
  package var key: PickleValue
  package var value: PickleValue
  /// Makes a pair.
  package init(key: PickleValue, value: PickleValue) {
    self.key = key
    self.value = value
  }
}

/// A name a stream wants imported: `module.name`, as the stream spells it.
///
/// STACK_GLOBAL with operands that are no text gives a ``PickleObject`` instead.
package struct PickleGlobal: Hashable, Sendable {
  package let module: String
  package let name: String
  /// `module.name`.
  package let qualifiedName: String
  /// Makes a name.
  package init(module: String, name: String) {
    self.module = module
    self.name = name
    qualifiedName = module + "." + name
  }
}

/// A record of what the stream asked to be made, and how it was filled afterwards.
package struct PickleObject: Sendable {
  /// The way an object is asked for.
  package enum Construction: String, Sendable {
    /// `callable(*arguments)`: REDUCE.
    case reduce
    /// `cls.__new__(cls, *arguments)`: NEWOBJ.
    case newObject
    /// `cls.__new__(cls, *arguments, **keywords)`: NEWOBJ_EX.
    case newObjectWithKeywords
    /// `cls(*arguments)` of protocol 0 and 1: INST, OBJ.
    case instance
    /// An import whose module or name is computed and no text: STACK_GLOBAL. `arguments` are the two.
    case computedGlobal
  }
  package let construction: Construction
  /// What would be called; `.none` for a computed global.
  package let callable: PickleValue
  /// The positional arguments: a tuple's node, or whatever else the stream put there.
  package let arguments: PickleValue
  /// The keyword arguments of NEWOBJ_EX.
  package let keywords: PickleValue?
  /// Where the opcode stands: bytes from the start of the stream.
  package let offset: Int
  /// The states given by BUILD, in order; almost always none or one.
  package var states: [PickleValue] = []
  /// What APPEND, APPENDS and ADDITEMS added.
  package var items: [PickleValue] = []
  /// What SETITEM and SETITEMS set, in order, duplicates kept.
  package var pairs: [PicklePair] = []

  init(
    _ construction: Construction, callable: PickleValue, arguments: PickleValue,
    keywords: PickleValue? = nil, offset: Int
  ) {
    self.construction = construction
    self.callable = callable
    self.arguments = arguments
    self.keywords = keywords
    self.offset = offset
  }
}
