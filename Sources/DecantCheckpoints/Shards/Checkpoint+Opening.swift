package import DecantBytes
internal import DecantFormats
package import DecantIO

extension Checkpoint {
  /// Opens a path: a file of any container, an index with its shards, or a folder that is one checkpoint.
  ///
  /// - Returns: the contents, and every file that they are read from.
  package static func open(
    path: String, limits: Limits, password: String? = nil
  ) throws(DecantError) -> (Parts, [InputFile]) {
    if let folder = try CheckpointFolder(path, password: password) { return try open(folder, limits) }
    if let unzipped = try UnzippedArchive.open(pickle: path, limits: limits) { return unzipped }
    try refuseDistributedPiece(path)
    let file = try InputFile(path, password: password)
    let source = ByteSource(file)
    if isModel(try source.head(), source),
      let (folder, _) = try CheckpointFolder.containing(path, password: password)
    {
      let (parts, others) = try model(source, in: folder, limits: limits, nesting: 0)
      return (parts, [file] + others)
    }
    if DistributedMetadata.recognises(try source.head()),
      let (folder, _) = try CheckpointFolder.containing(path, password: password)
    {
      return try DistributedCheckpoint.open([file], in: folder, limits: limits)
    }
    if let index = try ShardedCheckpoint.Index(source, limits: limits),
      let (folder, _) = try CheckpointFolder.containing(path, password: password)
    {
      return try ShardedCheckpoint.open(index, file, in: folder, limits: limits)
    }
    var parts = try parts(of: source, limits: limits)
    if let warning = shardsWarning(beside: path) ?? shardWarning(path) { parts.warnings.append(warning) }
    return (parts, [file])
  }

  /// Returns a warning when the index of shards of the same name is next to a file; else nil.
  private static func shardsWarning(beside path: String) -> String? {
    guard path.hasSuffix(".safetensors") || path.hasSuffix(".bin"),
      let (folder, name) = try? CheckpointFolder.containing(path)
    else { return nil }
    let index = ShardFamily(single: name).index
    guard (try? folder.find(index)) != nil else { return nil }
    return
      "\(index.escapedForDisplay) in the same folder lists shards of the same name, which were not read: one of the two is perhaps of an earlier conversion"
  }

  /// Returns a warning when a file's name says that it is one of several shards; else nil.
  private static func shardWarning(_ path: String) -> String? {
    guard let name = path.split(separator: "/").last.map(String.init), let shard = ShardFamily.shard(name),
      shard.count > 1
    else { return nil }
    return
      "the file is shard \(shard.number) of \(shard.count), and holds only its own tensors; pass the folder to read all shards"
  }

  /// Throws for a data file of `torch.distributed.checkpoint`, whose tensors have their names in the folder's metadata.
  private static func refuseDistributedPiece(_ path: String) throws(DecantError) {
    guard path.hasSuffix(".distcp"), let (folder, _) = try? CheckpointFolder.containing(path),
      let names = try? folder.names(limit: 100_000),
      names.contains(where: { $0 == ".metadata" || rank(ofMetadata: $0) != nil })
    else { return }
    throw DecantError(
      .partialCheckpoint,
      "is a piece of a checkpoint of torch.distributed.checkpoint: its tensors have names and places in the folder's metadata",
      file: path, remedy: "decant inspect \(folder.path.shellWord) lists all of them. Pass that folder.")
  }

  /// Returns true for a model whose weights may be in other files of its folder.
  private static func isModel(_ head: [UInt8], _ file: ByteSource) -> Bool {
    // Both begin with a version in field 1.
    guard head.first == 0x08 else { return false }
    switch FileKind(head, fileByteCount: file.byteCount) {
    case .onnx, .coreML: return true
    default: return false
    }
  }

