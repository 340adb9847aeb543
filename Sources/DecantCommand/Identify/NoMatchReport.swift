internal import DecantBytes
internal import DecantResNets
internal import DecantTensors

/// The report for a state dict that is not a ResNet: the reason, and what the state dict contains.
struct NoMatchReport {
  private let absence: ResNetNoMatch
  private let reason: String
  /// The maximum number of prefixes shown.
  private static let mostShown = 8
  init(_ stateDict: StateDict, reason: String) {
    absence = ResNetNoMatch(of: stateDict)
    self.reason = reason
  }

  var text: String {
    var parts = [reason.escapedForDisplay]
    if let stem = absence.malformedStem {
      parts.append(
        "\(stem.name.escapedForDisplay) has shape \(Format.shape(stem.tensor.shape)), but a stem's weight has four dimensions"
      )
    }
    let groups = absence.groups.prefix(Self.mostShown).map { group in
      let prefix = group.prefix.isEmpty ? "\"\"" : group.prefix.escapedForDisplay
      return
        "\(prefix) (\(Format.count(group.count, "tensor")), such as \(group.first.name.escapedForDisplay) \(Format.shape(group.first.tensor.shape)))"
    }
    let more = absence.groups.count - groups.count
    if !groups.isEmpty {
      parts.append(
        "prefixes found: \(groups.joined(separator: ", "))\(more > 0 ? " and \(Format.count(more)) more" : "")"
      )
    }
    return parts.joined(separator: "; ")
      + ". decant identify --dialects lists the known names."
  }

  func json(of file: String) -> JSONValue {
    .object([
      (key: "schema", value: 1), (key: "file", value: .string(file)), (key: "architecture", value: .null),
      (key: "same_shapes_as", value: .array([])),
      (key: "nearest", value: .null),
      (key: "looks_like", value: absence.family.map { .string($0.description) } ?? .null),
      (key: "reason", value: .string(reason)),
      (
        key: "prefixes",
        value: .array(
          absence.groups.prefix(Self.mostShown).map { group in
            .object([
              (key: "prefix", value: .string(group.prefix)),
              (key: "tensors", value: .exact(Int64(group.count))),
              (key: "first", value: .string(group.first.name)),
              (key: "shape", value: .array(group.first.tensor.shape.map { .exact(Int64($0)) })),
            ])
          })
      ),
    ])
  }
}
