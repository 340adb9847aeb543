internal import ArgumentParser

/// The layout of a command's help page and manual page. Texts of options stay where the options are declared.
struct CommandHelp {
  /// The words after `decant`, such as `inspect FILE [options]`; a line for each form.
  let usage: [String]
  /// Command lines to copy, and what they do.
  let examples: [(line: String, purpose: String)]
  /// The options in groups. Every option is in one of them.
  let sections: [Section]

  /// The usage with the tool's name, a line for each form, aligned behind the parser's "Usage: ".
  var usageText: String { usage.map { "decant " + $0 }.joined(separator: "\n       ") }

  /// Options under a title.
  struct Section {
    let title: String
    /// The long names of the options that every help page shows.
    var options: [String] = []
    /// The long names of the options that only `--help-all` and the manual page show.
    var rare: [String] = []
  }
}

extension CommandHelp.Section {
  /// The options that every command has; `--limit` comes last.
  static let general = Self(
    title: "General", options: ["json", "quiet", "verbose", "help"],
    rare: ["color", "no-pager", "password-file", "limit"])

  /// Returns the options that choose a checkpoint's state dict and tensors, in a command that reads one.
  static func tensors(_ options: [String], rare: [String] = []) -> Self {
    Self(title: "Choose tensors", options: options, rare: rare)
  }

  /// The options of the network that the file does not store.
  static let network = Self(
    title: "Describe the network", options: ["arch", "num-classes", "stride0"],
    rare: [
      "block-stride", "stem-pooling", "output-stride", "stage-strides", "epsilon", "head-activation",
      "normalization", "by-structure",
    ])
}

/// A command that lays out its help page.
protocol DocumentedCommand: ParsableCommand {
  static var help: CommandHelp { get }
}