  /// Reads an ONNX or Core ML model, or the zip archive that its bytes precede.
  ///
  /// - Parameter folder: the model's folder; nil when other files cannot be opened.
  /// - Returns: the contents, and the other files that hold weights.
  static func model(
    _ source: ByteSource, in folder: CheckpointFolder?, limits: Limits, nesting: Int
  ) throws(DecantError) -> (Parts, [InputFile]) {
    if let parts = try ZipContainer.openIfAny(behindOtherBytes: source, limits: limits, nesting: nesting) {
      return (parts, [])
    }
    if case .onnx = FileKind(try source.head(), fileByteCount: source.byteCount) {
      return try ONNXReader.open(source, in: folder, limits: limits)
    }
    return try CoreMLReader.open(
      source, CompanionFiles(folder: folder, model: source.path), limits: limits)
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
    if let package = try CoreMLPackage.open(folder, names, limits: limits) { return package }
    let indices = names.filter { $0.hasSuffix(".index.json") }
    if let joined = try openDeepSpeed(folder, names, limits) { return joined }
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
    if indices.isEmpty, let joined = try RankFiles.open(folder, names, limits: limits) { return joined }
    if indices.isEmpty, let shards = ShardFamily.complete(names.filter(hasUsualEnding)),
      let joined = try ShardedCheckpoint.open(shards: shards, in: folder, limits: limits)
    {
      return joined
    }
    if let arrays = try NpyFolder.open(folder, names, limits: limits) { return arrays }
    throw nothingToOpen(folder, names, try folder.folderNames(limit: limits.paths), indices)
  }

  /// Opens a folder that DeepSpeed wrote: the folder of one step, or the one above it, whose file `latest` names the
  /// step. Nil for other folders.
  ///
  /// - Throws: ``DecantError`` when files are missing, and when a whole checkpoint is beside the step's folder.
  private static func openDeepSpeed(
    _ folder: CheckpointFolder, _ names: [String], _ limits: Limits
  ) throws(DecantError) -> (Parts, [InputFile])? {
    if names.contains(where: DeepSpeedFileNames.isName) {
      return try openDeepSpeedStep(folder, names, limits)
    }
    guard names.contains("latest") else { return nil }
    let latest = ByteSource(try folder.file("latest"))
    guard latest.byteCount <= 4096 else { return nil }
    let bytes = try latest.bytes(at: 0, count: latest.byteCount)
    let tag = String(decoding: bytes, as: UTF8.self)
    let words = tag.split(whereSeparator: \.isWhitespace)
    guard words.count == 1, tag.utf8.elementsEqual(bytes) else { return nil }
    let step = String(words[0])
    guard let inner = try folder.folder(step) else {
      throw DecantError(
        .partMissing, "names the folder \(step.escapedForDisplay), which does not exist",
        file: folder.path(of: "latest"), remedy: "The checkpoint is incomplete. Download that folder.")
    }
    let files = try inner.names(limit: limits.paths)
    guard files.contains(where: DeepSpeedFileNames.isName) else { return nil }
    let (whole, unreadable) = try RankFiles.wholeCheckpoint(among: names, in: folder, limits)
    if let whole {
      throw DecantError(
        .notAFile,
        "is a folder with pieces (\(step.escapedForDisplay), of DeepSpeed) and a whole checkpoint (\(whole.escapedForDisplay))",
        file: folder.path,
        remedy:
          "Pass one of them: \(folder.path(of: step).escapedForDisplay) or \(folder.path(of: whole).escapedForDisplay)"
      )
    }
    var (parts, opened) = try openDeepSpeedStep(inner, files, limits)
    parts.warnings += unreadable
    return (parts, opened)
  }

  private static func openDeepSpeedStep(
    _ folder: CheckpointFolder, _ names: [String], _ limits: Limits
  ) throws(DecantError) -> (Parts, [InputFile]) {
    var files: [(name: String, file: InputFile)] = []
    for name in names where DeepSpeedFileNames.isName(name) { files.append((name, try folder.file(name))) }
    return try DeepSpeedCheckpoint.open(files, in: folder.path, limits: limits)
  }

