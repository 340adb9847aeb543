/// Every value one pickle stream made, and which of them is its result.
package struct PickleGraph: Sendable {
  /// The nodes in order of creation.
  package internal(set) var nodes: [PickleNode] = []
  /// The value that STOP returned.
  package internal(set) var root: PickleValue = .none
  /// The protocol that PROTO announced; 0 when it did not.
  package internal(set) var protocolVersion = 0
  /// Bytes from the start of the stream to just past STOP.
  package internal(set) var byteCount = 0
  /// BUILDs whose target is no object (a list, a name, a persistent id…), which Python would refuse or which
  /// set attributes of what was imported: inert, kept for whoever audits the stream.
  package internal(set) var irregularBuilds: [IrregularBuild] = []

  /// A BUILD whose target is not an object the stream made.
  package struct IrregularBuild: Sendable {
    package let target: PickleValue
    package let state: PickleValue
    package let offset: Int
  }

  /// Items set on or added to what is neither container nor object (a name, a persistent id…): whether Python
  /// accepts them only the import could tell, so they are kept beside.
  package internal(set) var irregularFills: [IrregularFill] = []

  /// An APPEND, APPENDS, ADDITEMS, SETITEM or SETITEMS whose target is no value the stream made.
  package struct IrregularFill: Sendable {
    package let target: PickleValue
    /// What APPEND, APPENDS or ADDITEMS added.
    package let items: [PickleValue]
    /// What SETITEM or SETITEMS set.
    package let pairs: [PicklePair]
    package let offset: Int
  }

  /// Where names are asked for (GLOBAL, STACK_GLOBAL, INST). Names that repeat may share a node; then it stands
  /// here once, with its first place.
  package internal(set) var imports: [Import] = []

  /// A name's node, and where the opcode that first asked for it stands.
  package struct Import: Sendable {
    package let value: PickleValue
    package let offset: Int
  }

  /// Places of the memo that were given a name or a text and then another value: a picklers' memo only grows, so
  /// what reads such a stream without running it takes one name for another. The first hundred are kept.
  package internal(set) var memoChanges: [MemoChange] = []

  /// A place of the memo that changed its value.
  package struct MemoChange: Sendable {
    package let index: Int
    package let old: PickleValue
    package let new: PickleValue
    package let offset: Int
  }

  init() {}

  /// The node in a place. O(1).
  package subscript(id: PickleNodeID) -> PickleNode { nodes[Int(id.index)] }

  /// The node a value refers to; nil for scalars. O(1).
  package func node(_ value: PickleValue) -> PickleNode? {
    if case .node(let id) = value { self[id] } else { nil }
  }

  /// The text of a value that is a `str`, of Python 2 or 3. Bytes that are no UTF-8 are read as Latin-1.
  package func text(_ value: PickleValue) -> String? {
    switch node(value) {
    case .text(let text): text.string
    case .byteString(let bytes):
      String(validating: bytes, as: UTF8.self)
        ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    default: nil
    }
  }

  /// The elements of a tuple.
  package func tuple(_ value: PickleValue) -> [PickleValue]? {
    if case .tuple(let elements) = node(value) { elements } else { nil }
  }

  /// The elements of a list.
  package func list(_ value: PickleValue) -> [PickleValue]? {
    if case .list(let elements) = node(value) { elements } else { nil }
  }

  /// The name a value stands for.
  package func global(_ value: PickleValue) -> PickleGlobal? {
    if case .global(let global) = node(value) { global } else { nil }
  }

  /// The object a value refers to.
  package func object(_ value: PickleValue) -> PickleObject? {
    if case .object(let object) = node(value) { object } else { nil }
  }
}
