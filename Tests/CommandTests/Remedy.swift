import Foundation
import TestSupport

/// The remedy of a message, and the command lines that it offers.
///
/// A command line is taken from the text as a user would paste it:
///
/// - `decant …` is a command of its own.
/// - Options, such as `--key model`, are added to the command that failed. Options next to each other belong together;
///   those apart are alternatives.
/// - `Leave out --x` removes the option.
/// - What follows a colon at the end of a text without a full stop is a shell command, after which the command that
///   failed is run again, on the file that it wrote if it wrote one.
struct Remedy {
  /// The command line that failed.
  let failed: String
  let text: String
  /// The file that the message is about.
  var file: String?

  /// The shell command lines to run, each of which must succeed.
  var commands: [String] {
    if let command = shellCommand {
      // Samples of formats are only their first bytes.
      if failed.contains(" files/") { return [] }
      guard let written = command.firstMatch(of: /> (\S+)$/)?.1, let file else {
        return ["\(command) && \(failed)"]
      }
      return ["\(command) && \(failed.replacing(file, with: written))"]
    }
    var commands: [String] = []
    var words = Self.words(text)[...]
    var isRemoving = false
    while let word = words.popFirst() {
      if word == "decant" {
        var command = [word]
        while let next = words.first, Self.isArgument(next, after: command) {
          command.append(Self.bare(next))
          words.removeFirst()
          if next != Self.bare(next) { break }
        }
        if command.count > 1 { commands.append(command.joined(separator: " ")) }
      } else if word.lowercased() == "out", text.contains(/[Ll]eave out --/) {
        isRemoving = true
      } else if word.hasPrefix("--") {
        if isRemoving {
          commands.append(Self.removing(Self.bare(word), from: failed))
          isRemoving = ["or", "and"].contains(words.first)
        } else {
          words = [word] + words
          let options = Self.options(&words)
          // The files to join stand in the place of the folder.
          let failed = options.first == "--join" ? failed.replacing(" \(file ?? "")", with: "") : failed
          if !options.isEmpty { commands.append(failed + " " + options.joined(separator: " ")) }
        }
      } else if isRemoving, !["or", "and"].contains(word) {
        isRemoving = false
      }
    }
    return commands
  }

  private var shellCommand: String? {
    guard !text.hasSuffix("."), let start = text.range(of: ": ", options: .backwards)?.upperBound else {
      return nil
    }
    return String(text[start...])
  }

  // MARK: Words

  /// Returns the words of a shell; quoted parts stay together and keep their quotes.
  private static func words(_ text: String) -> [String] {
    text.matches(of: /(?:[^\s']|'[^']*')+/).map { String($0.0) }
  }

  /// Returns a word without the punctuation of the sentence around it.
  private static func bare(_ word: String) -> String {
    guard word.count > 1, let last = word.last, ".,;:)".contains(last) else { return word }
    return String(word.dropLast())
  }

  /// Returns true for a word that belongs to the command line before it, not to the sentence around it.
  private static func isArgument(_ word: String, after command: [String]) -> Bool {
    if command.count == 1 { return word.allSatisfy { $0.isLowercase } }
    if let last = command.last, takesValue.contains(last) { return true }
    return word.hasPrefix("--") || word.contains(/[.\/'A-Z0-9_]/)
  }

  /// Takes options with their values from the beginning of the words; none when a value is missing.
  private static func options(_ words: inout ArraySlice<String>) -> [String] {
    var options: [String] = []
    while let word = words.first, word.hasPrefix("--") {
      words.removeFirst()
      let option = bare(word)
      options.append(option)
      guard option == word else { return takesValue.contains(option) ? [] : options }
      guard takesValue.contains(option), !option.contains("=") else { continue }
      repeat {
        guard let value = words.popFirst() else { return [] }
        options.append(bare(value))
        if bare(value) != value { return options }
      } while option == "--join" && words.first?.contains(/[.\/]/) == true
    }
    return options
  }

  private static func removing(_ option: String, from command: String) -> String {
    var words = words(command)
    while let place = words.firstIndex(of: option) {
      words.remove(at: place)
      if takesValue.contains(option), place < words.count { words.remove(at: place) }
    }
    return words.joined(separator: " ")
  }

  /// The options of the tool that take a value.
  private static let takesValue: Set<String> = {
    struct Tool: Decodable { let command: Command }
    struct Command: Decodable {
      let arguments: [Argument]?
      let subcommands: [Command]?
      var all: [Argument] { (arguments ?? []) + (subcommands ?? []).flatMap(\.all) }
    }
    struct Argument: Decodable {
      struct Name: Decodable { let kind: String, name: String }
      let kind: String
      let names: [Name]?
    }
    guard let output = try? DecantProcess.run(["--experimental-dump-help"]).output,
      let tool = try? JSONDecoder().decode(Tool.self, from: Data(output.utf8))
    else { return [] }
    return Set(
      tool.command.all.filter { $0.kind == "option" }.flatMap { $0.names ?? [] }.map {
        ($0.kind == "long" ? "--" : "-") + $0.name
      })
  }()
}
