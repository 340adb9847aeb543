internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantNetworks
internal import DecantResNets

/// The command `decant identify FILE`.
struct IdentifyCommand: CheckpointCommand {
  static let configuration = CommandConfiguration(
    commandName: "identify",
    abstract: "Name the ResNet in a checkpoint, with the evidence.",
    usage: help.usageText)

  @Argument(help: "The checkpoint.", completion: .file())
  var file: String?
  @OptionGroup var recursion: RecursionOptions
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @OptionGroup var leaving: LeaveOutOptions
  @Option(
    name: .shortAndLong, parsing: .unconditional,
    help: ArgumentHelp(
      "State dict to use; '.' is the root", discussion: "A path as decant inspect lists it.", valueName: "key"
    ), completion: .keys)
  var key: String?
  @Option(help: ArgumentHelp("Prefix of the names, with several networks", valueName: "prefix"))
  var prefix: String?
  @OptionGroup var measuring: MeasureOptions
  @Flag(help: "List the naming dialects instead")
  var dialects = false
  @Flag(help: "List the known architectures instead")
  var architectures = false
  @Flag(help: "Also explain cost, blocks and downsampling")
  var explain = false
  @Option(
    help: ArgumentHelp("Image size for --explain (default 224 or 32)", valueName: "n"),
    transform: OptionValue.integer(in: 1...16_384, "--size is between 1 and 16,384"))
  var size: Int?
  @Option(
    help: ArgumentHelp("Stride of the stem for --explain", valueName: "1|2"), completion: .list(["1", "2"]),
    transform: OptionValue.stride0)
  var stride0: Int?
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  func validate() throws {
    if file != nil, !joining.join.isEmpty { _ = try joining.source(file) }
    if [file != nil || !joining.join.isEmpty, dialects, architectures].count(where: { $0 }) != 1 {
      throw ValidationError("Pass a file, --dialects or --architectures.")
    }
    if !explain, stride0 != nil || size != nil {
      throw ValidationError("--stride0 and --size: only with --explain.")
    }
  }

  func run() throws {
    if dialects { return CatalogueReport.printDialects(json: json) }
    if architectures { return CatalogueReport.printArchitectures(json: json) }
    try answerForEach()
  }

  func answer(for source: CheckpointSource) throws {
    let network = try NetworkFile(
      identifying: source.open(opening, leaving), key: key, except: leaving.except)
    network.printChoice()
    if let part = network.part {
      // Names and shapes are whole, so the answer stands.
      for loss in [part.checkpoint.truncation].compactMap(\.self) + part.checkpoint.damage {
        StandardStreams.warning(loss.commandText)
      }
      if let note = part.checkpoint.unreadNote(in: part.selection) {
        StandardStreams.warning(note)
      }
    }
    network.printParametrization()
    let identification: ResNetIdentification
    do throws(DecantError) {
      identification = try network.identify(prefix: prefix, note: StandardStreams.note)
    } catch {
      guard [.notAResNet, .unsupportedNetwork].contains(error.code) else { throw error }
      throw refuse(NoMatchReport(network.weights, reason: error.reason), source.path)
    }
    let measured = try measuring.report(on: identification, of: network)
    let report = IdentificationReport(
      found: identification, key: network.part?.selection.key ?? ".",
      parametrized: network.parametrized, choice: network.choice)
    let explanation = explain ? try explanation(of: identification, source.path) : nil
    if json {
      report.printJSON(of: source.path, measured, explanation)
    } else {
      report.print()
      if let explanation {
        StandardStreams.line()
        explanation.print()
      }
      measured?.print()
    }
    if !identification.isResNet { throw ExitStatus.no }
  }

  /// Reports that the file is not a ResNet, and what it contains instead.
  private func refuse(_ absence: NoMatchReport, _ path: String) -> ExitStatus {
    if json { StandardStreams.document(absence.json(of: path)) }
    StandardStreams.error("\(path.escapedForDisplay): \(absence.text)")
    return .no
  }

  private func explanation(
    of identification: ResNetIdentification, _ path: String
  ) throws(DecantError) -> ExplanationReport {
    var configuration = identification.configuration
    if let stride0 { configuration.stride0 = stride0 }
    let size = size ?? (identification.isForSmallImages ? 32 : 224)
    guard let report = ExplanationReport(identification, configuration, inputSize: size) else {
      throw DecantError(
        .invalidArgument, "an image of \(size)×\(size) is too small for the network", file: path,
        remedy: "Pass a larger --size.")
    }
    return report
  }
}
