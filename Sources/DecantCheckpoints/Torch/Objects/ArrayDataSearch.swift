internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// A search for the calls of a pickle that make a tensor of a kind that is not read.
///
/// A call makes a tensor when its arguments or its state hold a storage, or both the type and the bytes of an array.
/// Known calls never reach this search, because ``TensorReconstruction`` has already turned them into tensors.
struct ArrayDataSearch {
  /// The array data found in a value: a storage, or an array's type and bytes.
  package struct Parts {
    /// The number of bytes of all `storageCount` storages.
    package var storageBytes = 0
    var storageCount = 0
    /// The number of bytes of the longest byte string.
    package var bytes = 0
    /// The number of bytes of an element of the first type that is named; 0 for types smaller than a byte.
    package var elementBytes: Int?
    /// Tuples and lists of integers that may be a shape; at most 8.
    package var shapes: [[Int]] = []
    /// The number of scalars, texts and byte strings.
    var leafCount = 0
    /// True when a value was nested too deep to be searched.
    package var isCut = false

    package mutating func add(_ other: Parts) {
      storageBytes = storageBytes.addingReportingOverflow(other.storageBytes).partialValue
      storageCount += other.storageCount
      bytes = max(bytes, other.bytes)
      elementBytes = elementBytes ?? other.elementBytes
      if shapes.count < 8 { shapes += other.shapes.prefix(8 - shapes.count) }
      leafCount = min(leafCount + other.leafCount, 1 << 30)
      isCut = isCut || other.isCut
    }

    /// The first shape whose elements take exactly the available bytes; nil when none does.
    package var shape: [Int]? {
      guard let elementBytes, elementBytes > 0, bytes > 0 else { return nil }
      return shapes.first { shape in
        checkedProduct(shape).flatMap { $0.checkedMultiplying(by: elementBytes) } == bytes
      }
    }

    /// True when these are the type and the bytes of an array: the bytes fit a shape, or there are at most 32 leaves.
    package var isArray: Bool { bytes > 0 && elementBytes != nil && (shape != nil || leafCount <= 32) }
  }

  /// A tensor of a kind that is not read.
  struct Finding {
    let kind: String
    var shape: [Int]?
    var byteCount: Int?
  }

  let graph: PickleGraph
  /// The storages and containers that belong to a call that was found.
  private(set) var claimed: Set<PickleNodeID> = []
  /// The data in each container and call, and the depth to which it was searched.
  private var known: [PickleNodeID: (parts: Parts, depth: Int)] = [:]
  /// The depth to which containers within containers are searched. Deeper storages are found by themselves.
  private static let depth = 12

  init(_ graph: PickleGraph) { self.graph = graph }

  /// Returns the tensor that a call makes; nil when it holds no tensor data. O(values of the call), once for each
  /// container.
  mutating func finding(_ object: PickleObject) -> Finding? {
    let callable = graph.madeClass(object) ?? graph.callable(object.callable)
    let name = callable?.qualifiedName ?? "a computed name"
    if let callable, Self.holdsNoTensor(callable) { return nil }
    // The pairs and elements of a container have paths of their own, so they are not searched here.
    var parts = parts(object.arguments, Self.depth)
    if let keywords = object.keywords { parts.add(self.parts(keywords, Self.depth)) }
    for maker in makers(of: object) { parts.add(self.parts(maker.arguments, Self.depth)) }
    var attributes = Parts()
    for state in object.states {
      // The state of a class with slots is (None, attributes).
      let members = graph.tuple(state).map { $0.count == 2 && $0[0] == .none ? $0[1] : state } ?? state
      if graph.dictionary(members) == nil {
        parts.add(self.parts(state, Self.depth))
      } else if graph.dictionary(members)?.contains(where: { mayBeBytes($0.value) }) == true {
        attributes.add(self.parts(members, 2))
      }
    }
    let kind = name.escapedForDisplay
    if parts.storageCount > 0 {
      claim(object)
      return Finding(kind: kind, byteCount: parts.storageBytes)
    }
    var all = parts
    all.add(attributes)
    let looksLikeArray = callable.map { Self.isNameOfArray($0) } ?? false
    if parts.isArray || (looksLikeArray && all.bytes > 0) || (attributes.bytes > 0 && all.shape != nil) {
      claim(object)
      return Finding(kind: kind, shape: all.shape, byteCount: all.bytes)
    }
    // The numbers are arguments, as in `array([1, 2, 3])`, not bytes.
    if let callable, Self.makesArrays.contains(callable.name), parts.leafCount > 2 {
      return Finding(kind: kind)
    }
    return nil
  }

