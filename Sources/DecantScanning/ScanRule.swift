/// A rule of the scanner. Raw values are part of the contract with scripts and never change.
public enum ScanRule: String, Sendable, CaseIterable {
  // MARK: Names
  /// A name that evaluates or executes code, imports, or hands out attributes.
  case runsCode = "runs-code"
  /// A function or class of Python's standard library that no checkpoint needs.
  case standardLibrary = "standard-library"
  /// A function of a library that runs code, reads, writes, or reaches the network.
  case libraryFunction = "library-function"
  /// A name with dots that is called: a method, or a module reached through another.
  case methodPath = "method-path"
  /// A name that another library defines; loading imports the library and runs its code.
  case libraryName = "library-name"
  /// A class or value of PyTorch or NumPy beyond tensors, such as a whole pickled module.
  case torchObject = "torch-object"
  /// A class of the standard library that only holds a value, such as a date.
  case standardValue = "standard-value"
  /// A name that the program which saved the file defined itself.
  case mainName = "main-name"
  /// A name of tensor files that is used as no tensor file uses it.
  case oddUse = "odd-use"

  // MARK: Disguises
  /// An import whose module or name is no text: it was computed.
  case computedName = "computed-name"
  /// A call of something that is no name: of another call's result.
  case computedCall = "computed-call"
  /// Attributes or items are set on what was imported, which changes it for the whole process.
  case importChanged = "import-changed"
  /// An object gets a method that unpickling itself calls.
  case methodReplaced = "method-replaced"
  /// A place of the memo changes its name or text, so that readers mistake one name for another.
  case memoChanged = "memo-changed"
  /// A name given as a number of a registry that only the loading process knows.
  case extensionCode = "extension-code"
  /// A call inside a persistent id, which is data in every checkpoint.
  case persistentCall = "persistent-call"
  /// Bytes or text inside a pickle that are a pickle with findings.
  case nestedPickle = "nested-pickle"
  /// A whole file inside a pickle, which torch loads without any check.
  case loadFromBytes = "load-from-bytes"
  /// A file whose first value is PyTorch's magic number only once it is executed.
  case computedMagic = "computed-magic"
  /// A file of one format that is a pickle with names when read as one.
  case polyglot = "polyglot"

  // MARK: Streams
  /// A second pickle stream follows the first: who loads again runs it.
  case secondStream = "second-stream"
  /// Data where the container's own layout has none.
  case trailingData = "trailing-data"
  /// A pickle that breaks off: what stands before the break has been run by then.
  case brokenPickle = "broken-pickle"
  /// A name behind the place where the stream could not be followed.
  case nameAfterBreak = "name-after-break"
  /// Source code of a class, kept by torch.save; loading imports the class.
  case embeddedSource = "embedded-source"

  // MARK: Archives
  /// A flag that other readers refuse (encrypted, patched) and torch ignores.
  case zipFlags = "zip-flags"
  /// Two entries of one name, or a name that differs from the one in the directory.
  case zipName = "zip-name"
  /// An entry's two headers contradict each other.
  case zipHeaders = "zip-headers"
  /// An entry that the directory does not list.
  case zipHidden = "zip-hidden"
  /// Two entries share bytes.
  case zipOverlap = "zip-overlap"
  /// A pickle outside the checkpoint's own folder.
  case zipOutside = "zip-outside"
  /// A pickle whose checksum is wrong: torch reads it, other readers refuse.
  case zipCrc = "zip-crc"
  /// A directory or entry that cannot be followed.
  case zipBroken = "zip-broken"
  /// A name that leads out of the folder it is extracted to.
  case archiveName = "archive-name"
  /// An entry that is a link.
  case archiveLink = "archive-link"
  /// Several archives one after the other, as torch.distributed.checkpoint writes.
  case concatenated = "concatenated-archives"
  /// An entry that PyTorch does not write.
  case unexpectedMember = "unexpected-member"

  // MARK: Programs and texts
  /// Sources of torch.package, programs of torch.export: loading or calling runs them.
  case archivedCode = "archived-code"
  /// TorchScript: the archive holds programs that loading compiles and calling runs.
  case torchscriptCode = "torchscript-code"
  /// TorchScript code that calls operators of other libraries, or reads or writes files.
  case torchscriptCall = "torchscript-call"
  /// Metadata that carries a script, for a page or program that would run it.
  case metadataScript = "metadata-script"

  // MARK: What cannot be judged
  /// Containers that share each other until whoever copies or prints them runs out of memory.
  case expansion
  /// More than is followed: the rest was not judged.
  case limit
  /// An encrypted entry.
  case encrypted
  /// A file or entry that is no checkpoint, and cannot be judged as one.
  case notACheckpoint = "not-a-checkpoint"

