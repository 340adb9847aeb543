internal import ArgumentParser

/// The options of every command that say how its output is presented.
struct PresentationOptions: ParsableArguments {
  /// When text has colours.
  enum Color: String, ExpressibleByArgument, CaseIterable {
    /// On a terminal, unless NO_COLOR is set. CLICOLOR_FORCE stands for ``always``.
    case auto
    case always, never
  }

  @Flag(
    name: .shortAndLong,
    help: ArgumentHelp("Print no notes and no progress", discussion: "Warnings and errors are kept."))
  var quiet = false
  @Flag(name: .shortAndLong, help: "List every default and every difference")
  var verbose = false
  @Option(help: ArgumentHelp("Colours: auto, always or never", valueName: "when"))
  var color = Color.auto
  @Flag(help: "Do not page long output")
  var noPager = false

  func validate() throws {
    if quiet, verbose { throw ValidationError("Use --quiet or --verbose, not both.") }
  }
}

/// A command whose output is presented as its options say.
protocol PresentedCommand {
  /// True when results and errors are printed as JSON.
  var json: Bool { get }
  var presentation: PresentationOptions { get }
}
