package import DecantBytes
package import DecantIO

extension Checkpoint {
  /// Opens a path: a file of any container, an index with its shards, or a folder that holds a checkpoint.
  ///
  /// - Returns: the contents, and every file that they are read from.
  package static func open(
    path: String, limits: Limits, password: String? = nil
  ) throws(DecantError) -> (Parts, [InputFile]) {
    if let folder = try CheckpointFolder(path) { return try open(folder, limits) }
    if let unzipped = try UnzippedArchive.open(pickle: path, limits: limits) { return unzipped }
    let file = try InputFile(path)
    let source = ByteSource(file, password: password)
    if DistributedMetadata.recognises(try source.head()),
      let (folder, _) = try CheckpointFolder.containing(path)
    {
      return try DistributedCheckpoint.open([file], in: folder, limits: limits)
    }
    if let index = try ShardedCheckpoint.Index(source, limits: limits),
      let (folder, _) = try CheckpointFolder.containing(path)
    {
      return try ShardedCheckpoint.open(index, file, in: folder, limits: limits)
    }
    return (try parts(of: source, limits: limits), [file])
  }

  private static func open(_ folder: CheckpointFolder, _ limits: Limits) throws(DecantError) -> (
    Parts, [InputFile]
  ) {
    let names = try folder.names(limit: limits.paths)
    if names.contains(".metadata") {
      let file = try folder.file(".metadata")
      if DistributedMetadata.recognises(try ByteSource(file).head()) {
        return try DistributedCheckpoint.open([file], in: folder, limits: limits)
      }
    }
    let ranks = names.compactMap { name in rank(ofMetadata: name).map { (rank: $0, name: name) } }
    if !ranks.isEmpty {
      var files: [InputFile] = []
      for (_, name) in ranks.sorted(by: { $0.rank < $1.rank }) { files.append(try folder.file(name)) }
      return try DistributedCheckpoint.open(files, in: folder, limits: limits)
    }
    let indices = names.filter { $0.hasSuffix(".index.json") }
    if indices.count == 1 {
      let file = try folder.file(indices[0])
      guard let index = try ShardedCheckpoint.Index(ByteSource(file), limits: limits) else {
        throw DecantError(
          .notACheckpoint, "is JSON without a weight_map, so it is not an index of shards",
          file: file.path,
          remedy: "Pass the file with the weights.")
      }
      return try ShardedCheckpoint.open(index, file, in: folder, limits: limits)
    }
    let shards = names.filter { $0.hasPrefix("shard-") && $0.hasSuffix(".safetensors") }
    if indices.isEmpty, !shards.isEmpty {
      return try DistributedSafetensors.open(shards, in: folder, limits: limits)
    }
    if let unzipped = try UnzippedArchive.open(folder, limits: limits) { return unzipped }
    throw nothingToOpen(folder, names, indices)
  }

  /// Returns the rank in the name of one rank's metadata, such as 3 for `__3.metadata`; nil for other names.
  private static func rank(ofMetadata name: String) -> Int? {
    guard name.hasPrefix("__"), name.hasSuffix(".metadata") else { return nil }
    let digits = name.dropFirst(2).dropLast(".metadata".count)
    return digits.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int(digits) : nil
  }

  /// Returns true when a file's name ends as those of checkpoints do.
  static func hasUsualEnding(_ name: String) -> Bool {
    let endings = [
      ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".th", ".pkl", ".npz", ".npy", ".gguf", ".ptl", ".tar",
    ]
    return endings.contains { name.hasSuffix($0) }
  }

  private static func nothingToOpen(_ folder: CheckpointFolder, _ names: [String], _ indices: [String])
    -> DecantError
  {
    func list(_ names: [String]) -> String {
      names.prefix(8).map(\.escapedForDisplay).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
    }
    if indices.count > 1 {
      return DecantError(
        .notAFile, "is a folder with \(indices.count) indices of shards: \(list(indices))",
        file: folder.path,
        remedy: "Pass the one to read: \(folder.path(of: indices[0]).escapedForDisplay)")
    }
    let checkpoints = names.filter(hasUsualEnding)
    if let first = checkpoints.first {
      return DecantError(
        .notAFile, "is a folder without an index or .metadata; it holds \(list(checkpoints))",
        file: folder.path,
        remedy:
          "Name \(checkpoints.count == 1 ? "the file" : "one of them"): \(folder.path(of: first).escapedForDisplay)"
      )
    }
    return DecantError(
      .notACheckpoint,
      names.isEmpty
        ? "is a folder without files" : "is a folder without a checkpoint; it holds \(list(names))",
      file: folder.path,
      remedy: "Pass a checkpoint file, an index.json of shards, or a folder with a .metadata.")
  }
}
