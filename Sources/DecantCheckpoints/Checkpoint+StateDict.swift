public import DecantBytes
public import DecantTensors

/// A part of an open checkpoint that a state dict was read from.
package struct CheckpointPart: StateDictSource {
  package let checkpoint: Checkpoint
  package let selection: Selection

  package init(checkpoint: Checkpoint, selection: Selection) {
    (self.checkpoint, self.selection) = (checkpoint, selection)
  }
}

extension Checkpoint {
  /// The keys that hold a state dict, in the file's order; `.` is the root. Optimizer states are left out.
  public var stateDictKeys: [String] { stateDictCandidates.map(\.key) }

  /// Returns the tensors below a key, named from there.
  ///
  ///     let weights = try checkpoint.stateDict(at: "model")
  ///
  /// - Parameter key: the path as names print it, such as `model` or `state.ema`; `.` for everything; nil for the only
  ///   state dict that the checkpoint holds.
  /// - Throws: ``DecantError``: `keyNotFound`, `noStateDict`, `ambiguousStateDict` when there are several and no key is
  ///   given, `duplicateName`; `unreadTensors` and `partialCheckpoint` when tensors below the key cannot be read whole; `truncated` or `checksumMismatch` when the file is known to be damaged. O(tensors).
  public func stateDict(at key: String? = nil) throws(DecantError) -> StateDict {
    try requireIntact()
    let chosen = try readableStateDict(key: key)
    do throws(DecantError) { return try stateDict(of: chosen) } catch { throw error.located(file: path) }
  }

  /// Returns a selection's tensors, which remember this checkpoint.
  package func stateDict(of selection: Selection) throws(DecantError) -> StateDict {
    try selection.stateDict().belonging(to: CheckpointPart(checkpoint: self, selection: selection))
  }
}

extension Checkpoint {
  /// Writes every tensor under its full name, in the format that the path's extension chooses.
  ///
  /// A `.pth` keeps the values that are not tensors, too; other formats name what they leave out in the report.
  ///
  /// - Parameters and errors: as ``Tensors/StateDict/write(to:as:_:)``. O(bytes).
  @discardableResult
  public func write(
    to path: String, as format: OutputFormat? = nil, _ options: WriteOptions = WriteOptions()
  ) throws -> WriteReport {
    try convert(to: path, as: format, options)
  }
}

extension StateDict {
  /// The checkpoint and the part of it that these tensors are; nil for a state dict made in memory.
  package var part: CheckpointPart? { source as? CheckpointPart }

  /// Compares the recorded checksum of every storage with its data. O(bytes).
  ///
  /// - Throws: ``DecantError`` with the code `checksumMismatch` that names the first entry that differs.
  public func verifyChecksums() throws(DecantError) {
    let checkpoint = part?.checkpoint ?? Checkpoint(holding: self)
    try DecantError.mapping {
      try checkpoint.verifyChecksums(of: part?.selection.tensors ?? checkpoint.tensors)
    }
  }

  /// Writes the tensors to a file, in the format that its extension chooses: atomically and in bounded memory.
  ///
  ///     try weights.write(to: "nodown.safetensors")
  ///
  /// Metadata of the source goes along where the format has a place for it.
  ///
  /// - Parameters:
  ///   - path: the file; a folder of `.npy` files when it ends in `/`.
  ///   - format: by default the one that the extension chooses.
  /// - Returns: what was written, and what could not be.
  /// - Throws: ``DecantError`` before anything is written when a tensor cannot be represented (`notRepresentable`), the
  ///   extension is unknown or a name is given twice; `diskFull`, `outputExists`, `checksumMismatch`, …; and whatever
  ///   ``WriteOptions/progress`` throws. O(bytes).
  @discardableResult
  public func write(
    to path: String, as format: OutputFormat? = nil, _ options: WriteOptions = WriteOptions()
  ) throws -> WriteReport {
    guard let part else { return try Checkpoint(holding: self).convert(to: path, as: format, options) }
    return try part.checkpoint.convert(to: path, as: format, selecting: part.selection, options)
  }
}
