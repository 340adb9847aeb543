internal import DecantBytes
internal import DecantPickle

/// Judges the names, calls and changes of one pickle stream.
///
/// The pickle machine has run the stream without importing or calling anything, with the stack and memo that CPython
/// would have had. This type examines everything that the machine recorded. O(values).
struct PickleAudit {
  let graph: PickleGraph
  let place: String
  let audit: FileAudit
  /// The byte strings in the stream that may be a pickle or a whole file.
  private(set) var payloads: [Payload] = []
  /// The number of elements and the element size in bytes of each storage in torch's persistent ids, by key.
  private(set) var storages: [ExactText: (count: Int, elementByteCount: Int?)] = [:]

  /// A byte string to scan.
  struct Payload {
    let bytes: [UInt8]
    /// True when a function in the stream loads the bytes. They are then judged whatever they look like.
    let isLoaded: Bool
    let offset: Int
  }

  init(_ graph: PickleGraph, in place: String, _ audit: FileAudit) {
    self.graph = graph
    self.place = place
    self.audit = audit
  }

  /// Judges every value, import and change in the stream.
  mutating func run() {
    if let refusal = graph.refusal {
      report(
        .unknown, .brokenPickle, refusal.offset,
        "some unpicklers stop \(refusal.description.escapedForDisplay); what others execute is judged")
    }
    var called: Set<Int32> = []
    var extensions: Set<Int32> = []
    for node in graph.nodes {
      switch node {
      case .object(let object):
        if judge(object), case .node(let id) = object.callable { called.insert(id.index) }
      case .persistentID(let id): judge(persistentID: id)
      case .bytes(let bytes), .byteArray(let bytes), .byteString(let bytes):
        if Sniffing.mayBePickle(bytes) { payloads.append(Payload(bytes: bytes, isLoaded: false, offset: 0)) }
      case .dictionary(let pairs): judge(keys: pairs, isState: false, at: 0)
      case .extensionCode(let code) where extensions.insert(code).inserted:
        report(
          .dangerous, .extensionCode, 0,
          "extension code \(code) refers to a name that only the loading process knows")
      default: break
      }
    }
    for entry in graph.imports {
      guard case .node(let id) = entry.value, !called.contains(id.index),
        let global = graph.global(entry.value)
      else { continue }
      judge(import: global, at: entry.offset)
    }
    judgeChanges()
    if let leaves = SharedContainers.leaves(of: graph) {
      report(
        .unknown, .expansion, 0,
        "containers that share each other hold \(leaves < 1e18 ? "some \(Int(leaves))" : "more than 10^18") values when they are copied or printed"
      )
    }
  }

  func report(_ severity: ScanSeverity, _ rule: ScanRule, _ offset: Int, _ what: String, call: String? = nil)
  {
    audit.report(severity, rule, in: place, at: offset, what, call: call)
  }

  // MARK: - Names

  private func judge(import global: PickleGlobal, at offset: Int) {
    if audit.omitsFinding(.dangerous) { return }
    let name = CallFormatter.name(global)
    let statement = "from \(global.module.escapedForDisplay) import \(global.name.escapedForDisplay)"
    let call = statement.utf8.count <= 240 ? statement : name
    switch audit.standing(module: global.module, name: global.name) {
    case .known: break
    case .unknown(let rule, let reason): report(.unknown, rule, offset, "\(name): \(reason)", call: call)
    case .dangerous(let rule, let reason): report(.dangerous, rule, offset, "\(name): \(reason)", call: call)
    case .dangerousWhenCalled(let rule, let reason):
      report(.unknown, rule, offset, "\(name): \(reason); it is named here, not called", call: call)
    }
  }

  // MARK: - Calls

