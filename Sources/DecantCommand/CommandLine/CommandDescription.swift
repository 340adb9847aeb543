internal import ArgumentParser
internal import DecantBytes

/// A command's arguments and options, as the parser describes them.
struct CommandDescription {
  /// An argument or option.
  struct Argument {
    /// `positional`, `option` or `flag`.
    let kind: Kind
    /// The names with dashes, such as `-k` and `--key`; empty for a positional argument.
    let names: [String]
    /// The name of the value in help, such as `KEY`.
    let valueName: String
    let isOptional: Bool
    let isRepeating: Bool
    /// True when the next word is the value, even if it begins with a dash.
    let takesAnyWord: Bool
    /// One line for the help page.
    let abstract: String
    /// More about it, for the manual page; may be empty.
    let discussion: String

    enum Kind: String { case positional, option, flag }

    /// The long name with its dashes, or the short one; nil for a positional argument.
    var name: String? { names.first { $0.hasPrefix("--") } ?? names.first }
  }

  let name: String
  let abstract: String
  let discussion: String
  let arguments: [Argument]

  var options: [Argument] { arguments.filter { $0.kind != .positional } }
  var positionals: [Argument] { arguments.filter { $0.kind == .positional } }
  /// Every name of every option, with dashes.
  var optionNames: [String] { options.flatMap(\.names) }

  /// Reads the parser's description, which takes about a millisecond.
  init(_ command: any ParsableCommand.Type) {
    let text = Array(command._dumpHelp().utf8)
    let json = (try? JSONValue(parsing: unsafe text.span.bytes))?["command"]
    name = json?["commandName"]?.string ?? ""
    abstract = json?["abstract"]?.string ?? ""
    discussion = json?["discussion"]?.string ?? ""
    arguments = (json?["arguments"]?.array ?? []).compactMap(Argument.init)
  }
}

extension CommandDescription.Argument {
  /// Reads an element of the parser's `arguments`; nil for a kind that is not known.
  fileprivate init?(_ json: JSONValue) {
    guard let kind = json["kind"]?.string.flatMap(Kind.init) else { return nil }
    self.kind = kind
    names = (json["names"]?.array ?? []).map { name in
      (name["kind"]?.string == "long" ? "--" : "-") + (name["name"]?.string ?? "")
    }
    .sorted { $0.utf8.count < $1.utf8.count }
    let value = json["valueName"]?.string ?? ""
    // Choices are words to type.
    valueName = value.contains("|") ? value : value.uppercased()
    isOptional = json["isOptional"] == true
    isRepeating = json["isRepeating"] == true
    takesAnyWord = json["parsingStrategy"]?.string == "unconditional"
    // The parser's own options have its texts.
    abstract =
      names.contains("--help")
      ? "Show this page"
      : names.contains("--version") ? "Show the version" : json["abstract"]?.string ?? ""
    discussion = json["discussion"]?.string ?? ""
  }
}
