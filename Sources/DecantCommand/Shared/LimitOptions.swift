internal import ArgumentParser
internal import DecantBytes

/// The option of every command that reads a checkpoint to change its limits.
struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Raise or lower a limit by its name in an error message. Repeatable.",
      valueName: "name=number"),
    transform: OptionValue.limit)
  var limit: [(name: String, value: Int)] = []

  /// The default limits with the requested changes.
  var limits: Limits { changing(Limits()) }

  /// Returns the given defaults with the requested changes.
  func changing(_ defaults: Limits) -> Limits {
    var limits = defaults
    for (name, value) in limit { limits[name] = value }
    return limits
  }
}
