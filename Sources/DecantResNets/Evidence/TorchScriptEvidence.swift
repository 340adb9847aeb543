internal import DecantBytes

/// Evidence from the code of a TorchScript archive.
///
/// It reads the literals of convolutions, normalizations and pools, and whether a block adds its input to its result.
/// PyTorch prints this code in only one way, so a few forms are matched as they are. Everything else is skipped.
struct TorchScriptEvidence {
  /// The archive's modules with plain class names, and the literals of their calls as attributes.
  private(set) var modules = ModuleTree()
  private(set) var items: [ResNetEvidence.Item] = []
  /// True when every block's code adds its shortcut.
  private(set) var provesShortcuts = false

  init(_ script: [String: String], _ tree: ModuleTree, _ layout: ModulePathMap) {
    modules.values = tree.values
    var read: [String: [Call]] = [:]
    for (path, name) in tree.classes where layout.isInside(path) {
      modules.classes[path] = Self.plainName(name)
      guard let text = script[name] else { continue }
      let calls = read[name] ?? Self.calls(text)
      read[name] = calls
      take(calls, of: path, kind: ModuleTree.kind(name))
    }
    if let root = tree.classes[layout.root] {
      items.append(
        ResNetEvidence.Item(
          "class", Self.plainName(root), .code, place: "TorchScript code",
          layout.root.isEmpty ? "the outermost module" : layout.root))
    }
    readShortcuts(script, tree, layout)
  }

  /// Returns a class's name in Python: without `__torch__.` and the parts that distinguish copies.
  static func plainName(_ name: String) -> String {
    name.split(separator: ".").filter { $0 != "__torch__" && !$0.hasPrefix("___torch_mangle_") }
      .joined(separator: ".")
  }

  // MARK: Literals

  /// The literals of one call, by the module attributes that have the same values.
  private struct Call {
    /// The class of module that makes this call.
    let kind: String
    let values: [(attribute: String, value: JSONValue)]
  }

  private mutating func take(_ calls: [Call], of path: String, kind: String) {
    let own = calls.filter { $0.kind == (kind.hasPrefix("BatchNorm") ? "BatchNorm2d" : kind) }
    if own.count == 1 {
      for (attribute, value) in own[0].values { set(path, attribute, value) }
    } else if own.isEmpty, let only = calls.first, calls.count == 1, only.kind == "Conv2d" {
      // An antialiasing filter is a convolution in a class of another name.
      for (attribute, value) in only.values where attribute == "stride" { set(path, attribute, value) }
    }
    // A functional pool has no module: its call is in the code of the module that uses it.
    let pools = calls.filter { $0.kind == "MaxPool2d" }
    if kind != "MaxPool2d", let pool = pools.first {
      for (place, pool) in (pools.count == 1 ? [pool] : pools).enumerated() {
        let step = ModuleTree.join(path, place == 0 ? "max_pool2d" : "max_pool2d_\(place)")
        modules.classes[step] = "torch.nn.functional.MaxPool2d"
        for (attribute, value) in pool.values { set(step, attribute, value) }
      }
    }
  }

  private mutating func set(_ path: String, _ attribute: String, _ value: JSONValue) {
    let name = ModuleTree.join(path, attribute)
    guard case .array(let elements) = value else {
      modules.values[name] = value
      return
    }
    for (place, element) in elements.enumerated() { modules.values["\(name).\(place)"] = element }
  }

