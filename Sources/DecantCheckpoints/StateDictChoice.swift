package import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A part of a checkpoint that can be loaded into a network.
package struct StateDictCandidate: Sendable, Equatable {
  /// The keys from the root; empty for the root itself.
  package let path: [PathKey]
  package let tensorCount: Int

  /// The value for `--key`; `.` for the root.
  package var key: String { path.isEmpty ? "." : path.joinedName }
}

/// The part of a checkpoint that a command uses, and everything that it leaves out.
package struct StateDictChoice: Sendable {
  package private(set) var selection: Selection
  /// The values outside the selection, by their first keys outside its path, in the file's order.
  package var leftOut: [LeftOut] = []
  /// True when names begin below a key that the caller did not give.
  package var isImplicit = false
  /// The number of tensors below the selection's path that the module's `state_dict()` leaves out too: attributes and
  /// non-persistent buffers.
  package var attributeCount = 0
  /// The tensors of kinds that are not read, which the caller leaves out.
  package var skipped: [CheckpointObject] = []
  /// The full names of the tensors below the selection's path that the caller's patterns leave out.
  package private(set) var excluded: [String] = []

  /// Uses a selection that the caller made.
  package init(selection: Selection) { self.selection = selection }

  /// Returns the choice without the tensors whose names, below the selection's path, match one of the patterns.
  ///
  /// - Throws: ``DecantError`` with the code `tensorNotFound` for a pattern that matches no tensor of the checkpoint.
  package func excluding(_ patterns: [String], in checkpoint: Checkpoint) throws(DecantError)
    -> StateDictChoice
  {
    guard !patterns.isEmpty else { return self }
    func matches(_ path: [PathKey]) -> Bool {
      let name = selection.name(of: path)
      return patterns.contains { name.matches(glob: $0) }
    }
    func isExcluded(_ tensor: CheckpointTensor) -> Bool {
      matches(tensor.path) || tensor.rankPart.map { matches($0.owner) } ?? false
    }
    let names = selection.tensors.map { selection.name(of: $0) } + checkpoint.allTensorNames
    let unread = selection.unread.map { selection.name(of: $0.path) }
    let unused = patterns.filter { glob in !(names + unread).contains { $0.matches(glob: glob) } }
    guard unused.isEmpty else { throw checkpoint.unusedPatterns(unused) }
    let kept = Selection(
      path: selection.path, tensors: selection.tensors.filter { !isExcluded($0) },
      unread: selection.unread.filter { !matches($0.path) })
    var choice = self
    choice.excluded =
      selection.tensors.filter(isExcluded).map(\.name)
      + selection.unread.filter { matches($0.path) }.map(\.name)
    choice.selection = kept
    return choice
  }

  /// Leaves out the tensors of modules that their `state_dict()` does not have.
  package mutating func leaveOutAttributes() {
    let kept = selection.tensors.filter { !$0.isAttribute }
    guard !kept.isEmpty, kept.count < selection.tensors.count else { return }
    attributeCount = selection.tensors.count - kept.count
    selection = Selection(path: selection.path, tensors: kept, unread: selection.unread)
  }

  /// The values below one key outside the selection.
  package struct LeftOut: Sendable, Equatable {
    package let key: String
    /// The number of tensors; 0 for other values.
    package fileprivate(set) var tensorCount: Int
  }
}

extension Checkpoint {
  /// Every mapping or module with tensors that can be the weights of a network, in the file's order.
  ///
  /// Optimizers, states of random number generators and data frames are left out. So are mappings that hold only single
  /// numbers or one vector, such as the scores that callbacks keep, when another mapping holds more.
  package var stateDictCandidates: [StateDictCandidate] { TensorMappings(tensors).candidates }

  /// Returns the only state dict of the checkpoint.
  ///
  /// - Throws: ``DecantError`` as ``chosenStateDict(withAttributes:)``.
  package func onlyStateDict() throws(DecantError) -> Selection { try chosenStateDict().selection }

