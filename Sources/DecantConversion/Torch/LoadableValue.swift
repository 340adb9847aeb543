internal import DecantBytes
internal import DecantCheckpoints
internal import DecantPickle

/// A pickle value as PyTorch's `weights_only` loader treats it: a value that it builds, or one that it refuses.
///
/// Source: PyTorch 2.13 `torch/_weights_only_unpickler.py`.
enum LoadableValue {
  case nothing
  case boolean(Bool)
  case integer(Int64)
  /// An integer beyond 64 bits: little-endian two's complement.
  case long([UInt8])
  case float(Double)
  /// UTF-8 that may contain lone surrogates.
  case text([UInt8])
  case bytes([UInt8])
  case byteArray([UInt8])
  /// A global that is used as a value, such as `torch.float16`.
  case name(PickleGlobal)
  case list([PickleValue])
  case tuple([PickleValue])
  case set([PickleValue])
  case mapping(Mapping, [PicklePair], attributes: [PicklePair])
  /// A call with numbers and texts as arguments: `torch.Size`, `torch.device`, `complex`, a layout.
  case call(PickleGlobal, [PickleValue])
  /// A value that the loader refuses, with the name of its type.
  case refused(type: String)

  package enum Mapping { case dictionary, ordered, counter }

  init(_ value: PickleValue, in graph: PickleGraph) {
    guard case .node(let id) = value else {
      switch value {
      case .bool(let value): self = .boolean(value)
      case .int(let value): self = .integer(value)
      case .float(let value): self = .float(value)
      default: self = .nothing
      }
      return
    }
    switch graph[id] {
    case .longInteger(let form):
      self =
        form.count <= PickleWriter.longestInteger
        ? .long(form) : .refused(type: "int of \(Format.count(form.count, "byte"))")
    case .text(let text): self = .text(text.utf8)
    case .byteString: self = .text(Array((graph.text(value) ?? "").utf8))
    case .bytes(let bytes): self = .bytes(bytes)
    case .byteArray(let bytes): self = .byteArray(bytes)
    case .list(let elements): self = .list(elements)
    case .tuple(let elements): self = .tuple(elements)
    case .set(let elements): self = .set(elements)
    case .frozenSet: self = .refused(type: "frozenset")
    case .dictionary(let pairs): self = .mapping(.dictionary, pairs, attributes: [])
    case .global(let global):
      self = Self.isName(global) ? .name(global) : .refused(type: "the name \(global.qualifiedName)")
    case .persistentID: self = .refused(type: "storage")
    case .extensionCode, .outOfBandBuffer: self = .refused(type: "a value from outside the file")
    case .object(let object): self.init(object, in: graph)
    }
  }

  private init(_ object: PickleObject, in graph: PickleGraph) {
    let made = graph.madeClass(object) ?? graph.callable(object.callable)
    self = .refused(type: made?.qualifiedName ?? "computed name")
    guard object.construction == .reduce || object.construction == .newObject,
      let global = graph.global(object.callable), let arguments = graph.tuple(object.arguments)
    else { return }
    let isPlain = object.items.isEmpty && object.pairs.isEmpty && object.states.isEmpty
    switch global.qualifiedName {
    case "collections.OrderedDict":
      guard object.items.isEmpty, let given = Self.pairs(arguments, in: graph) else { return }
      var attributes: [PicklePair] = []
      for state in object.states {
        guard let pairs = graph.dictionary(state) else { return }
        attributes += pairs
      }
      self = .mapping(
        .ordered, given.isEmpty ? object.pairs : given + object.pairs, attributes: attributes)
    case "collections.Counter":
      guard object.items.isEmpty, object.states.isEmpty, let given = Self.pairs(arguments, in: graph) else {
        return
      }
      self = .mapping(.counter, given + object.pairs, attributes: [])
    case "builtins.set", "__builtin__.set":
      guard object.pairs.isEmpty, object.states.isEmpty, arguments.count <= 1 else { return }
      guard let first = arguments.first else {
        self = .set(object.items)
        return
      }
      guard let elements = graph.list(first) ?? graph.tuple(first) else { return }
      self = .set(elements + object.items)
    case "torch.Size":
      guard isPlain, arguments.count == 1, let sizes = graph.tuple(arguments[0]) ?? graph.list(arguments[0]),
        sizes.allSatisfy({ if case .int = $0 { true } else { false } })
      else { return }
      self = .call(global, arguments)
    case "torch.device":
      guard isPlain, 1...2 ~= arguments.count, graph.text(arguments[0]) != nil,
        arguments.dropFirst().allSatisfy({ if case .int = $0 { true } else { false } })
      else { return }
      self = .call(global, arguments)
    case "torch.serialization._get_layout":
      guard isPlain, arguments.count == 1, graph.text(arguments[0]) != nil else { return }
      self = .call(global, arguments)
    case "builtins.complex", "__builtin__.complex":
      guard isPlain, arguments.count == 2,
        arguments.allSatisfy({ if case .float = $0 { true } else { false } })
      else { return }
      self = .call(PickleGlobal(module: "__builtin__", name: "complex"), arguments)
    default:
      guard isPlain else { return }
      if let bytes = graph.bytes(of: object) {
        self = .bytes(bytes)
      } else if let made = graph.bytes(ofCall: object) {
        self = made.type == "bytearray" ? .byteArray(made.content) : .bytes(made.content)
      }
    }
  }

  /// Returns the pairs that a mapping's constructor receives; nil when the arguments are not pairs.
  private static func pairs(_ arguments: [PickleValue], in graph: PickleGraph) -> [PicklePair]? {
    guard let first = arguments.first else { return [] }
    guard arguments.count == 1 else { return nil }
    if let given = graph.dictionary(first) { return given }
    guard let elements = graph.list(first) ?? graph.tuple(first) else { return nil }
    var pairs: [PicklePair] = []
    for element in elements {
      guard let pair = graph.tuple(element) ?? graph.list(element), pair.count == 2 else { return nil }
      pairs.append(PicklePair(key: pair[0], value: pair[1]))
    }
    return pairs
  }

  /// Returns true when a global may be a value: dtypes, quantisation schemes, and the classes that the loader builds.
  private static func isName(_ global: PickleGlobal) -> Bool {
    StorageTypes.dtype(global) != nil || global.module == "torch" && schemes.contains(global.name)
      || classes.contains(global.qualifiedName)
  }

  private static let classes: Set<String> = [
    "collections.OrderedDict", "collections.Counter", "torch.Tensor", "torch.Size", "torch.device",
    "torch.nn.parameter.Parameter", "builtins.set", "__builtin__.set", "builtins.complex",
    "__builtin__.complex",
    "builtins.bytearray", "__builtin__.bytearray",
  ]

  private static let schemes: Set<String> = [
    "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
    "per_channel_affine_float_qparams",
  ]
}
