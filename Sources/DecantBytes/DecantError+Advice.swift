extension DecantError {
  /// A remedy for an error. The library and the command line each phrase it in their own terms.
  package enum Advice: Sendable, Equatable {
    /// A remedy with the same text in the library and on the command line.
    case text(String)
    /// Choose a part of the checkpoint. The value lists the keys of its state dicts, when they are known.
    case chooseKey([String])
    /// Choose one of these state dicts, or everything if the caller can use that.
    case chooseStateDict([String], orAll: Bool)
    /// Use the state dict at the root alone, by leaving out the others with these patterns, or use everything.
    case chooseRoot(except: [String])
    /// List the keys of the checkpoint.
    case listKeys
    /// List the names of the tensors.
    case listNames
    /// Choose one of several networks by the prefix of its tensor names. The value lists the prefixes, when
    /// they are known.
    case choosePrefix([String])
    /// Choose one tensor of a file as the input. The value lists the first tensor names.
    case chooseInput([String])
    /// Read the input as N×H×W×C.
    case inputLayout
    /// List the supported naming schemes (dialects) of tensors.
    case listDialects
    /// Raise a limit, if the file is trusted. The values are the limit's name and the suggested number.
    case raiseLimit(String, to: Int)
    /// Give the password of an encrypted archive.
    case givePassword
    /// Write quantised tensors as the floating-point numbers they represent.
    case dequantize
    /// Convert sparse tensors to dense ones.
    case makeDense
    /// Compute the weights that are stored in several parts, such as pruned ones.
    case resolveWeights
    /// Change or leave out the tensors that the output format cannot hold.
    case fitFormat(FormatFit)
    /// Leave out the substitutions that give two tensors the same name.
    case keepNames
    /// Write a .pth, which keeps tensors of equal names apart.
    case writeTorch
    /// Write the weights to a separate file.
    case useExternalData
    /// Show the value range of each tensor.
    case showRanges
    /// Allow an existing output to be replaced.
    case replaceOutput
    /// Keep the tensors that are undamaged.
    case salvage
    /// Disassemble the pickle.
    case disassemble
    /// List the names and shapes of the tensors.
    case inspect
    /// Leave out the values that the format cannot hold.
    case dropObjects
    /// Write fewer, larger shards, so that fewer files are open at once.
    case largerShards
    /// Write the current format instead of the one used before PyTorch 1.6.
    case currentFormat
    /// Keep the prefix of the names, or choose only tensors that have it.
    case keepPrefix
    /// Keep the order of the axes of convolution weights.
    case omitLayout
    /// Turn convolution weights back to the order of PyTorch's axes.
    case turnBack
    /// Name the convolution weights.
    case nameConvolutions
    /// Leave out the tensors whose names match these patterns.
    case exceptTensors([String])
    /// Leave out the tensors whose names match these patterns, when they do not belong to the network.
    case ignoreTensors([String])
    /// Do not record the source file's digest.
    case omitSourceDigest

    /// Save the checkpoint again with complete, ordinary tensors, or leave out those that are not read.
    case saveWhole
    /// Leave out the tensors that are not read.
    case skipUnread
    /// Join the file with those of the other ranks. The value says which they are, such as `rank 1`.
    case joinRanks(String)
    /// Add the missing files of the other ranks, or keep the tensors that are complete.
    case addRanks
    /// Pass the files of one run to be joined, or the whole checkpoint that is beside them.
    case joinFiles([String], or: String?)
    /// Use the network without its head.
    case leaveOutHead
    /// Declare the activations of a head of several layers, or use the network without its head.
    case chooseHeadActivation(placeCount: Int)
    /// Do not declare an activation of the head.
    case omitHeadActivation
    /// Say how layers without running statistics normalise.
    case chooseNormalization(groups: Int)
    /// Do not say how layers normalise.
    case omitNormalization
    /// Accept a network that is recognised by the order and shapes of its tensors.
    case acceptStructure
    /// Name the architecture, which decides what the file does not store.
    case nameArchitecture
    /// Set the stem's stride. When `isNamed` is true, a published network has each stride.
    case chooseStride(isNamed: Bool)
    /// List every difference between the weights and the network.
    case verify
    /// Run the network with the reference engine.
    case useReference

    /// The remedy as one sentence about the library's API.
    package var libraryText: String {
      switch self {
      case .text(let text): text
      case .chooseKey(let keys):
        keys.isEmpty
          ? "Pass its key to stateDict(at:)."
          : "Pass one of these keys to stateDict(at:): \(keys.joined(separator: ", "))."
      case .chooseStateDict(let keys, let orAll):
        "Pass one of these keys: \((keys + (orAll ? ["."] : [])).map(\.quoted).joined(separator: ", "))."
      case .chooseRoot(let patterns):
        patterns.isEmpty
          ? "The key '.' takes everything."
          : "Leave the others out with except: \(patterns.map(\.quoted).joined(separator: ", ")). The key '.' takes everything."
      case .listKeys: "Checkpoint.stateDictKeys lists the keys that hold a state dict."
      case .listNames: "Checkpoint.tensors lists the names."
      case .raiseLimit(let name, let value):
        "If you trust the file, raise Limits.\(name) to \(value)."
      case .givePassword: "Pass the archive's password to Checkpoint(path:password:)."
      case .saveWhole:
        "Save the checkpoint again as whole tensors on the CPU. Checkpoint.tensors holds those that can be read."
      case .skipUnread: "Leave them out with Checkpoint.skippingUnreadTensors()."
      case .joinRanks(let ranks):
        "The rest is in the files of \(ranks). Open the folder of all files, or pass them to Checkpoint(joining:)."
      case .addRanks:
        "Pass their files too, or call Checkpoint.write(to:) with WriteOptions.salvages to keep the complete tensors."
      case .joinFiles(let paths, let whole):
        "Pass the files of one run to Checkpoint(joining:): \(paths.map(\.escapedForDisplay).joined(separator: ", "))"
          + (whole.map { ". Or open the whole checkpoint: \($0.escapedForDisplay)" } ?? "") + "."
      case .leaveOutHead:
        "Set ResNetOverrides.classes to 0 to use the network without a head; its output is then the pooled features."
      case .chooseHeadActivation(let count):
        (count == 1
          ? "Set ResNetOverrides.headActivations to relu, gelu or none"
          : "Set ResNetOverrides.headActivations to \(Format.count(count, "activation")), one for each place in order")
          + ", or ResNetOverrides.classes to 0 for the pooled features."
      case .chooseNormalization(let groups):
        "Set ResNetOverrides.normalization to group(\(groups)), with its number of groups, or to batch."
      case .omitNormalization: "Leave ResNetOverrides.normalization nil."
      case .omitHeadActivation: "Leave ResNetOverrides.headActivations nil."
      case .choosePrefix(let prefixes):
        "Pass one as prefix, or in ResNetOverrides.prefix"
          + (prefixes.isEmpty ? "." : ": \(prefixes.map(\.quoted).joined(separator: ", ")).")
      case .chooseInput(let names):
        "Read the file as a Checkpoint, and pass one tensor's values to ImageTensor(shape:values:)"
          + (names.isEmpty ? "." : ": \(names.map(\.escapedForDisplay).joined(separator: ", ")).")
      case .inputLayout: "Pass the values in the order N×C×H×W."
      case .inspect: "Checkpoint.tensors lists the names and shapes."
      case .listDialects: "Sources/DecantResNets/Dialects/DialectTable.swift lists the dialects."
      case .dequantize: "Set WriteOptions.dequantizes to convert them to float32."
      case .makeDense: "Set WriteOptions.makesDense to convert them to dense tensors."
      case .resolveWeights: "Set WriteOptions.resolvesWeights to compute them."
      case .fitFormat(let fit): fit.libraryText
      case .keepNames: "Leave WriteOptions.substitutions empty, or choose other names."
      case .writeTorch: "Write a .pth, which keeps both."
      case .useExternalData: "Set ONNXOptions.hasExternalData to write the weights to a second file."
      case .showRanges: "Tensor.statistics() gives the range of a tensor's numbers."
      case .replaceOutput: "Set WriteOptions.overwrites to replace it."
      case .salvage:
        "Download the file again, or call Checkpoint.write(to:) with WriteOptions.salvages to keep the complete tensors."
      case .dropObjects: "Set WriteOptions.dropsObjects to leave them out; tensors are kept."
      case .largerShards: "Set a larger WriteOptions.shardByteCount."
      case .currentFormat: "Leave WriteOptions.isLegacy false."
      case .keepPrefix: "Leave WriteOptions.stripPrefix nil, or choose the tensors that have this prefix."
      case .exceptTensors(let patterns):
        "Leave them out with WriteOptions.except: \(patterns.map(\.quoted).joined(separator: ", "))."
      case .ignoreTensors:
        "If they are not part of the network, leave them out with StateDict.renamed(_:). StateDict.verify(against:) returns every difference."
      case .omitLayout: "Leave WriteOptions.layout nil."
      case .turnBack: "Set WriteOptions.layout to channelsFirst for PyTorch's order."
      case .nameConvolutions:
        "Name them in WriteOptions.layoutOnly, and those of transposed convolutions in layoutTransposed."
      case .omitSourceDigest: "Leave WriteOptions.recordsSourceDigest false."
      case .disassemble:
        "The file is damaged or not a checkpoint."
      case .acceptStructure: "Set ResNetOverrides.allowsStructure to use it."
      case .nameArchitecture: "Set ResNetOverrides.architecture."
      case .chooseStride(let isNamed):
        isNamed
          ? "Set ResNetOverrides.stride0 to 1 (resnet50nodown) or 2 (resnet50)."
          : "Set ResNetOverrides.stride0 to 1 or 2."
      case .verify: "StateDict.verify(against:) returns every difference."
      case .useReference: "Pass ResNet.Engine.reference."
      }
    }

    /// One sample of each kind, for the documentation.
    package static let samples: [DecantError.Advice] = [
      .chooseKey([]), .chooseKey(["model", "ema"]), .chooseStateDict(["model", "ema"], orAll: true),
      .chooseRoot(except: []), .chooseRoot(except: ["bank.*"]), .listKeys, .listNames, .writeTorch,
      .choosePrefix(["encoder.", "head."]), .chooseInput(["image", "mask"]), .inputLayout, .inspect,
      .listDialects,
      .raiseLimit("zipEntries", to: 4_000_000), .givePassword, .dequantize, .makeDense, .resolveWeights,
      .fitFormat(
        FormatFit(
          isCast: true, except: ["mask"], rename: ["s/^__metadata__$/metadata/"], instead: ".safetensors")),
      .keepNames,
      .useExternalData,
      .showRanges, .replaceOutput, .salvage, .disassemble, .acceptStructure, .nameArchitecture,
      .chooseStride(isNamed: true), .chooseStride(isNamed: false), .verify,
      .useReference, .dropObjects, .largerShards, .currentFormat, .keepPrefix, .omitSourceDigest,
      .omitLayout, .turnBack, .nameConvolutions, .exceptTensors(["n_averaged"]),
      .ignoreTensors(["*.adapter.*"]), .saveWhole, .skipUnread,
      .leaveOutHead, .joinRanks("rank 1"), .addRanks, .joinFiles(["rank_0.pt", "rank_1.pt"], or: "full.pt"),
      .chooseHeadActivation(placeCount: 1), .omitHeadActivation, .chooseNormalization(groups: 32),
      .omitNormalization,
    ]
  }
}

