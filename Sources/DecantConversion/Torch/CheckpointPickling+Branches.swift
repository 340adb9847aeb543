internal import DecantBytes
internal import DecantCheckpoints
internal import DecantPickle
internal import DecantTensors

/// Pickling of checkpoints without a pickle whose tensors and values have typed paths:
/// `torch.distributed.checkpoint`.
extension CheckpointPickling {
  /// Inserts the values into the tree and sets the form of every node: a list if the keys below it are its indices.
  mutating func setFormsOfBranches() {
    let root = plan.selection.path
    for (index, object) in plan.checkpoint.objects.enumerated() where object.path.starts(with: root) {
      places.insert(object: index, at: object.path.dropFirst(root.count))
    }
    keptBranches = [Bool](repeating: false, count: places.count)
    for place in 0..<places.count {
      let children = places[place].children
      if places[place].tensor != nil {
        places.set(.tensor, at: place)
      } else if places[place].isTensor || (places[place].object != nil && !children.isEmpty) {
        places.set(.stateDict, at: place)
      } else if children.isEmpty {
        continue
      } else {
        places.set(isList(children) ? .sequence : .mapping, at: place)
      }
    }
  }

  /// Decides which nodes are written, after the tensors are assigned, and records the values that are not.
  mutating func keepBranches() {
    // Children have higher indices than their parents, so they are decided first.
    for place in (0..<places.count).reversed() {
      var isKept = places[place].stayingCount > 0
      if let index = places[place].object {
        let object = plan.checkpoint.objects[index]
        if places[place].children.isEmpty, Self.loadable(object) != nil {
          isKept = true
        } else if object.moduleVersions == nil {
          note(object)
        }
      }
      for child in places[place].children where moduleVersions(at: child) != nil && !writesVersions(of: place)
      {
        if let index = places[child].object { note(plan.checkpoint.objects[index]) }
      }
      let isOpen = places[place].form != .stateDict && places[place].form != .tensor
      if isKept || isOpen && places[place].children.contains(where: { keptBranches[$0] }) {
        keptBranches[place] = !places[place].isMoved
      }
    }
  }

  /// Returns the module versions that a node holds, the attribute `_metadata` of the mapping above it.
  private func moduleVersions(at place: Int) -> [ModuleVersion]? {
    guard places[place].key == .text("_metadata"), let index = places[place].object else { return nil }
    return plan.checkpoint.objects[index].moduleVersions
  }

  /// Returns true when a mapping keeps its module versions: its tensors have their own names.
  private func writesVersions(of place: Int) -> Bool {
    places[place].form == .mapping && places[place].movedTensors.isEmpty
      && !places[place].children.contains { places[$0].newKey != nil }
  }

  /// Returns the steps that set the attribute `_metadata` of the mapping at a node; empty when it has none.
  private func versionSteps(of place: Int) -> [Step] {
    guard writesVersions(of: place),
      let versions = places[place].children.lazy.compactMap({ moduleVersions(at: $0) }).first
    else { return [] }
    var steps: [Step] = [
      .opcode(.emptyDictionary), .opcode(.mark), .text("_metadata"), .emptyOrderedDictionary, .rememberNew,
      .opcode(.mark),
    ]
    for module in versions {
      steps += [.text(module.path), .opcode(.emptyDictionary)]
      if let version = module.version {
        steps += [.opcode(.mark), .text("version"), .key(.int(version)), .opcode(.setItems)]
      }
    }
    return steps + [.opcode(.setItems), .opcode(.setItems), .opcode(.build)]
  }

  private func isList(_ children: [Int]) -> Bool {
    let positions = children.compactMap {
      if case .position(let position)? = places[$0].key { position } else { nil }
    }
    return positions.count == children.count && positions.sorted() == Array(positions.indices)
  }

  /// Writes a node and its descendants.
  mutating func write(branch place: Int) throws(DecantError) {
    if let tensor = places[place].tensor { return write(arrival: tensor, isDetached: false) }
    switch places[place].form {
    case .stateDict: try write(stateDict: place)
    case .absent: if let object = places[place].object { write(object: object) }
    case .sequence:
      var steps: [(position: Int, step: Step)] = []
      for child in places[place].children {
        guard case .position(let position)? = places[child].key else { continue }
        steps.append((position, keptBranches[child] ? .branch(child) : .nothing))
      }
      steps.sort { $0.position < $1.position }
      writer.write(.emptyList)
      _ = writer.remember()
      writer.write(.mark)
      pending.append(.opcode(.appends))
      pending.append(contentsOf: steps.reversed().map(\.step))
    default:
      var steps: [Step] = []
      for child in places[place].children where keptBranches[child] {
        switch places[child].key {
        case .integer(let number)?: steps.append(.key(.int(number)))
        case .position(let position)?: steps.append(.key(.int(Int64(position))))
        default: steps.append(.text(places[child].newKey ?? places[child].key?.name ?? ""))
        }
        steps.append(.branch(child))
      }
      for arrival in places[place].movedTensors {
        if let other = places.child(of: place, .text(arrival.key)), keptBranches[other] {
          throw clash(
            places[other].key?.name ?? arrival.key, plan.tensors[arrival.tensor].source, arrival.key)
        }
        steps += [.text(arrival.key), .arrival(arrival.tensor, isDetached: false)]
      }
      let versions = versionSteps(of: place)
      if place == 0 || !versions.isEmpty {
        writer.emptyOrderedDictionary()
      } else {
        writer.write(.emptyDictionary)
      }
      _ = writer.remember()
      if !steps.isEmpty { steps = [.opcode(.mark)] + steps + [.opcode(.setItems)] }
      steps += versions
      pending.append(contentsOf: steps.reversed())
    }
  }

  /// Writes a value that is not a tensor.
  private mutating func write(object index: Int) {
    let object = plan.checkpoint.objects[index]
    switch Self.loadable(object) {
    case .list?: writer.write(.emptyList)
    case .tuple?: writer.write(.emptyTuple)
    case .mapping(.ordered, _, _)?: writer.emptyOrderedDictionary()
    case .mapping?: writer.write(.emptyDictionary)
    case .text(let utf8)?: writer.text(utf8: utf8)
    case let scalar?: return write(scalar: scalar)
    case nil: return writer.write(.none)
    }
    _ = writer.remember()
  }

  /// Returns the value of a scalar or of an empty container; nil when the listing does not hold it.
  private static func loadable(_ object: CheckpointObject) -> LoadableValue? {
    switch (object.type, object.value) {
    case ("NoneType", _): .nothing
    case ("bool", .bool(let value)?): .boolean(value)
    case ("int", .integer(let value)?): .integer(value)
    case ("int", .string(let text)?): Int64(text).map { .integer($0) }
    case ("float", .number(let value)?): .float(value)
    case ("float", .integer(let value)?): .float(Double(value))
    case ("float", .string(let text)?):
      ["NaN": .nan, "Infinity": .infinity, "-Infinity": -.infinity][text].map { .float($0) }
    case ("str", .string(let text)?): .text(Array(text.utf8))
    case ("list", nil) where object.count == 0: .list([])
    case ("tuple", nil) where object.count == 0: .tuple([])
    case ("dict", nil) where object.count == 0: .mapping(.dictionary, [], attributes: [])
    case ("collections.OrderedDict", nil) where object.count == 0: .mapping(.ordered, [], attributes: [])
    default: nil
    }
  }
}