  /// Returns the part of the checkpoint to convert or to compare: the one below a key, else the only state dict, else
  /// all tensors of a file without a state dict.
  ///
  /// - Parameters:
  ///   - withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  ///   - except: patterns of full names. Tensors with these names are no reason for a question, and no state dict.
  /// - Throws: ``DecantError`` as ``chosenStateDict(withAttributes:except:)`` and ``selection(key:withAttributes:)``.
  package func choice(
    key: String?, withAttributes: Bool = false, except: [String] = []
  ) throws(DecantError) -> StateDictChoice {
    let mappings = key == nil ? TensorMappings(tensors.excluding(except)) : nil
    guard let mappings, !mappings.candidates.isEmpty else {
      var choice = StateDictChoice(
        selection: try key.map { key throws(DecantError) in
          try selection(key: key, withAttributes: withAttributes)
        } ?? .all(of: self))
      choice.skipped = skippedTensors
      return choice
    }
    return try chosenStateDict(mappings, withAttributes: withAttributes, except: except, orAll: true)
  }

  /// Returns the only state dict, and the values that it leaves out.
  ///
  /// - Parameters:
  ///   - withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  ///   - except: patterns of full names. Tensors with these names are no reason for a question, and no state dict.
  /// - Throws: ``DecantError``: `noStateDict`; `ambiguousStateDict` when there are several, which it lists, and when a
  ///   tensor outside the only one may be a weight. That is every tensor of two or more sizes above 1, unless it belongs
  ///   to an optimizer, a random number generator, a data frame or a module's attributes.
  package func chosenStateDict(
    withAttributes: Bool = false, except: [String] = []
  ) throws(DecantError) -> StateDictChoice {
    try chosenStateDict(
      TensorMappings(tensors.excluding(except)), withAttributes: withAttributes, except: except, orAll: false)
  }

  /// - Parameter orAll: true when the caller can use everything in the file.
  private func chosenStateDict(
    _ mappings: TensorMappings, withAttributes: Bool, except: [String], orAll: Bool
  ) throws(DecantError) -> StateDictChoice {
    guard let only = mappings.candidates.first else {
      guard !tensors.isEmpty || skippedTensors.isEmpty else {
        throw unreadRefusal(skippedTensors, "read", .saveWhole)
      }
      let isOptimizer = tensors.allSatisfy { $0.purpose == .optimizer }
      throw DecantError(
        .noStateDict,
        tensors.isEmpty
          ? "holds no tensors"
          : isOptimizer ? "holds an optimizer's state and no weights" : "holds tensors but no state dict",
        file: path,
        advice: tensors.isEmpty ? .text("Pass the file that holds the weights.") : .inspect)
    }
    guard mappings.candidates.count == 1 else {
      let parts = tensors.filter { $0.rankPart != nil && $0.purpose == nil }
      guard parts.isEmpty else { throw rankRefusal(parts) }
      throw ambiguity(mappings.candidates, mappings.twins, orAll: orAll)
    }
    // The data of a wrapper subclass is in the tensors attached to it.
    let wrappers = Set(
      tensors.lazy.filter {
        $0.stateDict == only.path && $0.subclass != nil && $0.tensor.storage.content == nil
      }.map(\.path))
    func isPart(_ tensor: CheckpointTensor) -> Bool {
      guard !wrappers.isEmpty, let place = tensor.path.firstIndex(of: .text("__dict__")) else { return false }
      return wrappers.contains(Array(tensor.path[..<place]))
    }
    var (selected, others): ([CheckpointTensor], [CheckpointTensor]) = ([], [])
    for tensor in tensors {
      let isUsed =
        tensor.stateDict == only.path || isPart(tensor)
        || (withAttributes && tensor.isExtra && tensor.path.starts(with: only.path))
      if isUsed { selected.append(tensor) } else { others.append(tensor) }
    }
    let open = others.excluding(except)
    let parts = open.filter { $0.rankPart != nil && $0.purpose == nil }
    guard parts.isEmpty else { throw rankRefusal(parts) }
    let unread = objects.filter { $0.unreadTensor != nil }
    let otherUnread = unread.filter { $0.stateDict != only.path }
    let known = Set(open.isEmpty ? [] : selected.map(\.tensor.identity))
    let elementCount = open.isEmpty ? 0 : selected.map(\.tensor.elementCount).saturatingSum
    let mayBeWeights =
      open.filter { tensor in
        guard !known.contains(tensor.tensor.identity), tensor.purpose == nil,
          !mappings.moments.contains(tensorAt: tensor.path), !tensor.isRandomState
        else { return false }
        if tensor.isWide { return true }
        return tensor.hasWeightType
          && (tensor.tensor.elementCount > elementCount
            || tensor.stateDict.map { mappings.doubtful.contains($0) } ?? false)
      }.map(\.path)
      + otherUnread.filter { value in
        value.purpose == nil && !except.contains { value.name.matches(glob: $0) }
      }.map(\.path)
    guard mayBeWeights.isEmpty else {
      let unreadPaths = Set(otherUnread.map(\.path))
      throw DecantError(
        .ambiguousStateDict,
        "besides the state dict \(only.path.isEmpty ? "at the root" : key(of: only.path).escapedForDisplay) "
          + "(\(Format.count(only.tensorCount, "tensor"))) it holds "
          + "\(Format.count(mayBeWeights.count, "tensor")) that may be weights: "
          + mayBeWeights.prefix(8).map {
            $0.isEmpty ? "the value at the root" : $0.joinedName.escapedForDisplay
          }.joined(separator: ", ")
          + (mayBeWeights.count > 8 ? ", …" : ""),
        file: path,
        advice: advice(
          leaving: mayBeWeights, outside: only.path, selected: selected, orAll: orAll,
          isUnread: unreadPaths.isSuperset(of: mayBeWeights)))
    }
    var choice = StateDictChoice(
      selection: Selection(
        path: only.path, tensors: selected, unread: unread.filter { $0.stateDict == only.path }))
    choice.isImplicit = !only.path.isEmpty
    choice.leftOut = leftOut(beside: only.path, others, otherUnread)
    choice.skipped = skippedTensors
    choice.attributeCount = others.count { $0.isExtra && $0.path.starts(with: only.path) }
    return choice
  }

