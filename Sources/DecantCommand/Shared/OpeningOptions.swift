internal import ArgumentParser
internal import DecantBytes
internal import DecantIO

/// The options of every command that opens a checkpoint.
struct OpeningOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Change a limit by its name in an error", discussion: "Repeatable.", valueName: "name=number"),
    completion: .limits, transform: OptionValue.limit)
  var limit: [(name: String, value: Int)] = []
  @Option(
    help: ArgumentHelp("First line: the password of an encrypted zip", valueName: "file"), completion: .file()
  )
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
