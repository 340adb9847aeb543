internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints

/// The option to answer for every checkpoint below a folder.
struct RecursionOptions: ParsableArguments {
  @Flag(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Answer for each checkpoint below a folder", discussion: "With --json, prints one line for each."))
  var recursive = false
}

/// A command that answers for one checkpoint or, with `--recursive`, for each one below a folder.
protocol CheckpointCommand: ParsableCommand, PresentedCommand {
  var file: String? { get }
  var recursion: RecursionOptions { get }
  var joining: JoinOptions { get }
  var opening: OpeningOptions { get }

  /// Answers for the one checkpoint.
  func answer(for source: CheckpointSource) throws
}

extension CheckpointCommand {
  func run() throws { try answerForEach() }

  /// Answers for the one checkpoint or, with `--recursive`, for each one below the folder.
  func answerForEach() throws {
    guard recursion.recursive else { return try answer(for: joining.source(file)) }
    guard let file else { throw ValidationError("Use --recursive with a folder.") }
    var tree = CheckpointTree(file, limits: opening.limits, password: try opening.password())
    var answers = TreeAnswers(root: file, json: json)
    while let entry = tree.next() {
      if entry.path == file { return try answer(for: CheckpointSource(entry)) }
      try answers.append(for: CheckpointSource(entry), answer)
    }
    try answers.finish(with: tree.errors)
  }
}

/// The answers of a command with `--recursive`, printed one after the other.
struct TreeAnswers {
  /// The folder that the command line names.
  let root: String
  let json: Bool
  private var worst: ExitStatus?
  private var count = 0
  /// The files that are not checkpoints.
  private var others: [String] = []
  private static let mostNamed = 8

  init(root: String, json: Bool) {
    self.root = root
    self.json = json
  }

  /// Prints the answer for one file or folder, or the error, and keeps the worst exit code. An interruption is rethrown.
  mutating func append(for source: CheckpointSource, _ answer: (CheckpointSource) throws -> Void) throws {
    count += 1
    StandardStreams.beginAnswer(on: source.path, isJSON: json)
    do { try answer(source) } catch let status as ExitStatus { note(status) } catch let error
      as any DecantErrorConvertible
    {
      let error = error.decantError
      if error.code == .notACheckpoint { others.append(source.path) } else { note(error.exitStatus) }
      if json {
        if !StandardStreams.hasDocument { StandardStreams.document(error.jsonDocument) }
      } else if error.code != .notACheckpoint {
        StandardStreams.dropNotes()
        StandardStreams.printNotes()
        StandardStreams.error(error.commandText)
      }
    }
    StandardStreams.endAnswer()
  }

  /// Prints the errors of paths that were not opened, and names the files that are not checkpoints.
  ///
  /// - Throws: the worst exit code, and ``DecantError`` when there was no checkpoint.
  mutating func finish(with errors: [DecantError]) throws {
    for error in errors {
      if json {
        StandardStreams.beginAnswer(on: root, isJSON: true)
        StandardStreams.document(error.jsonDocument)
        StandardStreams.endAnswer()
      }
      StandardStreams.error(error.commandText)
      note(.wrong)
    }
    if others.count == count, errors.isEmpty {
      throw DecantError(
        .notACheckpoint, "holds no checkpoint", file: root,
        remedy: "Pass a checkpoint file, an index.json of shards, or a folder with a .metadata."
      )
    }
    if !others.isEmpty {
      let list = others.prefix(Self.mostNamed).map(\.escapedForDisplay).joined(separator: ", ")
      StandardStreams.note(
        "\(Format.count(others.count, "file", ("is not a checkpoint", "are not checkpoints"))): \(list)\(others.count > Self.mostNamed ? ", …" : "")"
      )
    }
    if let worst { throw worst }
  }

  private mutating func note(_ status: ExitStatus) {
    if worst == nil || status == .wrong { worst = status }
  }
}