  /// Judges a call. Returns true when the finding covers the import of its name too.
  private mutating func judge(_ object: PickleObject) -> Bool {
    for state in object.states { judge(state: state, at: object.offset) }
    if object.construction == .computedGlobal {
      report(
        .dangerous, .computedName, object.offset, "the module or name of an import is not text",
        call: CallFormatter.call(object, in: graph))
      return false
    }
    switch graph.node(object.callable) {
    case .global(let global):
      if let attribute = attribute(object) {
        judge(import: attribute, at: object.offset)
        return true
      }
      if let owner = methodOwner(object) {
        report(
          .unknown, .libraryName, object.offset,
          "a method of a \(CallFormatter.name(owner)), which is kept and not called",
          call: CallFormatter.call(object, in: graph))
        return true
      }
      if isPlainIterator(object, global) {
        report(
          .unknown, .standardValue, object.offset, "an iterator over values of the file",
          call: CallFormatter.call(object, in: graph))
        return true
      }
      return judge(object, calling: global)
    case .object(let maker) where attribute(maker) != nil:
      return attribute(maker).map { judge(object, calling: $0) } ?? false
    case .persistentID(let id) where moduleClass(id) != nil:
      // Legacy files represent a class as ('module', class, source file, source).
      return moduleClass(id).map { judge(object, calling: $0) } ?? false
    case .persistentID:
      fallthrough
    case .object, .extensionCode:
      report(
        .dangerous, .computedCall, object.offset, "the result of another call is called, not a name",
        call: CallFormatter.call(object, in: graph))
    default:
      report(
        .unknown, .oddUse, object.offset, "a value that is not a name is called, which Python rejects",
        call: CallFormatter.call(object, in: graph))
    }
    return false
  }

  private mutating func judge(_ object: PickleObject, calling global: PickleGlobal) -> Bool {
    judgeCallbacks(object, calling: global)
    let name = CallFormatter.name(global)
    func call() -> String { CallFormatter.call(object, in: graph) }
    switch audit.standing(module: global.module, name: global.name) {
    case .known(let use):
      judge(object, calling: global, use)
      return false
    case .unknown(let rule, let reason):
      if global.module == "torch.storage", global.name == "_load_from_bytes" {
        loadFromBytes(object, call())
        return true
      }
      if global.name == "type", rule == .standardValue, (graph.arguments(object)?.count ?? 3) > 1 {
        report(.dangerous, .runsCode, object.offset, "\(name): makes a class", call: call())
        return true
      }
      if StandardLibrary.isMetaclass(global.module, global.name),
        (graph.arguments(object)?.count ?? 3) > 1
      {
        report(.dangerous, .runsCode, object.offset, "\(name): makes a class", call: call())
        return true
      }
      if rule == .standardValue {
        for state in object.states { judgeAttributes(state, of: global, at: object.offset, isOpen: true) }
      }
      report(.unknown, rule, object.offset, "\(name): \(reason)", call: call())
    case .dangerous(let rule, let reason), .dangerousWhenCalled(let rule, let reason):
      if global.name == "loads" || global.name == "_loads", let first = graph.arguments(object)?.first,
        let bytes = graph.bytes(first)
      {
        payloads.append(Payload(bytes: bytes, isLoaded: true, offset: object.offset))
      }
      report(.dangerous, rule, object.offset, "\(name): \(reason)", call: call())
    }
    return true
  }

  /// Returns the name that `getattr(Class, 'Nested')` refers to, which is how protocols before 4 encode a nested class.
  ///
  /// The object must be a name and the attribute a literal. The result is judged like the same name with dots.
  func attribute(_ object: PickleObject, nesting: Int = 0) -> PickleGlobal? {
    guard nesting < 4, object.construction == .reduce, object.states.isEmpty, object.items.isEmpty,
      object.pairs.isEmpty, let function = graph.global(object.callable), function.name == "getattr",
      function.module == "builtins" || function.module == "__builtin__",
      let arguments = graph.arguments(object), arguments.count == 2,
      let name = graph.text(arguments[1]),
      NameClass.isPlain(name), !name.hasPrefix("__")
    else { return nil }
    let owner =
      graph.global(arguments[0]) ?? graph.object(arguments[0]).flatMap { attribute($0, nesting: nesting + 1) }
    return owner.map { PickleGlobal(module: $0.module, name: $0.name + "." + name) }
  }

