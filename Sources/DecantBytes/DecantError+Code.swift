extension DecantError {
  /// The kinds of failure. Raw values are stable: scripts and programs decide by them.
  public enum Code: String, Sendable, CaseIterable {
    // MARK: Reading a file
    /// No file or folder has this path.
    case fileNotFound
    /// The user has no permission to read or write this path.
    case permissionDenied
    /// The path names a folder, a pipe or a device where a file is needed.
    case notAFile
    /// The system could not read the file.
    case readFailed
    /// The file or folder is not a checkpoint: it is another kind of file, a download page or empty.
    case notACheckpoint
    /// The format, its version or one of its features is not supported.
    case unsupportedFormat
    /// The file ends before its contents do.
    case truncated
    /// The file contradicts its own format.
    case damaged
    /// The file looks malicious: overlapping or repeated entries, or names of files outside its folder.
    case deceptive
    /// The data differs from its recorded checksum.
    case checksumMismatch
    /// Reading would need more than ``Limits`` allows.
    case limitExceeded
    /// The data is encrypted, and no password was given.
    case passwordRequired
    /// The data cannot be decrypted with the given password.
    case wrongPassword
    /// A file that belongs to the checkpoint is missing.
    case partMissing
    /// The file is one rank's part of a sharded checkpoint and cannot be used alone.
    case partialCheckpoint
    /// The file holds tensors that cannot be read.
    case unreadTensors

    // MARK: Choosing
    /// The checkpoint has no such key or prefix.
    case keyNotFound
    /// No tensor has such a name, or matches such a pattern.
    case tensorNotFound
    /// The checkpoint holds no state dict.
    case noStateDict
    /// The checkpoint holds several state dicts or networks, and none was chosen.
    case ambiguousStateDict
    /// Two tensors have the same name.
    case duplicateName
    /// An option or argument cannot be used like this.
    case invalidArgument
    /// A tensor has no data: it was saved from the meta device, or its data belongs to another rank.
    case noData

    // MARK: Writing
    /// The output format cannot hold a tensor, a name or a value.
    case notRepresentable
    /// The output's extension is not a known format.
    case unknownOutputFormat
    /// The output exists, and replacing it was not allowed.
    case outputExists
    /// The disk or the user's quota is full.
    case diskFull
    /// The system could not write the output.
    case writeFailed
    /// The output differs from the source when it is read again.
    case outputDiffers

    // MARK: Networks
    /// The names and shapes do not match a ResNet.
    case notAResNet
    /// The weights fit several networks; a setting that is not stored in the file is needed.
    case undetermined
    /// The weights do not match the network: tensors are missing, unexpected or have another shape.
    case mismatch
    /// The network has a part that cannot be built or executed.
    case unsupportedNetwork
    /// The input, the labels or the reference outputs do not suit the network.
    case invalidInput
    /// A shared library is not installed or cannot be used.
    case libraryMissing
    /// The system did not provide the memory or the threads needed.
    case outOfMemory
    /// The stem's stride cannot be measured: the running statistics are missing, untrained or from an unsupported network.
    case notMeasurable
  }
}

/// The documentation of the codes, from which docs/ERRORS.md is generated.
extension DecantError.Code {
  /// The meaning in one sentence, equal to the code's documentation comment.
  package var cause: String {
    switch self {
    case .fileNotFound: "No file or folder has this path."
    case .permissionDenied: "The user has no permission to read or write this path."
    case .notAFile: "The path names a folder, a pipe or a device where a file is needed."
    case .readFailed: "The system could not read the file."
    case .notACheckpoint:
      "The file or folder is not a checkpoint: it is another kind of file, a download page or empty."
    case .unsupportedFormat: "The format, its version or one of its features is not supported."
    case .truncated: "The file ends before its contents do."
    case .damaged: "The file contradicts its own format."
    case .deceptive:
      "The file looks malicious: overlapping or repeated entries, or names of files outside its folder."
    case .checksumMismatch: "The data differs from its recorded checksum."
    case .limitExceeded: "Reading would need more than `Limits` allows."
    case .passwordRequired: "The data is encrypted, and no password was given."
    case .wrongPassword: "The data cannot be decrypted with the given password."
    case .partMissing: "A file that belongs to the checkpoint is missing."
    case .partialCheckpoint: "The file is one rank's part of a sharded checkpoint and cannot be used alone."
    case .unreadTensors: "The file holds tensors that cannot be read."
    case .keyNotFound: "The checkpoint has no such key or prefix."
    case .tensorNotFound: "No tensor has such a name, or matches such a pattern."
    case .noStateDict: "The checkpoint holds no state dict."
    case .ambiguousStateDict: "The checkpoint holds several state dicts or networks, and none was chosen."
    case .duplicateName: "Two tensors have the same name."
    case .invalidArgument: "An option or argument cannot be used like this."
    case .noData:
      "A tensor has no data: it was saved from the meta device, or its data belongs to another rank."
    case .notRepresentable: "The output format cannot hold a tensor, a name or a value."
    case .unknownOutputFormat: "The output's extension is not a known format."
    case .outputExists: "The output exists, and replacing it was not allowed."
    case .diskFull: "The disk or the user's quota is full."
    case .writeFailed: "The system could not write the output."
    case .outputDiffers: "The output differs from the source when it is read again."
    case .notAResNet: "The names and shapes do not match a ResNet."
    case .undetermined:
      "The weights fit several networks; a setting that is not stored in the file is needed."
    case .mismatch:
      "The weights do not match the network: tensors are missing, unexpected or have another shape."
    case .unsupportedNetwork: "The network has a part that cannot be built or executed."
    case .invalidInput: "The input, the labels or the reference outputs do not suit the network."
    case .libraryMissing: "A shared library is not installed or cannot be used."
    case .outOfMemory: "The system did not provide the memory or the threads needed."
    case .notMeasurable:
      "The stem's stride cannot be measured: the running statistics are missing, untrained or from an unsupported network."
    }
  }