extension DecantError {
  /// The changes after which an output format can hold a selection of tensors.
  package struct FormatFit: Sendable, Equatable {
    /// True to cast floating-point tensors to float32.
    package var isCast = false
    /// The patterns of the names of tensors to leave out.
    package var except: [String] = []
    /// The substitutions in names, in sed's form.
    package var rename: [String] = []
    /// The extension of a format that holds all of the tensors unchanged.
    package var instead: String?

    package init(
      isCast: Bool = false, except: [String] = [], rename: [String] = [], instead: String? = nil
    ) {
      (self.isCast, self.except, self.rename, self.instead) = (isCast, except, rename, instead)
    }

    fileprivate var libraryText: String {
      var changes: [String] = []
      if isCast { changes.append("WriteOptions.dtype to .float32") }
      if !except.isEmpty {
        changes.append("WriteOptions.except to \(except.map(\.quoted).joined(separator: ", "))")
      }
      if !rename.isEmpty {
        changes.append("WriteOptions.substitutions to \(rename.map(\.quoted).joined(separator: ", "))")
      }
      let other = instead.map { "Write a \($0), which holds all of them." }
      return [changes.isEmpty ? nil : "Set \(changes.joined(separator: " and ")).", other].compactMap { $0 }
        .joined(separator: " ")
    }
  }
}

extension String {
  /// The escaped text in single quotes.
  package var quoted: String { "'\(escapedForDisplay)'" }
}
