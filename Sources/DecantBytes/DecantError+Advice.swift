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
    /// Choose one of several networks by the prefix of its names; the prefixes, when they are known.
    case choosePrefix([String])
    /// Choose one of a file's tensors as the input; the names of the first ones.
    case chooseInput([String])
    /// List the dialects of tensor names.
    case listDialects
    /// Raise a limit, if the file is trusted.
    case raiseLimit(String, to: Int)
    /// Write quantised tensors as the numbers they represent.
    case dequantize
    /// Write sparse tensors in full.
    case makeDense
    /// Cast floating-point tensors to another type.
    case cast
    /// Change names.
    case rename
    /// Write the weights to a file of their own.
    case useExternalData
    /// Show the range of each tensor's numbers.
    case showRanges
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
    /// Give settings that the file does not hold, by their names in `ResNetOverrides`.
    case declare([String])
    /// List every difference between the weights and the network.
    case verify
    /// Execute the network with the reference engine.
    case useReference

    /// One sentence in terms of the library.
    package var libraryText: String {
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
        "If you trust the file, raise Limits.\(name) to \(value)."
      case .saveWhole:
        "Save the checkpoint again as whole tensors on the CPU. Checkpoint.tensors holds those that can be read."
      case .leaveOutHead:
        "Set ResNetOverrides.classes to 0 to use the network without a head; its output is then the pooled features."
      case .leaveOutTensors(let patterns):
        "Use the network without a head: leave out the tensors named \(patterns.joined(separator: ", "))."
      case .choosePrefix(let prefixes):
        "Pass one as prefix, or in ResNetOverrides.prefix"
          + (prefixes.isEmpty ? "." : ": \(prefixes.map(\.quoted).joined(separator: ", ")).")
      case .chooseInput(let names):
        "Read the file as a Checkpoint, and pass one tensor's values to ImageTensor(shape:values:)"
          + (names.isEmpty ? "." : ": \(names.map(\.escapedForDisplay).joined(separator: ", ")).")
      case .inspect: "Checkpoint.tensors lists the names and shapes."
      case .listDialects: "Sources/DecantResNets/Dialects/DialectTable.swift lists the dialects."
      case .dequantize: "Write them with WriteOptions.dequantizes, as the numbers they represent."
      case .makeDense: "Write them with WriteOptions.makesDense, zeros included."
      case .cast: "Cast them with WriteOptions.dtype."
      case .rename: "Change the names with WriteOptions.substitutions."
      case .useExternalData: "Set ONNXOptions.hasExternalData to write the weights to a second file."
      case .showRanges: "Tensor.statistics() gives the range of a tensor's numbers."
      case .replaceOutput: "Set WriteOptions.overwrites to replace it."
      case .salvage:
        "Download the file again, or call Checkpoint.write(to:) with WriteOptions.salvages to keep the tensors that are whole."
      case .dropObjects: "Set WriteOptions.dropsObjects to leave them out; tensors are kept."
      case .largerShards: "Set a larger WriteOptions.shardByteCount."
      case .currentFormat: "Leave WriteOptions.isLegacy false."
      case .keepPrefix: "Leave WriteOptions.stripPrefix nil, or choose the tensors that have it."
      case .omitSourceDigest: "Leave WriteOptions.recordsSourceDigest false."
      case .disassemble:
        "The file is damaged or was never a checkpoint."
      case .declare(let settings):
        "Set \(settings.joined(separator: " or ")) in ResNetOverrides."
      case .verify: "StateDict.verify(against:) returns every difference."
      case .useReference: "Pass ResNet.Engine.reference."
      }
    }

    /// One of each kind, for the documentation.
    package static let samples: [DecantError.Advice] = [
      .chooseKey([]), .chooseKey(["model", "ema"]), .listKeys, .listNames, .chooseTensors,
      .choosePrefix(["encoder.", "head."]), .chooseInput(["image", "mask"]), .inspect, .listDialects,
      .raiseLimit("zipEntries", to: 4_000_000), .dequantize, .makeDense, .cast, .rename, .useExternalData,
      .showRanges, .replaceOutput, .salvage, .disassemble, .declare(["architecture", "stride0"]), .verify,
      .useReference, .dropObjects, .largerShards, .currentFormat, .keepPrefix, .omitSourceDigest, .saveWhole,
      .leaveOutHead,
      .leaveOutTensors(["fc.*", "classifier.*"]),
    ]
  }
}

extension String {
  /// The text between single quotes, escaped.
  package var quoted: String { "'\(escapedForDisplay)'" }
}
