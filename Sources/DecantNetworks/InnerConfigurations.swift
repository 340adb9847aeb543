internal import DecantBytes
internal import DecantCheckpoints

/// The configurations inside a checkpoint: what training scripts and libraries keep beside a state dict, or a whole
/// module among its attributes.
enum InnerConfigurations {
  /// Keys whose content is one, and is looked into.
  private static let keys: Set<String> = [
    "args", "opt", "opts", "options", "hparams", "hyper_parameters", "config", "cfg", "meta", "model_config",
    "pretrained_cfg", "default_cfg", "model_args", "_model_args", "pretrained_model_args",
  ]
  /// Keys that stand for themselves beside a state dict.
  private static let own: Set<String> = [
    "arch", "architecture", "model_name", "model_arch", "backbone", "encoder_name", "stride0",
  ]
  /// Values that are taken of one configuration: those of libraries have some hundred.
  private static let mostValues = 10_000

  /// What stands at the root and on the way to a state dict; each with the key it stands under.
  static func found(
    in checkpoint: Checkpoint, around path: [PathKey]
  ) -> [(place: String, content: JSONValue)] {
    var order: [String] = []
    var values: [String: [(path: ArraySlice<PathKey>, value: JSONValue)]] = [:]
    func take(_ place: String, _ path: ArraySlice<PathKey>, _ value: JSONValue) {
      if values[place] == nil { order.append(place) }
      if values[place, default: []].count < mostValues { values[place, default: []].append((path, value)) }
    }
    for object in checkpoint.objects {
      guard let value = object.value else { continue }
      // The steps that lead to the state dict too, and the one after them.
      let shared = zip(object.path, path).prefix { $0 == $1 }.count
      guard shared < object.path.count else { continue }
      let key = object.path[shared].name
      let rest = object.path[(shared + 1)...]
      if rest.isEmpty, own.contains(key) {
        take("the file", object.path[shared...], value)
      } else if keys.contains(key), rest.count <= 8 {
        if rest.isEmpty {
          take("the file", object.path[shared...], value)
        } else if ["pretrained_cfg", "default_cfg"].contains(key) || key.hasSuffix("model_args") {
          take("the module", object.path[shared...], value)
        } else {
          take(key, rest, value)
        }
      }
    }
    return order.map { (place: $0, content: nested(values[$0] ?? [], depth: 0)) }
  }

  /// Values by their paths as a tree; positions become an array.
  private static func nested(
    _ values: [(path: ArraySlice<PathKey>, value: JSONValue)], depth: Int
  ) -> JSONValue {
    var order: [PathKey] = []
    var groups: [PathKey: [(path: ArraySlice<PathKey>, value: JSONValue)]] = [:]
    for (path, value) in values {
      guard let first = path.first else { return value }
      if groups[first] == nil { order.append(first) }
      groups[first, default: []].append((path.dropFirst(), value))
    }
    let members = order.map { key in (key: key, value: nested(groups[key] ?? [], depth: depth + 1)) }
    let isArray = members.enumerated().allSatisfy { place, member in
      if case .position(place) = member.key { true } else { false }
    }
    return isArray && !members.isEmpty
      ? .array(members.map(\.value)) : .object(members.map { (key: $0.key.name, value: $0.value) })
  }
}
