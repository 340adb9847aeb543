package import DecantBytes
package import DecantTensors

extension Selection {
  /// Finds the weights that PyTorch computes from several tensors of the selection. Reads no elements. O(tensors).
  ///
  /// - Throws: ``DecantError`` when the order of a tensor's axes cannot be restored.
  package func parametrizedWeights() throws(DecantError) -> ParametrizedWeights {
    guard hasPart else { return ParametrizedWeights([]) }
    return try ParametrizedWeights(candidates().map { ($0.name, $0.tensor) })
  }

  /// True when a name may be that of a part.
  private var hasPart: Bool {
    tensors.contains { $0.path.contains { ParametrizedWeights.isKeyOfPart($0.name) } }
  }

  /// Returns the selection with parts replaced by the weights that PyTorch computes from them.
  ///
  /// A weight is at the place of its first part. The value that a module caches under the weight's name is left out.
  package func resolved() throws(DecantError) -> (selection: Selection, found: ParametrizedWeights) {
    guard hasPart else { return (self, ParametrizedWeights([])) }
    let candidates = try candidates()
    let found = ParametrizedWeights(candidates.map { ($0.name, $0.tensor) })
    guard !found.weights.isEmpty else { return (self, found) }
    var removed: Set<Int> = []
    var added: [Int: CheckpointTensor] = [:]
    for weight in found.weights {
      let parts = weight.parts.map { candidates[$0].index }
      removed.formUnion(parts)
      guard let first = parts.first, let tensor = weight.tensor else { continue }
      added[first] = CheckpointTensor(
        path: self.path + path(of: weight.name, first: tensors[first].path),
        tensor: tensor, role: tensors[first].role, stateDict: tensors[first].stateDict
      ).withState()
    }
    let paths = Set(added.values.map(\.path))
    let resolved = tensors.indices.compactMap { index -> CheckpointTensor? in
      if let weight = added[index] { return weight }
      let isCached = tensors[index].isAttribute && paths.contains(tensors[index].path)
      return removed.contains(index) || isCached ? nil : tensors[index]
    }
    return (Selection(path: self.path, tensors: resolved, unread: unread), found)
  }

  /// Returns the tensors that can be parts of weights, with their indices, and axes in PyTorch's order.
  private func candidates() throws(DecantError) -> [(index: Int, name: String, tensor: Tensor)] {
    var found: [(index: Int, name: String, tensor: Tensor)] = []
    for (index, entry) in tensors.enumerated() where !entry.isAttribute && !entry.isRankPart {
      found.append((index, name(of: entry), try entry.inPyTorchOrder(entry.tensor)))
    }
    return found
  }

  /// Returns the path of a weight below the selection's: the keys that it shares with its first part, and one key for
  /// the rest of its name.
  private func path(of name: String, first part: [PathKey]) -> [PathKey] {
    var keys: [PathKey] = []
    var rest = Substring(name)
    for key in part.dropFirst(path.count).dropLast() {
      guard rest.utf8.starts(with: (key.name + ".").utf8) else { break }
      keys.append(key)
      rest = Substring(rest.utf8.dropFirst(key.name.utf8.count + 1))
    }
    return keys + [.text(String(rest))]
  }
}
