package import DecantBytes
package import DecantTensors

/// A part of a checkpoint that can be loaded into a network.
package struct StateDictCandidate: Sendable, Equatable {
  /// The keys from the root; empty for the root itself.
  package let path: [PathKey]
  package let tensorCount: Int

  /// The value for `--key`; `.` for the root.
  package var key: String { path.isEmpty ? "." : path.joinedName }
}

/// The tensors below one path of a checkpoint. Their names begin below that path.
package struct Selection: Sendable {
  /// The path that all tensors are below; empty for the root.
  package let path: [PathKey]
  /// The tensors in the file's order, with their full paths.
  package let tensors: [CheckpointTensor]
  /// The tensors below the path that are of kinds that are not read.
  package var unread: [CheckpointObject]

  /// Selects tensors below a path.
  package init(path: [PathKey], tensors: [CheckpointTensor], unread: [CheckpointObject] = []) {
    (self.path, self.tensors, self.unread) = (path, tensors, unread)
  }

  /// The value for `--key` that selects this path; `.` for the root.
  package var key: String { path.isEmpty ? "." : path.joinedName }

  /// Returns every tensor of a checkpoint under its full name.
  package static func all(of checkpoint: Checkpoint) -> Selection {
    Selection(
      path: [], tensors: checkpoint.tensors, unread: checkpoint.objects.filter { $0.unreadTensor != nil })
  }

  /// Returns a tensor's name below the selection's path.
  package func name(of entry: CheckpointTensor) -> String {
    name(of: entry.path)
  }

  /// Returns the name of a path below the selection's path.
  package func name(of path: [PathKey]) -> String { path.dropFirst(self.path.count).joinedName }

  /// Returns the tensors by name.
  ///
  /// - Throws: ``DecantError`` when two paths have the same joined name. It names both.
  package func stateDict() throws(DecantError) -> StateDict {
    var paths: [ExactText: [PathKey]] = [:]
    for entry in tensors {
      if let other = paths.updateValue(entry.path, forKey: ExactText(name(of: entry))) {
        func spell(_ path: [PathKey]) -> String { path.map { $0.json.text }.joined(separator: ", ") }
        throw DecantError(
          .duplicateName,
          "two tensors have the name \(name(of: entry).escapedForDisplay): [\(spell(other))] and [\(spell(entry.path))]",
          advice: .chooseKey([]))
      }
    }
    return try StateDict(tensors.map { StateDict.Entry(name: name(of: $0), tensor: $0.tensor) })
  }
}

extension Checkpoint {
  /// Every mapping or module that directly contains tensors under text keys, in the file's order. Optimizers are left
  /// out. So are mappings that hold only scalars (such as the scores that callbacks keep), if any other has a tensor
  /// with dimensions.
  package var stateDictCandidates: [StateDictCandidate] {
    var order: [[PathKey]] = []
    var counts: [[PathKey]: Int] = [:]
    var shaped: Set<[PathKey]> = []
    for tensor in tensors {
      guard let path = tensor.stateDict else { continue }
      if counts[path] == nil { order.append(path) }
      counts[path, default: 0] += 1
      if !tensor.tensor.shape.isEmpty { shaped.insert(path) }
    }
    if !shaped.isEmpty { order.removeAll { !shaped.contains($0) } }
    return order.map { StateDictCandidate(path: $0, tensorCount: counts[$0] ?? 0) }
  }

  /// Returns the tensors below a key, as names print it. A literal key that contains dots takes precedence. `.` is
  /// the root.
  ///
  /// - Throws: ``DecantError`` when nothing has that name.
  package func selection(key: String) throws(DecantError) -> Selection {
    if key == "." { return .all(of: self) }
    // Of all paths with this joined name, the shortest wins: its keys contain the dots themselves.
    var found: [PathKey]?
    let unread = objects.filter { $0.unreadTensor != nil }
    for path in tensors.map(\.path) + unread.map(\.path) {
      var spelled = ""
      for (place, step) in path.enumerated() {
        spelled += (place == 0 ? "" : ".") + step.name
        if spelled.utf8.elementsEqual(key.utf8) {
          if place + 1 < (found?.count ?? .max) { found = Array(path[...place]) }
          break
        }
        if spelled.utf8.count > key.utf8.count { break }
      }
    }
    guard let found else {
      if let object = objects.first(where: { $0.name == key }) {
        throw DecantError(
          .keyNotFound, "\(key.quoted) is \(object.summary), not a tensor", file: path, advice: .listKeys)
      }
      if objects.contains(where: { $0.name.hasPrefix(key + ".") }) {
        throw DecantError(.keyNotFound, "\(key.quoted) holds no tensors", file: path, advice: .listKeys)
      }
      let candidates = stateDictCandidates.prefix(8).map(\.key)
      throw DecantError(
        .keyNotFound, "has no key \(key.escapedForDisplay)", file: path,
        advice: candidates.isEmpty ? .listKeys : .chooseKey(candidates))
    }
    return Selection(
      path: found, tensors: tensors.filter { $0.path.starts(with: found) },
      unread: unread.filter { $0.path.starts(with: found) })
  }

  /// Returns the only state dict of the checkpoint.
  ///
  /// - Throws: ``DecantError`` when there are several, which it lists, or none.
  package func onlyStateDict() throws(DecantError) -> Selection {
    let candidates = stateDictCandidates
    let unread = objects.filter { $0.unreadTensor != nil }
    guard candidates.count == 1, let only = candidates.first else {
      if candidates.isEmpty {
        throw DecantError(
          .noStateDict, tensors.isEmpty ? "holds no tensors" : "holds tensors but no state dict", file: path,
          advice: tensors.isEmpty ? .text("Pass the file that holds the weights.") : .inspect)
      }
      let list = candidates.prefix(16).map { "\($0.key.escapedForDisplay) (\($0.tensorCount) tensors)" }
        .joined(separator: ", ")
      throw DecantError(
        .ambiguousStateDict,
        "holds \(candidates.count) state dicts: \(list)\(candidates.count > 16 ? ", …" : "")",
        file: path,
        advice: .chooseKey([]))
    }
    let selected = tensors.filter { $0.stateDict == only.path && $0.path.starts(with: only.path) }
    return Selection(
      path: only.path, tensors: selected,
      unread: unread.filter { $0.stateDict == only.path && $0.path.starts(with: only.path) })
  }
}
