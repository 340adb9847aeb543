internal import DecantCheckpoints
internal import DecantBytes
internal import DecantTensors

/// The number of elements in the parameters and in the buffers of the only state dict, when the file distinguishes the
/// two. Shared elements count once.
struct ParameterSplit {
  /// The path of the state dict.
  let owner: [PathKey]
  let parameters: Int
  let buffers: Int

  /// The ends of names that batch norms give to their buffers.
  static let bufferNames = ["running_mean", "running_var", "num_batches_tracked"]

  /// Counts the elements; nil when there are several state dicts, and when neither a pickled module nor the names of
  /// batch norms tell the two apart. O(n log n).
  ///
  /// - Parameter elementCount: the number of elements of all tensors.
  init?(_ tensors: [CheckpointTensor], elementCount: Int) {
    var owner: [PathKey]?
    var (own, buffers): ([Int], [Int]) = ([], [])
    var hasRoles = false
    for index in tensors.indices {
      guard let path = tensors[index].stateDict else { continue }
      guard owner == nil || owner == path else { return nil }
      owner = path
      own.append(index)
      let role = tensors[index].role
      hasRoles = hasRoles || role != nil
      let isBuffer =
        role.map { $0 == .buffer }
        ?? (tensors[index].path.last.map { key in Self.bufferNames.contains { key.name.hasSuffix($0) } }
          ?? false)
      if isBuffer { buffers.append(index) }
    }
    guard let owner, !buffers.isEmpty || hasRoles else { return nil }
    self.owner = owner
    func count(_ indices: [Int]) -> Int {
      Aliases.distinctSize(indices.map { tensors[$0].tensor }).elementCount
    }
    self.buffers = count(buffers)
    parameters = (own.count == tensors.count ? elementCount : count(own)) - self.buffers
  }
}