  /// Returns the advice to use a state dict without the tensors that may be weights.
  ///
  /// - Parameter isUnread: true when they are all of kinds that are not read.
  private func advice(
    leaving others: [[PathKey]], outside chosen: [PathKey], selected: [CheckpointTensor], orAll: Bool,
    isUnread: Bool
  ) -> DecantError.Advice {
    if isUnread { return .skipUnread }
    guard chosen.isEmpty else {
      return hasDistinctNames(below: chosen)
        ? .chooseStateDict([key(of: chosen)], orAll: orAll && canTakeAll) : .writeTorch
    }
    let patterns = Self.patterns(of: others, sparing: selected)
    if canTakeAll { return .chooseRoot(except: patterns) }
    if !patterns.isEmpty { return .exceptTensors(patterns) }
    return hasDistinctNames(below: []) ? .skipUnread : .writeTorch
  }

  /// True when every tensor can be written under its full name.
  private var canTakeAll: Bool {
    objects.allSatisfy { $0.unreadTensor == nil } && hasDistinctNames(below: [])
  }

  /// Returns true when no two tensors below a path have the same name.
  private func hasDistinctNames(below path: [PathKey]) -> Bool {
    var names: Set<ExactText> = []
    return tensors.allSatisfy {
      !$0.path.starts(with: path) || names.insert(ExactText($0.name)).inserted
    }
  }

  /// Returns patterns that match the paths, by their first keys, and none of the selected tensors' names. Empty when
  /// there are no such patterns.
  private static func patterns(of paths: [[PathKey]], sparing selected: [CheckpointTensor]) -> [String] {
    var patterns: [String] = []
    var seen: Set<ExactText> = []
    for path in paths {
      guard let first = path.first?.name else { return [] }
      let pattern = path.count > 1 ? first + ".*" : first
      guard !pattern.dropLast(path.count > 1 ? 1 : 0).contains(where: { "*?[\\".contains($0) }) else {
        return []
      }
      if seen.insert(ExactText(pattern)).inserted { patterns.append(pattern) }
    }
    let names = selected.map(\.name)
    return patterns.contains { pattern in names.contains { $0.matches(glob: pattern) } } ? [] : patterns
  }

