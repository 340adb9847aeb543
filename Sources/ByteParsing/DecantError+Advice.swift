extension DecantError {
  /// A way past an error. The library and the command line spell it each in their own terms.
  package enum Advice: Sendable, Equatable {
    /// A remedy that reads the same everywhere.
    case text(String)
    /// Choose a part of the checkpoint; the keys that hold state dicts, when they are known.
    case chooseKey([String])
    /// List the keys of the checkpoint.
    case listKeys
    /// List the names of the tensors.
    case listNames
    /// Choose other tensors, by key or by name.
    case chooseTensors
    /// Raise a limit, if the file is trusted; nil for the value leaves it to the caller.
    case raiseLimit(String, to: Int?)
    /// Write quantised tensors as the numbers they represent.
    case dequantize
    /// Write sparse tensors in full.
    case makeDense
    /// Cast floating-point tensors to another type.
    case cast
    /// Change names.
    case rename
    /// Allow an existing output to be replaced.
    case replaceOutput
    /// Keep the tensors that are whole.
    case salvage
    /// Look at the pickle's opcodes.
    case disassemble
    /// List the names and shapes of the tensors.
    case inspect
    /// Leave out the values that the format cannot hold.
    case dropObjects
    /// Write fewer files, so that fewer are open at once.
    case largerShards
    /// Write the current format instead of that before PyTorch 1.6.
    case currentFormat
    /// Leave the prefix of the names, or choose the tensors that have it.
    case keepPrefix
    /// Do not record the digest of the source.
    case omitSourceDigest

    /// Save the checkpoint again with whole, ordinary tensors.
    case saveWhole
    /// Use the network without its head.
    case leaveOutHead
    /// Write the network without the tensors of its head, whose names match these patterns.
    case leaveOutTensors([String])

    /// One sentence in terms of the library.
    var libraryText: String {
      switch self {
      case .text(let text): text
      case .chooseKey(let keys):
        keys.isEmpty
          ? "Pass the key of one to stateDict(at:)."
          : "Pass one of these keys to stateDict(at:): \(keys.joined(separator: ", "))."
      case .listKeys: "Checkpoint.stateDictKeys lists the keys that hold a state dict."
      case .listNames: "Checkpoint.tensors lists the names."
      case .chooseTensors: "Choose other tensors with WriteOptions.only or WriteOptions.except."
      case .raiseLimit(let name, let value):
        "If you trust the file, raise Limits.\(name)\(value.map { " to \($0)" } ?? "")."
      case .saveWhole:
        "Save the checkpoint again as whole tensors on the CPU. Checkpoint.tensors holds those that can be read."
      case .leaveOutHead:
        "Set ResNetOverrides.classes to 0 to use the network without a head; its output is then the pooled features."
      case .leaveOutTensors(let patterns):
        "Use the network without a head: leave out the tensors named \(patterns.joined(separator: ", "))."
      case .dequantize: "Set WriteOptions.dequantize to write the numbers they represent."
      case .makeDense: "Set WriteOptions.makeDense to write them in full."
      case .cast: "Cast them with WriteOptions.dtype."
      case .rename: "Change the names with WriteOptions.renaming."
      case .replaceOutput: "Set WriteOptions.overwrite to replace it."
      case .salvage:
        "Download the file again, or set WriteOptions.salvage to keep the tensors that are whole."
      case .disassemble: "The file is damaged or was never a checkpoint."
      case .inspect: "Checkpoint.tensors lists the names and shapes."
      case .dropObjects: "Leave out the values; the tensors are kept."
      case .largerShards: "Choose a larger size for the shards."
      case .currentFormat: "Write the format of PyTorch 1.6 and later."
      case .keepPrefix: "Do not strip the prefix, or choose the tensors that have it."
      case .omitSourceDigest: "Compute the SHA-256 of each file by itself."
      }
    }
  }
}
