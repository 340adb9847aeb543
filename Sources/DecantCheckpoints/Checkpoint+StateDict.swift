public import DecantBytes
public import DecantTensors

/// The part of an open checkpoint that a state dict was read from.
package struct CheckpointPart: StateDictSource {
  package let checkpoint: Checkpoint
  package let selection: Selection

  package init(checkpoint: Checkpoint, selection: Selection) {
    (self.checkpoint, self.selection) = (checkpoint, selection)
  }
}

extension Checkpoint {
  /// The keys that hold a state dict, in the file's order; `.` is the root. Optimizer states are left out.
  public var stateDictKeys: [String] { keys(of: stateDictCandidates.map(\.path)) }

  /// Returns the tensors below a key. Their names begin below that key.
  ///
  ///     let weights = try checkpoint.stateDict(at: "model")
  ///
  /// - Parameter key: the key as names print it, such as `model` or `state.ema`; `.` for the root; nil for the only
  ///   state dict of the checkpoint.
  /// - Throws: ``DecantError``. `keyNotFound`, `noStateDict`, `duplicateName`, or `ambiguousStateDict` when there are
  ///   several state dicts and no key is given. `unreadTensors` or `partialCheckpoint` when tensors below the key
  ///   cannot be read whole. `truncated` or `checksumMismatch` when the file is known to be damaged. O(tensors).
  public func stateDict(at key: String? = nil) throws(DecantError) -> StateDict {
    try requireIntact()
    let chosen = try readableStateDict(key: key)
    do throws(DecantError) { return try stateDict(of: chosen) } catch { throw error.located(file: path) }
  }

  /// Returns the tensors of a selection as a state dict that keeps a reference to this checkpoint.
  package func stateDict(of selection: Selection) throws(DecantError) -> StateDict {
    try selection.stateDict(in: self).belonging(to: CheckpointPart(checkpoint: self, selection: selection))
  }
}

extension StateDict {
  /// The checkpoint and selection that these tensors come from; nil for a state dict made in memory.
  package var part: CheckpointPart? { source as? CheckpointPart }

  /// Verifies the data of every storage against its recorded checksum. O(bytes).
  ///
  /// - Throws: ``DecantError`` with the code `checksumMismatch`, which names the first entry that differs.
  public func verifyChecksums() throws(DecantError) {
    let checkpoint = part?.checkpoint ?? Checkpoint(holding: self)
    try DecantError.mapping {
      try checkpoint.verifyChecksums(of: part?.selection.tensors ?? checkpoint.tensors)
    }
  }
}