  /// Returns the class of the object in `getattr(object, 'method')`, which is how bound methods are pickled.
  ///
  /// The file must create the object by a name, and the method must be a literal that neither Python itself nor an
  /// attack looks up. Opcodes that call the result or set anything on it are judged separately.
  ///
  /// Returns nil for objects of the standard library and of NumPy, whose methods can write files: `Path.touch`,
  /// `ndarray.tofile`.
  func methodOwner(_ object: PickleObject) -> PickleGlobal? {
    guard object.construction == .reduce, object.states.isEmpty, object.items.isEmpty, object.pairs.isEmpty,
      let function = graph.global(object.callable), function.name == "getattr",
      function.module == "builtins" || function.module == "__builtin__",
      let arguments = graph.arguments(object), arguments.count == 2,
      let name = graph.text(arguments[1]), NameClass.isPlain(name), !name.hasPrefix("__"),
      !name.contains("."), !DangerousNames.leaves.contains(name), let owner = graph.object(arguments[0])
    else { return nil }
    guard let maker = graph.global(owner.callable), maker.name != "getattr" else { return nil }
    let top = String(maker.module.prefix { $0 != "." })
    guard top != "numpy", !StandardLibrary.modules.contains(top) else { return nil }
    let standing = audit.standing(module: maker.module, name: maker.name)
    switch standing {
    case .known, .unknown: return maker
    case .dangerous, .dangerousWhenCalled: return nil
    }
  }

  /// Returns true when `iter` or `reversed` iterates over a plain container, which is how list iterators are pickled.
  private func isPlainIterator(_ object: PickleObject, _ global: PickleGlobal) -> Bool {
    guard global.module == "builtins" || global.module == "__builtin__",
      global.name == "iter" || global.name == "reversed", object.construction == .reduce,
      let arguments = graph.arguments(object), arguments.count == 1
    else { return false }
    switch graph.node(arguments[0]) {
    case .list, .tuple, .dictionary, .set, .frozenSet, .text, .bytes: return true
    default: return false
    }
  }

  /// Judges a call of a name that tensor files use, which must be used as they use it.
  private mutating func judge(_ object: PickleObject, calling global: PickleGlobal, _ use: NameUse) {
    let name = CallFormatter.name(global)
    let (audit, place, graph) = (audit, place, graph)
    func odd(_ reason: String) {
      audit.report(
        .unknown, .oddUse, in: place, at: object.offset, "\(name): \(reason)",
        call: CallFormatter.call(object, in: graph))
    }
    guard let arguments = graph.tuple(object.arguments) else { return odd("its arguments are not a tuple") }
    switch use {
    case .value: return odd("a value that is called")
    case .function where object.construction != .reduce: return odd("a function that is instantiated")
    default: break
    }
    if let keywords = object.keywords {
      guard case .dictionary(let pairs) = graph.node(keywords), pairs.isEmpty else {
        return odd("it has keyword arguments")
      }
    }
    for state in object.states { judgeAttributes(state, of: global, at: object.offset) }
    let isMapping = ["OrderedDict", "Counter", "defaultdict", "dict", "list", "bytearray"].contains(
      global.name)
    if !object.pairs.isEmpty && !isMapping { odd("items are set on it, by a method of its own") }
    let grows = ["list", "set", "bytearray", "slice"].contains(global.name)
    if !object.items.isEmpty && !grows { odd("items are appended to it, by a method of its own") }
    switch global.name {
    case "encode" where global.module == "_codecs": judgeEncode(object, odd)
    case "_rebuild_from_type", "_rebuild_from_type_v2": judgeRebuild(object, arguments)
    case "defaultdict":
      if let factory = arguments.first, factory != .none {
        guard let made = graph.global(factory),
          case .known = audit.standing(module: made.module, name: made.name)
        else { return odd("its factory is not a builtin type") }
      }
    case "_rebuild_parameter_with_state":
      if arguments.count > 3 {
        judge(state: arguments[3], at: object.offset)
        judgeAttributes(arguments[3], of: global, at: object.offset)
      }
    case "ndarray": odd("arrays are made by _reconstruct, not by calling their class")
    case "bytes", "bytearray", "list", "tuple", "set", "frozenset", "dict", "Counter", "OrderedDict":
      if asksForMemory(arguments.first, bytes: global.name.hasPrefix("byte")) {
        odd("a few bytes can request any amount of memory")
      }
    default: break
    }
  }

