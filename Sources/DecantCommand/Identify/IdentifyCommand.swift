import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantNetworks
import DecantResNets
import DecantTensors

/// The command `decant identify FILE`.
struct IdentifyCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "identify",
    abstract: "Identify the ResNet in a checkpoint, and list what the file does not contain.")

  @Argument(help: "The checkpoint.") var file: String?
  @OptionGroup var limits: LimitOptions
  @Option(help: "The state dict to use, as inspect lists it; '.' is the root.") var key: String?
  @Option(help: "The prefix of the network's tensor names, when the file holds several networks.")
  var prefix: String?
  @OptionGroup var measuring: MeasureOptions
  @Flag(help: "List the naming dialects and their tensor names instead.") var dialects = false
  @Flag(help: "List the known architectures instead.") var architectures = false
  @Flag(
    help: "Also explain the network: cost of each stage, blocks, depth and downsampling.")
  var explain = false
  @Option(help: "Image height and width for --explain.") var size = 224
  @Option(help: "Stride of the stem's convolution and pooling for --explain.")
  var stride0: Int?
  @Flag(help: "Print JSON, schema 1.") var json = false

  func validate() throws {
    if !(1...16_384 ~= size) { throw ValidationError("--size is between 1 and 16,384, not \(size).") }
    if let stride0, !(1...2 ~= stride0) { throw ValidationError("--stride0 is 1 or 2, not \(stride0).") }
    if [file != nil, dialects, architectures].count(where: { $0 }) != 1 {
      throw ValidationError("Pass a file, --dialects or --architectures.")
    }
  }

  func run() throws {
    guard let file else { return dialects ? showDialects() : showArchitectures() }
    let checkpoint = try Checkpoint(path: file, limits: limits.limits)
    let selection =
      try key.map { key throws(DecantError) in try checkpoint.selection(key: key) }
      ?? checkpoint.onlyStateDict()
    let stateDict = try selection.stateDict()
    let found: ResNetTensorNameMap?
    do throws(DecantError) { found = try ResNetTensorNameMap.onlyIfAny(in: stateDict, prefix: prefix) } catch
    {
      throw error.located(file: file)
    }
    guard let naming = found else { throw refuse(NoMatchReport(stateDict)) }
    let identification: ResNetIdentification
    let digest = try wholeDigest(of: checkpoint)
    let evidence = EvidenceCollector.evidence(
      in: checkpoint, selection, of: naming, note: StandardStreams.note)
    do {
      identification = try ResNetIdentification(
        naming, published: digest.flatMap { PublishedFile.of(sha256: $0) }, evidence: evidence)
    } catch let error as DecantError {
      guard [.notAResNet, .unsupportedNetwork].contains(error.code) else { throw error.located(file: file) }
      throw refuse(NoMatchReport(stateDict, reason: error.reason))
    }
    let measured = try measuring.report(on: identification, in: checkpoint, selection)
    if json {
      printJSON(identification, selection, measured)
    } else {
      print(identification, selection)
      if explain { try printExplanation(identification) }
      measured?.print()
    }
    if !identification.isResNet { throw ExitStatus.no }
  }

  /// Reports that the file is not a ResNet, and what it contains instead.
  private func refuse(_ absence: NoMatchReport) -> ExitStatus {
    if json { StandardStreams.document(absence.json) }
    StandardStreams.error("\((file ?? "").escapedForDisplay): \(absence.text)")
    return .no
  }

  private func printExplanation(_ identification: ResNetIdentification) throws {
    var configuration = identification.configuration
    if let stride0 { configuration.stride0 = stride0 }
    guard let report = ExplanationReport(identification, configuration, inputSize: size) else {
      throw DecantError(
        .invalidArgument, "an image of \(size)×\(size) is too small for the network", file: file,
        remedy: "Pass a larger --size.")
    }
    StandardStreams.line()
    report.print()
  }

  /// Returns the file's SHA-256, or nil for several files and for files larger than 1 GiB, which are never published
  /// weights. Also nil, with a note, without libcrypto, since the architecture can be found without the digest.
  ///
  /// Prints a warning on standard error when the file's name claims another digest.
  private func wholeDigest(of checkpoint: Checkpoint) throws -> String? {
    guard let byteCount = checkpoint.fileByteCount, byteCount <= 1 << 30 else { return nil }
    do { _ = try SHA256() } catch {
      StandardStreams.note("cannot compare the file with published weights: \(error)")
      return nil
    }
    let digest = try checkpoint.sha256()
    if let claimed = PublishedFile.claimedDigest(inFileName: checkpoint.path),
      !digest.hasPrefix(claimed)
    {
      StandardStreams.note(
        "warning: the file name says that the SHA-256 begins with \(claimed), but it begins with \(digest.prefix(claimed.utf8.count)): the file differs from the published one"
      )
    }
    return digest
  }

  private func showDialects() {
    if json {
      return StandardStreams.document(
        .object([
          (key: "schema", value: 1),
          (
            key: "dialects",
            value: .array(
              ResNetDialect.all.map { dialect in
                .object([
                  (key: "name", value: .string(dialect.name)),
                  (key: "summary", value: .string(dialect.summary)),
                  (
                    key: "names",
                    value: .array(
                      dialect.rows.map { row in
                        .object([
                          (key: "here", value: .string(row.canonical)),
                          (key: "there", value: .string(row.spelled)),
                        ])
                      })
                  ),
                ])
              })
          ),
        ]))
    }
    for dialect in ResNetDialect.all {
      StandardStreams.line("\(dialect.name): \(dialect.summary)")
      var table = TextTable([("here", .left), ("there", .left)])
      for row in dialect.rows { table.row(row.canonical, row.spelled) }
      table.show()
      StandardStreams.line()
    }
  }

  private func showArchitectures() {
    if json {
      return StandardStreams.document(
        .object([
          (key: "schema", value: 1),
          (
            key: "architectures",
            value: .array(
              ResNetArchitecture.all.map { architecture in
                let configuration = architecture.configuration
                return .object([
                  (key: "name", value: .string(architecture.name)),
                  (key: "block", value: .string(configuration.block.rawValue)),
                  (key: "layers", value: .array(configuration.layers.map { .exact(Int64($0)) })),
                  (key: "depth", value: .exact(Int64(configuration.depth))),
                ])
              })
          ),
        ]))
    }
    var table = TextTable([("name", .left), ("block", .left), ("layers", .left), ("depth", .right)])
    for architecture in ResNetArchitecture.all {
      let configuration = architecture.configuration
      table.row(
        architecture.name, configuration.block.rawValue,
        configuration.layers.map(String.init).joined(separator: ", "), String(configuration.depth))
    }
    table.show()
  }

  private func print(_ found: ResNetIdentification, _ selection: Selection) {
    let naming = found.naming
    let verification = found.verification
    StandardStreams.line(
      found.isResNet
        ? found.architecture.map {
          "\(found.isProven ? "is" : "consistent with") \($0)\(found.hasPublishedHead ? "" : ", except for its head")"
        } ?? "a custom ResNet"
        : found.isPart
          ? "not a ResNet: another network whose first layers are a ResNet's"
          : "not a complete ResNet: only some of its tensors match one")
    if found.sameShapes.count > 1 {
      StandardStreams.line("  same names and shapes: \(found.sameShapes.joined(separator: ", "))")
    }
    if let nearest = found.nearest {
      StandardStreams.line(
        "  like \(nearest.name), with \(nearest.differences.joined(separator: "; "))")
    }
    StandardStreams.line("  key: \(selection.key.escapedForDisplay)")
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
    printContradictions(found)
    guard !found.undetermined.isEmpty else { return }
    StandardStreams.line()
    var open = TextTable([("not in the file", .left), ("default", .left), ("set with", .left)])
    for question in found.undetermined {
      open.row(question.name, found.configuration.text(question.usual), question.setting?.option ?? "")
    }
    open.show()
  }

  /// Prints the settings on which sources contradict each other, with all sources, the strongest first.
  private func printContradictions(_ found: ResNetIdentification) {
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

  private func printJSON(
    _ found: ResNetIdentification, _ selection: Selection, _ measured: MeasureReport?
  ) {
    let configuration = found.configuration
    func number(_ value: Int) -> JSONValue { .exact(Int64(value)) }
    let facts: [JSONValue] = found.facts.map {
      .object([
        (key: "name", value: .string($0.name)), (key: "value", value: .string($0.value)),
        (key: "source", value: .string($0.source)), (key: "kind", value: .string($0.kind)),
      ])
    }
    let result: JSONValue = .object([
      (key: "schema", value: 1),
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
      (key: "key", value: .string(selection.key)),
      (key: "prefix", value: .string(found.naming.prefix)),
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
      (key: "facts", value: .array(facts)),
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
    ])
    StandardStreams.document(measured?.added(to: result) ?? result)
  }
}
