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
  package func stateDict(in checkpoint: Checkpoint) throws(DecantError) -> StateDict {
    var paths: [ExactText: [PathKey]] = [:]
    for entry in tensors {
      let name = name(of: entry)
      if let other = paths.updateValue(entry.path, forKey: ExactText(name)) {
        throw DecantError(
          .duplicateName,
          "two tensors have the name \(name.escapedForDisplay): \(other.asArray) and \(entry.path.asArray)",
          file: checkpoint.path, advice: checkpoint.choiceBetween(other, entry.path))
      }
    }
    return try StateDict(
      tensors.map { entry throws(DecantError) in
        StateDict.Entry(name: name(of: entry), tensor: try entry.inPyTorchOrder(entry.tensor))
      })
  }
}

extension Checkpoint {
  /// Returns the advice to choose one of two tensors with the same name by the keys above them; nil when no key separates
  /// them.
  func choiceBetween(_ left: [PathKey], _ right: [PathKey]) -> DecantError.Advice? {
    func parents(_ path: [PathKey], _ other: [PathKey]) -> [PathKey]? {
      // The longest container that holds only one of the two.
      let parent = Array(path.dropLast())
      return parent.isEmpty || other.starts(with: parent) ? nil : parent
    }
    let paths = [parents(left, right), parents(right, left)].compactMap { $0 }
    return paths.isEmpty ? nil : .chooseKey(keys(of: paths))
  }
}

extension Checkpoint {
  /// Returns the values at and below a key that holds no tensors; nil when it holds tensors or does not exist.
  package func values(key: String) -> (path: [PathKey], values: [CheckpointObject])? {
    guard let path = path(ofKey: key), !path.isEmpty, !holdsTensors(path) else { return nil }
    return (path, objects.filter { $0.path.starts(with: path) })
  }

  /// Returns the question whether another key was meant: that of a state dict, a tensor, or one above them.
  private func question(for key: String) -> String? {
    let chosen = keys(of: stateDictCandidates.prefix(8).map(\.path))
    return NearestName.question(for: key, among: chosen)
      ?? NearestName.question(for: key, among: keyNames(limit: 100_000))
  }

  /// Returns the names of all values and of the values that hold them, in the file's order.
  ///
  /// - Parameter limit: the most names.
  package func keyNames(limit: Int) -> [String] {
    var known: Set<String> = []
    var names: [String] = []
    for path in tensors.lazy.map(\.path) + objects.map(\.path) where !path.isEmpty {
      for length in 1...path.count where names.count < limit {
        let name = path[..<length].joinedName
        if known.insert(name).inserted { names.append(name) }
      }
    }
    return names
  }

  /// Returns the names of the values directly in a value, in the file's order.
  ///
  /// - Parameter parent: the name of the value; nil for the root.
  package func keyNames(below parent: String?) -> [String] {
    var known: Set<String> = []
    var names: [String] = []
    for path in tensors.lazy.map(\.path) + objects.map(\.path) {
      for length in 0..<path.count where length == 0 ? parent == nil : path[..<length].joinedName == parent {
        let name = path[...length].joinedName
        if known.insert(name).inserted { names.append(name) }
      }
    }
    return names
  }

  private func holdsTensors(_ path: [PathKey]) -> Bool {
    tensors.contains { $0.path.starts(with: path) }
      || objects.contains { $0.unreadTensor != nil && $0.path.starts(with: path) }
  }

  /// Resolves `--key`: returns the tensors below a key, in any form that ``path(ofKey:)`` takes. `.` is the root, with every tensor of the
  /// file.
  ///
  /// - Parameter withAttributes: true to include the tensors of a module that its `state_dict()` leaves out.
  /// - Throws: ``DecantError`` when nothing has that name.
  package func selection(
    key: String, withAttributes: Bool = false
  ) throws(DecantError) -> Selection {
    if key == "." { return .all(of: self) }
    let unread = objects.filter { $0.unreadTensor != nil }
    guard let found = path(ofKey: key) else {
      let candidates = keys(of: stateDictCandidates.prefix(8).map(\.path))
      throw DecantError(
        .keyNotFound, "has no key \(key.escapedForDisplay)" + (question(for: key).map { "; \($0)" } ?? ""),
        file: path,
        advice: candidates.isEmpty ? .listKeys : .chooseKey(candidates))
    }
    guard holdsTensors(found) else {
      if let object = objects.first(where: { $0.path == found }) {
        throw DecantError(
          .keyNotFound, "\(key.quoted) is \(object.summary), not a tensor", file: path, advice: .listKeys)
      }
      throw DecantError(.keyNotFound, "\(key.quoted) holds no tensors", file: path, advice: .listKeys)
    }
    let below = tensors.filter { $0.path.starts(with: found) }
    let weights = withAttributes ? [] : below.filter { !$0.isAttribute }
    // A key inside an attribute names its tensors.
    return Selection(
      path: found, tensors: weights.isEmpty ? below : weights,
      unread: unread.filter { $0.path.starts(with: found) })
  }
}
