internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantPickle
internal import DecantTensors
internal import Synchronization

/// A reader of the zip files that `torch.save` writes since PyTorch 1.6 (and 1.4 on request).
///
/// Source: PyTorch `caffe2/serialize/inline_container.cc`, `torch/serialization.py`; docs/formats/torch-zip.md.
enum TorchZip {
  /// Reads `data.pkl` and the small records next to it; no weights.
  ///
  /// - Parameter salvage: how the entries were found, when the directory is lost.
  static func open(
    _ archive: ZipArchive, salvage: ZipSalvage? = nil, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    let file = archive.file
    let prefix = try prefix(of: archive)
    guard let pickle = archive.entry(prefix + "data.pkl") else {
      guard let model = archive.entry(prefix + "model.json") else { throw notTorch(archive) }
      return try ModelDefinition.open(model, in: archive, prefix: prefix, limits: limits)
    }
    let isScript = archive.entry(prefix + "constants.pkl") != nil
    var warnings: [String] = []
    var damage: [DecantError] = []
    var containerMetadata: [(String, String)] = []
    let byteOrder = try archive.byteOrder(prefix, &containerMetadata, &damage)
    for (record, label) in [
      ("version", "archive version"), (".data/version", "archive version"),
      (".format_version", "format version"),
      (".storage_alignment", "storage alignment"),
    ] {
      if let value = try archive.text(prefix + record, &damage) { containerMetadata.append((label, value)) }
    }
    containerMetadata.append(("written by", writer(archive, prefix)))
    if let record = ConvolutionRecord.text(inComment: archive.comment) {
      containerMetadata.append((ConvolutionRecord.key, record))
    }

    if !archive.recordsChecksums {
      warnings.append(
        archive.isUnzipped
          ? "the archive was unzipped, so there is no CRC-32 and damaged data cannot be detected"
          : "the archive has no CRC-32, so damaged data cannot be detected")
    }
    let skipped = archive.entries.count {
      $0.name.hasPrefix(prefix + "data/") && $0.byteCount > 0 && !archive.recordsChecksum(of: $0)
        && !$0.encoding.isAuthenticated
    }
    if archive.recordsChecksums, skipped > 0 {
      warnings.append(
        "\(skipped) \(skipped == 1 ? "storage has" : "storages have") no CRC-32: torch.serialization.skip_data was used, so the data may be all zeros"
      )
    }
    let litter = archive.entries.count { ZipContainer.isPackagerFile($0) }
    if litter > 0 { warnings.append(ZipContainer.note(litter)) }
    for entry in archive.entries where !entry.name.hasPrefix(prefix) && !ZipContainer.isPackagerFile(entry) {
      warnings.append(
        "entry \(entry.name.escapedForDisplay) is outside the checkpoint's folder \(prefix.escapedForDisplay)"
      )
    }

    let graph = try interpret(pickle, in: archive, &warnings, &damage)
    if graph.protocolVersion != 2 {
      containerMetadata.append(("pickle protocol", String(graph.protocolVersion)))
    }

    let storages = ZipStorages(
      archive: archive, salvage: salvage, folder: prefix + "data/", byteOrder: byteOrder)
    do throws(DecantError) {
      var contents = try PickledContents.list(
        graph, path: file.path, nesting: nesting, limits: limits
      ) { reference throws(DecantError) in try storages.storage(reference) }
      var script: ScriptArchive?
      if isScript {
        let opened = ScriptArchive(
          archive: archive, prefix: prefix, byteOrder: byteOrder, limits: limits, nesting: nesting)
        script = opened
        try opened.complete(&contents, &containerMetadata, &warnings, &damage)
      }
      if salvage != nil { contents.tensors = contents.tensors.map { $0.withState() } }
      return Checkpoint.Parts(
        container: isScript ? .torchscript : .torchZip, contents: contents, warnings: warnings,
        damage: damage, containerMetadata: containerMetadata,
        truncation: salvage.map { truncation($0, of: file, contents.tensors) },
        script: script)
    } catch { throw error.located(file: file.path) }
  }

