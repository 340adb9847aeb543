import ArgumentParser
import DecantBytes
import DecantCheckpoints

/// The option by which every command that reads a checkpoint takes limits of its own.
struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What a file may ask of the machine, by the name an error gives; again for another.",
      valueName: "name=number"))
  var limit: [String] = []

  /// The defaults, changed as asked.
  var limits: Limits { changing(Limits()) }

  /// Other defaults, changed as asked.
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