  /// Opens the files of all ranks of one run.
  static func join(
    paths: [String], limits: Limits, password: String?
  ) throws(DecantError) -> (Parts, [InputFile]) {
    guard !paths.isEmpty else {
      throw DecantError(.invalidArgument, "no files to join", remedy: "Pass the file of each rank.")
    }
    var files: [InputFile] = []
    for path in paths { files.append(try InputFile(path, password: password)) }
    let names = paths.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    if names.contains(where: DeepSpeedFileNames.isName) {
      if let other = names.indices.first(where: { !DeepSpeedFileNames.isName(names[$0]) }) {
        throw DecantError(
          .invalidArgument, "is not a file of the DeepSpeed checkpoint of the other files",
          file: paths[other],
          remedy: "Leave it out.")
      }
      return try DeepSpeedCheckpoint.open(
        zip(names, files).map { (name: $0, file: $1) }, in: paths[0], limits: limits)
    }
    let (folder, _) = try CheckpointFolder.containing(paths[0], password: password) ?? (nil, "")
    if let folder, zip(paths, names).allSatisfy({ $0 == folder.path(of: $1) }),
      let shards = ShardFamily.complete(names),
      let joined = try ShardedCheckpoint.open(shards: shards, in: folder, limits: limits)
    {
      return joined
    }
    return try RankJoin.open(files, limits: limits)
  }

  /// Returns the rank in the name of one rank's metadata, such as 3 for `__3.metadata`; nil for other names.
  private static func rank(ofMetadata name: String) -> Int? {
    guard name.hasPrefix("__"), name.hasSuffix(".metadata") else { return nil }
    let digits = name.dropFirst(2).dropLast(".metadata".count)
    return digits.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int(digits) : nil
  }

  /// Returns true when a file's name ends as those of checkpoints do.
  static func hasUsualEnding(_ name: String) -> Bool { usualEndings.contains { name.hasSuffix($0) } }

  /// Returns a name without the ending that names of checkpoints have; the whole name when there is no other part.
  package static func stem(of name: String) -> String {
    let lowercased = name.lowercased()
    guard let ending = (longEndings + usualEndings).first(where: { lowercased.hasSuffix($0) }),
      name.utf8.count > ending.utf8.count
    else { return name }
    return String(decoding: name.utf8.dropLast(ending.utf8.count), as: UTF8.self)
  }

  private static let usualEndings = [
    ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".th", ".pkl", ".npz", ".npy", ".gguf", ".ptl", ".tar",
    ".onnx", ".mlmodel",
  ]
  /// Endings of which a usual one is a part, and those of other files and folders that are one checkpoint.
  private static let longEndings = [
    ".safetensors.index.json", ".bin.index.json", ".pth.tar", ".mlpackage", ".pt2",
  ]

  private static func nothingToOpen(
    _ folder: CheckpointFolder, _ names: [String], _ folders: [String], _ indices: [String]
  ) -> DecantError {
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
    let others = names.filter { !hasUsualEnding($0) && !$0.hasPrefix(".") } + folders
    if let first = checkpoints.first, checkpoints.allSatisfy({ $0.hasSuffix(".npy") }), !others.isEmpty {
      return DecantError(
        .notAFile,
        "is a folder of .npy files and of others (\(list(others))), so it is not one checkpoint",
        file: folder.path,
        remedy:
          "Move the others to another folder, or name one file: \(folder.path(of: first).escapedForDisplay)"
      )
    }
    if let first = checkpoints.first {
      return DecantError(
        .notAFile, "is a folder without an index or .metadata; it holds \(list(checkpoints))",
        file: folder.path,
        remedy:
          "Name \(checkpoints.count == 1 ? "the file" : "one of them"): \(folder.path(of: first).escapedForDisplay)"
      )
    }
    if let first = folders.first, names.allSatisfy({ $0.hasPrefix(".") }) {
      return DecantError(
        .notAFile, "is a folder of folders, and not one checkpoint; it holds \(list(folders))",
        file: folder.path, remedy: "Name one of them: \(folder.path(of: first).escapedForDisplay)")
    }
    return DecantError(
      .notACheckpoint,
      names.isEmpty
        ? "is a folder without files" : "is a folder without a checkpoint; it holds \(list(names))",
      file: folder.path,
      remedy: "Pass a checkpoint file, an index.json of shards, or a folder with a .metadata.")
  }
}
