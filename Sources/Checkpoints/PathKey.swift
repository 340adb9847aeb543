public import ByteParsing

/// One step of the way from a checkpoint's root to a value.
public enum PathKey: Hashable, Sendable {
  /// A key that is text (or bytes that read as text), or an attribute's name.
  case text(String)
  /// A key that is an integer.
  case integer(Int64)
  /// A position in a list or tuple.
  case position(Int)
  /// Any other key, as Python would print it.
  case other(String)

  /// The step as it stands in a joined name.
  public var name: String {
    switch self {
    case .text(let text), .other(let text): text
    case .integer(let number): String(number)
    case .position(let position): String(position)
    }
  }

  /// The step as it stands in a JSON path.
  public var json: JSONValue {
    switch self {
    case .text(let text): .string(text)
    case .integer(let number): .exact(number)
    case .position(let position): .integer(Int64(position))
    case .other(let text): .object([("python", .string(text))])
    }
  }
}

extension Sequence<PathKey> {
  /// The steps joined with dots, as every command prints and takes names.
  public var joinedName: String { map(\.name).joined(separator: ".") }
}
