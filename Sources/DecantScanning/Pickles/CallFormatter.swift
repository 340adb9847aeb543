internal import DecantBytes
internal import DecantPickle

/// Formats values and calls of a pickle in Python's notation. The text is cut, since hostile pickles nest and share
/// values without limit.
struct CallFormatter {
  private static let longest = 240
  private static let longestText = 100
  private static let depth = 5
  private static let elements = 8

  private let graph: PickleGraph
  private var text = ""
  private var isFull = false

  private init(_ graph: PickleGraph) { self.graph = graph }

  /// Returns the call that an object records, such as `os.system('echo hi')`.
  static func call(_ object: PickleObject, in graph: PickleGraph) -> String {
    var spelling = CallFormatter(graph)
    spelling.write(object, depth)
    return spelling.text
  }

  /// Returns a value in Python's notation.
  static func value(_ value: PickleValue, in graph: PickleGraph) -> String {
    var spelling = CallFormatter(graph)
    spelling.write(value, depth)
    return spelling.text
  }

  /// Returns a change of an imported object as a call, such as `torch._utils.__dict__.update({…})`.
  static func change(_ target: PickleValue, _ method: String, _ argument: PickleValue, in graph: PickleGraph)
    -> String
  {
    var spelling = CallFormatter(graph)
    spelling.write(target, depth)
    spelling.append(".\(method)(")
    spelling.write(argument, depth - 1)
    spelling.append(")")
    return spelling.text
  }

  private mutating func append(_ part: String) {
    guard !isFull else { return }
    if text.utf8.count + part.utf8.count > Self.longest {
      text +=
        part.unicodeScalars.count < 40
        ? part : String(String.UnicodeScalarView(part.unicodeScalars.prefix(40)))
      text += "…"
      isFull = true
    } else {
      text += part
    }
  }

  private mutating func write(_ object: PickleObject, _ depth: Int) {
    switch object.construction {
    case .computedGlobal:
      append("getattr(__import__(")
      let operands = graph.arguments(object) ?? []
      write(operands.first ?? .none, depth - 1)
      append("), ")
      write(operands.dropFirst().first ?? .none, depth - 1)
      append(")")
      return
    case .newObject, .newObjectWithKeywords:
      write(object.callable, depth - 1)
      append(".__new__(")
      write(object.callable, depth - 1)
      if let arguments = graph.arguments(object), !arguments.isEmpty {
        append(", ")
        list(arguments, depth - 1)
      }
      if let keywords = object.keywords {
        append(", **")
        write(keywords, depth - 1)
      }
      append(")")
    case .reduce, .instance:
      write(object.callable, depth - 1)
      if let arguments = graph.arguments(object) {
        append("(")
        list(arguments, depth - 1)
        append(")")
      } else {
        append("(*")
        write(object.arguments, depth - 1)
        append(")")
      }
    }
  }

  private mutating func list(_ values: [PickleValue], _ depth: Int) {
    for (place, value) in values.prefix(Self.elements).enumerated() {
      if isFull { return }
      if place > 0 { append(", ") }
      write(value, depth)
    }
    if values.count > Self.elements { append(", …") }
  }

  private mutating func write(_ value: PickleValue, _ depth: Int) {
    guard !isFull else { return }
    switch value {
    case .none: append("None")
    case .bool(let value): append(value ? "True" : "False")
    case .int(let value): append(String(value))
    case .float(let value): append(PythonRepr.float(value))
    case .node(let id):
      guard depth > 0 else { return append("…") }
      write(graph[id], depth)
    }
  }

  private mutating func write(_ node: PickleNode, _ depth: Int) {
    switch node {
    case .longInteger(let bytes): append("<an integer of \(Format.count(bytes.count, "byte"))>")
    case .text(let text): append(Self.quoted(text.utf8, PythonRepr.string(utf8:)))
    case .byteString(let bytes):
      append(Self.quoted(bytes) { PythonRepr.bytes($0) }.dropFirst().description)
    case .bytes(let bytes): append(Self.quoted(bytes) { PythonRepr.bytes($0) })
    case .byteArray(let bytes): append("bytearray(" + Self.quoted(bytes) { PythonRepr.bytes($0) } + ")")
    case .list(let values):
      append("[")
      list(values, depth - 1)
      append("]")
    case .tuple(let values):
      append("(")
      list(values, depth - 1)
      append(values.count == 1 ? ",)" : ")")
    case .set(let values), .frozenSet(let values):
      append("{")
      list(values, depth - 1)
      append("}")
    case .dictionary(let pairs):
      append("{")
      for (place, pair) in pairs.prefix(Self.elements).enumerated() {
        if isFull { return }
        if place > 0 { append(", ") }
        write(pair.key, depth - 1)
        append(": ")
        write(pair.value, depth - 1)
      }
      append(pairs.count > Self.elements ? ", …}" : "}")
    case .global(let global): append(Self.name(global))
    case .object(let object): write(object, depth)
    case .persistentID(let id):
      append("persistent_load(")
      write(id, depth - 1)
      append(")")
    case .extensionCode(let code): append("<extension \(code)>")
    case .outOfBandBuffer(let index, _): append("<buffer \(index)>")
    }
  }

  /// Returns a name as Python source writes it, cut to 200 characters.
  static func name(_ global: PickleGlobal) -> String {
    let name = global.qualifiedName
    return name.utf8.count <= 200
      ? name.escapedForDisplay
      : String(String.UnicodeScalarView(name.unicodeScalars.prefix(200))).escapedForDisplay + "…"
  }

  /// Returns a quoted text, cut at a character boundary.
  private static func quoted(_ bytes: [UInt8], _ spell: ([UInt8]) -> String) -> String {
    guard bytes.count > longestText else { return spell(bytes) }
    var end = longestText
    while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    return spell(Array(bytes[..<end])) + "…"
  }
}
