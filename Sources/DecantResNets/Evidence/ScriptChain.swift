internal import DecantBytes
internal import DecantGraphs

/// The calls around the layers of a head in the code of a TorchScript archive.
///
/// It follows values backwards from what `forward` returns, through the `forward` of each module. Nothing is executed.
/// Code with branches, several results or other forms is not followed.
struct ScriptChain {
  private let script: [String: String]
  private let tree: ModuleTree
  /// The paths of the head's layers.
  private let layers: [String]
  /// The steps found, from the output backwards.
  private var found: [Found] = []
  private var callCount = 0

  private enum Found: Equatable {
    case layer(String)
    case step(HeadEvidence.Step)
  }

  /// The reason why a walk ended.
  private enum End { case input, start, unknown }

  /// The largest number of calls to follow.
  private static let mostCalls = 4096

  private init(_ script: [String: String], _ tree: ModuleTree, _ layers: [String]) {
    (self.script, self.tree, self.layers) = (script, tree, layers)
  }

  /// Returns the steps around the layers of a head.
  ///
  /// They are read from the outermost module, or from the outermost module whose code can be followed.
  static func steps(around layers: [String], _ script: [String: String], _ tree: ModuleTree)
    -> HeadEvidence.Steps
  {
    var common = HeadChain.container(layers.first ?? "").split(separator: ".").map(String.init)
    for layer in layers {
      let container = HeadChain.container(layer).split(separator: ".").map(String.init)
      common = zip(common, container).prefix { $0 == $1 }.map(\.0)
    }
    for count in 0...common.count {
      let root = common.prefix(count).joined(separator: ".")
      var chain = ScriptChain(script, tree, layers)
      let end = chain.follow(module: root, method: "forward", depth: 0)
      let order = Array(chain.found.reversed())
      let places = layers.compactMap { order.firstIndex(of: .layer($0)) }
      guard places.count == layers.count, places == places.sorted(),
        order.count(where: { if case .layer = $0 { true } else { false } }) == layers.count
      else { continue }
      func steps(_ range: Range<Int>) -> [HeadEvidence.Step] {
        order[range].compactMap { if case .step(let step) = $0 { step } else { nil } }
      }
      return HeadEvidence.Steps(
        before: end == .unknown ? nil : steps(0..<places[0]),
        between: zip(places, places.dropFirst()).map { steps($0 + 1..<$1) },
        after: places.last.map { steps($0 + 1..<order.count) }, isOutputOpen: count > 0)
    }
    return HeadEvidence.Steps(between: layers.dropFirst().map { _ in nil }, isOutputOpen: true)
  }

  /// Follows the value that a method of a module returns, back to the method's argument.
  private mutating func follow(module path: String, method: String, depth: Int) -> End {
    guard depth < 64, let text = tree.classes[path].flatMap({ script[$0] }), let body = Method(text, method)
    else {
      return .unknown
    }
    var value = body.result
    while callCount < Self.mostCalls {
      callCount += 1
      if value == body.argument { return .input }
      if let assigned = body.values[value] {
        value = assigned
        continue
      }
      guard let call = Call(value), let first = call.arguments.first else { return .unknown }
      if let (callee, method) = call.method {
        guard let module = body.module(callee, of: path) else { return .unknown }
        if method == "forward", layers.contains(module) {
          found.append(.layer(module))
        } else if method == "forward", !holdsLayer(module), hasTensors(module) {
          // A module of the network itself, or one that is not known.
          if isComplete { return .start }
          found.append(.step(.other("the module \(module)")))
        } else {
          let end = follow(module: module, method: method, depth: depth + 1)
          if end != .input { return end }
        }
        value = first
        continue
      }
      let name = body.function(call.name)
      switch Self.meaning(name, call.arguments) {
      case .cast: value = call.arguments.count > 1 ? call.arguments[1] : first
      case .nothing: value = first
      case .function(let function):
        found.append(.step(.function(function, text: name)))
        value = first
      case .pooling where isComplete: return .start
      case .pooling, .other:
        found.append(.step(.other(name)))
        value = first
      }
    }
    return .unknown
  }

  /// True when every layer of the head was found.
  private var isComplete: Bool { layers.allSatisfy { found.contains(.layer($0)) } }

  private func holdsLayer(_ module: String) -> Bool {
    layers.contains { module.isEmpty || $0.hasPrefix(module + ".") }
  }

  /// True when a module or a module inside it has parameters.
  private func hasTensors(_ module: String) -> Bool {
    tree.classes.contains { path, name in
      (path == module || path.hasPrefix(module + "."))
        && (script[name] ?? "").contains("\n  weight : Tensor")
    }
  }

  // MARK: Functions

  private enum Meaning {
    case function(VectorFunction)
    /// The function returns its input's numbers in inference.
    case nothing
    /// The value is the second argument.
    case cast
    /// The function makes the pooled features, when it comes before the head.
    case pooling
    case other
  }