  /// Interprets a pickle of an archive.
  static func interpret(
    _ entry: ZipEntry, in archive: ZipArchive, _ warnings: inout [String],
    _ damage: inout [DecantError]
  ) throws(DecantError) -> PickleGraph {
    let (bytes, isIntact, limits) = try archive.pickle(entry)
    if !isIntact { damage.append(checksumMismatch(archive.file, entry, found: CRC32.of(bytes))) }
    let graph: PickleGraph
    do throws(PickleError) {
      graph = try PickleMachine.interpret(unsafe bytes.span.bytes, limits: limits)
    } catch {
      throw DecantError(error, file: archive.file.path, entry: entry.name)
    }
    if let crossing = graph.frameCrossing {
      warnings.append(crossing.warning("the pickle in \(entry.name.escapedForDisplay)"))
    }
    if graph.byteCount < bytes.count {
      warnings.append(
        "\(Format.count(bytes.count - graph.byteCount, "byte", ("follows", "follow"))) the end of the pickle in \(entry.name.escapedForDisplay)"
      )
    }
    return graph
  }

  /// Returns true when an archive is a PyTorch checkpoint itself, rather than a zip that contains one.
  static func holdsCheckpoint(_ archive: ZipArchive) throws(DecantError) -> Bool {
    let prefix = try prefix(of: archive)
    return archive.entry(prefix + "data.pkl") != nil
      || archive.entry(prefix + "model.json") != nil && archive.entry(prefix + "version") != nil
  }

  /// The error of an archive whose directory is lost.
  private static func truncation(
    _ walk: ZipSalvage, of file: ByteSource, _ tensors: [CheckpointTensor]
  ) -> DecantError {
    if walk.reachesDirectory {
      return Truncation.error(
        .damaged, "its directory is damaged (\(walk.reason.reason)), but its records were found", tensors,
        file: file.path)
    }
    if walk.end < file.byteCount {
      return Truncation.error(
        .damaged, "is damaged: its directory is lost, and no record begins at \(walk.end), where one should",
        tensors,
        file: file.path)
    }
    let expected = walk.expectedByteCount.map { " of \(Format.count($0))" } ?? ""
    return Truncation.error(
      .truncated, "is cut short: it has \(Format.count(file.byteCount))\(expected) bytes", tensors,
      file: file.path)
  }

  /// Returns an archive's `data.pkl`, for the disassembler.
  static func pickle(_ file: ByteSource, limits: Limits) throws(DecantError) -> PickleStream {
    let archive: ZipArchive
    do throws(DecantError) { archive = try ZipArchive(file, limits: limits) } catch {
      archive = try ZipSalvage.required(for: file, after: error, limits: limits).archive
    }
    if let stream = try self.pickle(archive) { return stream }
    if let renamed = archive.replacingBackslashes(), let stream = try self.pickle(renamed) { return stream }
    throw notTorch(archive)
  }

  /// Returns an archive's `data.pkl`, for the disassembler; nil when it has none.
  static func pickle(_ archive: ZipArchive) throws(DecantError) -> PickleStream? {
    guard let pickle = archive.entry(try prefix(of: archive) + "data.pkl") else { return nil }
    let (bytes, _, own) = try archive.pickle(pickle)
    return PickleStream(title: "data.pkl", bytes: bytes, maxValueCount: own.pickleValues)
  }

  /// Returns the folder that holds the checkpoint, with a trailing slash. It is the folder of the first entry, as in
  /// PyTorch, or else that of the only `data.pkl` (`model.json` before PyTorch 1.4).
  private static func prefix(of archive: ZipArchive) throws(DecantError) -> String {
    let first = archive.entries.first { !$0.name.hasPrefix("__MACOSX/") }
    for record in ["data.pkl", "model.json"] {
      if let first, let slash = first.name.utf8.firstIndex(of: UInt8(ascii: "/")) {
        let prefix = String(first.name[...slash])
        if archive.entry(prefix + record) != nil { return prefix }
      }
      let found = archive.entries.filter {
        ($0.name == record || $0.name.hasSuffix("/" + record)) && !ZipContainer.isPackagerFile($0)
      }
      let shallow = found.filter { $0.name.utf8.count { $0 == UInt8(ascii: "/") } <= 1 }
      let candidates = shallow.isEmpty ? found : shallow
      guard candidates.count <= 1 else {
        throw DecantError(
          .unsupportedFormat,
          "\(candidates.count) folders hold a \(record): \(candidates.prefix(8).map(\.name.escapedForDisplay).joined(separator: ", "))",
          file: archive.file.path, remedy: "Unzip the archive and zip each folder by itself.")
      }
      if let only = candidates.first { return String(only.name.dropLast(record.count)) }
    }
    return ""
  }

  static func notTorch(_ archive: ZipArchive) -> DecantError {
    if let unsupported = UnsupportedFile(archive: archive.entries.map(\.name)) {
      return unsupported.error(file: archive.file.path)
    }
    let names = archive.entries.prefix(3).map(\.name.escapedForDisplay).joined(separator: ", ")
    return DecantError(
      .notACheckpoint,
      archive.entries.isEmpty
        ? "is an empty zip archive"
        : "is a zip archive without a data.pkl, so it is not a PyTorch checkpoint (it holds \(names)…)",
      file: archive.file.path,
      remedy: "If it contains a checkpoint, unzip it and pass that file.")
  }