  /// One line that describes the rule.
  public var meaning: String {
    switch self {
    case .runsCode: "A name that evaluates or executes code, imports, or hands out attributes."
    case .standardLibrary: "A function or class of Python's standard library that no checkpoint needs."
    case .libraryFunction: "A function of a library that runs code, reads, writes, or reaches the network."
    case .methodPath: "A name with dots that is called: a method, or a module reached through another."
    case .libraryName: "A name that another library defines; loading imports the library and runs its code."
    case .torchObject: "A class or value of PyTorch or NumPy beyond tensors, such as a whole pickled module."
    case .standardValue: "A class of the standard library that only holds a value, such as a date."
    case .mainName: "A name that the program which saved the file defined itself."
    case .oddUse: "A name of tensor files that is used as no tensor file uses it."
    case .computedName: "An import whose module or name is no text: it was computed."
    case .computedCall: "A call of something that is no name: of another call's result."
    case .importChanged:
      "Attributes or items are set on what was imported, which changes it for the whole process."
    case .methodReplaced: "An object gets a method that unpickling itself calls."
    case .memoChanged:
      "A place of the memo changes its name or text, so that readers mistake one name for another."
    case .extensionCode: "A name given as a number of a registry that only the loading process knows."
    case .persistentCall: "A call inside a persistent id, which is data in every checkpoint."
    case .nestedPickle: "Bytes or text inside a pickle that are a pickle with findings."
    case .loadFromBytes: "A whole file inside a pickle, which torch loads without any check."
    case .computedMagic: "A file whose first value is PyTorch's magic number only once it is executed."
    case .polyglot: "A file of one format that is a pickle with names when read as one."
    case .secondStream: "A second pickle stream follows the first: who loads again runs it."
    case .trailingData: "Data where the container's own layout has none."
    case .brokenPickle: "A pickle that breaks off: what stands before the break has been run by then."
    case .nameAfterBreak: "A name behind the place where the stream could not be followed."
    case .embeddedSource: "Source code of a class, kept by torch.save; loading imports the class."
    case .zipFlags: "A flag that other readers refuse (encrypted, patched) and torch ignores."
    case .zipName: "Two entries of one name, or a name that differs from the one in the directory."
    case .zipHeaders: "An entry's two headers contradict each other."
    case .zipHidden: "An entry that the directory does not list."
    case .zipOverlap: "Two entries share bytes."
    case .zipOutside: "A pickle outside the checkpoint's own folder."
    case .zipCrc: "A pickle whose checksum is wrong: torch reads it, other readers refuse."
    case .zipBroken: "A directory or entry that cannot be followed."
    case .archiveName: "A name that leads out of the folder it is extracted to."
    case .archiveLink: "An entry that is a link."
    case .concatenated: "Several archives one after the other, as torch.distributed.checkpoint writes."
    case .unexpectedMember: "An entry that PyTorch does not write."
    case .archivedCode: "Sources of torch.package, programs of torch.export: loading or calling runs them."
    case .torchscriptCode: "TorchScript: the archive holds programs that loading compiles and calling runs."
    case .torchscriptCall:
      "TorchScript code that calls operators of other libraries, or reads or writes files."
    case .metadataScript: "Metadata that carries a script, for a page or program that would run it."
    case .expansion:
      "Containers that share each other until whoever copies or prints them runs out of memory."
    case .limit: "More than is followed: the rest was not judged."
    case .encrypted: "An encrypted entry."
    case .notACheckpoint: "A file or entry that is no checkpoint, and cannot be judged as one."
    }
  }

  /// One sentence of advice, worded for users of the library.
  package var remedy: String { remedy(reading: "Checkpoint reads the weights without running anything.") }

  /// Returns one sentence of advice.
  ///
  /// - Parameter reading: A sentence that explains how to read the weights without loading the file.
  package func remedy(reading: String) -> String {
    switch self {
    case .libraryName, .torchObject, .mainName, .embeddedSource, .loadFromBytes, .standardValue,
      .torchscriptCode, .archivedCode:
      "Load it only if you trust its maker. \(reading)"
    case .oddUse, .secondStream, .concatenated, .unexpectedMember:
      "Ask its maker for the reason. \(reading)"
    case .brokenPickle, .zipCrc, .zipBroken: "Fetch the file again; do not load it as it is."
    case .metadataScript: "Do not show the metadata in a browser or evaluate it."
    case .limit: "Do not load it unless you know why it is so large."
    case .encrypted: "Decrypt it first, then scan again."
    case .notACheckpoint: "Name the checkpoint itself; extract or decompress it first where it is inside."
    default: "Do not load it: no checkpoint needs this."
    }
  }
}
