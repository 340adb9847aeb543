internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantIO

/// The conversion `decant convert SRC DST/ -r`: every checkpoint below a folder, to the same relative path below another.
struct TreeConversion {
  /// A checkpoint, or a file that may be none, and the path of its output below the target folder.
  struct Item {
    let source: CheckpointSource
    let target: String
  }

  private let items: [Item]
  private let errors: [DecantError]
  private let root: String
  private let format: OutputFormat
  private let mirror: MirrorFolder

  /// Finds the checkpoints, and names their outputs. Nothing is written.
  ///
  /// - Throws: ``DecantError`` when two outputs would have one name, and when the target folder contains the source or
  ///   is inside it.
  init(
    from root: String, to target: String, as format: OutputFormat, limits: Limits, password: String?
  ) throws(DecantError) {
    self.root = root
    self.format = format
    var tree = CheckpointTree(root, limits: limits, password: password)
    var paths: [String] = []
    // A folder is opened again when it is converted, so that the number of open files stays small.
    while let entry = tree.next() { paths.append(entry.path) }
    let isTree = paths != [root]
    mirror = try MirrorFolder(target, of: isTree ? root : nil)
    var items: [Item] = []
    for path in paths {
      let name = isTree ? Self.relative(path, to: root) : MirrorFolder.name(of: root)
      items.append(
        Item(
          source: CheckpointSource(paths: [path], isJoined: false),
          target: Checkpoint.stem(of: name) + format.usualExtension))
    }
    self.items = items
    errors = tree.errors
    try requireDistinctTargets { path in
      do throws(DecantError) { _ = try Checkpoint(path: path, limits: limits, password: password) } catch {
        return error.code != .notACheckpoint
      }
      return true
    }
    try requireUnreadTargets()
  }

  /// Converts each checkpoint. When one fails, the others go on.
  ///
  /// - Parameter convert: converts a checkpoint to a path.
  /// - Throws: as ``TreeAnswers/finish(with:)``.
  func run(json: Bool, _ convert: (CheckpointSource, String) throws -> Void) throws {
    var answers = TreeAnswers(root: root, json: json)
    for item in items {
      try answers.append(for: item.source) { source in
        try mirror.withFolders(above: item.target) { try convert(source, $0) }
      }
    }
    try answers.finish(with: errors)
  }

  private static func relative(_ path: String, to root: String) -> String {
    guard root != "." else { return path }
    return String(
      decoding: path.utf8.dropFirst(root.utf8.count).drop { $0 == UInt8(ascii: "/") }, as: UTF8.self)
  }

  /// Throws when an output would replace another, or be a file where another needs a folder. Files that are no checkpoints
  /// have no output.
  private func requireDistinctTargets(isCheckpoint: (String) -> Bool) throws(DecantError) {
    var sources = [ExactText: String](minimumCapacity: items.count)
    for item in items {
      let path = item.source.path
      guard let other = sources[ExactText(item.target)] else {
        sources[ExactText(item.target)] = path
        continue
      }
      guard isCheckpoint(path) else { continue }
      guard !isCheckpoint(other) else { throw clash(other, path, item.target) }
      sources[ExactText(item.target)] = path
    }
    for item in items {
      var folder = item.target
      while folder.utf8.contains(UInt8(ascii: "/")) {
        folder = AtomicOutput.folder(of: folder)
        guard let other = sources[ExactText(folder)], isCheckpoint(other), isCheckpoint(item.source.path)
        else { continue }
        throw clash(other, item.source.path, folder)
      }
    }
  }

  /// Throws when an output would replace a file that a link below the source leads to.
  private func requireUnreadTargets() throws(DecantError) {
    var sources: [FileIdentity: String] = [:]
    for item in items { FileIdentity(path: item.source.path).map { sources[$0] = item.source.path } }
    for item in items {
      let target = mirror.path(of: item.target)
      guard let source = FileIdentity(path: target).flatMap({ sources[$0] }) else { continue }
      throw DecantError(
        .invalidArgument,
        "is a file to read: \(source.escapedForDisplay) leads to it, so nothing was written",
        file: target, remedy: "Choose another name.")
    }
  }

  private func clash(_ first: String, _ second: String, _ target: String) -> DecantError {
    DecantError(
      .duplicateName,
      "\(first.escapedForDisplay) and \(second.escapedForDisplay) would have the same output, so nothing was written",
      file: mirror.path(of: target),
      remedy:
        "decant convert \(second.shellWord) OUT\(format == .npyFolder ? "/" : format.usualExtension) writes one of them alone."
    )
  }
}
