internal import DecantBytes
internal import DecantPickle

/// Checks of changes after which a name or method is no longer what it seems.
extension PickleAudit {
  /// Attributes that unpickling looks up on the object itself, so that a state can replace them.
  private static let replaced: Set<String> = ["__setstate__", "__class__", "__dict__", "append", "extend"]

  mutating func judge(state: PickleValue, at offset: Int) {
    switch graph.node(state) {
    case .dictionary(let pairs): judge(keys: pairs, isState: true, at: offset)
    case .tuple(let parts):
      for case .dictionary(let pairs) in parts.prefix(4).map({ graph.node($0) }) {
        judge(keys: pairs, isState: true, at: offset)
      }
    case .object(let object):
      judge(keys: object.pairs, isState: true, at: offset)
      // A call that makes a dictionary or tuple hides its keys: dict([("append", print)]).
      let isFactory = graph.global(object.callable)?.name == "defaultdict"
      if let arguments = graph.arguments(object),
        holdsName(Array(arguments.dropFirst(isFactory ? 1 : 0)), 4)
      {
        report(
          .dangerous, .methodReplaced, offset, "a state is computed by a call with names as arguments",
          call: CallFormatter.call(object, in: graph))
      }
    default: break
    }
  }

  /// Returns true when values contain the name of a function, or are nested deeper than `depth` containers.
  ///
  /// Every container is searched once for each number of levels.
  mutating func holdsName(_ values: some Collection<PickleValue>, _ depth: Int) -> Bool {
    guard depth > 0 else { return true }
    for case .node(let id) in values {
      switch graph[id] {
      case .global(let global):
        if case .known(.value) = audit.standing(module: global.module, name: global.name) { continue }
        return true
      case .list, .tuple, .dictionary:
        if let searched = nameless[id.index], searched >= depth { continue }
        let elements = elements(of: graph[id])
        guard audit.spend(elements.count) else { return true }
        if holdsName(elements, depth - 1) { return true }
        nameless[id.index] = depth
      default: continue
      }
    }
    return false
  }

  private func elements(of node: PickleNode) -> [PickleValue] {
    switch node {
    case .list(let elements), .tuple(let elements): elements
    case .dictionary(let pairs): pairs.map(\.value)
    default: []
    }
  }

  func judge(keys pairs: [PicklePair], isState: Bool, at offset: Int) {
    for pair in pairs {
      guard case .node(let id) = pair.value else { continue }
      let isName: Bool
      switch graph[id] {
      case .global: isName = true
      case .object: isName = false
      case .persistentID(let id) where moduleClass(id) != nil: isName = true
      default: continue
      }
      if isState, case .object(let key) = graph.node(pair.key) {
        report(
          .dangerous, .methodReplaced, offset, "an attribute of an object is set under a computed name",
          call:
            "setattr(object, \(CallFormatter.call(key, in: graph)), \(CallFormatter.value(pair.value, in: graph)))"
        )
        continue
      }
      guard isName || isState, let key = graph.text(pair.key, upTo: 200),
        Self.replaced.contains(key) || isState && isName && key == "add"
      else { continue }
      report(
        .dangerous, .methodReplaced, offset, "\(key) of an object is replaced, which unpickling itself calls",
        call: "object.\(key) = \(CallFormatter.value(pair.value, in: graph))")
    }
  }

  func judge(persistentID id: PickleValue) {
    let parts = graph.tuple(id) ?? [id]
    if parts.count > 2, graph.text(parts[0], upTo: 100) == "reduce_package",
      let function = parts.dropFirst().lazy
        .compactMap({ graph.global($0) }).first,
      case .dangerousWhenCalled(_, let reason) = audit.standing(module: function.module, name: function.name)
    {
      report(
        .dangerous, .persistentCall, 0, "\(CallFormatter.name(function)): \(reason); torch.package calls it",
        call: CallFormatter.value(id, in: graph))
    }
    for part in parts {
      guard case .node(let node) = part, case .object(let object) = graph[node] else { continue }
      report(
        .dangerous, .persistentCall, object.offset, "a persistent id is computed by a call",
        call: CallFormatter.value(id, in: graph))
    }
  }

  func judgeChanges() {
    for build in graph.irregularBuilds {
      switch graph.node(build.target) {
      case .global, .persistentID, .extensionCode:
        report(
          .dangerous, .importChanged, build.offset, "attributes are set on an imported object",
          call: CallFormatter.change(build.target, "__dict__.update", build.state, in: graph))
      default:
        report(
          .unknown, .oddUse, build.offset, "a state is set on a value that has none, which Python rejects")
      }
    }
    for fill in graph.irregularAdditions {
      switch graph.node(fill.target) {
      case .byteArray:
        report(
          .dangerous, .oddUse, fill.offset,
          "a bytearray is changed after it is made, which hides what a call receives")
        continue
      case .list:
        report(.unknown, .oddUse, fill.offset, "an item of a list is replaced, which picklers do not write")
        continue
      default: break
      }
      report(
        .dangerous, .importChanged, fill.offset, "items are set on, or added to, an imported object",
        call: fill.pairs.isEmpty
          ? CallFormatter.change(fill.target, "extend", fill.items.first ?? .none, in: graph)
          : CallFormatter.change(fill.target, "__setitem__", fill.pairs[0].key, in: graph))
    }
    for change in graph.memoOverwrites {
      if let old = graph.text(change.old), let new = graph.text(change.new), ExactText(old) == ExactText(new)
      {
        continue
      }
      if let old = graph.global(change.old), let new = graph.global(change.new), old.utf8 == new.utf8 {
        continue
      }
      report(
        .dangerous, .memoChanged, change.offset,
        "memo entry \(change.index) changes from \(CallFormatter.value(change.old, in: graph)) to \(CallFormatter.value(change.new, in: graph))"
      )
    }
  }
}

extension PickleGlobal {
  fileprivate var utf8: [UInt8] { Array(qualifiedName.utf8) }
}
