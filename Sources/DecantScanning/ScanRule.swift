/// A rule of the scanner. Raw values are part of the contract with scripts and never change.
public enum ScanRule: String, Sendable, CaseIterable {
  // MARK: Names
  /// A name that evaluates or executes code, imports modules, or returns attributes.
  case runsCode = "runs-code"
  /// A function or class of Python's standard library that no checkpoint needs.
  case standardLibrary = "standard-library"
  /// A library function that runs code, reads or writes files, or uses the network.
  case libraryFunction = "library-function"
  /// A call of a dotted name: a method, or a module inside another module.
  case methodPath = "method-path"
  /// A name from another library; loading imports the library and runs its code.
  case libraryName = "library-name"
  /// A class or value of PyTorch or NumPy other than tensors, such as a whole pickled module.
  case torchObject = "torch-object"
  /// A standard library class that only holds a value, such as a date.
  case standardValue = "standard-value"
  /// A name defined in the main program that saved the file.
  case mainName = "main-name"
  /// A name that tensor files contain, used in a way that they do not.
  case oddUse = "odd-use"

  // MARK: Disguises
  /// An import whose module or name is computed instead of text.
  case computedName = "computed-name"
  /// A call of another call's result instead of a name.
  case computedCall = "computed-call"
  /// Attributes or items are set on an imported object, which changes it for the whole process.
  case importChanged = "import-changed"
  /// An object gets a method that unpickling calls.
  case methodReplaced = "method-replaced"
  /// A memo entry changes from one name or text to another, which misleads readers.
  case memoChanged = "memo-changed"
  /// A name given as a number in copyreg's registry, which only the loading process knows.
  case extensionCode = "extension-code"
  /// A call inside a persistent id, which is plain data in checkpoints.
  case persistentCall = "persistent-call"
  /// Bytes or text inside a pickle that are another pickle, with findings.
  case nestedPickle = "nested-pickle"
  /// A whole file inside a pickle, which torch loads without any check.
  case loadFromBytes = "load-from-bytes"
  /// A file whose PyTorch magic number is computed when the file is loaded.
  case computedMagic = "computed-magic"
  /// A file of one format that can also be read as a pickle with names.
  case polyglot = "polyglot"

  // MARK: Streams
  /// A second pickle stream follows the first; a second load call runs it.
  case secondStream = "second-stream"
  /// Data where the container format has none.
  case trailingData = "trailing-data"
  /// A truncated or damaged pickle: loading runs everything before the damage.
  case brokenPickle = "broken-pickle"
  /// A name after the point where the stream cannot be parsed.
  case nameAfterBreak = "name-after-break"
  /// An opcode crosses the end of its frame, so that versions of CPython read different programs.
  case frameCrossed = "frame-crossed"
  /// Source code of a class, stored by torch.save; loading imports the class.
  case embeddedSource = "embedded-source"

  // MARK: Archives
  /// A flag that other readers reject (encrypted, patched) and torch ignores.
  case zipFlags = "zip-flags"
  /// Two entries with one name, or a name that differs from the directory's.
  case zipName = "zip-name"
  /// An entry's two headers contradict each other.
  case zipHeaders = "zip-headers"
  /// An entry that the directory does not list.
  case zipHidden = "zip-hidden"
  /// Two entries share bytes.
  case zipOverlap = "zip-overlap"
  /// A pickle outside the checkpoint's own folder.
  case zipOutside = "zip-outside"
  /// A pickle with a wrong checksum: torch reads it, other readers reject it.
  case zipCrc = "zip-crc"
  /// A directory or entry that cannot be parsed.
  case zipBroken = "zip-broken"
  /// A name that points outside the folder where it is extracted.
  case archiveName = "archive-name"
  /// An entry that is a link.
  case archiveLink = "archive-link"
  /// Several archives one after the other, as torch.distributed.checkpoint writes.
  case concatenated = "concatenated-archives"
  /// An entry that PyTorch does not write.
  case unexpectedMember = "unexpected-member"

  // MARK: Programs and texts
  /// Source code of torch.package or a program of torch.export, run by loading or calling it.
  case archivedCode = "archived-code"
  /// TorchScript code, which loading compiles and calling runs.
  case torchscriptCode = "torchscript-code"
  /// TorchScript code that calls operators of other libraries, or reads or writes files.
  case torchscriptCall = "torchscript-call"
  /// Metadata that contains a script, which a web page or program might run.
  case metadataScript = "metadata-script"
  /// A template that reaches Python's internals when it is rendered, or hides which attributes it reads.
  case templateCode = "template-code"

  // MARK: What cannot be judged
  /// Bytes that belong to no structure of the file's format.
  case unaccounted
  /// Shared nested containers that exhaust memory when they are copied or printed.
  case expansion
  /// Loading it never ends, or takes far more memory than the file has.
  case exhaustsLoader = "exhausts-loader"
  /// The file is made to exhaust a scanner: it takes more work than any honest file of its size.
  case exhaustsScanner = "exhausts-scanner"
  /// A limit was reached: the rest was not scanned.
  case limit
  /// An encrypted entry.
  case encrypted
  /// A header, length or layout that no writer of the format makes: a damaged file, or one that misleads readers.
  case malformed
  /// A file or entry that is not a format that scan reads.
  case notACheckpoint = "not-a-checkpoint"

