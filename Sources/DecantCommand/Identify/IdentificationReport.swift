internal import DecantBytes
internal import DecantCheckpoints
internal import DecantResNets
internal import DecantTensors

/// The output of `decant identify`.
struct IdentificationReport {
  let found: ResNetIdentification
  /// The key of the state dict.
  let key: String
  /// The weights that are computed from several tensors of the file.
  let parametrized: ParametrizedWeights
  /// The state dict, and what it leaves out.
  let choice: StateDictChoice?

  func print() {
    let naming = found.naming
    let verification = found.verification
    StandardStreams.line(
      found.isResNet
        ? (found.architecture.map {
          "\(found.isProven ? "is" : "consistent with") \($0)\(found.hasPublishedHead ? "" : ", except for its head")"
        } ?? (found.sameShapes.isEmpty ? "a custom ResNet" : "consistent with several ResNets"))
          + (naming.isByStructure ? ", \(naming.dialect.summary)" : "")
        : found.isPart
          ? "not a ResNet: another network whose first layers are a ResNet's"
          : "not a complete ResNet: only some of its tensors match one")
    if found.sameShapes.count > 1 {
      StandardStreams.line("  same names and shapes: \(found.sameShapes.joined(separator: ", "))")
    }
    if let nearest = found.nearest {
      let differences = nearest.differences.joined(separator: "; ")
      StandardStreams.line("  like \(nearest.name)\(differences.isEmpty ? "" : ", with \(differences)")")
    }
    StandardStreams.line("  key: \(key.escapedForDisplay)")
    if !naming.prefix.isEmpty { StandardStreams.line("  prefix: \(naming.prefix.escapedForDisplay)") }
    StandardStreams.line("  naming: \(naming.dialect.name)")
    StandardStreams.line(
      "  \(Format.count(verification.matched, "tensor")) \(verification.matched == 1 ? "matches" : "match")"
        + (verification.missing.isEmpty ? "" : ", \(verification.missing.count) missing")
        + (verification.mismatched.isEmpty
          ? "" : ", \(verification.mismatched.count) with another shape or type")
        + (verification.unexpected.isEmpty
          ? ""
          : ", \(verification.unexpected.count) \(verification.unexpected.count == 1 ? "is" : "are") not recognised")
    )
    if let advice = verification.leavingOutUnexpected { StandardStreams.line("  \(advice)") }
    if let first = verification.beside.first {
      StandardStreams.line(
        "  \(Format.count(verification.beside.count, "other tensor")), such as \(first.escapedForDisplay)"
      )
    }
    StandardStreams.line()
    var facts = TextTable([("fact", .left), ("value", .left), ("source", .left)])
    for fact in found.facts {
      let value = found.configuration.text(fact.value)
      facts.row(fact.name.escapedForDisplay, value.escapedForDisplay, fact.source.escapedForDisplay)
    }
    facts.show()
    printContradictions()
    guard !found.undetermined.isEmpty else { return }
    StandardStreams.line()
    var open = TextTable([("not in the file", .left), ("default", .left), ("set with", .left)])
    for question in found.undetermined {
      open.row(question.name, found.configuration.text(question.usual), question.setting?.option ?? "")
    }
    open.show()
  }

  /// Prints the settings on which sources contradict each other, with all sources, the strongest first.
  private func printContradictions() {
    guard !found.contradictions.isEmpty else { return }
    StandardStreams.line()
    var table = TextTable([
      ("contradiction", .left), ("value", .left), ("source, strongest first", .left),
    ])
    for contradiction in found.contradictions {
      for (place, claim) in contradiction.claims.enumerated() {
        table.row(
          place == 0 ? contradiction.name.escapedForDisplay : "", claim.value.escapedForDisplay,
          claim.source.escapedForDisplay)
      }
    }
    table.show()
  }

  /// - Parameters:
  ///   - measured: the result of `--measure`; nil without that option.
  ///   - explanation: the result of `--explain`; nil without that option.
  func printJSON(of file: String, _ measured: MeasureReport?, _ explanation: ExplanationReport?) {
    let configuration = found.configuration
    func number(_ value: Int) -> JSONValue { .exact(Int64(value)) }
    let facts: [JSONValue] = found.facts.map {
      .object([
        (key: "name", value: .string($0.name)), (key: "value", value: .string($0.value)),
        (key: "source", value: .string($0.source)), (key: "kind", value: .string($0.kind)),
      ])
    }
    var members: [(key: String, value: JSONValue)] =
      [
        (key: "schema", value: 1), (key: "file", value: .string(file)),
        (key: "architecture", value: found.architecture.map { .string($0) } ?? .null),
        (key: "same_shapes_as", value: .array(found.sameShapes.map { .string($0) })),
        (key: "nearest", value: found.nearest.map { .string($0.name) } ?? .null),
        (key: "block", value: .string(configuration.block.rawValue)),
        (key: "layers", value: .array(configuration.layers.map(number))),
        (key: "depth", value: number(configuration.depth)),
        (key: "width_per_group", value: number(configuration.widthPerGroup)),
        (key: "groups", value: number(configuration.groups)),
        (key: "classes", value: number(configuration.classes)),
        (key: "input_channels", value: number(configuration.inputChannels)),
        (key: "dialect", value: .string(found.naming.dialect.name)),
        (key: "key", value: .string(key)),
        (key: "prefix", value: .string(found.naming.prefix)),
        (key: "by_structure", value: .bool(found.naming.isByStructure)),
        (key: "ok", value: .bool(found.isResNet)),
        (
          key: "tensors",
          value: .object([
            (key: "matched", value: number(found.verification.matched)),
            (key: "missing", value: number(found.verification.missing.count)),
            (key: "mismatched", value: number(found.verification.mismatched.count)),
            (key: "unexpected", value: number(found.verification.unexpected.count)),
            (key: "beside", value: number(found.verification.beside.count)),
          ])
        ),
        (key: "proven", value: .bool(found.isProven)),
        (key: "facts", value: .array(facts)), (key: "values", value: found.facts.json),
        (
          key: "contradictions",
          value: .array(
            found.contradictions.map { contradiction in
              .object([
                (key: "name", value: .string(contradiction.name)),
                (
                  key: "claims",
                  value: .array(
                    contradiction.claims.map {
                      .object([
                        (key: "value", value: .string($0.value)), (key: "source", value: .string($0.source)),
                      ])
                    })
                ),
              ])
            })
        ),
        (key: "undetermined", value: .array(found.undetermined.map { .string($0.name) })),
      ]
    if let choice { members.append((key: "left_out", value: choice.leftOutJSON)) }
    members += parametrized.json(isResolved: true)
    if let explanation { members.append((key: "explanation", value: explanation.json)) }
    let result = JSONValue.object(members)
    StandardStreams.document(measured?.added(to: result) ?? result)
  }
}
