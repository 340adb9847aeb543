import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantGraphs
import DecantResNets
import DecantTensors

/// The command `decant verify FILE`.
struct VerifyCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that a checkpoint is the network it should be: names, shapes, types, finite numbers.")

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var limits: LimitOptions
  @OptionGroup var network: NetworkOptions
  @Option(help: "How many outputs it should have; by default the architecture's published count.")
  var numClasses: Int?
  @Flag(help: "Print JSON, schema 1.") var json = false

  func validate() throws {
    if let numClasses, numClasses < 0 {
      throw ValidationError("--num-classes is at least 0, which is no head, not \(numClasses).")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(path: file, limits: limits.limits)
    try checkpoint.requireIntact()
    let selection = try network.selection(of: checkpoint)
    let stateDict = try selection.stateDict()
    let published = network.arch.flatMap { ResNetArchitecture.named($0) }
    let resolution = try network.resolve(
      stateDict, selection, in: checkpoint, classes: numClasses ?? published?.configuration.classes)
    try checkpoint.verifyChecksums(of: selection.tensors)
    // With --arch and no prefix, the file is expected to contain nothing else.
    let verification = try ResNetVerification(
      of: resolution.naming, against: resolution.graph,
      standsAlone: network.arch != nil && resolution.naming.prefix.isEmpty)
    try network.requireSupportedHead(resolution, verification, in: checkpoint, classes: numClasses)
    if json {
      printJSON(resolution, verification)
    } else {
      print(resolution, verification, shapes: network.arch == nil ? nil : shapesSummary(stateDict))
    }
    if !verification.isMatch { throw ExitStatus.no }
  }

  /// Returns a description of the network that the names and shapes match, or nil when they match none. It helps users
  /// who expected another network.
  private func shapesSummary(_ stateDict: StateDict) -> String? {
    var said = ResNetOverrides()
    said.prefix = network.prefix
    said.stride0 = 1
    guard let found = try? ResNetResolution(of: stateDict, said) else { return nil }
    let layers = found.configuration.layers.map(String.init).joined(separator: ", ")
    let block =
      "\(found.configuration.block.rawValue) blocks [\(layers)], \(Format.count(found.configuration.classes, "output"))"
    let names = ResNetArchitecture.all.filter { $0.configuration.hasTrunk(of: found.configuration) }.map(
      \.name)
    return block
      + (names.isEmpty ? ": those of no published network" : ": those of \(names.joined(separator: ", "))")
  }

  private func print(_ resolution: ResNetResolution, _ verification: ResNetVerification, shapes: String?) {
    let name = resolution.architecture ?? "a ResNet without a published name"
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
    StandardStreams.line(
      verification.isMatch
        ? "yes: the names, shapes and types are those of \(name), \(Format.count(verification.matched, "tensor")), every number finite"
        : "no: this is not \(name): \(verification.missing.count) missing, \(verification.unexpected.count) unexpected, "
          + "\(verification.mismatched.count) mismatched, \(verification.nonFinite.count) with non-finite numbers"
    )
    for line in lines { StandardStreams.line("  " + line) }
    if let shapes, !verification.isMatch { StandardStreams.line("  the shapes tell of \(shapes)") }
    if let first = verification.beside.first {
      StandardStreams.line(
        "  \(Format.count(verification.beside.count, "tensor")) \(verification.beside.count == 1 ? "stands" : "stand") beside the network, from \(first.escapedForDisplay) on"
      )
    }
    if verification.absentOptional > 0 {
      StandardStreams.line(
        "  \(verification.absentOptional) num_batches_tracked are absent, as before PyTorch 0.4.1; inference does not need them"
      )
    }
    StandardStreams.line()
    SummaryReport(configuration: resolution.configuration).print()
    for (place, items) in resolution.read.byPlace {
      StandardStreams.line()
      StandardStreams.line("  read from \(place.escapedForDisplay), not verified: no name or shape tells")
      for item in items { StandardStreams.line("    \(item.name): \(item.value)".escapedForDisplay) }
    }
    for (words, facts) in [("declared", resolution.declared), ("assumed", resolution.assumed)]
    where !facts.isEmpty {
      StandardStreams.line()
      StandardStreams.line("  \(words), not verified: no name or shape tells")
      for fact in facts { StandardStreams.line("    \(fact.name): \(fact.value)") }
    }
  }

  private func printJSON(_ resolution: ResNetResolution, _ verification: ResNetVerification) {
    func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
    func sizes(_ sizes: [Int]) -> JSONValue { .array(sizes.map { .exact(Int64($0)) }) }
    func entry(_ name: String, _ expected: JSONValue, _ found: JSONValue) -> JSONValue {
      .object([
        (key: "name", value: .string(name)), (key: "expected", value: expected), (key: "found", value: found),
      ])
    }
    let result: JSONValue = .object([
      (key: "schema", value: 1),
      (key: "ok", value: .bool(verification.isMatch)),
      (key: "architecture", value: resolution.architecture.map { .string($0) } ?? .null),
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
      (key: "dialect", value: .string(resolution.naming.dialect.name)),
      (key: "prefix", value: .string(resolution.naming.prefix)),
      (key: "declared", value: resolution.declared.json),
      (key: "assumed", value: resolution.assumed.json),
      (key: "read", value: resolution.read.json),
    ])
    StandardStreams.document(result)
  }
}
