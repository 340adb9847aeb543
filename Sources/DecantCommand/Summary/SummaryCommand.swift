internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO

/// The command `decant FILE…`, which has no name of its own.
struct SummaryCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "summary",
    abstract: "Summarise a checkpoint in 20 lines, or several in one line each.",
    usage: "decant <file> ... [--json]",
    shouldDisplay: false)

  @Argument(help: "The checkpoints.") var files: [String]
  @OptionGroup var opening: OpeningOptions
  @Flag(help: "Print JSON, schema 1; for several files, one document a line.") var json = false
  @OptionGroup var presentation: PresentationOptions

  /// Returns true when a word of the command line names a file rather than a command: a path that exists, or a word that
  /// looks like one.
  static func isFile(_ word: String) -> Bool {
    word == StandardInput.path || word.contains { $0 == "." || $0 == "/" } || FileTree.exists(word)
  }

  /// Returns true when all words but the options are files. `--color` has a value, which is none.
  static func accepts(_ words: [String]) -> Bool {
    var rest = words[...]
    var hasFile = false
    while let word = rest.popFirst() {
      if word == "--" { return !rest.isEmpty }
      if word.hasPrefix("-"), word != StandardInput.path {
        if ["--color", "--limit", "--password-file"].contains(word) { _ = rest.popFirst() }
      } else if isFile(word) {
        hasFile = true
      } else {
        return hasFile
      }
    }
    return hasFile
  }

  func run() throws {
    if let file = files.first, files.count == 1 {
      let summary = try FileSummary(path: file, opening)
      if json {
        StandardStreams.document(summary.json)
      } else {
        FileSummaryReport(summary: summary).print()
        warn(summary)
      }
      return
    }
    var summaries: [FileSummary] = []
    var errors: [DecantError] = []
    for file in files {
      if json { StandardStreams.beginAnswer(on: file, isJSON: true) }
      do throws(DecantError) {
        let summary = try FileSummary(path: file, opening)
        if json { StandardStreams.document(summary.json) }
        summaries.append(summary)
      } catch {
        if json { StandardStreams.document(error.jsonDocument) }
        errors.append(error)
      }
      if json { StandardStreams.endAnswer() }
    }
    if !json {
      FileSummaryReport.print(summaries)
      for summary in summaries { warn(summary) }
    }
    for error in errors { StandardStreams.error(error.commandText) }
    if !errors.isEmpty { throw ExitStatus.wrong }
  }

  /// Prints the warnings about a file, with its name when there are several.
  private func warn(_ summary: FileSummary) {
    let name = files.count > 1 ? "\(summary.checkpoint.path.escapedForDisplay): " : ""
    for warning in summary.warnings { StandardStreams.warning(name + warning) }
  }
}