  /// The operations that throw the code.
  package var origin: String {
    switch self {
    case .fileNotFound: "opening any file"
    case .permissionDenied: "opening a file, listing a folder, writing an output"
    case .notAFile: "opening a file, writing an output"
    case .readFailed: "reading any file"
    case .notACheckpoint: "opening a checkpoint, an input or a list of labels"
    case .unsupportedFormat: "opening a checkpoint or an image; reading numbers of an unusual type"
    case .truncated: "opening a checkpoint or an image"
    case .damaged: "opening a checkpoint or an image; reading a tensor"
    case .deceptive: "opening an archive"
    case .checksumMismatch: "reading a tensor or an entry"
    case .limitExceeded: "opening a checkpoint or an image; reading a tensor"
    case .passwordRequired: "opening an archive; reading a tensor"
    case .wrongPassword: "opening an archive; reading a tensor"
    case .partMissing: "opening a checkpoint of several files"
    case .partialCheckpoint: "opening a checkpoint of several files"
    case .unreadTensors: "converting, comparing"
    case .keyNotFound: "choosing a state dict or a network"
    case .tensorNotFound: "choosing tensors by name or pattern"
    case .noStateDict: "choosing a state dict"
    case .ambiguousStateDict: "choosing a state dict or a network"
    case .duplicateName: "making a state dict, converting"
    case .invalidArgument: "any call whose arguments contradict each other or the file"
    case .noData: "reading, comparing or writing a tensor"
    case .notRepresentable: "converting"
    case .unknownOutputFormat: "converting"
    case .outputExists: "writing an output"
    case .diskFull: "writing an output"
    case .writeFailed: "writing an output"
    case .outputDiffers: "converting with a check of the result"
    case .notAResNet: "recognising a network"
    case .undetermined: "recognising a network in order to run or write it"
    case .mismatch: "verifying the weights before a network is run or written"
    case .unsupportedNetwork: "building or executing a network, writing it as ONNX"
    case .invalidInput: "running a network"
    case .libraryMissing:
      "running a network, decoding an image, computing SHA-256, reading an entry of an archive"
    case .outOfMemory: "running a network"
    case .notMeasurable: "measuring the running statistics"
    }
  }

  /// The usual remedies. An error's own advice is more specific.
  package var usualAdvice: [DecantError.Advice] {
    switch self {
    case .fileNotFound: [.text("Check the path.")]
    case .permissionDenied: [.text("Ask the owner for permission, or use another folder.")]
    case .notAFile: [.text("Pass a file.")]
    case .readFailed: [.text("Check the disk or the network connection, then try again.")]
    case .notACheckpoint: [.text("Pass the file that holds the weights.")]
    case .unsupportedFormat: [.text("Save it again in a supported format, as the message says.")]
    case .truncated: [.salvage]
    case .damaged: [.disassemble, .salvage]
    case .deceptive: [.text("Do not load it. Ask its author for another copy.")]
    case .checksumMismatch: [.salvage]
    case .limitExceeded: [.raiseLimit("zipEntries", to: 4_000_000)]
    case .passwordRequired: [.givePassword]
    case .wrongPassword: [.givePassword]
    case .partMissing: [.text("Put the missing file next to the others.")]
    case .partialCheckpoint: [.text("Pass the folder that holds every rank.")]
    case .unreadTensors: [.skipUnread, .saveWhole]
    case .keyNotFound: [.listKeys, .choosePrefix([])]
    case .tensorNotFound: [.listNames, .inspect]
    case .noStateDict: [.inspect]
    case .ambiguousStateDict: [.chooseStateDict(["model", "ema"], orAll: true), .choosePrefix([])]
    case .duplicateName: [.keepNames, .writeTorch]
    case .invalidArgument: [.dequantize, .makeDense]
    case .noData: [.exceptTensors(["NAME"])]
    case .notRepresentable:
      [
        .dequantize, .makeDense,
        .fitFormat(DecantError.FormatFit(isCast: true, except: ["NAME"], instead: ".safetensors")),
        .useExternalData, .showRanges,
      ]
    case .unknownOutputFormat: [.text("Use one of the extensions in the message.")]
    case .outputExists: [.replaceOutput]
    case .diskFull: [.text("Make room, or write to another disk.")]
    case .writeFailed: [.text("Check the disk and the folder, then try again.")]
    case .outputDiffers: [.text("Convert again. If it happens twice, the disk or the memory is faulty.")]
    case .notAResNet: [.inspect]
    case .undetermined: [.chooseStride(isNamed: true)]
    case .mismatch: [.verify]
    case .unsupportedNetwork: [.useReference, .nameArchitecture]
    case .invalidInput: [.text("Prepare the input as the message says.")]
    case .libraryMissing: [.text("Install the package that the message names.")]
    case .outOfMemory: [.text("Use a smaller input, a smaller batch or fewer threads.")]
    case .notMeasurable: [.text("Use the facts from names and shapes.")]
    }
  }
}