  /// Returns the array that a plain container describes by its type, its shape and exactly as many bytes; nil
  /// otherwise.
  mutating func finding(container value: PickleValue, _ type: String) -> Finding? {
    if case .node(let id) = value, claimed.contains(id) { return nil }
    var parts = Parts()
    switch graph.node(value) {
    case .dictionary(let pairs) where 3...16 ~= pairs.count && pairs.contains { mayBeBytes($0.value) }:
      for pair in pairs { parts.add(self.parts(pair.value, 2)) }
    case .tuple(let elements) where 3...8 ~= elements.count && elements.contains { mayBeBytes($0) },
      .list(let elements) where 3...8 ~= elements.count && elements.contains { mayBeBytes($0) }:
      for element in elements { parts.add(self.parts(element, 2)) }
    default: return nil
    }
    guard parts.storageCount == 0, parts.leafCount <= 32, let shape = parts.shape else { return nil }
    return Finding(
      kind: "a \(type) of an array's type, shape and bytes", shape: shape, byteCount: parts.bytes)
  }

  /// Returns the byte count of a value that is a storage; nil for other values. It is 1 when the size is unknown.
  func storageByteCount(_ value: PickleValue) -> Int? {
    guard case .persistentID(let id) = graph.node(value) else { return nil }
    if let parts = graph.tuple(id) {
      guard parts.count >= 5, graph.isText(parts[0], "storage") else { return nil }
      return (try? graph.storageReference(value))?.0.byteCount ?? 1
    }
    // Protocol 0 writes the whole description as text.
    guard let text = graph.text(id)?.prefix(64), text.hasPrefix("("), text.contains("storage") else {
      return nil
    }
    return 1
  }

  // MARK: Searching values

