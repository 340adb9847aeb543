internal import ArgumentParser
internal import DecantBytes

/// A help page: what the command does, examples, and one line for each option. No line is longer than 80 columns.
struct HelpPage {
  static let width = 80
  /// The column of an option's text, unless a label is longer.
  private static let leastTextColumn = 24

  private let description: CommandDescription
  private let help: CommandHelp
  private let listsAll: Bool

  /// Creates a page.
  ///
  /// - Parameter listsAll: true to list rare options too.
  init(_ command: any DocumentedCommand.Type, listsAll: Bool) {
    description = CommandDescription(command)
    help = command.help
    self.listsAll = listsAll
  }

  /// The lines; those of headings are styled.
  var lines: [String] {
    var lines = TextWrapping.lines(description.abstract, width: Self.width)
    for (place, usage) in help.usage.enumerated() {
      lines += place == 0 ? ["", "Usage:".styled(.bold) + " decant \(usage)"] : ["       decant \(usage)"]
    }
    let column = (help.examples.map(\.line.count).max() ?? 0) + 4
    lines += ["", "Examples:".styled(.bold)]
    for (line, purpose) in help.examples {
      lines.append("  " + Self.padded(line, to: column - 2) + purpose)
    }
    if description.name == "decant" { lines += commandLines }
    let sections = help.sections.map { section in
      (section.title, (section.options + (listsAll ? section.rare : [])).compactMap(option(named:)))
    }
    let labels = sections.flatMap { $0.1.map(Self.label) }
    let textColumn = max(Self.leastTextColumn, (labels.map(\.count).max() ?? 0) + 2)
    for (title, options) in sections where !options.isEmpty {
      lines += ["", "\(title):".styled(.bold)]
      lines += options.map { Self.padded(Self.label($0), to: textColumn) + $0.abstract }
    }
    if !description.discussion.isEmpty {
      lines += [""] + TextWrapping.lines(description.discussion, width: Self.width)
    }
    lines += [""] + footer
    return lines
  }

  private var footer: [String] {
    if description.name == "decant" {
      return ["decant COMMAND --help has examples and options of a command."]
    }
    let isComplete =
      listsAll
      || help.sections.allSatisfy { section in
        section.rare.allSatisfy { option(named: $0) == nil }
      }
    return isComplete ? [] : ["decant \(description.name) --help-all lists every option."]
  }

  private var commandLines: [String] {
    let commands = Decant.configuration.subcommands.map { $0.configuration }
    let column = (commands.map { $0.commandName?.count ?? 0 }.max() ?? 0) + 4
    return ["", "Commands:".styled(.bold)]
      + commands.filter(\.shouldDisplay).map { command in
        "  " + Self.padded(command.commandName ?? "", to: column - 2)
          + (command.abstract.hasSuffix(".") ? String(command.abstract.dropLast()) : command.abstract)
      }
  }

  private func option(named name: String) -> CommandDescription.Argument? {
    description.options.first { $0.names.contains("--" + name) }
  }

  /// Returns an option's names and value, such as `  -k, --key KEY`.
  static func label(_ option: CommandDescription.Argument) -> String {
    let short = option.names.first { !$0.hasPrefix("--") }
    let names = (short.map { $0 + ", " } ?? "    ") + (option.name ?? "")
    return "  " + names + (option.kind == .option ? " " + option.valueName : "")
  }

  private static func padded(_ text: String, to column: Int) -> String {
    text + String(repeating: " ", count: max(1, column - text.count))
  }
}

/// Text in lines of a width.
enum TextWrapping {
  /// Returns the words of a text in lines of at most `width` characters. Line ends of the text stay.
  static func lines(_ text: String, width: Int) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { paragraph in
      var lines = [""]
      for word in paragraph.split(separator: " ") {
        let last = lines[lines.count - 1]
        if last.isEmpty {
          lines[lines.count - 1] = String(word)
        } else if last.count + 1 + word.count <= width {
          lines[lines.count - 1] = last + " " + word
        } else {
          lines.append(String(word))
        }
      }
      return lines
    }
  }
}