  /// The full names of all tensors, those of kinds that are not read among them.
  package var allTensorNames: [String] {
    tensors.map(\.name) + (objects.filter { $0.unreadTensor != nil } + skippedTensors).map(\.name)
  }

  /// Returns the error for patterns that match no tensor's name.
  package func unusedPatterns(_ patterns: [String]) -> DecantError {
    DecantError(
      .tensorNotFound, "no tensor name matches \(patterns.map(\.quoted).joined(separator: ", "))",
      file: path, advice: .listNames)
  }

  private func ambiguity(
    _ candidates: [StateDictCandidate], _ twins: TensorMappings.Twins?, orAll: Bool
  ) -> DecantError {
    let keys = keys(of: candidates.prefix(16).map(\.path))
    // With equal names, only a .pth can hold everything below a key.
    let working = zip(keys, candidates).filter { hasDistinctNames(below: $1.path) }.map(\.0)
    let list = zip(keys, candidates).map {
      "\($0.isEmpty ? "\"\"" : $0.escapedForDisplay) (\(Format.count($1.tensorCount, "tensor")))"
    }
    .joined(separator: ", ")
    return DecantError(
      .ambiguousStateDict,
      "holds \(candidates.count) state dicts: \(list)\(candidates.count > 16 ? ", …" : "")"
        + (twins.map {
          ". They have the same names and shapes\($0 == .prefixed ? ", but for a prefix" : ""): often the weights as trained, and their running average (EMA), which is the one to evaluate"
        } ?? ""),
      file: path,
      advice: working.isEmpty ? .writeTorch : .chooseStateDict(working, orAll: orAll && canTakeAll))
  }

  /// Returns the values outside a state dict, grouped by the first key outside its path.
  private func leftOut(
    beside chosen: [PathKey], _ others: [CheckpointTensor], _ unread: [CheckpointObject]
  ) -> [StateDictChoice.LeftOut] {
    var found: [StateDictChoice.LeftOut] = []
    var places: [ExactText: Int] = [:]
    func add(_ path: [PathKey], tensorCount: Int) {
      let shared = zip(path, chosen).prefix { $0 == $1 }.count
      let key = path.prefix(shared + 1).joinedName
      if let place = places[ExactText(key)] {
        found[place].tensorCount += tensorCount
      } else {
        places[ExactText(key)] = found.count
        found.append(StateDictChoice.LeftOut(key: key, tensorCount: tensorCount))
      }
    }
    for tensor in others where !(tensor.isExtra && tensor.path.starts(with: chosen)) {
      add(tensor.path, tensorCount: 1)
    }
    for value in unread { add(value.path, tensorCount: 1) }
    // The objects around the state dict are not left out.
    for value in objects
    where value.unreadTensor == nil && !value.path.starts(with: chosen) && !chosen.starts(with: value.path) {
      add(value.path, tensorCount: 0)
    }
    return found
  }
}

/// The mappings and modules of a checkpoint that directly hold tensors.
private struct TensorMappings {
  /// Those that can be the weights of a network, in the file's order.
  private(set) var candidates: [StateDictCandidate] = []
  /// The mappings inside or around a candidate that may be weights, too.
  private(set) var doubtful: Set<[PathKey]> = []
  /// The likeness of several candidates that all have the same names and shapes; nil for others.
  private(set) var twins: Twins?
  /// The mappings of an optimizer's moments.
  let moments: MomentMappings

  /// The likeness of state dicts with the same shapes.
  enum Twins {
    case same
    /// The names are the same behind a prefix, such as `module.` of DataParallel and of averaged models.
    case prefixed
  }

