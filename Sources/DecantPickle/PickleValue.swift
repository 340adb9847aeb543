/// A value of a pickle stream: a scalar, or a reference to a node in its ``PickleGraph``.
///
/// Values are small and inert. The graph owns the containers. Shared and recursive references therefore need
/// no reference cycles, and neither building nor freeing a deeply nested value recurses on the host stack.
package enum PickleValue: Hashable, Sendable {
  case none
  case bool(Bool)
  /// An integer that fits 64 bits. Larger ones are ``PickleNode/longInteger(_:)``.
  case int(Int64)
  case float(Double)
  /// A reference to a node of the graph that created this value.
  case node(PickleNodeID)
}

/// The index of a node in its ``PickleGraph``.
package struct PickleNodeID: Hashable, Sendable {
  package let index: Int32
}

/// The content of a node of a ``PickleGraph``.
///
/// The two large payloads are boxed, which keeps every node at 16 bytes.
///
/// Tuples, frozensets and strings never change after their creation. Later opcodes fill lists, dictionaries,
/// sets and objects, in stream order and with duplicates kept.
package enum PickleNode: Sendable {
  /// An integer beyond 64 bits: two's complement, little-endian, shortest form.
  case longInteger([UInt8])
  /// Unicode text: UTF-8 that may contain lone surrogates (Python's "surrogatepass").
  case text(PickleText)
  /// A `bytes` value of protocol 3 and later.
  case bytes([UInt8])
  /// A `bytearray` value of protocol 5.
  case byteArray([UInt8])
  /// A Python 2 `str` (STRING, BINSTRING, SHORT_BINSTRING): bytes whose encoding the file does not record.
  case byteString([UInt8])
  case list([PickleValue])
  case tuple([PickleValue])
  /// Key and value pairs in insertion order, duplicates kept.
  case dictionary([PicklePair])
  case set([PickleValue])
  case frozenSet([PickleValue])
  /// An importable name. It is never imported.
  indirect case global(PickleGlobal)
  /// A requested call or instantiation, with its BUILD states. It is never executed.
  indirect case object(PickleObject)
  /// A persistent id. PERSID gives text, BINPERSID any value.
  case persistentID(PickleValue)
  /// A code of Python's extension registry (EXT1, EXT2, EXT4). Only the process that wrote it can resolve it.
  case extensionCode(Int32)
  /// The n-th out-of-band buffer (NEXT_BUFFER). Its bytes are not in the stream.
  case outOfBandBuffer(index: Int, isReadOnly: Bool)
}

/// Text of a pickle: UTF-8 that may contain lone surrogates.
package struct PickleText: Hashable, Sendable {
  /// The bytes in the stream, with protocol 0 escapes resolved.
  package let utf8: [UInt8]

  /// Wraps UTF-8 bytes.
  package init(utf8: [UInt8]) { self.utf8 = utf8 }

  /// The text, with lone surrogates replaced by U+FFFD. O(length).
  package var string: String { String(decoding: utf8, as: UTF8.self) }
}

/// A key and its value.
package struct PicklePair: Hashable, Sendable {
  package var key: PickleValue
  package var value: PickleValue
  /// Creates a pair.
  package init(key: PickleValue, value: PickleValue) {
    self.key = key
    self.value = value
  }
}

/// A name that a stream imports: `module.name`, with the stream's spelling.
///
/// STACK_GLOBAL with operands that are not text gives a ``PickleObject`` instead.
package struct PickleGlobal: Hashable, Sendable {
  package let module: String
  package let name: String
  /// `module.name`.
  package let qualifiedName: String
  /// Creates an importable name.
  package init(module: String, name: String) {
    self.module = module
    self.name = name
    qualifiedName = module + "." + name
  }
}

/// A record of an object that the stream requests, and of the values added to it later.
package struct PickleObject: Sendable {
  /// The kind of request that creates an object.
  package enum Construction: String, Sendable {
    /// `callable(*arguments)`: REDUCE.
    case reduce
    /// `cls.__new__(cls, *arguments)`: NEWOBJ.
    case newObject
    /// `cls.__new__(cls, *arguments, **keywords)`: NEWOBJ_EX.
    case newObjectWithKeywords
    /// `cls(*arguments)` of protocols 0 and 1: INST, OBJ.
    case instance
    /// An import whose module or name is computed instead of text: STACK_GLOBAL. `arguments` holds both
    /// operands.
    case computedGlobal
  }
  package let construction: Construction
  /// The callable; `.none` for a computed global.
  package let callable: PickleValue
  /// The positional arguments: a tuple's node, or any other value that the stream supplies.
  package let arguments: PickleValue
  /// The keyword arguments of NEWOBJ_EX.
  package let keywords: PickleValue?
  /// The offset of the opcode in bytes from the start of the stream.
  package let offset: Int
  /// The states set by BUILD, in order; almost always none or one.
  package var states: [PickleValue] = []
  /// The items added by APPEND, APPENDS and ADDITEMS.
  package var items: [PickleValue] = []
  /// The pairs set by SETITEM and SETITEMS, in order, duplicates kept.
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
