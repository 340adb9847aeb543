internal import ByteParsing
internal import Pickle
internal import Synchronization
internal import Tensors

/// The zip files that `torch.save` writes since PyTorch 1.6 (and 1.4 on request).
///
/// Source: PyTorch `caffe2/serialize/inline_container.cc`, `torch/serialization.py`; docs/formats/torch-zip.md.
enum TorchZip {
  /// Reads the directory, `data.pkl` and the small records beside it; no weights.
  static func open(
    _ archive: ZipArchive, limits: Limits, nesting: Int
  ) throws(CheckpointError) -> Checkpoint.Parts {
    let file = archive.file
    let prefix = try prefix(of: archive)
    guard let pickle = archive.entry(prefix + "data.pkl") else { throw notTorch(archive) }
    let isScript = archive.entry(prefix + "constants.pkl") != nil
    var warnings: [String] = []
    var damage: [CheckpointError] = []
    func text(_ name: String) throws(CheckpointError) -> String? {
      guard let entry = archive.entry(prefix + name) else { return nil }
      let (bytes, isIntact) = try archive.bytes(of: entry, limit: 4096, named: "the 4096 bytes it may have")
      if !isIntact { damage.append(checksumMismatch(file, entry, found: CRC32.of(bytes))) }
      return String(decoding: bytes, as: UTF8.self).trimmingNewlines
    }

    var hints: [(String, String)] = []
    let byteOrder: Storage.ByteOrder
    switch try text("byteorder") {
    case let name?:
      guard let order = Storage.ByteOrder(rawValue: name) else {
        throw CheckpointError(
          "the byte order is \"\(name.escapedForDisplay)\", neither little nor big", file: file.path,
          entry: prefix + "byteorder")
      }
      byteOrder = order
      hints.append(("byte order", name))
    case nil: byteOrder = .little
    }
    for (record, label) in [
      ("version", "archive version"), (".data/version", "archive version"),
      (".format_version", "format version"),
      (".storage_alignment", "storage alignment"),
    ] {
      if let value = try text(record) { hints.append((label, value.escapedForDisplay)) }
    }
    hints.append(("written by", writer(archive, prefix)))

    if !archive.recordsChecksums {
      warnings.append("no CRC-32 is recorded in the archive, so damage to the data cannot be noticed")
    }
    for entry in archive.entries where !entry.name.hasPrefix(prefix) {
      warnings.append(
        "entry \(entry.name.escapedForDisplay) lies outside the checkpoint's folder \(prefix.escapedForDisplay)"
      )
    }

    let (bytes, isIntact) = try archive.bytes(
      of: pickle, limit: limits.pickleBytes, named: "Limits.pickleBytes")
    if !isIntact { damage.append(checksumMismatch(file, pickle, found: CRC32.of(bytes))) }
    let graph: PickleGraph
    do throws(PickleError) {
      graph = try PickleMachine.interpret(unsafe bytes.span.bytes, limits: limits)
    } catch {
      throw CheckpointError(
        error.description, file: file.path, entry: pickle.name, offset: error.offset,
        remedy:
          "The file is damaged or was never a checkpoint; decant inspect --pickle shows how far it reads.")
    }
    if graph.byteCount < bytes.count {
      warnings.append(
        "\(bytes.count - graph.byteCount) bytes follow the end of the pickle in \(pickle.name.escapedForDisplay)"
      )
    }
    if graph.protocolVersion != 2 {
      hints.append(("pickle protocol", String(graph.protocolVersion)))
    }

    let storages = Records(archive: archive, folder: prefix + "data/", byteOrder: byteOrder)
    do throws(CheckpointError) {
      let contents = try PickledContents.list(
        graph, path: file.path, nesting: nesting, limits: limits
      ) { reference throws(CheckpointError) in try storages.storage(reference) }
      return Checkpoint.Parts(
        container: isScript ? .torchscript : .torchZip, contents: contents, warnings: warnings,
        damage: damage, hints: hints)
    } catch { throw error.located(file: file.path) }
  }

  /// The bytes of an archive's `data.pkl`, for the disassembler.
  static func pickle(_ file: ByteSource, limits: Limits) throws(CheckpointError) -> [UInt8] {
    let archive = try ZipArchive(file, limits: limits)
    guard let pickle = archive.entry(try prefix(of: archive) + "data.pkl") else { throw notTorch(archive) }
    return try archive.bytes(of: pickle, limit: limits.pickleBytes, named: "Limits.pickleBytes").bytes
  }