  init(_ tensors: [CheckpointTensor]) {
    moments = MomentMappings(tensors)
    var order: [[PathKey]] = []
    var members: [[PathKey]: [Int]] = [:]
    // Tensors of one state dict come one after the other, so few paths are looked up.
    var (path, run): ([PathKey]?, [Int]) = (nil, [])
    func add() {
      guard let path, !run.isEmpty else { return }
      if members[path] == nil { order.append(path) }
      members[path, default: []] += run
    }
    for index in tensors.indices {
      guard let next = tensors[index].stateDict else { continue }
      if next != path {
        add()
        (path, run) = (next, [])
      }
      run.append(index)
    }
    add()
    order.removeAll { path in
      let own = members[path, default: []].map { tensors[$0] }
      return own.allSatisfy(\.isRandomState) || moments.contains(path) || Self.isStateOfParameter(own)
    }
    guard order.count > 1 else {
      candidates = order.map { StateDictCandidate(path: $0, tensorCount: members[$0]?.count ?? 0) }
      return
    }
    let wide = order.filter { path in
      let own = members[path, default: []].lazy.map { tensors[$0] }
      if own.contains(where: \.hasWeightShape) { return true }
      return own.count > 1 && own.contains { $0.tensor.elementCount > 1 }
    }
    // In a mapping around a larger state dict, vectors are values such as a loss's centre.
    let sizes = wide.map { members[$0]?.count ?? 0 }
    let around = KeyTree(wide)
    let largest = around.mostInLine(sizes)
    let weighty = wide.indices.filter { index in
      members[wide[index], default: []].contains { tensors[$0].hasWeightShape }
        || !around.isAroundAnother(index) || sizes[index] == largest[index]
    }.map { wide[$0] }
    let all = weighty.isEmpty ? order : weighty
    // Of two mappings, one inside the other, the one with more tensors is the state dict. The others' are a question.
    let counts = all.map { members[$0]?.count ?? 0 }
    let most = KeyTree(all).mostInLine(counts)
    var chosen = all.indices.filter { counts[$0] == most[$0] }.map { all[$0] }
    // The same tensors under a second key are no second state dict.
    var seen: Set<Set<Alias>> = []
    chosen = chosen.filter { path in
      chosen.count == 1
        || seen.insert(
          Set(
            members[path, default: []].map { index in
              Alias(
                name: Array(tensors[index].path.dropFirst(path.count)), data: tensors[index].tensor.identity)
            })
        ).inserted
    }
    doubtful = Set(all).subtracting(chosen)
    candidates = chosen.map { StateDictCandidate(path: $0, tensorCount: members[$0]?.count ?? 0) }
    if chosen.count > 1 {
      twins = Self.likeness(
        chosen.map { path in
          members[path, default: []].map { index in
            Member(
              name: tensors[index].path.dropFirst(path.count).joinedName, shape: tensors[index].tensor.shape)
          }
        })
    }
  }

  /// Returns the likeness of state dicts; nil when their names or shapes differ. O(members).
  ///
  /// Counters, such as `n_averaged` of an averaged model, and other single numbers are not compared.
  private static func likeness(_ all: [[Member]]) -> Twins? {
    if all.allSatisfy({ Set($0) == Set(all[0]) }) { return .same }
    let weights = all.map { members in members.filter { $0.shape.contains { $0 != 1 } } }
    let prefixes = weights.map(prefix)
    guard let longest = prefixes.max(by: { $0.count < $1.count }), weights.allSatisfy({ !$0.isEmpty }),
      prefixes.allSatisfy({ longest.suffix($0.count).elementsEqual($0) })
    else { return nil }
    let bare = zip(weights, prefixes).map { members, prefix in
      Set(
        members.map {
          Member(
            name: $0.name.split(separator: ".").dropFirst(prefix.count).joined(separator: "."),
            shape: $0.shape)
        })
    }
    guard bare.allSatisfy({ $0 == bare[0] }) else { return nil }
    return prefixes.allSatisfy { $0 == prefixes[0] } ? .same : .prefixed
  }

  /// Returns the parts of the longest prefix of all names, between dots.
  private static func prefix(of members: [Member]) -> [Substring] {
    var common: [Substring]?
    for member in members {
      let parts = Array(member.name.split(separator: ".").dropLast())
      common = common.map { Array(zip($0, parts).prefix { $0 == $1 }.map(\.0)) } ?? parts
    }
    return common ?? []
  }

  private struct Alias: Hashable {
    let name: [PathKey]
    let data: TensorIdentity
  }

  private struct Member: Hashable {
    let name: String
    let shape: [Int]
  }

