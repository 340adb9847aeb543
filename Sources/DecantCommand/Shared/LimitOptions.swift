import ArgumentParser
import DecantBytes
import DecantCheckpoints

/// The option of every command that reads a checkpoint to change its limits.
struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Raise or lower a limit by its name in an error message. Repeatable.",
      valueName: "name=number"))
  var limit: [String] = []

  /// The default limits with the requested changes.
  var limits: Limits { changing(Limits()) }

  /// Returns the given defaults with the requested changes.
  func changing(_ defaults: Limits) -> Limits {
    var limits = defaults
    for setting in limit {
      if let (name, value) = Self.parse(setting) { limits[name] = value }
    }
    return limits
  }

  func validate() throws {
    for setting in limit where Self.parse(setting) == nil {
      throw ValidationError(
        "--limit takes NAME=NUMBER, not '\(setting.escapedForDisplay)'. The names are: "
          + Limits.names.joined(separator: ", ") + ".")
    }
  }

  private static func parse(_ setting: String) -> (name: String, value: Int)? {
    guard let equals = setting.firstIndex(of: "="), let value = Int(setting[setting.index(after: equals)...]),
      value >= 0
    else { return nil }
    let name = String(setting[..<equals])
    return Limits.names.contains(name) ? (name, value) : nil
  }
}
