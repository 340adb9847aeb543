package import DecantBytes

/// The modules of a network as a file lists them, with their classes and scalar attributes.
package struct ModuleTree: Sendable {
  /// The class of each module by path: `torch.nn.modules.conv.Conv2d`. The path of the outermost module is empty.
  package var classes: [String: String] = [:]
  /// Each scalar attribute by path: `conv1.stride.0` of a pair, `maxpool.stride` of one number.
  package var values: [String: JSONValue] = [:]

  /// The paths of all modules in the file's order. The children of a Sequential run in this order.
  package var order: [String] = []
  /// The paths of modules that have a hook or a `forward` of their own, so that they run other code than their class
  /// has.
  package var altered: Set<String> = []

  /// Creates an empty tree.
  package init() {}

  /// True when no module is known.
  package var isEmpty: Bool { classes.isEmpty }

  /// Returns an attribute's values for height and width; nil when the attribute is not given.
  func size(_ module: String, _ attribute: String) -> Size? {
    let path = Self.join(module, attribute)
    if let value = values[path] {
      if let number = value.size { return Size(number, number) }
      return value.string.map { Size(text: $0) }
    }
    guard let height = values[path + ".0"]?.size, let width = values[path + ".1"]?.size else { return nil }
    return Size(height, width)
  }

  /// Returns a scalar attribute of a module.
  func value(_ module: String, _ attribute: String) -> JSONValue? { values[Self.join(module, attribute)] }

  /// Returns the last part of the name of a module's class.
  func kind(_ module: String) -> String? { classes[module].map(Self.kind) }

  static func kind(_ className: String) -> String {
    className.split(separator: ".").last.map(String.init) ?? className
  }

  static func join(_ module: String, _ step: String) -> String {
    module.isEmpty ? step : module + "." + step
  }

  /// An attribute's values for height and width: two numbers, or a word such as `same`.
  struct Size: Equatable {
    let height: Int
    let width: Int
    let text: String?

    init(_ height: Int, _ width: Int) { (self.height, self.width, text) = (height, width, nil) }
    init(text: String) { (height, width, self.text) = (-1, -1, text) }

    /// The number for height and width; nil when they differ or are a word.
    var both: Int? { height == width && height >= 0 ? height : nil }

    var words: String { text ?? (height == width ? "\(height)" : "\(height)×\(width)") }
  }
}

extension JSONValue {
  /// The value of an integer or a floating-point number; nil for other values.
  var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }

  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
}