  /// Returns true for an optimizer's values of one parameter, by their names.
  private static func isStateOfParameter(_ own: [CheckpointTensor]) -> Bool {
    let names = own.map { $0.path.last?.name ?? "" }
    return names.allSatisfy { OptimizerState.moments.contains($0) || $0 == "step" }
      && names.contains { $0 != "step" }
  }
}

/// Paths as a tree of keys, to find those inside each other in time proportional to their lengths.
private struct KeyTree {
  private struct Edge: Hashable {
    let parent: Int
    let key: PathKey
  }

  /// The parent of each node; -1 for the root, which is node 0.
  private var parents = [-1]
  /// True for each node with children.
  private var isInner = [false]
  /// The node of each path.
  private var ends: [Int] = []

  init(_ paths: [[PathKey]]) {
    var children: [Edge: Int] = [:]
    for path in paths {
      var node = 0
      for key in path {
        let edge = Edge(parent: node, key: key)
        if let child = children[edge] {
          node = child
        } else {
          node = parents.count
          children[edge] = node
          parents.append(edge.parent)
          isInner[edge.parent] = true
          isInner.append(false)
        }
      }
      ends.append(node)
    }
  }

  /// Returns true when another path begins with the path at an index.
  func isAroundAnother(_ index: Int) -> Bool { isInner[ends[index]] }

  /// For each path, the largest number of those of the path itself, the paths around it and the paths inside it.
  func mostInLine(_ numbers: [Int]) -> [Int] {
    var inside = [Int](repeating: 0, count: parents.count)
    for (end, number) in zip(ends, numbers) { inside[end] = max(inside[end], number) }
    // Parents precede their children.
    var around = inside
    for node in parents.indices.dropFirst() { around[node] = max(around[node], around[parents[node]]) }
    for node in parents.indices.dropFirst().reversed() {
      inside[parents[node]] = max(inside[parents[node]], inside[node])
    }
    return ends.map { max(around[$0], inside[$0]) }
  }
}

extension CheckpointTensor {
  /// True when two or more sizes are above 1, as in the weights of linear and convolutional layers.
  fileprivate var isWide: Bool { tensor.shape.count { $0 > 1 } >= 2 }

  /// True for a tensor that shows a state dict. Tables of counts and masks beside one do not, but are a question.
  fileprivate var hasWeightShape: Bool { hasWeightType && !isRandomState && isWide }

  fileprivate var hasWeightType: Bool { tensor.dtype != .int64 && tensor.dtype != .bool }

  /// True for a tensor of a module that its `state_dict()` leaves out.
  package var isAttribute: Bool { purpose == .attribute || purpose == .unsavedBuffer }

  /// True for a tensor of a module, or attached to a tensor, that `state_dict()` leaves out.
  fileprivate var isExtra: Bool { isAttribute || purpose == .attachment }

  /// True for the state of a random number generator: the bytes of PyTorch's, or the words of NumPy's.
  ///
  /// Source: PyTorch `aten/src/ATen/CPUGeneratorImpl.cpp`, whose state has 5,056 bytes; NumPy's `MT19937` has 624 words.
  fileprivate var isRandomState: Bool {
    // Several processes' states are stacked.
    if tensor.dtype == .uint8, tensor.shape.count <= 2, tensor.shape.last == 5056 { return true }
    guard tensor.shape.count == 1 else { return false }
    switch tensor.dtype {
    case .uint8:
      let name = path.joinedName.lowercased()
      return ["rng", "random", "seed"].contains { name.contains($0) }
    case .uint32: return tensor.shape[0] == 624
    default: return false
    }
  }
}

extension [CheckpointTensor] {
  /// Returns the tensors whose full names, or whose owners' names, match none of the patterns.
  fileprivate func excluding(_ patterns: [String]) -> [CheckpointTensor] {
    guard !patterns.isEmpty else { return self }
    return filter { tensor in
      let names = [tensor.name] + (tensor.rankPart.map { [$0.owner.joinedName] } ?? [])
      return !patterns.contains { pattern in names.contains { $0.matches(glob: pattern) } }
    }
  }
}
