/// Every value one pickle stream made, and which of them is its result.
public struct PickleGraph: Sendable {
  /// The nodes in order of creation.
  public internal(set) var nodes: [PickleNode] = []
  /// The value that STOP returned.
  public internal(set) var root: PickleValue = .none
  /// The protocol that PROTO announced; 0 when it did not.
  public internal(set) var protocolVersion = 0
  /// Bytes from the start of the stream to just past STOP.
  public internal(set) var byteCount = 0
  /// BUILDs whose target is no object (a list, a name, a persistent id…), which Python would refuse or which
  /// set attributes of what was imported: inert, kept for whoever audits the stream.
  public internal(set) var irregularBuilds: [IrregularBuild] = []

  /// A BUILD whose target is not an object the stream made.
  public struct IrregularBuild: Sendable {
    public let target: PickleValue
    public let state: PickleValue
    public let offset: Int
  }

  /// Items set on or added to what is neither container nor object (a name, a persistent id…): whether Python
  /// accepts them only the import could tell, so they are kept beside.
  public internal(set) var irregularFills: [IrregularFill] = []

  /// An APPEND, APPENDS, ADDITEMS, SETITEM or SETITEMS whose target is no value the stream made.
  public struct IrregularFill: Sendable {
    public let target: PickleValue
    /// What APPEND, APPENDS or ADDITEMS added.
    public let items: [PickleValue]
    /// What SETITEM or SETITEMS set.
    public let pairs: [PicklePair]
    public let offset: Int
  }

  /// Where names are asked for (GLOBAL, STACK_GLOBAL, INST). Names that repeat may share a node; then it stands
  /// here once, with its first place.
  public internal(set) var imports: [Import] = []

  /// A name's node, and where the opcode that first asked for it stands.
  public struct Import: Sendable {
    public let value: PickleValue
    public let offset: Int
  }

  /// Places of the memo that were given a name or a text and then another value: a picklers' memo only grows, so
  /// what reads such a stream without running it takes one name for another. The first hundred are kept.
  public internal(set) var memoChanges: [MemoChange] = []

  /// A place of the memo that changed its value.
  public struct MemoChange: Sendable {
    public let index: Int
    public let old: PickleValue
    public let new: PickleValue
    public let offset: Int
  }

  init() {}

  /// The node in a place. O(1).
  public subscript(id: PickleNodeID) -> PickleNode { nodes[Int(id.index)] }

  /// The node a value refers to; nil for scalars. O(1).
  public func node(_ value: PickleValue) -> PickleNode? {
    if case .node(let id) = value { self[id] } else { nil }
  }

  /// The text of a value that is a `str`, of Python 2 or 3. Bytes that are no UTF-8 are read as Latin-1.
  public func text(_ value: PickleValue) -> String? {
    switch node(value) {
    case .text(let text): text.string
    case .byteString(let bytes):
      String(validating: bytes, as: UTF8.self)
        ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    default: nil
    }
  }

  /// The elements of a tuple.
  public func tuple(_ value: PickleValue) -> [PickleValue]? {
    if case .tuple(let elements) = node(value) { elements } else { nil }
  }

  /// The elements of a list.
  public func list(_ value: PickleValue) -> [PickleValue]? {
    if case .list(let elements) = node(value) { elements } else { nil }
  }

  /// The name a value stands for.
  public func global(_ value: PickleValue) -> PickleGlobal? {
    if case .global(let global) = node(value) { global } else { nil }
  }

  /// The object a value refers to.
  public func object(_ value: PickleValue) -> PickleObject? {
    if case .object(let object) = node(value) { object } else { nil }
  }
}