  /// Returns the program that wrote an archive, as far as its records show.
  private static func writer(_ archive: ZipArchive, _ prefix: String) -> String {
    if isDecants(archive, prefix) { return "decant, as PyTorch 2.7 or later writes" }
    if archive.entry(prefix + ".storage_alignment") != nil { return "PyTorch 2.7 or later" }
    if archive.entry(prefix + ".format_version") != nil { return "PyTorch 2.6 or later" }
    if archive.entry(prefix + ".data/serialization_id") != nil { return "PyTorch 2.1 or later" }
    if archive.entry(prefix + "byteorder") != nil { return "PyTorch 2.1 or later" }
    return "PyTorch 1.4 or later"
  }
}

extension TorchZip {
  /// Returns true when an archive's serialization ID is the one that ``TorchSerializationID`` computes from its checksums.
  private static func isDecants(_ archive: ZipArchive, _ prefix: String) -> Bool {
    let name = prefix + TorchSerializationID.entryName
    var ignored: [DecantError] = []
    guard let entry = archive.entry(name), archive.recordsChecksum(of: entry), entry.byteCount == 40,
      let id = try? archive.text(name, &ignored)
    else { return false }
    let checksums = archive.entries.prefix { $0.index != entry.index }.map(\.crc32)
    return id.hasSuffix(TorchSerializationID.digits(of: checksums))
  }
}

/// The storages in the records of an archive. Each is created once.
final class ZipStorages: Sendable {
  private let archive: ZipArchive
  private let salvage: ZipSalvage?
  private let folder: String
  /// The suffix of a record's name after the storage's key.
  private let suffix: String
  private let byteOrder: Storage.ByteOrder
  /// The storages by the index of their record in the archive.
  private let storages: Mutex<[Storage?]>

  init(
    archive: ZipArchive, salvage: ZipSalvage? = nil, folder: String, byteOrder: Storage.ByteOrder,
    suffix: String = ""
  ) {
    self.archive = archive
    self.salvage = salvage
    self.suffix = suffix
    self.folder = folder
    self.byteOrder = byteOrder
    storages = Mutex([Storage?](repeating: nil, count: archive.entries.count))
  }

  func storage(_ reference: StorageReference) throws(DecantError) -> Storage {
    guard reference.view == nil else {
      throw DecantError(
        .damaged,
        "storage \(reference.key.escapedForDisplay) has a view, which PyTorch's zip files cannot hold",
        remedy: "The file is damaged or malicious.")
    }
    if reference.location == "meta" {
      return Storage(key: reference.key, location: "meta", byteCount: reference.byteCount, content: nil)
    }
    let name = folder + reference.key + suffix
    guard let entry = archive.entry(name) else {
      if let salvage, !salvage.reachesDirectory {
        return Storage(
          key: reference.key, location: reference.location, byteOrder: byteOrder,
          byteCount: reference.byteCount, content: try cutOff(reference, name, salvage), entry: name)
      }
      guard !archive.isUnzipped else {
        throw DecantError(
          .partMissing, "the file of storage \(reference.key.escapedForDisplay) is missing", entry: name,
          remedy: "Unzip the checkpoint again, or pass the archive itself.")
      }
      throw DecantError(
        .damaged, "the archive has no entry for storage \(reference.key.escapedForDisplay)", entry: name,
        remedy: "The file is incomplete. Download it again.")
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
      throw DecantError(
        .damaged,
        "the pickle says storage \(reference.key.escapedForDisplay) has \(Format.count(reference.byteCount, "byte")), but its record has "
          + "\(storage.byteCount)", entry: name, remedy: "The file is damaged. Download it again.")
    }
    return storage
  }

  /// Returns the part of a storage that precedes the end of a truncated file.
  private func cutOff(
    _ reference: StorageReference, _ name: String, _ walk: ZipSalvage
  ) throws(DecantError) -> PartialContent {
    let reason = DecantError(
      .truncated, "the file ends before the data does", file: archive.file.path, entry: name,
      remedy: "Download the file again.")
    let cut = walk.cut[ExactText(name)]?.available
    let available = try ByteRange(
      cut?.source ?? archive.file, offset: 0, byteCount: min(cut?.byteCount ?? 0, reference.byteCount))
    return PartialContent(byteCount: reference.byteCount, available: available, reason)
  }
}
