import ByteParsing
import Checkpoints
import Tensors

/// The JSON of `decant inspect --json`, schema 1.
///
/// One tensor a line, written as it is made: a listing of a hundred thousand tensors never stands in memory twice.
enum InspectionJSON {
  static func print(_ checkpoint: Checkpoint, _ rows: [InspectionRow], _ warnings: [String]) {
    StandardStreams.line("{\"schema\": 1, \"file\": \(JSONValue.string(checkpoint.path).text),")
    StandardStreams.line(" \"container\": \(JSONValue.string(checkpoint.container.rawValue).text),")
    list("tensors", rows.map(tensor), ",")
    list("objects", checkpoint.objects.map(object), ",")
    list("warnings", warnings.map { .string($0) }, "}")
  }

  private static func list(_ name: String, _ values: [JSONValue], _ end: String) {
    StandardStreams.line(" \"\(name)\": [\(values.isEmpty ? "]" + end : "")")
    for (place, value) in values.enumerated() {
      StandardStreams.line("  " + value.text + (place + 1 < values.count ? "," : "]" + end))
    }
  }

  private static func tensor(_ row: InspectionRow) -> JSONValue {
    let tensor = row.entry.tensor
    func sizes(_ values: [Int]) -> JSONValue { .array(values.map { .exact(Int64($0)) }) }
    var members: [(key: String, value: JSONValue)] = [
      (key: "name", value: .string(row.entry.name)),
      (key: "dtype", value: .string(tensor.dtype.rawValue)),
      (key: "shape", value: sizes(tensor.shape)),
      (key: "strides", value: sizes(tensor.strides)),
      (key: "path", value: .array(row.entry.path.map(\.json))),
      (key: "bytes", value: .exact(Int64(tensor.byteCount))),
      (key: "storage", value: .string(tensor.storage.key)),
      (key: "storage_offset", value: .exact(Int64(tensor.storageOffset))),
      (key: "location", value: .string(tensor.storage.location)),
    ]
    if tensor.requiresGrad { members.append((key: "requires_grad", value: true)) }
    if let role = row.entry.role { members.append((key: "role", value: .string(role.rawValue))) }
    if let alias = row.aliasOf { members.append((key: "alias_of", value: .string(alias))) }
    if let statistics = row.statistics {
      members.append((key: "non_finite", value: .integer(Int64(statistics.nonFiniteCount))))
      for (name, value) in [
        ("min", statistics.least), ("max", statistics.greatest), ("mean", statistics.mean),
      ] {
        members.append((key: name, value: value.map { .exact($0) } ?? .null))
      }
    }
    if row.hasDigest { members.append((key: "sha256", value: row.digest.map { .string($0) } ?? .null)) }
    return .object(members)
  }

  private static func object(_ object: CheckpointObject) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "path", value: .string(object.name)), (key: "type", value: .string(object.type)),
    ]
    if let value = object.value { members.append((key: "value", value: value)) }
    if let count = object.count { members.append((key: "count", value: .integer(Int64(count)))) }
    if let kind = object.unreadTensor { members.append((key: "unread_tensor", value: .string(kind))) }
    return .object(members)
  }
}
