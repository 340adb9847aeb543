internal import DecantBytes
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The output of `decant verify`.
struct VerificationReport {
  let network: ResolvedNetwork
  let verification: ResNetVerification
  /// True when the user named the architecture.
  let isArchitectureNamed: Bool
  /// A description of the network that the names and shapes match instead of the named one; nil when there is none.
  let shapes: String?

  /// Returns a description of the network that the names and shapes match, or nil when they match none. It helps users
  /// who expected another network.
  static func shapes(of file: NetworkFile, prefix: String?, insteadOf name: String?) -> String? {
    guard let found = try? ResNetIdentification(.only(in: file.weights, prefix: prefix)) else { return nil }
    let configuration = found.configuration
    let names = ResNetArchitecture.all.filter { $0.configuration.hasTrunk(of: configuration) }.map(\.name)
    let classes = configuration.classes == 1 ? "1 class" : "\(Format.count(configuration.classes)) classes"
    guard let first = names.first else {
      let layers = configuration.layers.map(String.init).joined(separator: ", ")
      return "a custom ResNet with \(configuration.block.rawValue) blocks [\(layers)] and \(classes)"
    }
    let isNamed = names.contains { $0 == name }
    return "\(names.joined(separator: ", ")) with \(classes); try "
      + (isNamed ? "--num-classes \(configuration.classes)" : "--arch \(first)")
  }

  func print() {
    let name = network.architecture ?? "a custom ResNet"
    StandardStreams.line(
      verification.isMatch
        ? "yes: names, shapes and types match \(name): \(Format.count(verification.matched, "tensor")), all values finite"
        : "no: this is not \(name): \(verification.missing.count) missing, \(verification.unexpected.count) unexpected, "
          + "\(verification.mismatched.count) mismatched, \(verification.nonFinite.count) with NaN or infinity"
    )
    for line in differences { StandardStreams.line("  " + line) }
    if let shapes { StandardStreams.line("  the shapes match \(shapes)") }
    if let first = verification.beside.first {
      StandardStreams.line(
        "  \(Format.count(verification.beside.count, "other tensor")), such as \(first.escapedForDisplay)"
      )
    }
    if verification.absentOptional > 0 {
      StandardStreams.line(
        "  \(verification.absentOptional) num_batches_tracked tensors are missing, as in files from before PyTorch 0.4.1; inference does not need them"
      )
    }
    StandardStreams.line()
    SummaryReport(configuration: network.identification.configuration).print()
    printFacts(network.identification)
  }

  /// One line for each difference.
  private var differences: [String] {
    var lines: [String] = []
    for missing in verification.missing {
      lines.append("missing     \(missing.name.escapedForDisplay)  \(Format.shape(missing.shape))")
    }
    for name in verification.unexpected { lines.append("unexpected  \(name.escapedForDisplay)") }
    for mismatch in verification.mismatched {
      let difference: String
      switch mismatch.difference {
      case .shape(let expected, let found):
        difference = "expected \(Format.shape(expected)), found \(Format.shape(found))"
      case .type(let expected, let found): difference = "expected \(expected), found \(found.rawValue)"
      }
      lines.append("mismatched  \(mismatch.name.escapedForDisplay)  \(difference)")
    }
    for finding in verification.nonFinite {
      lines.append(
        "non-finite  \(finding.name.escapedForDisplay)  \(Format.count(finding.count, "number"))")
    }
    return lines
  }

  /// Prints the facts that names and shapes do not confirm.
  private func printFacts(_ identification: ResNetIdentification) {
    for (place, items) in identification.read.byPlace {
      StandardStreams.line()
      StandardStreams.line("  read from \(place.escapedForDisplay) (weights cannot confirm these)")
      for item in items {
        let fact = item.text(of: identification.configuration)
        StandardStreams.line("    \(fact.name): \(fact.value)".escapedForDisplay)
      }
    }
    let declaring = isArchitectureNamed ? "--arch" : "the command line"
    for (title, facts) in [
      ("taken from \(declaring) (weights cannot confirm these)", identification.declared),
      ("not stored in the file, using defaults", identification.assumed),
    ] where !facts.isEmpty {
      StandardStreams.line()
      StandardStreams.line("  \(title)")
      for fact in facts.map({ $0.text(of: identification.configuration) }) {
        StandardStreams.line("    \(fact.name): \(fact.value)")
      }
    }
  }

  func printJSON() {
    let identification = network.identification
    func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
    func sizes(_ sizes: [Int]) -> JSONValue { .array(sizes.map { .exact(Int64($0)) }) }
    func entry(_ name: String, _ expected: JSONValue, _ found: JSONValue) -> JSONValue {
      .object([
        (key: "name", value: .string(name)), (key: "expected", value: expected), (key: "found", value: found),
      ])
    }
    let result: JSONValue = .object(
      [
        (key: "schema", value: 1),
        (key: "ok", value: .bool(verification.isMatch)),
        (key: "architecture", value: network.architecture.map { .string($0) } ?? .null),
        (key: "missing", value: names(verification.missing.map(\.name))),
        (key: "unexpected", value: names(verification.unexpected)),
        (key: "beside", value: .integer(Int64(verification.beside.count))),
        (
          key: "mismatched",
          value: .array(
            verification.mismatched.map { mismatch in
              switch mismatch.difference {
              case .shape(let expected, let found):
                entry(mismatch.name, sizes(expected), sizes(found))
              case .type(let expected, let found):
                entry(mismatch.name, .string(expected), .string(found.rawValue))
              }
            })
        ),
        (
          key: "non_finite",
          value: .array(
            verification.nonFinite.map {
              .object([
                (key: "name", value: .string($0.name)), (key: "count", value: .integer(Int64($0.count))),
              ])
            })
        ),
        (key: "dialect", value: .string(identification.naming.dialect.name)),
        (key: "prefix", value: .string(identification.naming.prefix)),
        (key: "declared", value: identification.declared.json),
        (key: "assumed", value: identification.assumed.json),
        (key: "read", value: identification.read.json),
      ] + network.file.parametrized.json(isResolved: true))
    StandardStreams.document(result)
  }
}
