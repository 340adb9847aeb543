internal import DecantBytes

/// The top folder of a PyTorch zip archive, and the entries that PyTorch writes there.
struct TorchFolder {
  private enum Kind {
    /// Written by torch.save or TorchScript.
    case checkpoint
    /// Written by torch.export.
    case export
    /// Written by torch.package, in which programs store files of any name.
    case package
  }

  private let prefix: [UInt8]
  private let kind: Kind

  /// Determines the folder from the names of the entries; nil when PyTorch did not write the archive.
  init?(_ names: [[UInt8]]) {
    if names.contains(where: { $0.elementsEqual("serialized_exported_program.json".utf8) }) {
      // torch.export of PyTorch 2.1 to 2.7 wrote no folder.
      prefix = []
      kind = .export
      return
    }
    // torch uses the folder of the first entry.
    guard let first = names.first, let slash = first.firstIndex(of: 0x2F) else { return nil }
    let prefix = Array(first[...slash])
    func holds(_ records: String...) -> Bool {
      names.contains { name in records.contains { name.elementsEqual(prefix + Array($0.utf8)) } }
    }
    if holds("data.pkl", "version", "constants.pkl", "model.json") {
      kind = .checkpoint
    } else if holds("archive_format") {
      kind = .export
    } else if holds(".data/extern_modules") {
      kind = .package
    } else if let deeper = Self.repacked(names) {
      self.prefix = deeper
      kind = .checkpoint
      return
    } else {
      return nil
    }
    self.prefix = prefix
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

  var display: String { String(decoding: prefix.prefix(100), as: UTF8.self).escapedForDisplay }

  func holds(_ name: [UInt8]) -> Bool { name.starts(with: prefix) }

  private func rest(_ name: [UInt8]) -> ArraySlice<UInt8>? {
    holds(name) ? name.dropFirst(prefix.count) : nil
  }

  /// Returns true when an entry is TorchScript source code.
  func isProgram(_ name: [UInt8]) -> Bool {
    guard kind == .checkpoint, let rest = rest(name) else { return false }
    return rest.starts(with: "code/".utf8) && name.ends(with: ".py".utf8)
  }

  /// Returns true when an entry makes torch load the archive as a program, whatever else it contains.
  func announcesProgram(_ name: [UInt8]) -> Bool {
    guard kind == .checkpoint, let rest = rest(name) else { return false }
    return rest.starts(with: "code/".utf8)
      || ["constants.pkl", "bytecode.pkl", "model.json"].contains { rest.elementsEqual($0.utf8) }
  }

  /// Returns the kind of code in an entry that loading or calling runs, or nil when there is none.
  func code(_ name: [UInt8]) -> ArchivedCode.Kind? {
    guard let rest = rest(name) else { return nil }
    switch kind {
    case .checkpoint: return nil
    case .package: return name.ends(with: ".py".utf8) ? .python : nil
    case .export:
      if rest.starts(with: "data/aotinductor/".utf8) {
        return name.ends(with: ".so".utf8) || name.ends(with: ".dll".utf8) ? .native : nil
      }
      return rest.starts(with: "models/".utf8) || rest.elementsEqual("serialized_exported_program.json".utf8)
        ? .graph : nil
    }
  }

  /// Returns true when PyTorch writes entries of this name.
  func isUsual(_ name: [UInt8]) -> Bool {
    let rest = String(decoding: name.dropFirst(prefix.count), as: UTF8.self)
    switch kind {
    case .package: return true
    case .checkpoint:
      return [
        "version", "byteorder", ".format_version", ".storage_alignment", "model.json", "data.pkl",
        "constants.pkl",
      ].contains(rest)
        || ["data/", ".data/", "constants/", "tensors/", "code/", "attributes/", "bytecode/", "extra/"]
          .contains { rest.hasPrefix($0) }
    case .export:
      return ["version", "byteorder", "archive_format", "archive_version"].contains(rest)
        || ["data/", ".data/", "models/", "extra/", "extra_files/", "serialized_"].contains {
          rest.hasPrefix($0)
        }
    }
  }
}
