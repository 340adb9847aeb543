internal import DecantBytes
package import DecantPickle

extension PickleGraph {
  /// Returns the number of bytes of a text of Python 2 or 3; 0 for other values.
  func textByteCount(_ value: PickleValue) -> Int {
    switch node(value) {
    case .text(let text): text.utf8.count
    case .byteString(let bytes): bytes.count
    default: 0
    }
  }

  /// Returns true when a value is this text. Compares bytes without copying.
  package func isText(_ value: PickleValue, _ expected: String) -> Bool {
    switch node(value) {
    case .text(let text): text.utf8.elementsEqual(expected.utf8)
    case .byteString(let bytes): bytes.elementsEqual(expected.utf8)
    default: false
    }
  }

  /// Returns the pairs of a `dict`; nil for other values.
  package func dictionary(_ value: PickleValue) -> [PicklePair]? {
    if case .dictionary(let pairs) = node(value) { pairs } else { nil }
  }

  /// Returns the pairs of a `dict`, or of an OrderedDict that was filled after it was made; nil for other values.
  func mappingPairs(_ value: PickleValue) -> [PicklePair]? {
    if let pairs = dictionary(value) { return pairs }
    guard let object = object(value), global(object.callable)?.qualifiedName == "collections.OrderedDict"
    else {
      return nil
    }
    // Python 2 passes the pairs to the call.
    let given = (tuple(object.arguments)?.first).flatMap { elements($0) } ?? []
    return given.compactMap { element in
      guard let pair = tuple(element) ?? list(element), pair.count == 2 else { return nil }
      return PicklePair(key: pair[0], value: pair[1])
    } + object.pairs
  }

  /// Returns the elements of a list, tuple or set, or of a set that a call makes; nil for other values.
  package func elements(_ value: PickleValue) -> [PickleValue]? {
    switch node(value) {
    case .list(let elements), .tuple(let elements), .set(let elements), .frozenSet(let elements):
      return elements
    case .object(let object):
      guard let global = global(object.callable), global.name == "set" || global.name == "frozenset",
        let given = tuple(object.arguments)?.first
      else { return nil }
      return list(given) ?? tuple(given)
    default: return nil
    }
  }

  /// Returns true when a value contains no other value.
  package func isPlain(_ value: PickleValue) -> Bool {
    switch node(value) {
    case nil, .longInteger, .text, .byteString, .bytes, .byteArray, .global, .extensionCode: true
    case .tuple(let elements), .list(let elements): elements.isEmpty
    case .dictionary(let pairs): pairs.isEmpty
    default: false
    }
  }

  /// Returns a mapping's key as a key of a path.
  package func pathKey(_ value: PickleValue) -> PathKey {
    if let text = text(value) { return .text(text) }
    if let bytes = bytes(value), let text = String(validating: bytes, as: UTF8.self) { return .bytes(text) }
    if case .int(let number) = value { return .integer(number) }
    if let key = numpyKey(value) { return key }
    return .other(pythonSpelling(value))
  }

  /// Returns a key as Python would print it. Deep nesting and long collections are shortened.
  func pythonSpelling(_ value: PickleValue, depth: Int = 2) -> String {
    func list(_ elements: [PickleValue], _ open: String, _ close: String, _ isTuple: Bool = false) -> String {
      guard depth > 0 else { return open + "…" + close }
      let inner = elements.prefix(16).map { pythonSpelling($0, depth: depth - 1) }.joined(separator: ", ")
      return open + inner + (elements.count > 16 ? ", …" : isTuple && elements.count == 1 ? "," : "") + close
    }
    switch value {
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let number): return String(number)
    case .float(let number): return number.description
    case .node(let id):
      switch self[id] {
      case .text, .byteString: return "'" + (text(value) ?? "").prefix(64).description.escapedForDisplay + "'"
      case .longInteger(let bytes) where bytes.count <= 64: return PythonInteger.decimal(bytes) ?? ""
      case .bytes(let bytes): return PythonRepr.bytes(bytes.prefix(64))
      case .tuple(let elements): return list(elements, "(", ")", true)
      case .frozenSet(let elements): return list(elements, "frozenset({", "})")
      case .global(let global): return global.qualifiedName
      case .object(let object):
        if let bytes = bytes(of: object) { return PythonRepr.bytes(bytes.prefix(64)) }
        switch numpyKey(value) {
        case .text(let text)?: return "'" + text.prefix(64).description.escapedForDisplay + "'"
        case let key?: return key.name
        case nil: break
        }
        // Protocols before 4 write a frozenset as a call with a list.
        if global(object.callable)?.name == "frozenset", let arguments = tuple(object.arguments),
          arguments.count == 1,
          let elements = self.list(arguments[0])
        {
          return list(elements, "frozenset({", "})")
        }
        let arguments = tuple(object.arguments).map { list($0, "(", ")") } ?? "(…)"
        return (global(object.callable)?.qualifiedName ?? "…") + arguments
      default: return "…"
      }
    }
  }
}
