internal import DecantBytes
internal import DecantCheckpoints
internal import DecantPickle

/// Pickling of a state dict's `_metadata` after its modules were renamed: `load_state_dict` looks up a module's
/// version by the new name.
extension CheckpointPickling {
  /// Returns the modules of a mapping that were renamed with their tensors, with their new names.
  ///
  /// A module is renamed when a tensor below it keeps everything that follows the module's name. O(tensors).
  private func renamedModules(in place: Int) -> [ExactText: String] {
    var renamed: [ExactText: String] = [:]
    for child in places[place].children {
      guard let new = places[child].newKey, case .text(let old)? = places[child].key else { continue }
      var (from, to) = (Substring(old), Substring(new))
      // The bound limits the cost of long names with many dots; no real module is nested that deep.
      for _ in 0..<64 {
        guard let leaf = from.lastStep, leaf == to.lastStep ?? to, from.lastStep != nil else { break }
        from = from.dropLast(leaf.count + 1)
        to = to.lastStep == nil ? "" : to.dropLast(leaf.count + 1)
        renamed[ExactText(String(from))] = String(to)
        if to.isEmpty { break }
      }
    }
    return renamed
  }

  /// Writes `_metadata` with the modules' new names; nil when no module was renamed.
  mutating func renamedVersions(_ value: PickleValue, of place: Int?, _ way: Int) -> [Step]? {
    guard let graph, let place,
      case .mapping(let kind, let pairs, let attributes) = LoadableValue(value, in: graph),
      kind != .counter, attributes.isEmpty
    else { return nil }
    let renamed = renamedModules(in: place)
    guard !renamed.isEmpty else { return nil }
    var entries: [(key: String, value: PickleValue)] = []
    var known: [ExactText: Int] = [:]
    for pair in pairs {
      guard let old = graph.text(pair.key) else { return nil }
      let new = Self.name(of: old, renamed)
      if let entry = known[ExactText(new)] {
        entries[entry].value = pair.value
      } else {
        known[ExactText(new)] = entries.count
        entries.append((new, pair.value))
      }
    }
    var steps: [Step] = [
      .text("_metadata"), kind == .ordered ? .emptyOrderedDictionary : .opcode(.emptyDictionary),
      .rememberNew,
    ]
    steps.append(.opcode(.mark))
    for (key, value) in entries {
      guard let step = admitted(value, nil, way) else { continue }
      steps += [.text(key), step]
    }
    return steps + [.opcode(.setItems)]
  }

  /// Returns a module's new name: its own, or that of the nearest renamed ancestor followed by the rest of the old
  /// name.
  private static func name(of module: String, _ renamed: [ExactText: String]) -> String {
    var outer = Substring(module)
    for _ in 0..<64 {
      if let new = renamed[ExactText(String(outer))] {
        let rest = module.dropFirst(outer.count)
        return new.isEmpty ? String(rest.drop { $0 == "." }) : new + rest
      }
      guard let leaf = outer.lastStep else { break }
      outer = outer.dropLast(leaf.count + 1)
    }
    return module
  }
}

extension Substring {
  /// The part after the last dot; nil without a dot.
  fileprivate var lastStep: Substring? { lastIndex(of: ".").map { self[index(after: $0)...] } }
}
