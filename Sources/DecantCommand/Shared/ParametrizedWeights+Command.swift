internal import DecantBytes
internal import DecantNetworks
internal import DecantTensors

/// The weights that PyTorch computes from several tensors, as notes and as JSON.
extension ParametrizedWeights {
  /// Returns members of a JSON document: `parametrized`, the weights by method and parts, and `not_resolved`, those that
  /// cannot be computed. Empty when there are none.
  ///
  /// - Parameter isResolved: true when the weights were computed.
  func json(isResolved: Bool) -> [(key: String, value: JSONValue)] {
    func texts(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
    var members: [(key: String, value: JSONValue)] = []
    if !weights.isEmpty {
      let groups = groups.map { group in
        JSONValue.object([
          (key: "method", value: .string(group.method.rawValue)),
          (key: "parts", value: texts(group.partNames)),
          (key: "weights", value: .exact(Int64(group.count))), (key: "resolved", value: .bool(isResolved)),
        ])
      }
      members.append((key: "parametrized", value: .array(groups)))
    }
    if !unknown.isEmpty {
      let weights = unknown.map { weight in
        JSONValue.object([
          (key: "name", value: .string(weight.name)), (key: "reason", value: .string(weight.reason)),
        ])
      }
      members.append((key: "not_resolved", value: .array(weights)))
    }
    return members
  }
}

extension NetworkFile {
  /// Prints the note on the weights that are computed from several tensors.
  func printParametrization() {
    if let note = parametrizationNote { StandardStreams.note(note) }
  }
}
