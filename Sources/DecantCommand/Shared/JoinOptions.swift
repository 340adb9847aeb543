internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints

/// The option to join the files of all ranks of one run, of every command that reads a checkpoint.
struct JoinOptions: ParsableArguments {
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Join the files of all ranks of one run",
      discussion: "Takes several files, in any order, instead of one checkpoint.", valueName: "file…"),
    completion: .file())
  var join: [String] = []

  /// Returns the checkpoint that the command line names: a path, or the files to join.
  ///
  /// - Throws: `ValidationError` when there is neither, or both.
  func source(_ file: String?) throws -> CheckpointSource {
    guard let file else {
      guard !join.isEmpty else { throw ValidationError("Missing expected argument '<file>'") }
      return CheckpointSource(paths: join, isJoined: true)
    }
    guard join.isEmpty else {
      throw ValidationError(
        "Use one checkpoint or --join, not both: '\(file.escapedForDisplay)' is not joined.")
    }
    return CheckpointSource(paths: [file], isJoined: false)
  }
}

/// The checkpoint of a command: one path, or the files of several ranks.
struct CheckpointSource {
  let paths: [String]
  let isJoined: Bool
  /// The result of opening the path, for a folder that `--recursive` came by; else nil.
  private var opened: Result<Checkpoint, DecantError>?

  init(paths: [String], isJoined: Bool) {
    self.paths = paths
    self.isJoined = isJoined
  }

  init(_ entry: CheckpointTree.Entry) {
    self.init(paths: [entry.path], isJoined: false)
    opened = entry.opened
  }

  /// The path that messages show: that of the first file.
  var path: String { paths.first ?? "" }

  /// Opens the checkpoint.
  func open(_ opening: OpeningOptions) throws(DecantError) -> Checkpoint {
    if let opened { return try opened.get() }
    return isJoined
      ? try Checkpoint(joining: paths, limits: opening.limits, password: try opening.password())
      : try Checkpoint(path: path, limits: opening.limits, password: try opening.password())
  }
}