  /// Returns true when a container is made from a number or a range: `bytes(10**12)`, `list(range(10**12))`.
  private func asksForMemory(_ value: PickleValue?, bytes: Bool) -> Bool {
    switch value {
    case .int(let count): return bytes && count > 1 << 20
    case .node:
      guard let value, let object = graph.object(value), let made = graph.global(object.callable) else {
        if let value, case .longInteger = graph.node(value) { return true }
        return false
      }
      return made.name == "range" || made.name == "xrange"
    default: return false
    }
  }

  /// Judges `_codecs.encode(text, 'latin1')`, which is how protocol 2 encodes bytes.
  private mutating func judgeEncode(_ object: PickleObject, _ odd: (String) -> Void) {
    guard let bytes = graph.bytes(of: object) else { return odd("its encoding is not latin1") }
    if Sniffing.mayBePickle(bytes) {
      payloads.append(Payload(bytes: bytes, isLoaded: false, offset: object.offset))
    }
  }

  /// Judges `_rebuild_from_type_v2(function, type, arguments, state)`, which calls the function.
  private mutating func judgeRebuild(_ object: PickleObject, _ arguments: [PickleValue]) {
    guard arguments.count > 2, let function = graph.global(arguments[0]) else {
      report(
        .dangerous, .computedCall, object.offset, "the function that it should call is not a name",
        call: CallFormatter.call(object, in: graph))
      return
    }
    switch audit.standing(module: function.module, name: function.name) {
    case .known(.function) where !function.name.hasPrefix("_rebuild_from_type"): break
    default:
      report(
        .dangerous, .oddUse, object.offset,
        "\(CallFormatter.name(function)) is called through \(CallFormatter.name(graph.global(object.callable) ?? function)), which rebuilds tensors",
        call: CallFormatter.call(object, in: graph))
    }
    if arguments.count > 3 {
      judge(state: arguments[3], at: object.offset)
      judgeAttributes(arguments[3], of: graph.global(arguments[1]) ?? function, at: object.offset)
    }
  }

  private mutating func loadFromBytes(_ object: PickleObject, _ call: String) {
    guard let arguments = graph.arguments(object), arguments.count == 1,
      let bytes = graph.bytes(arguments[0])
    else {
      report(
        .dangerous, .loadFromBytes, object.offset, "a computed file inside the pickle",
        call: call)
      return
    }
    report(
      .unknown, .loadFromBytes, object.offset,
      "a whole file inside the pickle, loaded without any check; its findings follow", call: call)
    payloads.append(Payload(bytes: bytes, isLoaded: true, offset: object.offset))
  }

  // MARK: - Persistent ids

  /// Reads the persistent ids of torch: storages, and the source code of classes.
  mutating func readPersistentIDs() {
    for case .persistentID(let id) in graph.nodes {
      guard let parts = graph.tuple(id), let kind = parts.first.flatMap({ graph.text($0) }) else { continue }
      if kind == "storage", parts.count >= 5, let storageClass = graph.global(parts[1]),
        case .int(let count) = parts[4],
        let count = Int(exactly: count), count >= 0
      {
        let key = graph.text(parts[2]) ?? ""
        storages[ExactText(key)] = (count, TensorFileNames.elementByteCount(storageClass.name))
      } else if kind == "module", parts.count == 4, let type = graph.global(parts[1]) {
        let file = graph.text(parts[2]) ?? ""
        let source = graph.text(parts[3])?.utf8.count ?? 0
        report(
          .unknown, .embeddedSource, 0,
          "the source of \(CallFormatter.name(type)) from \(String(file.prefix(200)).escapedForDisplay)"
            + (source > 0 ? ", \(source) bytes of it" : ", without its text"))
      }
    }
  }
}
