internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The JSON of `decant FILE --json`, schema 1.
extension FileSummary {
  private typealias Members = [(key: String, value: JSONValue)]

  var json: JSONValue {
    var members: Members = [
      (key: "schema", value: 1), (key: "file", value: .string(checkpoint.path)),
      (key: "container", value: .string(checkpoint.container.rawValue)),
      (key: "files", value: number(checkpoint.files.count)),
      (key: "file_bytes", value: number(fileByteCount)),
      (key: "tensors", value: number(checkpoint.tensors.count)),
      (key: "elements", value: number(elementCount)), (key: "bytes", value: number(byteCount)),
      (key: "parameters", value: split.map { number($0.parameters) } ?? .null),
      (key: "buffers", value: split.map { number($0.buffers) } ?? .null),
    ]
    let counts: Members = dtypes.map { (key: $0.dtype.rawValue, value: number($0.count)) }
    members.append((key: "dtypes", value: .object(counts)))
    let dicts = stateDicts.map { dict -> JSONValue in
      .object([(key: "key", value: .string(dict.key)), (key: "tensors", value: number(dict.tensorCount))])
    }
    members.append((key: "state_dicts", value: .array(dicts)))
    members.append((key: "others", value: .array(others.map(json(of:)))))
    members.append((key: "network", value: networkJSON))
    members.append((key: "looks_like", value: network.family.map { .string($0) } ?? .null))
    let loading: Members = [
      (key: "verdict", value: .string(safety.verdict.rawValue)), (key: "text", value: .string(safety.text)),
    ]
    members.append((key: "loading", value: .object(loading)))
    members.append((key: "next", value: .string(nextCommand)))
    members.append((key: "warnings", value: .array(warnings.map { .string($0) })))
    return .object(members)
  }

  private func number(_ value: Int) -> JSONValue { .exact(Int64(value)) }

  private func json(of other: OtherValue) -> JSONValue {
    var members: Members = [
      (key: "key", value: .string(other.key)), (key: "tensors", value: number(other.tensorCount)),
      (key: "values", value: number(other.objectCount)),
    ]
    if let value = other.value?.value { members.append((key: "value", value: value)) }
    return .object(members)
  }

  private var networkJSON: JSONValue {
    guard let found = network.identification else { return .null }
    return .object([
      (key: "architecture", value: found.architecture.map { .string($0) } ?? .null),
      (key: "same_shapes_as", value: .array(found.sameShapes.map { .string($0) })),
      (key: "block", value: .string(found.configuration.block.rawValue)),
      (key: "layers", value: .array(found.configuration.layers.map(number))),
      (key: "classes", value: number(found.configuration.classes)),
      (key: "dialect", value: .string(found.naming.dialect.name)),
      (key: "prefix", value: .string(found.naming.prefix)), (key: "ok", value: .bool(found.isResNet)),
    ])
  }
}
