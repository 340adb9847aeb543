internal import ArgumentParser
internal import DecantBytes
internal import DecantIO

/// The options of every command that opens a checkpoint.
struct OpeningOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Raise or lower a limit by its name in an error message. Repeatable.",
      valueName: "name=number"),
    transform: OptionValue.limit)
  var limit: [(name: String, value: Int)] = []
  @Option(
    help: ArgumentHelp(
      "The file whose first line is the password of an encrypted zip archive.", valueName: "file"))
  var passwordFile: String?

  /// The default limits with the requested changes.
  var limits: Limits { changing(Limits()) }

  /// Returns the given defaults with the requested changes.
  func changing(_ defaults: Limits) -> Limits {
    var limits = defaults
    for (name, value) in limit { limits[name] = value }
    return limits
  }

  /// Reads the password; nil when no file was named.
  func password() throws(DecantError) -> String? {
    guard let passwordFile else { return nil }
    return try PasswordFile.firstLine(of: passwordFile)
  }
}