  private static func meaning(_ name: String, _ arguments: [String]) -> Meaning {
    func number(_ index: Int) -> Double? {
      arguments.count > index ? PythonSource.literal(arguments[index])?.double : nil
    }
    switch name {
    case "annotate", "unchecked_cast": return .cast
    case "flatten", "dropout", "feature_dropout", "alpha_dropout", "contiguous", "view", "reshape", "squeeze",
      "unsqueeze", "detach", "clone", "alias", "float", "to":
      return .nothing
    case "slice":
      // `x[:, :, None]` slices whole dimensions.
      return number(2) == 0 && arguments.count > 3 && arguments[3] == "9223372036854775807"
        ? .nothing : .other
    case "relu": return .function(.relu)
    case "relu6": return .function(.relu6)
    case "hardtanh": return number(1) == 0 && number(2) == 6 ? .function(.relu6) : .other
    case "leaky_relu":
      return arguments.count > 1
        ? number(1).map { .function(.leakyReLU(slope: $0)) } ?? .other : .function(.leakyReLU(slope: 0.01))
    case "gelu":
      guard arguments.count > 1 else { return .function(.gelu) }
      let kind = arguments[1].replacing("approximate=", with: "").filter { $0 != "\"" && $0 != "'" }
      return kind == "none" ? .function(.gelu) : kind == "tanh" ? .function(.tanhGELU) : .other
    case "silu": return .function(.silu)
    case "tanh": return .function(.tanh)
    case "sigmoid": return .function(.sigmoid)
    case "softmax", "log_softmax":
      guard arguments.count < 2 || [1, -1].contains(number(1)) || arguments[1] == "None" else {
        return .other
      }
      return .function(name == "softmax" ? .softmax : .logSoftmax)
    case "mean", "sum", "avg_pool2d", "adaptive_avg_pool2d": return .pooling
    default: return .other
    }
  }
}

/// A call in TorchScript's code.
private struct Call {
  /// The text before the parenthesis.
  let name: String
  let arguments: [String]

  /// The expression of a module and its method in `(module).method(…)`; nil for a function.
  var method: (callee: String, method: String)? {
    guard name.hasPrefix("("), let close = name.lastIndex(of: ")") else { return nil }
    let rest = name[name.index(after: close)...]
    guard rest.hasPrefix("."), rest.dropFirst().isPythonName else { return nil }
    return (String(name[name.index(after: name.startIndex)..<close]), String(rest.dropFirst()))
  }

  /// Parses `f(a, b)` and `(m).forward(a, )`; nil for other expressions.
  init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.last == UInt8(ascii: ")") else { return nil }
    // The last parenthesis at depth 0 is that of the arguments.
    var depth = 0
    var open: Int?
    for (index, byte) in bytes.enumerated() {
      if byte == UInt8(ascii: "(") {
        if depth == 0 { open = index }
        depth += 1
      } else if byte == UInt8(ascii: ")") {
        depth -= 1
        guard depth >= 0 else { return nil }
      }
    }
    guard depth == 0, let open, open > 0 else { return nil }
    name = String(decoding: bytes[..<open], as: UTF8.self)
    guard let arguments = PythonSource.arguments(String(decoding: bytes[(open + 1)...], as: UTF8.self)) else {
      return nil
    }
    self.arguments = arguments
  }
}

/// The assignments of a method without branches, in TorchScript's code.
private struct Method {
  /// The name of the only argument after `self`.
  let argument: String
  /// The name of the module itself.
  private let own: String
  /// The expression of the result.
  let result: String
  /// The expression of each variable that is assigned once and outside branches.
  let values: [String: String]

  init?(_ text: String, _ name: String) {
    guard let start = text.firstRange(of: "  def \(name)("),
      let signature = PythonSource.arguments(text[start.upperBound...]), signature.count == 2
    else { return nil }
    func variable(_ text: String) -> String { String(text.prefix { $0 != ":" }).trimmed }
    (own, argument) = (variable(signature[0]), variable(signature[1]))
    var values: [String: String] = [:]
    var others: Set<String> = [own, argument]
    var result: String?
    for line in text[start.upperBound...].split(separator: "\n").dropFirst(signature.count > 1 ? 1 : 0) {
      if line.hasPrefix("  def ") || line.hasPrefix("class ") { break }
      let isNested = line.hasPrefix("     ")
      let line = line.trimmed
      if line.hasPrefix("return ") {
        guard !isNested, result == nil else { return nil }
        result = String(line.dropFirst("return ".count))
        continue
      }
      guard let equal = line.firstRange(of: " = ") else { continue }
      let names = line[..<equal.lowerBound].split(separator: ",").map { String($0).trimmed }
      for name in names {
        if isNested || names.count > 1 || values[name] != nil || others.contains(name) {
          others.insert(name)
        } else {
          values[name] = String(line[equal.upperBound...])
        }
      }
    }
    guard let result else { return nil }
    for name in others { values[name] = nil }
    (self.result, self.values) = (result, values)
  }

  /// Returns the path of the module that an expression names.
  func module(_ expression: String, of path: String) -> String? {
    var expression = expression
    var steps: [String] = []
    for _ in 0..<64 {
      if expression == own {
        return ([path] + steps.reversed()).filter { !$0.isEmpty }.joined(separator: ".")
      }
      if let value = values[expression] {
        expression = value
      } else if expression.hasPrefix("getattr("), let call = Call(expression), call.arguments.count == 2 {
        expression = call.arguments[0]
        steps.append(call.arguments[1].filter { $0 != "\"" && $0 != "'" })
      } else if let dot = expression.lastIndex(of: ".") {
        steps.append(String(expression[expression.index(after: dot)...]))
        expression = String(expression[..<dot])
      } else {
        return nil
      }
    }
    return nil
  }

  /// Returns the plain name of a function, which may have an alias: `relu` for `torch.relu_` and for
  /// `__torch__.torch.nn.functional.relu`.
  func function(_ name: String) -> String {
    let full = values[name] ?? name
    let last = full.split(separator: ".").last.map(String.init) ?? full
    guard full.hasPrefix("torch.") || full.hasPrefix("__torch__.torch.") || last == full else { return full }
    return last.hasSuffix("_") && last.count > 1 ? String(last.dropLast()) : last
  }
}
