internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints

/// The option to answer for every checkpoint below a folder.
struct RecursionOptions: ParsableArguments {
  @Flag(
    name: .shortAndLong,
    help: "Answer for each checkpoint below a folder; with --json, one line for each.")
  var recursive = false
}

/// A command that answers for one checkpoint or, with `--recursive`, for each one below a folder.
protocol CheckpointCommand: ParsableCommand, PresentedCommand {
  var file: String? { get set }
  var recursion: RecursionOptions { get }
  var opening: OpeningOptions { get }

  /// Answers for the one checkpoint.
  func answer() throws
}

extension CheckpointCommand {
  func run() throws {
    guard recursion.recursive else { return try answer() }
    guard let file else { throw ValidationError("Use --recursive with a folder.") }
    let found = CheckpointTree(file, limits: opening.limits, password: try opening.password())
    if found.paths == [file] { return try answer() }
    var worst: ExitStatus?
    func note(_ status: ExitStatus) {
      if worst == nil || status == .wrong { worst = status }
    }
    var others: [String] = []
    for path in found.paths {
      var one = self
      one.file = path
      StandardStreams.beginAnswer(on: path, isJSON: json)
      do { try one.answer() } catch let status as ExitStatus { note(status) } catch let error
        as any DecantErrorConvertible
      {
        let error = error.decantError
        if error.code == .notACheckpoint { others.append(path) } else { note(error.exitStatus) }
        if json {
          if !StandardStreams.hasDocument { StandardStreams.document(error.jsonDocument) }
        } else if error.code != .notACheckpoint {
          StandardStreams.error(error.commandText)
        }
      }
      StandardStreams.endAnswer()
    }
    for error in found.errors {
      if json {
        StandardStreams.beginAnswer(on: file, isJSON: true)
        StandardStreams.document(error.jsonDocument)
        StandardStreams.endAnswer()
      }
      StandardStreams.error(error.commandText)
      note(.wrong)
    }
    if others.count == found.paths.count, found.errors.isEmpty {
      throw DecantError(
        .notACheckpoint, "holds no checkpoint", file: file,
        remedy: "Pass a checkpoint file, an index.json of shards, or a folder with a .metadata."
      )
    }
    if !others.isEmpty {
      let list = others.prefix(8).map(\.escapedForDisplay).joined(separator: ", ")
      StandardStreams.note(
        "\(Format.count(others.count, "file", ("is not a checkpoint", "are not checkpoints"))): \(list)\(others.count > 8 ? ", …" : "")"
      )
    }
    if let worst { throw worst }
  }
}
