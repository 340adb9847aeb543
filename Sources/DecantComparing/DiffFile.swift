package import DecantBytes
package import DecantCheckpoints
internal import DecantIO
package import DecantTensors

/// One of the two files, with the tensors to compare.
package struct DiffFile: Sendable {
  /// A tensor to compare.
  package struct Item: Sendable {
    /// The name relative to the selected key.
    package let name: String
    package let entry: CheckpointTensor
    /// The tensor as stored, or dequantised if the caller asked for that.
    package let tensor: Tensor
  }

  /// `A` or `B`.
  package let letter: String
  package let checkpoint: Checkpoint
  /// The part of the file to compare, and what it leaves out.
  package let choice: StateDictChoice
  /// The number of keys in the selection's path.
  private let depth: Int
  package let items: [Item]
  package let stateDict: StateDict
  /// The keys of state dicts below the selected key, as name prefixes: `model.`.
  package let stateDictKeys: [String]
  /// The names of wrapper subclasses without data of their own, whose inner tensors are compared instead.
  package let wrapperNames: [String]
  /// The weights that PyTorch computes from several tensors. They are compared when the query asks for it.
  package let parametrized: ParametrizedWeights
  /// The number of tensors that the query left out.
  package let skippedCount: Int

  /// Opens a file and selects its tensors.
  ///
  /// - Throws: ``DecantError`` for a file or key that is wrong, and for tensors that cannot be compared at all.
  package init(
    _ letter: String, path: String, key: String?, _ query: TensorQuery, limits: Limits,
    password: String? = nil
  ) throws(DecantError) {
    try self.init(letter, Checkpoint(path: path, limits: limits, password: password), key: key, query)
  }

  /// Selects the tensors of an open checkpoint.
  ///
  /// - Throws: ``DecantError`` for a key that is wrong, and for tensors that cannot be compared at all.
  package init(
    _ letter: String, _ checkpoint: Checkpoint, key: String?, _ query: TensorQuery
  ) throws(DecantError) {
    try checkpoint.requireIntact()
    try self.init(letter, checkpoint, checkpoint.choice(key: key, except: query.except), query)
  }

  /// Selects the tensors of an open checkpoint.
  ///
  /// - Throws: ``DecantError`` for tensors that cannot be compared at all.
  package init(
    _ letter: String, _ checkpoint: Checkpoint, _ choice: StateDictChoice, _ query: TensorQuery
  ) throws(DecantError) {
    var selection = choice.selection
    if query.resolves {
      (selection, parametrized) = try selection.resolved()
    } else {
      parametrized = try selection.parametrizedWeights()
    }
    self.letter = letter
    self.choice = choice
    self.checkpoint = checkpoint
    depth = selection.path.count
    let path = checkpoint.path
    try Self.requireKnownKinds(selection, query, in: checkpoint)
    try checkpoint.requireWhole(selection) { query.selects($0) }
    let (plain, wrappers) = selection.withoutWrappers()
    stateDictKeys = checkpoint.stateDictCandidates.compactMap { candidate in
      guard candidate.path.count > selection.path.count, candidate.path.starts(with: selection.path) else {
        return nil
      }
      return candidate.path.dropFirst(selection.path.count).joinedName + "."
    }
    wrapperNames = wrappers.map(\.entry.name)
    var entries = plain.tensors
    let count = entries.count
    if query.isPartial { entries = entries.filter { query.selects(selection.name(of: $0)) } }
    skippedCount = count - entries.count
    guard count == 0 || !entries.isEmpty else {
      throw DecantError(
        .tensorNotFound, "no tensor matches the patterns", file: path, advice: .listNames)
    }
    guard !entries.isEmpty else {
      throw DecantError(
        .noStateDict, "holds no tensors", file: path,
        remedy: "Pass the file that holds the weights.")
    }
    let meta = entries.filter { $0.tensor.storage.content == nil }
    func names(_ entries: [CheckpointTensor]) -> [String] { entries.map { selection.name(of: $0) } }
    guard meta.isEmpty else {
      throw DecantError(
        .noData, "holds tensors without data, which cannot be compared: \(Self.list(meta.map(\.name)))",
        file: path,
        advice: meta.count == entries.count
          ? .saveWhole
          : .exceptTensors(
            names(meta).globs(sparing: names(entries.filter { $0.tensor.storage.content != nil }))))
    }
    do throws(DecantError) { stateDict = try selection.stateDict(in: checkpoint) } catch {
      throw error.located(file: path)
    }
    items = try entries.map { entry throws(DecantError) in
      Item(
        name: selection.name(of: entry), entry: entry,
        tensor: try entry.inPyTorchOrder(query.form(of: entry, in: checkpoint)))
    }
    let tensors = items.map(\.tensor)
    try checkpoint.requireModestSize(
      tensors.map { $0.layout == .strided ? $0.byteCount : $0.storedByteCount }.saturatingSum, of: tensors)
  }

  /// Returns true when a glob matches the name of any tensor, including those left out and those of unsupported kinds.
  package func hasName(_ glob: String) -> Bool {
    func fits(_ path: [PathKey]) -> Bool { path.dropFirst(depth).joinedName.matches(glob: glob) }
    // A pattern may also leave out what is outside the selection, by its full name.
    return checkpoint.allTensorNames.contains { $0.matches(glob: glob) }
      || checkpoint.tensors.contains { fits($0.path) } || items.contains { $0.name.matches(glob: glob) }
      || checkpoint.objects.contains { $0.unreadTensor != nil && fits($0.path) }
  }

  /// Compares every recorded checksum of the tensors with their data.
  ///
  /// - Parameter progress: called with the number of bytes of each storage that was read, from several threads.
  package func verifyChecksums(progress: @escaping @Sendable (Int) -> Void = { _ in }) throws {
    try checkpoint.verifyChecksums(of: items.map(\.entry), progress: progress)
  }

  /// Returns an error of reading a tensor with the file and tensor added.
  package func located(_ error: any Error, _ item: Item) -> any Error {
    switch error {
    case let error as DecantError: error.located(file: checkpoint.path, tensor: item.entry.name)
    default: error
    }
  }

  /// Returns the first sixteen names in one line.
  package static func list(_ names: [String]) -> String {
    names.prefix(16).map(\.escapedForDisplay).joined(separator: ", ")
      + (names.count > 16 ? " and \(Format.count(names.count - 16)) more" : "")
  }

  private static func requireKnownKinds(
    _ selection: Selection, _ query: TensorQuery, in checkpoint: Checkpoint
  ) throws(DecantError) {
    let unread = checkpoint.objects.filter {
      $0.unreadTensor != nil && $0.path.starts(with: selection.path)
        && query.selects($0.path.dropFirst(selection.path.count).joinedName)
    }
    guard unread.isEmpty else {
      throw DecantError(
        .unreadTensors,
        "holds tensors that cannot be compared: "
          + list(
            unread.map { "\($0.path.isEmpty ? "the one at the root" : $0.name) (\($0.unreadTensor ?? ""))" }),
        file: checkpoint.path, advice: selection.leavingOutUnread)
    }
  }
}
