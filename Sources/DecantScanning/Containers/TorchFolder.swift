internal import DecantBytes

/// The top folder of a PyTorch zip archive, and the records that PyTorch writes there.
///
/// torch finds records whatever the case of their names, so names are compared in lower case.
struct TorchFolder {
  private enum Kind {
    /// Written by torch.save or TorchScript.
    case checkpoint
    /// Written by torch.export.
    case export
    /// Written by torch.package, in which programs store files of any name.
    case package
  }

  /// The kind of an entry, as PyTorch determines it from the name.
  enum Record: Equatable {
    /// A pickle, or a file that a program may load.
    case file
    /// The data of a storage. Pickles of the archive state its size.
    case storage(StorageName)
    /// A short text of a known form.
    case text(TextForm)
    /// TorchScript source code.
    case script
    /// Code that loading or calling runs.
    case code(ArchivedCode.Kind)
    /// Data of a program of TorchScript or torch.export, whose form only its loader knows.
    case programData
    /// An entry that PyTorch does not write.
    case unexpected
  }

  /// The forms of the short texts in an archive.
  enum TextForm {
    case number, byteOrder, format, moduleNames, pythonVersion

    /// Returns true when bytes have this form. None is longer than a few bytes, except for the names of modules.
    func fits(_ bytes: RawSpan) -> Bool {
      guard bytes.byteCount <= 1 << 16 else { return false }
      var text = bytes.all
      if self != .moduleNames, text.last == 0x0A { text.removeLast() }
      func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
      switch self {
      case .number: return (1...40).contains(text.count) && text.allSatisfy(isDigit)
      case .byteOrder: return text.elementsEqual("little".utf8) || text.elementsEqual("big".utf8)
      case .format: return text.elementsEqual("pt2".utf8)
      case .pythonVersion:
        return text.count <= 40 && text.allSatisfy { isDigit($0) || $0 == 0x2E || 0x61...0x7A ~= $0 }
      case .moduleNames: return text.allSatisfy { NameClass.isPlain($0) || $0 == 0x0A || $0 == 0x2E }
      }
    }
  }

  /// The name of a storage's record: the pickle that states its size, and its key there.
  struct StorageName: Hashable {
    /// The name of the pickle without `.pkl`; nil when any pickle of the archive may state it.
    let pickle: String?
    let key: ExactText

    static func == (left: Self, right: Self) -> Bool { left.pickle == right.pickle && left.key == right.key }
  }

  private let prefix: [UInt8]
  private let kind: Kind
  /// True when the folder of a checkpoint is also an archive of torch.package, which another loader reads.
  let isAlsoPackage: Bool
  /// The names of the folder's pickles without `.pkl`. The storages of `NAME.pkl` are in the folder `NAME`.
  private let pickles: Set<String>

  /// Determines the folder from the names of the entries; nil when PyTorch did not write the archive.
  init?(_ names: [[UInt8]]) {
    let names = names.map(Self.lowercased)
    if names.contains(where: { $0.elementsEqual("serialized_exported_program.json".utf8) }) {
      // torch.export of PyTorch 2.1 to 2.7 wrote no folder.
      (prefix, kind, isAlsoPackage, pickles) = ([], .export, false, [])
      return
    }
    // torch uses the folder of the first entry.
    guard let first = names.first, let slash = first.firstIndex(of: 0x2F) else { return nil }
    let prefix = Array(first[...slash])
    func holds(_ records: String...) -> Bool {
      names.contains { name in records.contains { name.elementsEqual(prefix + Array($0.utf8)) } }
    }
    let isPackage = holds(".data/extern_modules")
    if holds("data.pkl", "version", "constants.pkl", "model.json") {
      (self.prefix, kind) = (prefix, .checkpoint)
    } else if holds("archive_format") {
      (self.prefix, kind) = (prefix, .export)
    } else if isPackage {
      (self.prefix, kind) = (prefix, .package)
    } else if let deeper = Self.repacked(names) {
      (self.prefix, kind) = (deeper, .checkpoint)
    } else {
      return nil
    }
    isAlsoPackage = isPackage && kind != .package
    pickles = Self.pickles(names, in: self.prefix)
  }

  /// Returns the names of the pickles in a folder, not those in folders inside it.
  private static func pickles(_ names: [[UInt8]], in prefix: [UInt8]) -> Set<String> {
    // An unzipped archive is looked at one file at a time.
    var pickles: Set = ["data", "constants"]
    for name in names where name.starts(with: prefix) && name.ends(with: ".pkl".utf8) {
      let rest = name.dropFirst(prefix.count).dropLast(4)
      if !rest.contains(0x2F) { pickles.insert(String(decoding: rest, as: UTF8.self)) }
    }
    return pickles
  }

  /// Returns the folder of a checkpoint that was unzipped and zipped again with folders around it; nil for other
  /// archives. torch does not load it, but Decant reads it.
  private static func repacked(_ names: [[UInt8]]) -> [UInt8]? {
    let pickles = names.filter { $0.ends(with: "/data.pkl".utf8) }
    guard pickles.count == 1, let slash = pickles[0].lastIndex(of: 0x2F) else { return nil }
    let prefix = Array(pickles[0][...slash])
    let hasRecords = names.contains {
      $0.elementsEqual(prefix + Array("version".utf8)) || $0.starts(with: prefix + Array("data/".utf8))
    }
    return hasRecords ? prefix : nil
  }

