internal import ArgumentParser
internal import DecantBytes

/// A manual page in troff: all that the help page has, every option, and what each option's line leaves out.
struct ManualPage {
  private let description: CommandDescription
  private let help: CommandHelp

  init(_ command: any DocumentedCommand.Type) {
    description = CommandDescription(command)
    help = command.help
  }

  private var isRoot: Bool { description.name == "decant" }

  /// The page's name: `decant`, or `decant-inspect`.
  private var name: String { isRoot ? "decant" : "decant-\(description.name)" }

  /// The page without a date, so that the same source gives the same bytes.
  var text: String {
    var lines = [
      ".TH \(name.uppercased()) 1 \"\" \"decant \(Decant.configuration.version)\" \"User Commands\"",
      ".SH NAME", "\(Self.escaped(name)) \\- \(Self.escaped(Self.clause(description.abstract)))",
      ".SH SYNOPSIS",
    ]
    for usage in help.usage { lines += [".B decant", Self.escaped(usage), ".br"] }
    lines.removeLast()
    if !description.discussion.isEmpty {
      lines += [".SH DESCRIPTION"] + Self.paragraphs(description.discussion)
    }
    lines.append(".SH EXAMPLES")
    for (line, purpose) in help.examples {
      lines += [".TP", ".B \(Self.escaped(line))", Self.escaped(Self.sentence(purpose))]
    }
    if isRoot {
      lines.append(".SH COMMANDS")
      for type in Decant.configuration.subcommands where type.configuration.shouldDisplay {
        let command = type.configuration
        let name = command.commandName ?? ""
        lines += [".TP", ".BR decant\\-\(name) (1)", Self.escaped(Self.sentence(command.abstract))]
      }
    } else {
      lines.append(".SH OPTIONS")
    }
    for section in help.sections {
      let options = (section.options + section.rare).compactMap { name in
        description.options.first { $0.names.contains("--" + name) }
      }
      guard !options.isEmpty else { continue }
      lines.append(".SS \(section.title)")
      for option in options {
        let names = option.names.map { "\\fB\(Self.escaped($0))\\fR" }.joined(separator: ", ")
        lines += [
          ".TP", names + (option.kind == .option ? " \\fI\(Self.escaped(option.valueName))\\fR" : ""),
        ]
        lines.append(Self.escaped(Self.sentence(option.abstract)))
        if !option.discussion.isEmpty { lines.append(Self.escaped(option.discussion)) }
      }
    }
    lines += [
      ".SH EXIT STATUS", ".TP", ".B 0", "Success, or the answer is yes.", ".TP", ".B 1", "The answer is no.",
      ".TP", ".B 2", "An error in a file or an option's value.", ".TP", ".B 64", "A wrong command line.",
      ".SH SEE ALSO",
      isRoot
        ? Decant.configuration.subcommands.compactMap { $0.configuration.commandName }
          .map { ".BR decant\\-\($0) (1)" }.joined(separator: "\n")
        : ".BR decant (1)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  /// Returns a text for troff: a dash is a minus sign, and a line begins with no control character.
  private static func escaped(_ text: String) -> String {
    let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\n", with: " ")
    return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
  }

  private static func paragraphs(_ text: String) -> [String] {
    text.split(separator: "\n").flatMap { [".PP", escaped(String($0))] }
  }

  private static func sentence(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst() + (text.hasSuffix(".") || text.isEmpty ? "" : ".")
  }

  /// Returns a sentence as a clause for the line after the name.
  private static func clause(_ text: String) -> String {
    let clause = text.prefix(1).lowercased() + text.dropFirst()
    return clause.hasSuffix(".") ? String(clause.dropLast()) : clause
  }
}
