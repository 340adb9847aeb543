package import DecantBytes
internal import DecantPickle

/// One key of a path from a checkpoint's root to a value.
package enum PathKey: Hashable, Sendable {
  /// A text key, or an attribute's name.
  case text(String)
  /// A `bytes` key that is valid UTF-8.
  case bytes(String)
  /// An integer key.
  case integer(Int64)
  /// An index in a list or tuple.
  case position(Int)
  /// Any other key, as Python would print it.
  case other(String)

  /// Compares texts byte by byte: strings that are only canonically equivalent differ.
  package static func == (left: PathKey, right: PathKey) -> Bool {
    switch (left, right) {
    case (.text(let a), .text(let b)), (.bytes(let a), .bytes(let b)), (.other(let a), .other(let b)):
      ExactText(a) == ExactText(b)
    case (.integer(let a), .integer(let b)): a == b
    case (.position(let a), .position(let b)): a == b
    default: false
    }
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(ExactText(name)) }

  /// The key as it appears in a joined name.
  package var name: String {
    switch self {
    case .text(let text), .bytes(let text), .other(let text): text
    case .integer(let number): String(number)
    case .position(let position): String(position)
    }
  }

  /// True when the key is text or bytes, as the keys of state dicts are.
  package var isText: Bool {
    switch self {
    case .text, .bytes: true
    case .integer, .position, .other: false
    }
  }

  /// The number of bytes of the key's text; 0 for numbers.
  var textByteCount: Int {
    switch self {
    case .text(let text), .bytes(let text), .other(let text): text.utf8.count
    case .integer, .position: 0
    }
  }

  /// The key as an element of a JSON path.
  package var json: JSONValue {
    switch self {
    case .text(let text): .string(text)
    case .integer(let number): .exact(number)
    case .position(let position): .integer(Int64(position))
    case .bytes(let text): .object([("python", .string(PythonRepr.bytes(text.utf8)))])
    case .other(let text): .object([("python", .string(text))])
    }
  }
}

extension Sequence<PathKey> {
  /// The keys joined with dots, as every command prints and accepts names.
  package var joinedName: String {
    var steps = makeIterator()
    guard var name = steps.next()?.name else { return "" }
    while let step = steps.next() {
      name += "."
      name += step.name
    }
    return name
  }
}