  /// Returns the calls in a class's code whose literals show a module's geometry, and the values of its `Final`
  /// attributes.
  private static func calls(_ text: String) -> [Call] {
    var found: [Call] = []
    // A function can have an alias: `_0 = __torch__.torch.nn.functional._max_pool2d`, then `_0(…)`.
    var functions: [(name: String, kind: String)] = [
      ("torch.conv2d", "conv2d"), ("torch._convolution", "_convolution"), ("torch.batch_norm", "batch_norm"),
      ("torch.layer_norm", "layer_norm"), ("torch.max_pool2d", "max_pool2d"),
      ("torch.avg_pool2d", "avg_pool2d"),
    ]
    var finals: [(attribute: String, value: JSONValue)] = []
    for line in text.split(separator: "\n") {
      let line = line.trimmed
      if let final = final(line) { finals.append(final) }
      if let equal = line.firstRange(of: " = __torch__.torch.nn.functional.") {
        let name = line[..<equal.lowerBound]
        let function = line[equal.upperBound...]
        if name.isPythonName {
          let kinds = [
            "_max_pool2d": "max_pool2d", "max_pool2d": "max_pool2d", "batch_norm": "batch_norm",
            "layer_norm": "layer_norm",
          ]
          // A class has only a few aliases; the limit bounds the work.
          if functions.count < 32, let kind = kinds[String(function)] {
            functions.append((String(name), kind))
          }
        }
      }
      for (name, kind) in functions {
        guard let range = line.firstRange(of: name + "("), line.startsName(at: range.lowerBound) else {
          continue
        }
        guard let arguments = PythonSource.arguments(line[range.upperBound...]) else { continue }
        if let call = call(kind, arguments.map { PythonSource.literal($0) }) { found.append(call) }
      }
    }
    let names = Set(finals.map(\.attribute))
    let kind: String? =
      if names.isSuperset(of: ["eps", "num_features"]) {
        "BatchNorm2d"
      } else if names.isSuperset(of: ["kernel_size", "stride", "groups"]) {
        "Conv2d"
      } else if names.isSuperset(of: ["kernel_size", "stride", "return_indices"]) {
        "MaxPool2d"
      } else {
        nil
      }
    // A call comes before `Final` attributes, because the call is what runs.
    if let kind, !found.contains(where: { $0.kind == kind }) {
      found.append(Call(kind: kind, values: finals))
    }
    return found
  }

  /// Parses a line such as `stride : Final[Tuple[int, int]] = (2, 2)`; nil for other lines.
  private static func final(_ line: String) -> (attribute: String, value: JSONValue)? {
    guard let colon = line.firstRange(of: " : Final["), let equal = line.firstRange(of: "] = ") else {
      return nil
    }
    let name = line[..<colon.lowerBound]
    guard name.isPythonName, let value = PythonSource.literal(line[equal.upperBound...]) else {
      return nil
    }
    return (String(name), value)
  }

  private static func call(_ kind: String, _ arguments: [JSONValue?]) -> Call? {
    func argument(_ place: Int) -> JSONValue? { place < arguments.count ? arguments[place] : nil }
    func pairs(_ places: [(String, Int)]) -> [(attribute: String, value: JSONValue)]? {
      let found = places.compactMap { name, place in argument(place).map { (attribute: name, value: $0) } }
      return found.count == places.count ? found : nil
    }
    switch kind {
    case "conv2d":
      guard let values = pairs([("stride", 3), ("padding", 4), ("dilation", 5)]) else { return nil }
      return Call(kind: "Conv2d", values: values + [("groups", argument(6) ?? 1)])
    case "_convolution":
      guard argument(6) == .bool(false),
        let values = pairs([("stride", 3), ("padding", 4), ("dilation", 5), ("groups", 8)])
      else { return nil }
      return Call(kind: "Conv2d", values: values)
    case "batch_norm":
      guard let values = pairs([("eps", 7)]) else { return nil }
      let usesBatch = argument(5) == .bool(true)
      return Call(
        kind: "BatchNorm2d", values: values + (usesBatch ? [("track_running_stats", .bool(false))] : []))
    case "layer_norm":
      return pairs([("eps", 4)]).map { Call(kind: "LayerNorm", values: $0) }
    case "max_pool2d":
      guard let values = pairs([("kernel_size", 1), ("stride", 2), ("padding", 3), ("dilation", 4)]) else {
        return nil
      }
      return Call(kind: "MaxPool2d", values: values + [("ceil_mode", argument(5) ?? .bool(false))])
    case "avg_pool2d":
      guard let values = pairs([("kernel_size", 1), ("stride", 2), ("padding", 3)]) else { return nil }
      return Call(kind: "AvgPool2d", values: values)
    default: return nil
    }
  }

  // MARK: Shortcuts

