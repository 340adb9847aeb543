/// All values that one pickle stream creates, and the stream's result.
package struct PickleGraph: Sendable {
  /// The nodes in order of creation.
  package internal(set) var nodes: [PickleNode] = []
  /// The value on top of the stack at STOP.
  package internal(set) var root: PickleValue = .none
  /// The protocol that PROTO declares; 0 without PROTO.
  package internal(set) var protocolVersion = 0
  /// The number of bytes from the start of the stream to the end of STOP.
  package internal(set) var byteCount = 0
  /// The first opcode that an open frame's end cuts, or nil. Picklers end a frame between opcodes.
  package internal(set) var frameCrossing: PickleFrameCrossing?
  /// The first opcode that CPython 3.11's C unpickler refuses and another one executes, in an audit.
  package internal(set) var refusal: PickleError?
  /// The number of values that were pushed, shared references included.
  package internal(set) var valueCount = 0
  /// The greatest index of the memo. CPython's memo is an array of at least as many entries.
  package internal(set) var greatestMemoIndex = 0
  /// The greatest number of digits of a decimal integer that was too long to convert.
  package internal(set) var mostDigits = 0
  /// BUILDs whose target is not an object (a list, a global, a persistent id…).
  ///
  /// Python would refuse them or set attributes of an imported object. They have no effect here and are kept
  /// for audits of the stream.
  package internal(set) var irregularBuilds: [IrregularBuild] = []

  /// A BUILD whose target is not an object that the stream created.
  package struct IrregularBuild: Sendable {
    package let target: PickleValue
    package let state: PickleValue
    package let offset: Int
  }

  /// Items added to a target that is neither a container nor an object (a global, a persistent id…), and changes of
  /// lists and bytearrays that picklers never write.
  ///
  /// Only loading could show what they do, so they are recorded separately.
  package internal(set) var irregularAdditions: [IrregularAddition] = []

  /// An APPEND, APPENDS, ADDITEMS, SETITEM or SETITEMS that picklers do not write for its target.
  package struct IrregularAddition: Sendable {
    package let target: PickleValue
    /// The items added by APPEND, APPENDS or ADDITEMS.
    package let items: [PickleValue]
    /// The pairs set by SETITEM or SETITEMS.
    package let pairs: [PicklePair]
    package let offset: Int
  }

  /// The imports (GLOBAL, STACK_GLOBAL, INST), in stream order. A repeated name may share one node. It is
  /// then listed once, with the offset of its first use.
  package internal(set) var imports: [Import] = []

  /// The node of an imported name and the offset of the opcode that first used it.
  package struct Import: Sendable {
    package let value: PickleValue
    package let offset: Int
  }

  /// Memo entries that held a global or a text and were then overwritten with another value.
  ///
  /// Picklers never overwrite memo entries. A scanner that does not run such a stream would mistake one name
  /// for another. Only the first hundred are kept.
  package internal(set) var memoOverwrites: [MemoOverwrite] = []

  /// An overwritten memo entry.
  package struct MemoOverwrite: Sendable {
    package let index: Int
    package let old: PickleValue
    package let new: PickleValue
    package let offset: Int
  }

  init() {}

  /// The node with this index. O(1).
  package subscript(id: PickleNodeID) -> PickleNode { nodes[Int(id.index)] }

  /// Returns the node that a value refers to; nil for scalars. O(1).
  package func node(_ value: PickleValue) -> PickleNode? {
    if case .node(let id) = value { self[id] } else { nil }
  }

  /// Returns the text of a Python 2 or 3 `str`; nil for other values. Bytes that are not valid UTF-8 are read
  /// as Latin-1.
  package func text(_ value: PickleValue) -> String? {
    switch node(value) {
    case .text(let text): text.string
    case .byteString(let bytes):
      String(validating: bytes, as: UTF8.self)
        ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    default: nil
    }
  }

  /// Returns the first bytes of a text, which may be shared by any number of calls. O(limit).
  package func text(_ value: PickleValue, upTo limit: Int) -> String? {
    switch node(value) {
    case .text(let text) where text.utf8.count > limit:
      String(decoding: text.utf8.prefix(limit), as: UTF8.self)
    case .byteString(let bytes) where bytes.count > limit:
      String(decoding: bytes.prefix(limit), as: UTF8.self)
    default: text(value)
    }
  }

  /// Returns the elements of a tuple; nil for other values.
  package func tuple(_ value: PickleValue) -> [PickleValue]? {
    if case .tuple(let elements) = node(value) { elements } else { nil }
  }

  /// Returns the elements of a list; nil for other values.
  package func list(_ value: PickleValue) -> [PickleValue]? {
    if case .list(let elements) = node(value) { elements } else { nil }
  }

  /// Returns the arguments of a call, which the unpickler in Python takes from any container; nil when they are
  /// computed.
  package func arguments(_ object: PickleObject) -> [PickleValue]? {
    switch node(object.arguments) {
    case .tuple(let values), .list(let values), .set(let values), .frozenSet(let values): values
    case .dictionary(let pairs): pairs.map(\.key)
    default: nil
    }
  }

  /// Returns the imported name that a value refers to; nil for other values.
  package func global(_ value: PickleValue) -> PickleGlobal? {
    if case .global(let global) = node(value) { global } else { nil }
  }

  /// Returns the object that a value refers to; nil for other values.
  package func object(_ value: PickleValue) -> PickleObject? {
    if case .object(let object) = node(value) { object } else { nil }
  }
}
