internal import DecantBytes
internal import DecantIO

/// A torch zip that was unzipped into a folder: `data.pkl`, and the storages in `data/`.
enum UnzippedArchive {
  /// The number of folders that may lie between the named folder and the one with `data.pkl`.
  private static let maxDepth = 3

  /// Reads the checkpoint in a folder, or in the only folder inside it that holds one.
  ///
  /// - Returns: nil when the folder is not an unzipped archive.
  static func open(_ folder: CheckpointFolder, limits: Limits) throws(DecantError) -> (
    Checkpoint.Parts, [InputFile]
  )? {
    guard let archive = try archive(in: folder, limits: limits) else { return nil }
    return (try ZipContainer.open(archive, limits: limits, nesting: 0), [])
  }

  /// Reads the checkpoint that a `data.pkl` belongs to.
  ///
  /// - Returns: nil when the path has another name, or no folder of storages lies next to it.
  static func open(pickle path: String, limits: Limits) throws(DecantError) -> (
    Checkpoint.Parts, [InputFile]
  )? {
    guard path.hasSuffix("data.pkl"), let (folder, name) = try CheckpointFolder.containing(path),
      isPickle(name), let archive = try directArchive(in: folder, limits: limits)
    else { return nil }
    return (try ZipContainer.open(archive, limits: limits, nesting: 0), [])
  }

  /// Returns the `data.pkl` of a folder that is an unzipped archive, for the disassembler; nil for other folders.
  static func pickle(_ folder: CheckpointFolder, limits: Limits) throws(DecantError) -> PickleStream? {
    guard let archive = try archive(in: folder, limits: limits) else { return nil }
    return try TorchZip.pickle(archive)
  }

  private static func archive(
    in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> ZipArchive? {
    var folder = folder
    for _ in 0...maxDepth {
      if let archive = try directArchive(in: folder, limits: limits) { return archive }
      var holders: [CheckpointFolder] = []
      var folders: [CheckpointFolder] = []
      for name in try folder.folderNames(limit: limits.paths) where name != "__MACOSX" && !name.hasPrefix(".")
      {
        guard let inner = try CheckpointFolder(folder.path(of: name)) else { continue }
        folders.append(inner)
        if try isArchive(inner, limits) { holders.append(inner) }
      }
      // With a checkpoint file next to it, the folder is one of several things that may have been meant.
      let files = try folder.names(limit: limits.paths).filter { !$0.hasPrefix(".") }
      guard !files.contains(where: Checkpoint.hasUsualEnding) else { return nil }
      let wrapped = folders.count == 1 && files.isEmpty ? folders[0] : nil
      guard let only = holders.count == 1 ? holders[0] : wrapped else { return nil }
      folder = only
    }
    return nil
  }

  /// Returns the archive that was unzipped into exactly this folder.
  private static func directArchive(
    in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> ZipArchive? {
    guard try isArchive(folder, limits) else { return nil }
    return ZipArchive(
      unzippedInto: folder, try folder.filesBelow(limit: limits.zipEntries), limits: limits)
  }

  /// Returns true for a folder with a `data.pkl` and a record or a folder that torch.save writes next to it.
  private static func isArchive(_ folder: CheckpointFolder, _ limits: Limits) throws(DecantError) -> Bool {
    let names = try folder.names(limit: limits.paths)
    guard let pickle = names.first(where: isPickle) else { return false }
    let prefix = pickle.dropLast("data.pkl".count)
    let records = ["version", "byteorder", ".format_version", "constants.pkl"]
    let hasRecord = names.contains { name in
      records.contains { name == prefix + $0 } || !prefix.isEmpty && name.hasPrefix(prefix + "data\\")
    }
    if hasRecord { return true }
    return try folder.folderNames(limit: limits.paths).contains("data")
  }

  /// Returns true for the name `data.pkl`, also behind a folder's name and a backslash.
  private static func isPickle(_ name: String) -> Bool { name == "data.pkl" || name.hasSuffix("\\data.pkl") }
}