  /// The folder that holds the checkpoint, with its slash: that of the first entry, as PyTorch reads it, or else
  /// of the only `data.pkl`.
  private static func prefix(of archive: ZipArchive) throws(CheckpointError) -> String {
    if let first = archive.entries.first, let slash = first.name.utf8.firstIndex(of: UInt8(ascii: "/")) {
      let prefix = String(first.name[...slash])
      if archive.entry(prefix + "data.pkl") != nil { return prefix }
    }
    let pickles = archive.entries.filter { entry in
      entry.name == "data.pkl"
        || entry.name.hasSuffix("/data.pkl") && entry.name.utf8.count { $0 == UInt8(ascii: "/") } == 1
    }
    guard pickles.count <= 1 else {
      throw CheckpointError(
        "\(pickles.count) folders hold a data.pkl: \(pickles.map(\.name.escapedForDisplay).joined(separator: ", "))",
        file: archive.file.path, remedy: "Unzip the archive and zip each folder by itself.")
    }
    return pickles.first.map { String($0.name.dropLast("data.pkl".count)) } ?? ""
  }

  private static func notTorch(_ archive: ZipArchive) -> CheckpointError {
    if let foreign = ForeignFile(archive: archive.entries.map(\.name)) {
      return CheckpointError(foreign.description, file: archive.file.path, remedy: foreign.remedy)
    }
    let names = archive.entries.prefix(3).map(\.name.escapedForDisplay).joined(separator: ", ")
    return CheckpointError(
      archive.entries.isEmpty
        ? "is an empty zip archive"
        : "is a zip archive without a data.pkl, so no PyTorch checkpoint (it holds \(names)…)",
      file: archive.file.path,
      remedy: "If a checkpoint lies inside, unzip it and name that file.")
  }

  /// Which PyTorch wrote an archive, as far as its records tell.
  private static func writer(_ archive: ZipArchive, _ prefix: String) -> String {
    if archive.entry(prefix + ".storage_alignment") != nil { return "PyTorch 2.7 or later" }
    if archive.entry(prefix + ".format_version") != nil { return "PyTorch 2.6 or later" }
    if archive.entry(prefix + ".data/serialization_id") != nil { return "PyTorch 2.1 or later" }
    if archive.entry(prefix + "byteorder") != nil { return "PyTorch 2.1 or later" }
    return "PyTorch 1.4 or later"
  }
}

/// The records of an archive as storages, each made once.
private final class Records: Sendable {
  private let archive: ZipArchive
  private let folder: String
  private let byteOrder: Storage.ByteOrder
  /// By the place of the record in the archive.
  private let storages: Mutex<[Storage?]>

  init(archive: ZipArchive, folder: String, byteOrder: Storage.ByteOrder) {
    self.archive = archive
    self.folder = folder
    self.byteOrder = byteOrder
    storages = Mutex([Storage?](repeating: nil, count: archive.entries.count))
  }

  func storage(_ reference: StorageReference) throws(CheckpointError) -> Storage {
    guard reference.view == nil else {
      throw CheckpointError(
        "storage \(reference.key.escapedForDisplay) has a view, which no zip file of PyTorch's holds",
        remedy: "The file is damaged or made to deceive.")
    }
    if reference.location == "meta" {
      return Storage(key: reference.key, location: "meta", byteCount: reference.byteCount, content: nil)
    }
    let name = folder + reference.key
    guard let entry = archive.entry(name) else {
      throw CheckpointError(
        "the archive has no entry for storage \(reference.key.escapedForDisplay)", entry: name,
        remedy: "The file is incomplete: fetch it again.")
    }
    let storage = storages.withLock { storages in
      if let known = storages[entry.index] { return known }
      let made = Storage(
        key: reference.key, location: reference.location, byteOrder: byteOrder, byteCount: entry.byteCount,
        content: ZipRecord(archive, entry), entry: name)
      storages[entry.index] = made
      return made
    }
    guard storage.byteCount == reference.byteCount else {
      throw CheckpointError(
        "the pickle says storage \(reference.key.escapedForDisplay) has \(reference.byteCount) bytes and its record has "
          + "\(storage.byteCount)", entry: name, remedy: "The file is damaged: fetch it again.")
    }
    return storage
  }
}

extension String {
  /// The text without line ends after it.
  fileprivate var trimmingNewlines: String {
    var text = self[...]
    while let last = text.last, last.isNewline { text.removeLast() }
    return String(text)
  }
}