  /// One line that describes the rule.
  public var meaning: String {
    switch self {
    case .runsCode: "A name that evaluates or executes code, imports modules, or returns attributes."
    case .standardLibrary: "A function or class of Python's standard library that no checkpoint needs."
    case .libraryFunction: "A library function that runs code, reads or writes files, or uses the network."
    case .methodPath: "A call of a dotted name: a method, or a module inside another module."
    case .libraryName: "A name from another library; loading imports the library and runs its code."
    case .torchObject:
      "A class or value of PyTorch or NumPy other than tensors, such as a whole pickled module."
    case .standardValue: "A standard library class that only holds a value, such as a date."
    case .mainName: "A name defined in the main program that saved the file."
    case .oddUse: "A name that tensor files contain, used in a way that they do not."
    case .computedName: "An import whose module or name is computed instead of text."
    case .computedCall: "A call of another call's result instead of a name."
    case .importChanged:
      "Attributes or items are set on an imported object, which changes it for the whole process."
    case .methodReplaced: "An object gets a method that unpickling calls."
    case .memoChanged:
      "A memo entry changes from one name or text to another, which misleads readers."
    case .extensionCode:
      "A name given as a number in copyreg's registry, which only the loading process knows."
    case .persistentCall: "A call inside a persistent id, which is plain data in checkpoints."
    case .nestedPickle: "Bytes or text inside a pickle that are another pickle, with findings."
    case .loadFromBytes: "A whole file inside a pickle, which torch loads without any check."
    case .computedMagic: "A file whose PyTorch magic number is computed when the file is loaded."
    case .polyglot: "A file of one format that can also be read as a pickle with names."
    case .secondStream: "A second pickle stream follows the first; a second load call runs it."
    case .trailingData: "Data where the container format has none."
    case .brokenPickle: "A truncated or damaged pickle: loading runs everything before the damage."
    case .nameAfterBreak: "A name after the point where the stream cannot be parsed."
    case .frameCrossed:
      "An opcode crosses the end of its frame, so that versions of CPython read different programs."
    case .embeddedSource: "Source code of a class, stored by torch.save; loading imports the class."
    case .zipFlags: "A flag that other readers reject (encrypted, patched) and torch ignores."
    case .zipName: "Two entries with one name, or a name that differs from the directory's."
    case .zipHeaders: "An entry's two headers contradict each other."
    case .zipHidden: "An entry that the directory does not list."
    case .zipOverlap: "Two entries share bytes."
    case .zipOutside: "A pickle outside the checkpoint's own folder."
    case .zipCrc: "A pickle with a wrong checksum: torch reads it, other readers reject it."
    case .zipBroken: "A directory or entry that cannot be parsed."
    case .archiveName: "A name that points outside the folder where it is extracted."
    case .archiveLink: "An entry that is a link."
    case .concatenated: "Several archives one after the other, as torch.distributed.checkpoint writes."
    case .unexpectedMember: "An entry that PyTorch does not write."
    case .archivedCode:
      "Source code of torch.package or a program of torch.export, run by loading or calling it."
    case .torchscriptCode: "TorchScript code, which loading compiles and calling runs."
    case .torchscriptCall:
      "TorchScript code that calls operators of other libraries, or reads or writes files."
    case .metadataScript: "Metadata that contains a script, which a web page or program might run."
    case .templateCode:
      "A template that reaches Python's internals when it is rendered, or hides which attributes it reads."
    case .unaccounted: "Bytes that belong to no structure of the file's format."
    case .expansion:
      "Shared nested containers that exhaust memory when they are copied or printed."
    case .exhaustsLoader: "Loading it never ends, or takes far more memory than the file has."
    case .exhaustsScanner:
      "The file is made to exhaust a scanner: it takes more work than any honest file of its size."
    case .limit: "A limit was reached: the rest was not scanned."
    case .encrypted: "An encrypted entry."
    case .malformed:
      "A header, length or layout that no writer of the format makes: a damaged file, or one that misleads readers."
    case .notACheckpoint: "A file or entry that is not a format that scan reads."
    }
  }

  /// True for findings about bytes that were not read to their end, whatever else is in the file.
  var leavesBytesUnread: Bool {
    switch self {
    case .unaccounted, .limit, .encrypted, .notACheckpoint, .brokenPickle, .zipBroken, .trailingData,
      .exhaustsScanner:
      true
    default: false
    }
  }

  /// One sentence of advice, worded for users of the library.
  package var remedy: String {
    remedy(reading: "Checkpoint reads the weights without executing anything in the file.")
  }

  /// Returns one sentence of advice.
  ///
  /// - Parameter reading: A sentence that explains how to read the weights without loading the file.
  package func remedy(reading: String) -> String {
    switch self {
    case .libraryName, .torchObject, .mainName, .embeddedSource, .loadFromBytes, .standardValue,
      .torchscriptCode, .archivedCode:
      "Load it only if you trust its author. \(reading)"
    case .oddUse, .secondStream, .concatenated, .unexpectedMember, .unaccounted:
      "Ask its author for the reason. \(reading)"
    case .brokenPickle, .zipCrc, .zipBroken, .malformed: "Do not load it. Download the file again."
    case .metadataScript: "Do not show the metadata in a browser or evaluate it."
    case .templateCode: "Do not render its templates outside a sandbox."
    case .limit: "Do not load it unless you know why it is so large."
    case .encrypted: "Decrypt it first, then scan again."
    case .notACheckpoint: "Pass the checkpoint itself; extract or decompress it first."
    default: "Do not load it: no checkpoint needs this."
    }
  }
}
