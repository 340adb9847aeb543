internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The values below one key outside the state dicts, such as an optimizer, an epoch or arguments.
struct OtherValue {
  let key: String
  var tensorCount = 0
  /// The bytes of the tensors.
  var byteCount = 0
  /// The number of values that are not tensors.
  var objectCount = 0
  /// The only value, when there is just one.
  var value: CheckpointObject?

  /// A summary of the values below the key, such as "12", "640 tensors" or "argparse.Namespace".
  var text: String {
    let objects = objectCount > 0 ? Format.count(objectCount, "value") : nil
    guard tensorCount == 0 else {
      return [Format.count(tensorCount, "tensor"), Format.size(byteCount), objects].compactMap { $0 }
        .joined(separator: ", ")
    }
    guard let value else { return objects ?? "" }
    if let kind = value.unreadTensor { return "unsupported tensor: \(kind.escapedForDisplay)" }
    guard let scalar = value.value else { return value.type.escapedForDisplay }
    return (scalar.string.map { "'\($0.escapedForDisplay)'" } ?? scalar.text).truncated(to: 40)
  }

  /// The key with what is below it, such as "epoch 12" or "optimizer (640 tensors)".
  var clause: String {
    if tensorCount > 0 { return "\(key) (\(Format.count(tensorCount, "tensor")))" }
    return value?.value == nil ? "\(key) (\(text))" : "\(key) \(text)"
  }

  /// Returns the values outside the state dicts by their first keys, in the order of the tensors and then of the values.
  /// O(values).
  ///
  /// - Parameter stateDicts: the paths of the state dicts.
  static func list(
    _ tensors: [CheckpointTensor], _ objects: [CheckpointObject], stateDicts: [[PathKey]]
  ) -> [OtherValue] {
    let hasRoot = stateDicts.contains([])
    // A pickled module is one value, whatever its attributes.
    if hasRoot, let module = objects.first(where: { $0.path.isEmpty }) {
      return [OtherValue(key: "a module", objectCount: 1, value: module)]
    }
    var others: [OtherValue] = []
    var indices: [ExactText: Int] = [:]
    func index(of path: [PathKey]) -> Int {
      let key = Format.name(Array(path.prefix(1)))
      if let known = indices[ExactText(key)] { return known }
      indices[ExactText(key)] = others.count
      others.append(OtherValue(key: key))
      return others.count - 1
    }
    // A value below a state dict, such as its _metadata, is a part of it.
    let keys = Set(stateDicts.compactMap(\.first).map { ExactText($0.name) })
    func isInside(_ path: [PathKey]) -> Bool { path.first.map { keys.contains(ExactText($0.name)) } ?? false }
    for entry in tensors where entry.stateDict == nil && !isInside(entry.path) && !hasRoot {
      let index = index(of: entry.path)
      others[index].tensorCount += 1
      others[index].byteCount = others[index].byteCount.checkedAdding(entry.tensor.storedByteCount) ?? .max
    }
    for object in objects where !isInside(object.path) {
      let index = index(of: object.path)
      others[index].objectCount += 1
      others[index].value = others[index].objectCount == 1 ? object : nil
    }
    return others
  }
}
