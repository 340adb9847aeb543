internal import ArgumentParser
internal import DecantBytes
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The command `decant verify FILE`.
struct VerifyCommand: CheckpointCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check names, shapes, types and values against an architecture.",
    usage: help.usageText)

  @Argument(help: "The checkpoint.", completion: .file())
  var file: String?
  @OptionGroup var recursion: RecursionOptions
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @OptionGroup var leaving: LeaveOutOptions
  @OptionGroup var network: NetworkOptions
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Expected number of classes", discussion: "By default the number of the published network.",
      valueName: "n"), transform: OptionValue.classes)
  var numClasses: Int?
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  func validate() throws { _ = try joining.source(file) }

  func answer(for source: CheckpointSource) throws {
    let file = try network.file(
      in: source, opening, leaving, allowsWrongChecksums: true)
    let found = try network.resolve(
      file, classes: numClasses ?? network.arch?.configuration.classes, isForComputing: false)
    // With --arch and no prefix, the file is expected to contain nothing else.
    // Without an expected head, one that is not recognised is listed and does not change the answer.
    let ignoresHead = network.arch == nil && numClasses == nil
    let line = ProgressLine()
    defer { line.clear() }
    let tensors =
      found.parameters.entries.map(\.tensor.byteCount) + found.file.weights.entries.map(\.tensor.byteCount)
    let total = tensors.reduce(0) { $0.checkedAdding($1) ?? .max }
    let verification = try found.comparison(
      standsAlone: network.arch != nil && found.identification.naming.prefix.isEmpty,
      ignoresHead: ignoresHead && !found.identification.naming.head.unresolved.isEmpty,
      progress: { line.advance(by: $0, of: total) })
    let damage = try file.damage { line.advance(by: $0, of: total) }
    line.clear()
    let report = VerificationReport(
      network: found, verification: verification, damage: damage,
      isArchitectureNamed: network.arch != nil,
      shapes: network.arch == nil || verification.isMatch
        ? nil
        : VerificationReport.shapes(
          of: found.file, prefix: network.prefix, insteadOf: network.arch?.name,
          expectedClasses: found.identification.configuration.classes))
    if json { report.printJSON(of: source.path) } else { report.print(listsAll: presentation.verbose) }
    if !report.isMatch { throw ExitStatus.no }
  }
}
