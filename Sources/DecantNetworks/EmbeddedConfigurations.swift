internal import DecantBytes
internal import DecantCheckpoints

/// The configurations inside a checkpoint: values that training scripts and libraries store next to a state dict, or
/// as attributes of a pickled module.
enum EmbeddedConfigurations {
  /// The keys whose values are configurations, which are searched.
  private static let keys: Set<String> = [
    "args", "opt", "opts", "options", "hparams", "hyper_parameters", "config", "cfg", "meta", "model_config",
    "pretrained_cfg", "default_cfg", "model_args", "_model_args", "pretrained_model_args",
  ]
  /// The keys whose values are facts themselves, next to a state dict.
  private static let own: Set<String> = [
    "arch", "architecture", "model_name", "model_arch", "backbone", "encoder_name", "stride0",
  ]
  /// The most values to read from one configuration. Those of libraries have some hundred.
  private static let maxValueCount = 10_000

  /// Returns the configurations at the root and along the path to a state dict, each with its key.
  static func found(
    in checkpoint: Checkpoint, around path: [PathKey]
  ) -> [(place: String, content: JSONValue)] {
    var order: [String] = []
    var values: [String: [(path: ArraySlice<PathKey>, value: JSONValue)]] = [:]
    func take(_ place: String, _ path: ArraySlice<PathKey>, _ value: JSONValue) {
      if values[place] == nil { order.append(place) }
      if values[place, default: []].count < maxValueCount { values[place, default: []].append((path, value)) }
    }
    for object in checkpoint.objects {
      guard let value = object.value else { continue }
      // Keys along the path to the state dict count too, and the key after them.
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

  /// Returns flat values as a tree by their paths. A dictionary with the keys 0, 1, 2 … becomes an array.
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
