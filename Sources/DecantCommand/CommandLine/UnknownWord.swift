internal import ArgumentParser
internal import DecantBytes
internal import DecantIO

/// A word of the command line that names no command or option.
///
/// The parser reports a missing argument first. People want to know which word is wrong.
struct UnknownWord: Error {
  /// The message, with the nearest names.
  let message: String
  /// The command whose usage belongs to the message.
  let command: any ParsableCommand.Type

  /// Returns the first unknown option before `--`; nil when all are known.
  static func option(in arguments: some Sequence<String>, of command: any ParsableCommand.Type) -> Self? {
    let description = CommandDescription(command)
    let names = description.optionNames
    var isValue = false
    for word in arguments {
      if word == "--" { return nil }
      if isValue {
        isValue = false
        continue
      }
      let name = word.split(separator: "=", maxSplits: 1).first.map(String.init) ?? word
      guard name.hasPrefix("--"), !parserNames.contains(name) else {
        isValue = takesNextWord(word, description)
        continue
      }
      guard names.contains(name) else {
        let known = synonyms[String(name.dropFirst(2))].map({ "--" + $0 }).flatMap {
          names.contains($0) ? $0 : nil
        }
        let question =
          known.map { "did you mean \($0)?" }
          ?? NearestName.question(for: name, among: names.filter { $0.hasPrefix("--") })
        return Self(
          message: "Unknown option '\(name.escapedForDisplay)'" + (question.map { ": \($0)" } ?? ""),
          command: command)
      }
      isValue = takesNextWord(word, description)
    }
    return nil
  }

  private static func takesNextWord(_ word: String, _ description: CommandDescription) -> Bool {
    description.options.contains { $0.kind == .option && $0.takesAnyWord && $0.names.contains(word) }
  }

  /// Returns the error for a first word that names no command.
  static func command(_ word: String, among names: [String], of command: any ParsableCommand.Type) -> Self {
    let question = NearestName.question(for: word, among: names)
    return Self(
      message: "Unknown command '\(word.escapedForDisplay)'"
        + (question.map { ": \($0)" } ?? ". For a file of this name, write ./\(word.escapedForDisplay)"),
      command: command)
  }

  /// Options that the parser itself adds to every command.
  private static let parserNames = ["--generate-completion-script", "--experimental-dump-help"]

  /// Other tools' names of options that are not near ours in letters.
  private static let synonyms: [String: String] = [
    "architecture": "arch", "model": "arch", "exclude": "except", "include": "only", "grep": "filter",
    "image": "input", "images": "input", "type": "dtype", "precision": "dtype", "sha256": "digest",
    "hash": "digest", "classes": "num-classes", "jobs": "threads", "stride": "stride0", "out": "output",
    "max-shard-size": "shard-size", "checksum": "checksums",
  ]

  /// The message, the command's usage, and where to read more.
  var text: String {
    let isSubcommand = Decant.configuration.subcommands.contains { $0 == command }
    let name = "decant" + (isSubcommand ? " \(command.configuration.commandName ?? "")" : "")
    return "Error: \(message)\nUsage: \(Decant.usageString(for: command))\n"
      + "  See '\(name) --help' for more information."
  }
}
