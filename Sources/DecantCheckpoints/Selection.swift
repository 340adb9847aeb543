package import DecantBytes
package import DecantTensors

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

  /// Returns the tensors by name, with axes in PyTorch's order.
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
    return try StateDict(
      tensors.map { entry throws(DecantError) in
        StateDict.Entry(name: name(of: entry), tensor: try entry.inPyTorchOrder(entry.tensor))
      })
  }
}

extension Checkpoint {
  /// Returns the values at and below a key that holds no tensors; nil when it holds tensors or does not exist.
  package func values(key: String) -> [CheckpointObject]? {
    guard key != ".", (try? selection(key: key)) == nil else { return nil }
    let values = objects.filter { $0.name == key || $0.name.hasPrefix(key + ".") }
    return values.isEmpty ? nil : values
  }

  /// Returns the tensors below a key, as names print it. A literal key that contains dots takes precedence. `.` is
  /// the root, with every tensor of the file.
  ///
  /// - Parameter withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  /// - Throws: ``DecantError`` when nothing has that name.
  package func selection(
    key: String, withAttributes: Bool = false
  ) throws(DecantError) -> Selection {
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
    let below = tensors.filter { $0.path.starts(with: found) }
    let weights = withAttributes ? [] : below.filter { !$0.isAttribute }
    // A key inside an attribute names its tensors.
    return Selection(
      path: found, tensors: weights.isEmpty ? below : weights,
      unread: unread.filter { $0.path.starts(with: found) })
  }
}
