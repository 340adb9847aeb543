package import DecantBytes
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
  package let selection: Selection
  /// The values outside the selection, by their first keys outside its path, in the file's order.
  package var leftOut: [LeftOut] = []
  /// True when names begin below a key that the caller did not give.
  package var isImplicit = false
  /// The number of tensors below the selection's path that the module's `state_dict()` leaves out too: attributes and
  /// non-persistent buffers.
  package var attributeCount = 0

  /// Uses a selection that the caller made.
  package init(selection: Selection) { self.selection = selection }

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
  /// - Parameter withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  /// - Throws: ``DecantError`` as ``chosenStateDict(withAttributes:)`` and ``selection(key:withAttributes:)``.
  package func choice(key: String?, withAttributes: Bool = false) throws(DecantError) -> StateDictChoice {
    if let key { return StateDictChoice(selection: try selection(key: key, withAttributes: withAttributes)) }
    let mappings = TensorMappings(tensors)
    if mappings.candidates.isEmpty { return StateDictChoice(selection: .all(of: self)) }
    return try chosenStateDict(mappings, withAttributes: withAttributes, takesAll: true)
  }

  /// Returns the only state dict, and the values that it leaves out.
  ///
  /// - Parameter withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  /// - Throws: ``DecantError``: `noStateDict`; `ambiguousStateDict` when there are several, which it lists, and when a
  ///   tensor outside the only one may be a weight. That is every tensor of two or more sizes above 1, unless it belongs
  ///   to an optimizer, a random number generator, a data frame or a module's attributes.
  package func chosenStateDict(withAttributes: Bool = false) throws(DecantError) -> StateDictChoice {
    try chosenStateDict(TensorMappings(tensors), withAttributes: withAttributes, takesAll: false)
  }

  private func chosenStateDict(
    _ mappings: TensorMappings, withAttributes: Bool, takesAll: Bool
  ) throws(DecantError) -> StateDictChoice {
    guard let only = mappings.candidates.first else {
      throw DecantError(
        .noStateDict, tensors.isEmpty ? "holds no tensors" : "holds tensors but no state dict", file: path,
        advice: tensors.isEmpty ? .text("Pass the file that holds the weights.") : .inspect)
    }
    guard mappings.candidates.count == 1 else {
      let parts = tensors.filter { $0.rankPart != nil && $0.purpose == nil }
      guard parts.isEmpty else { throw rankRefusal(parts) }
      throw ambiguity(mappings.candidates, areTwins: mappings.haveTwins, takesAll)
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
    let parts = others.filter { $0.rankPart != nil && $0.purpose == nil }
    guard parts.isEmpty else { throw rankRefusal(parts) }
    let unread = objects.filter { $0.unreadTensor != nil }
    let otherUnread = unread.filter { $0.stateDict != only.path }
    let known = Set(others.isEmpty ? [] : selected.map(\.tensor.identity))
    let elementCount = selected.map(\.tensor.elementCount).saturatingSum
    let mayBeWeights =
      others.filter { tensor in
        !known.contains(tensor.tensor.identity)
          && (tensor.mayBeWeight || tensor.isLargerThan(elementCount)
            || tensor.hasWeightType && tensor.stateDict.map { mappings.doubtful.contains($0) } ?? false)
      }.map(\.name)
      + otherUnread.filter { $0.purpose == nil }.map { $0.path.isEmpty ? "the value at the root" : $0.name }
    guard mayBeWeights.isEmpty else {
      throw DecantError(
        .ambiguousStateDict,
        "besides the state dict \(only.path.isEmpty ? "at the root" : key(of: only.path).escapedForDisplay) "
          + "(\(Format.count(only.tensorCount, "tensor"))) it holds "
          + "\(Format.count(mayBeWeights.count, "tensor")) that may be weights: "
          + mayBeWeights.prefix(8).map(\.escapedForDisplay).joined(separator: ", ")
          + (mayBeWeights.count > 8 ? ", …" : ""),
        file: path, advice: .chooseStateDict([key(of: only.path)], orAll: takesAll && canTakeAll))
    }
    var choice = StateDictChoice(
      selection: Selection(
        path: only.path, tensors: selected, unread: unread.filter { $0.stateDict == only.path }))
    choice.isImplicit = !only.path.isEmpty
    choice.leftOut = leftOut(beside: only.path, others, otherUnread)
    choice.attributeCount = others.count { $0.isExtra && $0.path.starts(with: only.path) }
    return choice
  }

  /// True when every tensor can be written under its full name.
  private var canTakeAll: Bool {
    var names: Set<ExactText> = []
    return objects.allSatisfy { $0.unreadTensor == nil }
      && tensors.allSatisfy { names.insert(ExactText($0.name)).inserted }
  }

  private func ambiguity(
    _ candidates: [StateDictCandidate], areTwins: Bool, _ takesAll: Bool
  ) -> DecantError {
    let keys = keys(of: candidates.prefix(16).map(\.path))
    let list = zip(keys, candidates).map {
      "\($0.isEmpty ? "\"\"" : $0.escapedForDisplay) (\(Format.count($1.tensorCount, "tensor")))"
    }
    .joined(separator: ", ")
    return DecantError(
      .ambiguousStateDict,
      "holds \(candidates.count) state dicts: \(list)\(candidates.count > 16 ? ", …" : "")"
        + (areTwins
          ? ". They have the same names and shapes: often the weights as trained, and their running average (EMA), which is the one to evaluate"
          : ""),
      file: path, advice: .chooseStateDict(keys, orAll: takesAll && canTakeAll))
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
    for value in objects where value.unreadTensor == nil && !value.path.starts(with: chosen) {
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
  /// True when there are several candidates, and all have the same names and shapes.
  private(set) var haveTwins = false

  init(_ tensors: [CheckpointTensor]) {
    var order: [[PathKey]] = []
    var members: [[PathKey]: [Int]] = [:]
    for (index, tensor) in tensors.enumerated() {
      guard let path = tensor.stateDict else { continue }
      if members[path] == nil { order.append(path) }
      members[path, default: []].append(index)
    }
    order.removeAll { path in
      let own = members[path, default: []].map { tensors[$0] }
      return own.allSatisfy(\.isRandomState) || Self.isOptimizerState(own, path)
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
      seen.insert(
        Set(
          members[path, default: []].map { index in
            Alias(
              name: Array(tensors[index].path.dropFirst(path.count)), data: tensors[index].tensor.identity)
          })
      ).inserted
    }
    doubtful = Set(all).subtracting(chosen)
    candidates = chosen.map { StateDictCandidate(path: $0, tensorCount: members[$0]?.count ?? 0) }
    guard chosen.count > 1 else { return }
    let contents = chosen.map { path in
      Set(
        members[path, default: []].map { index in
          Member(name: Array(tensors[index].path.dropFirst(path.count)), shape: tensors[index].tensor.shape)
        })
    }
    haveTwins = contents.allSatisfy { $0 == contents[0] }
  }

  private struct Alias: Hashable {
    let name: [PathKey]
    let data: TensorIdentity
  }

  private struct Member: Hashable {
    let name: [PathKey]
    let shape: [Int]
  }

  /// The names that optimizers give to their state of a parameter.
  static let moments: Set<String> = [
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "exp_inf",
    "momentum_buffer",
    "square_avg", "grad_avg", "acc_delta", "exp_avg_diff", "neg_pre_grad",
  ]

  /// Returns true for an optimizer's state of one parameter, or of all parameters by name.
  private static func isOptimizerState(_ own: [CheckpointTensor], _ path: [PathKey]) -> Bool {
    if let last = path.last, moments.contains(last.name) { return true }
    let names = own.map { $0.path.last?.name ?? "" }
    return names.allSatisfy { moments.contains($0) || $0 == "step" } && names.contains { $0 != "step" }
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
  /// True when two or more sizes are above 1, as in the weights of linear and convolutional layers. Counts and masks are
  /// no weights.
  fileprivate var hasWeightShape: Bool { hasWeightType && tensor.shape.count { $0 > 1 } >= 2 }

  fileprivate var hasWeightType: Bool { tensor.dtype != .int64 && tensor.dtype != .bool }

  /// True for a tensor outside the chosen state dict that may be a weight of a network.
  fileprivate var mayBeWeight: Bool { purpose == nil && hasWeightShape && !isMoment }

  /// True for a tensor that may be the weights of a whole network in one vector, such as FSDP's flat parameters.
  fileprivate func isLargerThan(_ elementCount: Int) -> Bool {
    purpose == nil && hasWeightType && !isMoment && !isRandomState && tensor.elementCount > elementCount
  }

  /// True for a value that an optimizer keeps of a parameter.
  private var isMoment: Bool { path.contains { TensorMappings.moments.contains($0.name) } }

  /// True for a tensor of a module that its `state_dict()` leaves out.
  package var isAttribute: Bool { purpose == .attribute || purpose == .unsavedBuffer }

  /// True for a tensor of a module, or attached to a tensor, that `state_dict()` leaves out.
  fileprivate var isExtra: Bool { isAttribute || purpose == .attachment }

  /// True for the state of a random number generator: the bytes of PyTorch's, or the words of NumPy's.
  ///
  /// Source: PyTorch `aten/src/ATen/CPUGeneratorImpl.cpp`, whose state has 5,056 bytes; NumPy's `MT19937` has 624 words.
  fileprivate var isRandomState: Bool {
    guard tensor.shape.count == 1 else { return false }
    switch tensor.dtype {
    case .uint8:
      let name = path.joinedName.lowercased()
      return tensor.shape[0] == 5056 || ["rng", "random", "seed"].contains { name.contains($0) }
    case .uint32: return tensor.shape[0] == 624
    default: return false
    }
  }
}
