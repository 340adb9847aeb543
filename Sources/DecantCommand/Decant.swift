internal import ArgumentParser
internal import CArguments
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

/// The command line tool `decant`.
@main
struct Decant: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decant",
    abstract:
      "Inspect, verify, convert and run PyTorch checkpoints without Python. Never executes code from a file.",
    usage: help.usageText,
    discussion: """
      Exit codes: 0 success or yes, 1 the answer is no, 2 an error in a file or option value, 64 a wrong command line.
      """,
    version: "0.1.0",
    subcommands: [
      InspectCommand.self, IdentifyCommand.self, VerifyCommand.self, DiffCommand.self, ConvertCommand.self,
      RunCommand.self, ScanCommand.self, ReportCommand.self,
      SynthesizeCommand.self,
    ])

  /// The command line arguments without the program's name.
  private static let arguments: [String] =
    carguments_count() > 0
    ? (1..<max(1, carguments_count())).map { unsafe String(cString: carguments_argument($0)) }
    : Array(CommandLine.arguments.dropFirst())

  /// Parses the arguments. Tries the subcommand alone first, which takes half the time. When that fails, the whole
  /// command parses them and reports the error.
  private static func parsed() throws -> any ParsableCommand {
    // The parser would read each letter as an option, and an h as a request for help.
    if let word = arguments.prefix(while: { $0 != "--" }).first(where: { isClusterOfLetters($0) }),
      word.wholeMatch(of: /-j[0-9]+/) == nil
    {
      throw ValidationError(
        "Unknown option '\(word.escapedForDisplay)'. For a file of this name, write ./\(word.escapedForDisplay)"
      )
    }
    if let subcommand = arguments.first.flatMap(subcommand(named:)) {
      if let command = try? subcommand.parseAsRoot(Array(arguments.dropFirst())),
        type(of: command) == subcommand
      {
        return command
      }
      if let word = UnknownWord.option(in: arguments.dropFirst(), of: subcommand) { throw word }
    } else {
      let isInfo = arguments.first == "info"
      let words = isInfo ? Array(arguments.dropFirst()) : arguments
      if isInfo || SummaryCommand.accepts(words) {
        if let command = try? SummaryCommand.parseAsRoot(words), type(of: command) == SummaryCommand.self {
          return command
        }
        if let word = UnknownWord.option(in: words, of: SummaryCommand.self) { throw word }
        return try SummaryCommand.parseAsRoot(words)
      }
      try requireKnownCommand()
    }
    return try parseAsRoot(arguments)
  }

  /// Returns the subcommand with a name or alias.
  static func subcommand(named name: String) -> (any ParsableCommand.Type)? {
    configuration.subcommands.first {
      $0.configuration.commandName == name || $0.configuration.aliases.contains(name)
    }
  }

  /// Throws when the first word, or the word after `help`, names no command.
  private static func requireKnownCommand() throws {
    let names = configuration.subcommands.flatMap {
      [$0.configuration.commandName ?? ""] + $0.configuration.aliases
    }
    let word = arguments.first == "help" ? arguments.dropFirst().first : arguments.first
    guard let word, !word.hasPrefix("-"), word != "help", subcommand(named: word) == nil else { return }
    throw UnknownWord.command(word, among: names + ["help", "info", "version"], of: Decant.self)
  }

  /// Returns true for a dash and more than one character, such as `-x.pth`. Options with one dash have one letter, and
  /// negative numbers are values.
  private static func isClusterOfLetters(_ word: String) -> Bool {
    let rest = word.utf8.dropFirst()
    return word.utf8.first == UInt8(ascii: "-") && rest.count > 1 && rest.first != UInt8(ascii: "-")
      && !(rest.first.map { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: ".") } ?? true)
  }

  /// Parses and runs the command, and turns every failure into a message and an exit code.
  static func main() {
    StandardStreams.prepare()
    StandardInput.acceptAsPath()
    if let text = Self.page() {
      StandardStreams.line(text)
      return StandardStreams.flush()
    }
    if [["--version"], ["-V"], ["version"]].contains(arguments) {
      StandardStreams.line(configuration.version)
      for line in EngineOptions.description { StandardStreams.line(line) }
      return StandardStreams.flush()
    }
    let words = arguments.prefix { $0 != "--" }
    if words.contains("--help-all") { printHelp(listsAll: true) }
    if words.contains("--help") || words.contains("-h") { printHelp(listsAll: false) }
    var parsed: (any ParsableCommand)?
    do {
      var command = try Self.parsed()
      parsed = command
      if let presented = command as? any PresentedCommand {
        StandardStreams.present(Presentation(presented.presentation, isJSON: presented.json))
      }
      try command.run()
      StandardStreams.finish()
    } catch let interruption as Interruption {
      StandardStreams.dropNotes()
      StandardStreams.finish()
      interruption.die()
    } catch let status as ExitStatus {
      StandardStreams.finish()
      ProcessControl.end(status.rawValue)
    } catch {
      // The parsed command knows whether JSON was requested. If parsing failed, search the words for --json.
      let isJSON =
        parsed.map { ($0 as? any PresentedCommand)?.json ?? false }
        ?? CommandLine.arguments.contains("--json")
      if let error = error as? any DecantErrorConvertible { fail(error.decantError, isJSON: isJSON) }
      let word = error as? UnknownWord
      // The argument parser's own errors: help, the version, or a wrong command line.
      guard word != nil || exitCode(for: error) == .validationFailure else {
        if fullMessage(for: error).contains("USAGE: ") { printHelp(listsAll: false) }
        StandardStreams.flush()
        exit(withError: error)
      }
      if isJSON {
        StandardStreams.document(DecantError.usageDocument(word?.message ?? plain(message(for: error))))
      }
      StandardStreams.flush()
      failUsage(word?.text ?? plain(fullMessage(for: error)))
    }
  }

  /// Returns the text that an option without a command asks for: a completion script or a manual page.
  private static func page() -> String? {
    guard let option = arguments.first, arguments.count == 2 else { return nil }
    switch option {
    case "--generate-completion-script": return CompletionScript.text(for: arguments[1])
    case "--generate-manual-page":
      return (arguments[1] == "decant" ? Decant.self : documentedCommand(named: arguments[1])).map {
        ManualPage($0).text
      }
    default: return nil
    }
  }

  private static func documentedCommand(named name: String) -> (any DocumentedCommand.Type)? {
    subcommand(named: name) as? any DocumentedCommand.Type
  }

  /// Prints the help page of the command that the command line names, and ends the process.
  private static func printHelp(listsAll: Bool) -> Never {
    if let options = try? PresentationOptions.parse([]) {
      StandardStreams.present(Presentation(options, isJSON: false))
    }
    let words = arguments.filter { !$0.hasPrefix("-") && $0 != "help" }
    let command = words.first.flatMap(documentedCommand(named:)) ?? Decant.self
    for line in HelpPage(command, listsAll: listsAll).lines { StandardStreams.line(line) }
    StandardStreams.finish()
    ProcessControl.end(0)
  }

  /// Returns the parser's message without what it puts around ours: "The value 'x' is invalid for '--arch <arch>': ", and
  /// the help for the option.
  private static func plain(_ message: String) -> String {
    guard let found = message.firstMatch(of: #/The value '(?s:.*?)' is invalid for '[^']*': /#) else {
      return message
    }
    return (message[..<found.range.lowerBound] + message[found.range.upperBound...])
      .split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("Help:  ") }.joined(
        separator: "\n")
  }

  /// Prints the message for a wrong command line and ends the process.
  ///
  /// The message quotes the command line, whose control characters must not reach the terminal.
  private static func failUsage(_ message: String) -> Never {
    let lines = message.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.unicodeScalars.map { $0 == "\\" ? "\\" : String($0).escapedForDisplay }.joined()
    }
    StandardStreams.raw(lines.joined(separator: "\n") + "\n")
    ProcessControl.end(ExitCode.validationFailure.rawValue)
  }

  /// Prints an error and ends the process with its exit code.
  private static func fail(_ error: DecantError, isJSON: Bool) -> Never {
    if isJSON, !StandardStreams.hasDocument { StandardStreams.document(error.jsonDocument) }
    StandardStreams.dropNotes()
    StandardStreams.printNotes()
    StandardStreams.error(error.commandText)
    StandardStreams.finish()
    ProcessControl.end(error.exitStatus.rawValue)
  }
}