  /// Returns true for a byte string, or a call that may make one. Most containers hold none.
  private func mayBeBytes(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .bytes, .byteArray, .byteString: true
    case .object(let object):
      graph.global(object.callable).map { ["encode", "bytes", "bytearray"].contains($0.name) } ?? false
    default: false
    }
  }

  private mutating func parts(_ value: PickleValue, _ depth: Int) -> Parts {
    guard case .node(let id) = value else { return Parts(leafCount: 1) }
    if let found = known[id], found.depth >= depth { return found.parts }
    var parts = Parts()
    switch graph[id] {
    case .persistentID:
      if let byteCount = storageByteCount(value), byteCount > 0 {
        parts.storageBytes = byteCount
        parts.storageCount = 1
      }
      return parts
    case .bytes(let bytes), .byteArray(let bytes): return Parts(bytes: bytes.count, leafCount: 1)
    case .byteString(let bytes):
      parts.leafCount = 1
      if let width = Self.elementBytes(String(decoding: bytes.prefix(24), as: UTF8.self)), bytes.count <= 24 {
        parts.elementBytes = width
      } else if bytes.contains(where: { $0 < 0x20 || $0 > 0x7E }) {
        parts.bytes = bytes.count
      }
      return parts
    case .text(let text):
      return Parts(elementBytes: text.utf8.count <= 24 ? Self.elementBytes(text.string) : nil, leafCount: 1)
    case .global(let global):
      if ["builtins", "__builtin__", "typing"].contains(global.module) { return Parts(leafCount: 1) }
      return Parts(elementBytes: global.name == "bool" ? 1 : Self.elementBytes(global.name), leafCount: 1)
    case .longInteger, .extensionCode, .outOfBandBuffer: return Parts(leafCount: 1)
    case .object(let object):
      guard depth > 0 else { return Parts(isCut: true) }
      parts = held(object, depth - 1)
    case .list(let elements), .tuple(let elements), .set(let elements), .frozenSet(let elements):
      guard depth > 0 else { return Parts(isCut: true) }
      if let shape = integers(elements) {
        parts = Parts(shapes: [shape], leafCount: elements.count)
      } else {
        // Marks the container as visited before its elements are searched, because it may contain itself.
        known[id] = (parts, .max)
        for element in elements { parts.add(self.parts(element, depth - 1)) }
      }
    case .dictionary(let pairs):
      guard depth > 0 else { return Parts(isCut: true) }
      known[id] = (parts, .max)
      for pair in pairs { parts.add(self.parts(pair.value, depth - 1)) }
    }
    known[id] = (parts, parts.isCut ? depth : .max)
    return parts
  }

  /// Returns the data that an object contributes to the call around it: a type, a shape or bytes, but not a tensor of
  /// its own.
  private mutating func held(_ object: PickleObject, _ depth: Int) -> Parts {
    if let bytes = graph.bytes(of: object) ?? graph.bytes(ofCall: object)?.content {
      return Parts(bytes: bytes.count, leafCount: 1)
    }
    guard let callable = graph.madeClass(object) ?? graph.callable(object.callable) else { return Parts() }
    let name = callable.qualifiedName
    if name == "torch.Size" { return parts(object.arguments, depth) }
    if name == "collections.OrderedDict" {
      var parts = parts(object.arguments, depth)
      for pair in object.pairs { parts.add(self.parts(pair.value, depth)) }
      return parts
    }
    // A tensor that is read does not count as data of the call around it.
    if TensorReconstruction.isKnown(callable) { return Parts() }
    var parts = parts(object.arguments, min(depth, 3))
    for state in object.states where graph.dictionary(state) == nil {
      parts.add(self.parts(state, min(depth, 3)))
    }
    // An object with a storage or an array makes a tensor of its own.
    if parts.storageCount > 0 || parts.isArray { return Parts() }
    return parts
  }

  /// Marks the storages and containers of a call as belonging to it. The attributes of its object have paths of their
  /// own.
  private mutating func claim(_ object: PickleObject) {
    var open = [object.arguments] + (object.keywords.map { [$0] } ?? []) + makers(of: object).map(\.arguments)
    open += object.states.filter { graph.dictionary($0) == nil }
    while let value = open.popLast() {
      guard case .node(let id) = value else { continue }
      switch graph[id] {
      case .persistentID: claimed.insert(id)
      case .list(let elements), .tuple(let elements), .set(let elements), .frozenSet(let elements):
        if claimed.insert(id).inserted { open += elements }
      case .dictionary(let pairs):
        if claimed.insert(id).inserted { open += pairs.map(\.value) }
      case .object(let object)
      where graph.callable(object.callable)?.qualifiedName == "collections.OrderedDict":
        if claimed.insert(id).inserted { open += object.pairs.map(\.value) }
      default: break
      }
    }
  }

  /// Returns the calls that make the callable itself, such as `functools.partial`; at most 8. Nothing else searches
  /// them.
  private func makers(of object: PickleObject) -> [PickleObject] {
    var makers: [PickleObject] = []
    var callable = object.callable
    while makers.count < 8, let maker = graph.object(callable) {
      makers.append(maker)
      callable = maker.callable
    }
    return makers
  }

  private func integers(_ elements: [PickleValue]) -> [Int]? {
    guard 1...8 ~= elements.count else { return nil }
    var integers: [Int] = []
    for element in elements {
      guard case .int(let number) = element, let number = Int(exactly: number), number >= 0 else {
        return nil
      }
      integers.append(number)
    }
    return integers
  }

  // MARK: Names

  /// Returns true for calls that hold bytes or storages but do not make a tensor.
  private static func holdsNoTensor(_ callable: PickleGlobal) -> Bool {
    switch callable.module.split(separator: ".").first {
    case "builtins", "__builtin__", "collections", "datetime", "decimal", "uuid", "pathlib", "_codecs",
      "functools",
      "operator", "enum":
      return true
    case "numpy":
      return ["dtype", "scalar"].contains(callable.name) || callable.module.hasPrefix("numpy.random")
    case "torch": return ["device", "Size", "_get_layout"].contains(callable.name)
    default: return false
    }
  }

  /// The functions that make an array from single numbers.
  private static let makesArrays: Set<String> = ["array", "asarray", "tensor", "as_tensor"]

  /// Returns true when the name of a class or function is typical of those that make arrays.
  private static func isNameOfArray(_ callable: PickleGlobal) -> Bool {
    let name = callable.name.lowercased()
    return ["tensor", "array", "parameter", "variable"].contains { name.hasSuffix($0) }
      || [
        "_rebuild", "rebuild", "_reconstruct", "reconstruct", "_mareconstruct", "_array_reconstruct",
        "frombuffer",
        "_frombuffer", "from_buffer", "fromstring", "asarray",
      ].contains { name.hasPrefix($0) }
  }

  /// Returns the number of bytes of an element, from a type name such as `float32`, `<f4` or `torch.bfloat16`.
  ///
  /// It is 0 for types smaller than a byte, and nil when the name is not that of a type.
  static func elementBytes(_ name: String) -> Int? {
    var name = Substring(name)
    if let dot = name.lastIndex(of: ".") { name = name[name.index(after: dot)...] }
    if let width = widths[String(name)] { return width }
    if let mark = name.first, "<>|=".contains(mark) { name.removeFirst() }
    guard let kind = name.first, "biufcV".contains(kind), let width = Int(name.dropFirst()), 1...64 ~= width
    else {
      return nil
    }
    return width
  }

  private static let widths: [String: Int] = {
    var widths = [
      "half": 2, "double": 8, "bfloat": 2, "fp16": 2, "fp32": 4, "fp64": 8, "bf16": 2, "float8": 1,
      "bool_": 1,
      "int4": 0, "uint4": 0, "float128": 16, "complex256": 32, "longdouble": 16,
    ]
    for dtype in DType.allCases { widths[dtype.rawValue] = dtype.byteCount }
    // Configurations use the word `bool` for many other things.
    widths["bool"] = nil
    return widths
  }()
}