  private mutating func readShortcuts(
    _ script: [String: String], _ tree: ModuleTree, _ layout: ModulePathMap
  ) {
    var known: [String: Shortcut] = [:]
    var names: [String] = []
    var activated = true
    for path in layout.blocks.flatMap({ $0 }) {
      guard var name = tree.classes[path] else { return }
      if ModuleTree.kind(name) == "Sequential", let dot = path.lastIndex(of: ".") {
        guard let outer = tree.classes[String(path[..<dot])] else { return }
        name = outer
      }
      guard let text = script[name] else { return }
      let shortcut = known[name] ?? Self.shortcut(text)
      known[name] = shortcut
      guard shortcut != .none else { return }
      activated = activated && shortcut == .beforeActivation
      let plain = Self.plainName(name)
      if !names.contains(plain) { names.append(plain) }
    }
    guard !names.isEmpty else { return }
    provesShortcuts = true
    let detail = "torch.add in the forward of \(names.joined(separator: ", "))"
    items.append(
      ResNetEvidence.Item("residual", "shortcuts are added", .code, place: "TorchScript code", detail))
    if activated, layout.configuration.shortcut == .projection,
      let usual = layout.configuration.geometry.first(where: { $0.name == "shortcut" })
    {
      items.append(
        ResNetEvidence.Item("shortcut", usual.value, .code, place: "TorchScript code", detail))
    }
  }

  private enum Shortcut { case none, added, beforeActivation }

  /// Returns whether a block's `forward` adds its input, or its shortcut's result, to another result.
  private static func shortcut(_ text: String) -> Shortcut {
    guard let start = text.firstRange(of: "def forward("),
      let signature = PythonSource.arguments(text[start.upperBound...]),
      signature.count >= 2, let colon = signature[1].firstIndex(of: ":")
    else { return .none }
    let input = String(signature[1][..<colon])
    var inputs: Set<String> = [input]
    func isShortcut(_ spelled: String) -> Bool {
      if inputs.contains(spelled) { return true }
      // The shortcut's call is `(downsample).forward(x, )`.
      guard spelled.hasPrefix("("), let close = spelled.firstIndex(of: ")") else { return false }
      let module = spelled[spelled.index(after: spelled.startIndex)..<close]
      let rest = spelled[close...]
      return ForwardSourceParser.isShortcutName(module) && rest.hasPrefix(").forward(")
        && PythonSource.arguments(rest.dropFirst(").forward(".count))?.first.map(inputs.contains) == true
    }
    // Variables that hold the result of a layer or a function.
    var results: Set<String> = []
    func isResult(_ spelled: String) -> Bool {
      results.contains(spelled) || spelled.hasPrefix("(") && spelled.contains(").forward")
    }
    var sum: String?
    var found = Shortcut.none
    for line in text[start.upperBound...].split(separator: "\n") {
      // The next method is not read.
      if line.hasPrefix("  def ") { break }
      let line = line.trimmed
      if let sum, ["relu", "act"].contains(where: { line.contains("(\($0)") || line.contains(".\($0)") }),
        line.contains("(\(sum), )") || line.contains("(\(sum))")
      {
        found = .beforeActivation
      }
      guard let equal = line.firstRange(of: " = ") else { continue }
      let name = String(line[..<equal.lowerBound])
      let value = String(line[equal.upperBound...])
      guard name.isPythonName else { continue }
      for function in ["torch.add_(", "torch.add("] where value.hasPrefix(function) {
        guard let operands = PythonSource.arguments(value.dropFirst(function.count)), operands.count >= 2,
          operands.dropFirst(2).allSatisfy({ $0 == "alpha=1" || $0 == "1" }),
          isShortcut(operands[0]) && isResult(operands[1]) && !isShortcut(operands[1])
            || isShortcut(operands[1]) && isResult(operands[0]) && !isShortcut(operands[0])
        else { continue }
        if found == .none { found = .added }
        sum = name
      }
      let isInput = isShortcut(value)
      let isMade = isResult(value) || value.hasPrefix("torch.") && value.hasSuffix(")")
      inputs.remove(name)
      results.remove(name)
      if isInput { inputs.insert(name) } else if isMade { results.insert(name) }
    }
    return found
  }
}

extension String {
  /// Returns true when no name continues across an index.
  fileprivate func startsName(at place: Index) -> Bool {
    guard place > startIndex else { return true }
    let before = self[index(before: place)]
    return before == " " || before == "(" || before == ","
  }
}
