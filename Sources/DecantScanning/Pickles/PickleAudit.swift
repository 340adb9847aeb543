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
  /// The sizes of the storages in torch's persistent ids, by key.
  private(set) var storages: [ExactText: StatedStorage] = [:]

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

  /// The byte strings that were taken as payloads, by the node of their text or bytes.
  private var payloadSources: Set<Int32> = []
  /// For each text that a call encodes: true when it is Latin-1.
  private var encodings: [Int32: Bool] = [:]
  /// The states that were judged.
  private var judgedStates: Set<Int32> = []
  /// The states that were judged as attributes of a class.
  private var judgedAttributes: Set<AttributeKey> = []
  /// For each container that was searched for names without success, the levels that were searched.
  var nameless: [Int32: Int] = [:]

  private struct AttributeKey: Hashable {
    let state: PickleValue
    let owner: ExactText
  }

  /// Judges every value, import and change in the stream.
  mutating func run() {
    guard audit.spend(WorkBudget.Cost.stream + graph.nodes.count) else { return }
    if let refusal = graph.refusal {
      report(
        .unknown, .brokenPickle, refusal.offset,
        "some unpicklers stop \(refusal.description.escapedForDisplay); what others execute is judged")
    }
    var called: Set<Int32> = []
    var extensions: Set<Int32> = []
    let calls = equalCalls()
    defer { audit.weight = 1 }
    for (index, node) in graph.nodes.enumerated() {
      if audit.isSpent { return }
      switch node {
      case .object(let object):
        // Equal calls are judged once.
        let count = calls[Int32(index)] ?? 1
        guard count > 0 else { continue }
        audit.weight = count
        if judge(object), case .node(let id) = object.callable { called.insert(id.index) }
        audit.weight = 1
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
      if audit.isSpent { return }
      judge(import: global, at: entry.offset)
    }
    judgeChanges()
    judgeLoading()
    if let leaves = SharedContainers.leaves(of: graph) {
      report(
        .unknown, .expansion, 0,
        "containers that share each other hold \(leaves < 1e18 ? "some \(Int(leaves))" : "more than 10^18") values when they are copied or printed"
      )
    }
  }

  func report(
    _ severity: ScanSeverity, _ rule: ScanRule, _ offset: Int, _ what: @autoclosure () -> String,
    call: @autoclosure () -> String? = nil
  ) {
    if audit.omitsFinding(severity) { return }
    audit.spend(WorkBudget.Cost.name)
    audit.report(severity, rule, in: place, at: offset, what(), call: call())
  }

  /// Returns, for the first of several equal calls, their number, and 0 for the others. Calls that occur once are left
  /// out. O(nodes).
  private func equalCalls() -> [Int32: Int] {
    var firsts: [Int: Int32] = [:]
    var counts: [Int32: Int] = [:]
    for (index, node) in graph.nodes.enumerated() {
      guard case .object(let object) = node, object.states.isEmpty, object.items.isEmpty, object.pairs.isEmpty
      else { continue }
      var hasher = Hasher()
      hasher.combine(object.construction)
      hasher.combine(object.callable)
      hasher.combine(object.keywords)
      if let arguments = graph.tuple(object.arguments), arguments.count <= 16 {
        hasher.combine(arguments)
      } else {
        hasher.combine(object.arguments)
      }
      let hash = hasher.finalize()
      if let first = firsts[hash] {
        counts[first, default: 1] += 1
        counts[Int32(index)] = 0
      } else {
        firsts[hash] = Int32(index)
      }
    }
    return counts
  }

  // MARK: - Names

  private func judge(import global: PickleGlobal, at offset: Int) {
    if audit.omitsFinding(.dangerous) { return }
    let name = CallFormatter.name(global)
    let statement = "from \(global.module.escapedForDisplay) import \(global.name.escapedForDisplay)"
    let call = statement.utf8.count <= 240 ? statement : name
    switch audit.standing(module: global.module, name: global.name) {
    case .known: break
    // Models keep activations and initialisers.
    case .dangerousWhenCalled where Self.isArithmetic(global): break
    case .unknown(let rule, let reason): report(.unknown, rule, offset, "\(name): \(reason)", call: call)
    case .dangerous(let rule, let reason): report(.dangerous, rule, offset, "\(name): \(reason)", call: call)
    case .dangerousWhenCalled(let rule, let reason):
      report(.unknown, rule, offset, "\(name): \(reason); it is named here, not called", call: call)
    }
  }

  // MARK: - Calls

  /// Judges a call. Returns true when the finding covers the import of its name too.
  private mutating func judge(_ object: PickleObject) -> Bool {
    for state in object.states { judge(once: state, at: object.offset) }
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
    case .object(let maker) where isBlockBuilder(maker):
      report(
        .unknown, .libraryName, object.offset, "a block of a pandas.DataFrame: loading imports pandas",
        call: CallFormatter.call(object, in: graph))
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
    let graph = graph
    var name: String { CallFormatter.name(global) }
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
      if global.module == "sympy" || global.module.hasPrefix("sympy."),
        holdsExpression(graph.arguments(object) ?? [], 3)
      {
        report(
          .dangerous, .libraryFunction, object.offset, "\(name): SymPy evaluates the text that it is given",
          call: call())
        return true
      }
      if rule == .standardValue {
        judgeAttributes(of: object, global, isOpen: true)
      }
      report(.unknown, rule, object.offset, "\(name): \(reason)", call: call())
    case .dangerous(let rule, let reason), .dangerousWhenCalled(let rule, let reason):
      if global.name == "loads" || global.name == "_loads", let first = graph.arguments(object)?.first {
        _ = addPayload(graph.bytes(first), isLoaded: true, from: first, at: object.offset)
      }
      report(.dangerous, rule, object.offset, "\(name): \(reason)", call: call())
    }
    return true
  }

  /// Returns true when values hold text that is more than an identifier, or are nested deeper than `depth` containers.
  private func holdsExpression(_ values: [PickleValue], _ depth: Int) -> Bool {
    guard depth > 0 else { return true }
    return values.prefix(1_000).contains { value in
      switch graph.node(value) {
      case .text(let text): !text.utf8.allSatisfy { NameClass.isPlain($0) && $0 != 0x2E }
      case .byteString(let bytes): !bytes.allSatisfy { NameClass.isPlain($0) && $0 != 0x2E }
      case .list(let elements), .tuple(let elements): holdsExpression(elements, depth - 1)
      default: false
      }
    }
  }

  /// Returns the name that `getattr(Class, 'Nested')` refers to, which is how protocols before 4 encode a nested class.
  ///
  /// The object must be a name and the attribute a literal. The result is judged like the same name with dots.
  func attribute(_ object: PickleObject, nesting: Int = 0) -> PickleGlobal? {
    guard nesting < 4, object.construction == .reduce, object.states.isEmpty, object.items.isEmpty,
      object.pairs.isEmpty, let function = graph.global(object.callable), function.name == "getattr",
      function.module == "builtins" || function.module == "__builtin__",
      let arguments = graph.arguments(object), arguments.count == 2,
      let name = graph.text(arguments[1], upTo: NameClass.longest),
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
      let name = graph.text(arguments[1], upTo: NameClass.longest), NameClass.isPlain(name),
      !name.hasPrefix("__"),
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
    let auditor = self
    func odd(_ reason: String) {
      auditor.report(
        .unknown, .oddUse, object.offset, "\(CallFormatter.name(global)): \(reason)",
        call: CallFormatter.call(object, in: auditor.graph))
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
    judgeAttributes(of: object, global, isOpen: global.name == "Namespace")
    let isMapping = ["OrderedDict", "Counter", "defaultdict", "dict", "list", "bytearray"].contains(
      global.name)
    if !object.pairs.isEmpty && !isMapping { odd("items are set on it, by a method of its own") }
    let grows = ["list", "set", "bytearray", "slice", "deque"].contains(global.name)
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
    case "__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor", "__pyx_unpickle_SeedSequence",
      "_mareconstruct":
      if !arguments.allSatisfy({ isPlainOrNumPy($0) }) { odd("it is given a name that is not NumPy's own") }
    case "PosixPath", "WindowsPath", "Path", "PurePath", "PurePosixPath", "PureWindowsPath", "date", "time",
      "datetime", "timedelta", "timezone", "deque":
      if !object.states.allSatisfy({ $0 == .none }) { odd("a state is set on a value that has none") }
    case "_StorageInfo": judgeStorageInfo(object)
    case "ndarray": odd("arrays are made by _reconstruct, not by calling their class")
    default: break
    }
    judgeCost(of: object, calling: global, arguments)
  }

  /// Judges where torch.distributed.checkpoint reads an item: in a file of the checkpoint's own folder.
  private func judgeStorageInfo(_ object: PickleObject) {
    let pairs = object.states.flatMap { state -> [PicklePair] in
      if case .dictionary(let pairs) = graph.node(state) { pairs } else { [] }
    }
    let named = pairs.filter { graph.text($0.key, upTo: 100) == "relative_path" }.map(\.value)
    let first = graph.tuple(object.arguments)?.first
    for path in named + (first.map { [$0] } ?? []) {
      guard let text = graph.text(path, upTo: 4_096), ContentScan.escapesFolder(Array(text.utf8)) else {
        continue
      }
      report(
        .dangerous, .archiveName, object.offset,
        "an item is read from a file outside the checkpoint's folder",
        call: CallFormatter.value(path, in: graph))
    }
  }

  /// Returns true for a value that NumPy's constructors of generators and masked arrays are given: text, numbers, and
  /// NumPy's own classes and constructors, which the table knows.
  private func isPlainOrNumPy(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .global(let global):
      if case .known = audit.standing(module: global.module, name: global.name) {
        global.module.hasPrefix("numpy")
      } else {
        false
      }
    case .object(let object):
      graph.global(object.callable)?.module.hasPrefix("numpy.random") ?? (graph.bytes(value) != nil)
    case .tuple(let parts):
      parts.allSatisfy {
        if case .node(let id) = $0, case .longInteger = graph[id] { true } else { graph.node($0) == nil }
      }
    case .list, .dictionary, .set, .frozenSet, .persistentID, .extensionCode, .outOfBandBuffer: false
    default: true
    }
  }

  /// Returns true for `functools.partial(new_block, ndim=2)`, which pandas 1.1 to 1.3 call to make a block.
  private func isBlockBuilder(_ maker: PickleObject) -> Bool {
    guard graph.global(maker.callable)?.qualifiedName == "functools.partial", maker.items.isEmpty,
      maker.pairs.isEmpty, let arguments = graph.tuple(maker.arguments), arguments.count == 1,
      let function = graph.global(arguments[0]),
      ["pandas.core.internals.blocks.new_block", "pandas.core.internals.blocks.make_block"].contains(
        function.qualifiedName)
    else { return false }
    return maker.states.allSatisfy { state in
      guard let parts = graph.tuple(state), parts.count == 4 else { return false }
      return graph.global(parts[0])?.qualifiedName == function.qualifiedName
    }
  }

  /// Judges `_codecs.encode(text, 'latin1')`, which is how protocol 2 encodes bytes.
  private mutating func judgeEncode(_ object: PickleObject, _ odd: (String) -> Void) {
    let codec = graph.tuple(object.arguments)?.dropFirst().first.flatMap { graph.text($0, upTo: 100) }
    let source = payloadSource(object.arguments)
    if codec == "latin1", let source, let isLatin1 = encodings[source] {
      return isLatin1 ? () : odd("its encoding is not latin1")
    }
    let bytes = graph.bytes(of: object)
    if codec == "latin1", let source { encodings[source] = bytes != nil }
    guard let bytes else { return odd("its encoding is not latin1") }
    if Sniffing.mayBePickle(bytes) {
      payloads.append(Payload(bytes: bytes, isLoaded: false, offset: object.offset))
    }
  }

  /// Returns the node of the text or bytes that a value's bytes come from, through the calls that encode them.
  private func payloadSource(_ value: PickleValue) -> Int32? {
    var value = value
    for _ in 0..<4 {
      guard case .node(let id) = value else { return nil }
      switch graph[id] {
      case .object(let object): value = object.arguments
      case .tuple(let parts):
        guard let first = parts.first else { return nil }
        value = first
      default: return id.index
      }
    }
    return nil
  }

  /// Adds the bytes of a value once.
  private mutating func addPayload(
    _ bytes: @autoclosure () -> [UInt8]?, isLoaded: Bool, from value: PickleValue, at offset: Int
  ) -> Bool {
    if let source = payloadSource(value), !payloadSources.insert(source).inserted { return true }
    guard let bytes = bytes() else { return false }
    payloads.append(Payload(bytes: bytes, isLoaded: isLoaded, offset: offset))
    return true
  }

  private mutating func judge(once state: PickleValue, at offset: Int) {
    if case .node(let id) = state, !judgedStates.insert(id.index).inserted { return }
    judge(state: state, at: offset)
  }

  private mutating func judgeAttributes(of object: PickleObject, _ owner: PickleGlobal, isOpen: Bool) {
    for state in object.states {
      let key = AttributeKey(state: state, owner: ExactText(owner.qualifiedName))
      guard judgedAttributes.insert(key).inserted else { continue }
      judgeAttributes(state, of: owner, at: object.offset, isOpen: isOpen)
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
    // NumPy's constructors call what they are given.
    case .known(.function)
    where !function.name.hasPrefix("_rebuild_from_type") && !function.module.hasPrefix("numpy."):
      break
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
    let graph = graph
    guard let arguments = graph.arguments(object), arguments.count == 1,
      addPayload(graph.bytes(arguments[0]), isLoaded: true, from: arguments[0], at: object.offset)
    else {
      report(
        .dangerous, .loadFromBytes, object.offset, "a computed file inside the pickle",
        call: call)
      return
    }
    report(
      .unknown, .loadFromBytes, object.offset,
      "a whole file inside the pickle, loaded without any check; its findings follow", call: call)
  }

  // MARK: - Persistent ids

  /// Reads the persistent ids of torch: storages, and the source code of classes.
  mutating func readPersistentIDs() {
    storages = StatedStorage.all(in: graph)
    for case .persistentID(let id) in graph.nodes {
      guard let parts = graph.tuple(id), let kind = parts.first.flatMap({ graph.text($0, upTo: 100) }) else {
        continue
      }
      if kind == "module", parts.count == 4, let type = graph.global(parts[1]) {
        let file = graph.text(parts[2], upTo: 200) ?? ""
        let source =
          switch graph.node(parts[3]) {
          case .text(let text): text.utf8.count
          case .byteString(let bytes): bytes.count
          default: 0
          }
        report(
          .unknown, .embeddedSource, 0,
          "the source of \(CallFormatter.name(type)) from \(String(file.prefix(200)).escapedForDisplay)"
            + (source > 0 ? ", \(source) bytes of it" : ", without its text"))
      }
    }
  }
}