  private static func lowercased(_ name: [UInt8]) -> [UInt8] {
    // PyTorch's own names are in lower case, and need no copy.
    name.contains { 0x41...0x5A ~= $0 } ? name.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 } : name
  }

  var display: String { String(decoding: prefix.prefix(100), as: UTF8.self).escapedForDisplay }

  func holds(_ name: [UInt8]) -> Bool { Self.lowercased(name).starts(with: prefix) }

  /// Returns the key under which torch finds an entry. Names that differ only in case have the same key.
  static func lookupKey(_ name: [UInt8]) -> [UInt8] { lowercased(name) }

  /// Returns true when an entry makes the archive a program of torch.export.
  func announcesGraph(_ name: [UInt8]) -> Bool { kind == .export && record(name) == .code(.graph) }

  /// Returns true when an entry makes torch load the archive as a TorchScript program, whatever else it contains.
  func announcesProgram(_ name: [UInt8]) -> Bool {
    guard kind == .checkpoint, holds(name) else { return false }
    let rest = Self.lowercased(name).dropFirst(prefix.count)
    return rest.starts(with: "code/".utf8)
      || ["constants.pkl", "bytecode.pkl", "model.json"].contains { rest.elementsEqual($0.utf8) }
  }

  /// Returns the kind of an entry of the folder.
  func record(_ name: [UInt8]) -> Record {
    guard holds(name) else { return .unexpected }
    let rest = name.dropFirst(prefix.count)
    let path = String(decoding: Self.lowercased(Array(rest)), as: UTF8.self)
    if let text = textForm(path) { return .text(text) }
    if let code = compiledCode(path) { return .code(code) }
    switch kind {
    case .package:
      if path.hasSuffix(".py") { return .code(.python) }
      if path.hasPrefix(".data/"), path.hasSuffix(".storage") {
        let key = String(
          decoding: rest.dropFirst(".data/".utf8.count).dropLast(".storage".utf8.count), as: UTF8.self)
        return .storage(StorageName(pickle: nil, key: ExactText(key)))
      }
      return .file
    case .export:
      if path.hasPrefix("models/") || path == "serialized_exported_program.json" { return .code(.graph) }
      return ["data/", ".data/", "extra/", "extra_files/", "serialized_"].contains { path.hasPrefix($0) }
        ? .programData : .unexpected
    case .checkpoint:
      if isAlsoPackage, path.hasSuffix(".py") { return .code(.python) }
      if path.hasPrefix("code/"), path.hasSuffix(".py") { return .script }
      if path.hasSuffix(".pkl"), pickles.contains(String(path.dropLast(4))) { return .file }
      if let slash = path.utf8.firstIndex(of: 0x2F), pickles.contains(String(path[..<slash])) {
        let pickle = String(path[..<slash])
        let key = String(decoding: rest.dropFirst(pickle.utf8.count + 1), as: UTF8.self)
        return .storage(StorageName(pickle: pickle, key: ExactText(key)))
      }
      return path == "model.json" || ["tensors/", "code/", "extra/"].contains { path.hasPrefix($0) }
        ? .programData : .unexpected
    }
  }

  private func textForm(_ path: String) -> TextForm? {
    switch path {
    case "version", ".format_version", ".storage_alignment", ".data/serialization_id", ".data/version",
      "archive_version":
      .number
    case "byteorder": .byteOrder
    case "archive_format": .format
    case ".data/extern_modules": .moduleNames
    case ".data/python_version": .pythonVersion
    default: nil
    }
  }

  /// Returns the name of a pickle that states the sizes of storages, without `.pkl`; nil for other entries. Those of
  /// torch.package state them together, under no name.
  func storagePickle(_ name: [UInt8]) -> (name: String?, Void)? {
    guard holds(name) else { return nil }
    if kind == .package { return (nil, ()) }
    let path = Self.lowercased(name).dropFirst(prefix.count)
    guard path.suffix(4).elementsEqual(".pkl".utf8), !path.contains(0x2F) else { return nil }
    return (String(decoding: path.dropLast(4), as: UTF8.self), ())
  }

  /// Returns the kind of the code that AOTInductor wrote, of which torch loads libraries and compiles sources, with the
  /// flags next to them; nil for other entries.
  private func compiledCode(_ path: String) -> ArchivedCode.Kind? {
    // The names of storages, which are most of an archive, are shorter.
    guard path.utf8.count > "data/aotinductor/".utf8.count,
      path.utf8.split(separator: 0x2F).dropFirst().dropLast().contains(where: {
        $0.elementsEqual("aotinductor".utf8)
      })
    else { return nil }
    if [".so", ".dll", ".dylib", ".o", ".a", ".cubin", ".hsaco", ".spv"].contains(where: path.hasSuffix) {
      return .native
    }
    return path.hasSuffix(".json") ? .flags : .source
  }

  /// Returns the name that torch reads an entry by, when the entry has other letters than PyTorch writes; else nil.
  func otherSpelling(_ name: [UInt8]) -> String? {
    guard holds(name) else { return nil }
    let rest = Array(name.dropFirst(prefix.count))
    let path = Self.lowercased(rest)
    guard path != rest else { return nil }
    let text = String(decoding: path, as: UTF8.self)
    let isFixed =
      textForm(text) != nil
      || ["data.pkl", "constants.pkl", "attributes.pkl", "bytecode.pkl", "model.json"].contains(text)
    return isFixed ? text : nil
  }
}
