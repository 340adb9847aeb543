internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantComparing
internal import DecantIO
internal import DecantReports
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The command `decant report FILE…`.
struct ReportCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page about a checkpoint, or the drawing of its network.", usage: help.usageText,
    discussion: """
      The page is one HTML file that loads nothing from the network and needs no script: what the file is, whether it is \
      safe to load, the network drawn to scale, its cost, every tensor with its histogram, and the bytes of the file. Two \
      files are compared, more have a part each. A report needs no option: what the file does not hold is said.
      """)

  /// The format of the output.
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case html, svg, dot, mermaid

    /// Returns the format of a file's extension; nil when it has none of a format.
    init?(path: String) {
      switch path.split(separator: ".").last?.lowercased() {
      case "html", "htm": self = .html
      case "svg": self = .svg
      case "dot", "gv": self = .dot
      case "mmd", "mermaid": self = .mermaid
      default: return nil
      }
    }
  }

  @Argument(help: "The checkpoints.", completion: .file()) var files: [String] = []
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "File to write (default: standard output)", discussion: "'-' is standard output too.", valueName: "file"
    ),
    completion: .file(extensions: ["html", "svg", "gv", "mmd"]))
  var output: String?
  @Option(
    help: ArgumentHelp(
      "html, svg, dot or mermaid",
      discussion:
        "html is the page, the others are the drawing alone, the same bytes every time. By default the output's extension tells.",
      valueName: "name"))
  var format: Format?
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @OptionGroup var leaving: LeaveOutOptions
  @OptionGroup var network: NetworkOptions
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Number of classes, 0 for no head", discussion: "As in the file by default.", valueName: "n"),
    transform: OptionValue.classes)
  var numClasses: Int?
  @Option(
    help: ArgumentHelp(
      "Height and width of the image",
      discussion: "224 by default, or 32 where the stem is for small images.",
      valueName: "n"),
    transform: OptionValue.integer(in: 1...16_384, "--size is between 1 and 16,384"))
  var size: Int?
  @Flag(
    help: ArgumentHelp(
      "Read no weights", discussion: "Leaves out histograms, ranges and checksums, which need all of them."))
  var noValues = false
  @OptionGroup var forward: ForwardOptions
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  /// The format to write.
  private var target: Format { format ?? output.flatMap(Format.init(path:)) ?? .html }

  func validate() throws {
    if json, output == nil || output == "-" {
      throw ValidationError("--json cannot share standard output with the report: name a file with -o.")
    }
    if files.count < 2 { _ = try joining.source(files.first) }
    if files.count > 1, !joining.join.isEmpty {
      throw ValidationError("Use checkpoints or --join, not both.")
    }
    if files.count > 1, forward.compare != nil {
      throw ValidationError("--compare needs one checkpoint, not \(files.count).")
    }
    if target != .html, files.count > 1 {
      throw ValidationError("A drawing is of one checkpoint, not \(files.count).")
    }
    if target != .html, forward.compare != nil {
      throw ValidationError("--compare is for the page: leave out --format \(target.rawValue).")
    }
  }

  /// Prints the path and size of the written file, as a note or as JSON.
  private func say(_ path: String, _ byteCount: Int, _ reports: [FileReport]) {
    guard json else {
      return StandardStreams.note("\(path.escapedForDisplay): \(DecantBytes.Format.size(byteCount))")
    }
    StandardStreams.document(
      .object([
        (key: "schema", value: 1), (key: "output", value: .string(path)),
        (key: "format", value: .string(target.rawValue)), (key: "bytes", value: .exact(Int64(byteCount))),
        (
          key: "files",
          value: .array(
            reports.map { report in
              let architecture = report.network?.identification.architecture
              return .object([
                (key: "file", value: .string(report.checkpoint.path)),
                (key: "verdict", value: .string(report.verdict.rawValue)),
                (key: "architecture", value: architecture.map { .string($0) } ?? .null),
              ])
            })
        ),
      ]))
  }

  func run() throws {
    let sources =
      files.count > 1
      ? files.map { CheckpointSource(paths: [$0], isJoined: false) } : [try joining.source(files.first)]
    let path = output == "-" ? nil : output
    if path == nil, target == .html, StandardStream.output.isTerminal {
      throw ValidationError("Name the page to write: -o report.html")
    }
    ProcessControl.explainLostPages()
    let checkpoints = try sources.map { source throws(DecantError) in try source.open(opening, leaving) }
    var options = try options()
    if target != .html { options.readsValues = false }
    let comparison = try checkpoints.count == 2 ? comparison(checkpoints[0], checkpoints[1]) : nil
    let forward = try forward.comparison(network, in: sources[0], opening, leaving, classes: numClasses)
    let reports = try checkpoints.map { try FileReport($0, options) }
    let text =
      target == .html
      ? ReportPage(reports, comparison: comparison, forward: forward, errorText: \.commandExplanation).html
        .text
      : try drawing(of: reports[0])
    let identities = checkpoints.flatMap(\.files).map(\.identity)
    let bytes = Array(text.utf8)
    let file =
      try path.map { path throws(DecantError) in
        try AtomicOutput(path, overwrite: true, sources: identities)
      } ?? .standardOutput(sources: identities)
    file.write(bytes)
    try file.commit()
    if let path { say(path, bytes.count, reports) }
  }

  private func options() throws(DecantError) -> FileReport.Options {
    var options = FileReport.Options()
    options.key = network.key
    options.except = leaving.except
    options.overrides = network.overrides(classes: numClasses)
    options.inputSize = size
    options.readsValues = !noValues
    options.scanner = CheckpointScanner(
      limits: opening.changing(CheckpointScanner.defaultLimits), password: try opening.password())
    options.threads = min(ProcessControl.processorCount, 4)
    return options
  }

  private func drawing(of report: FileReport) throws -> String {
    let path = report.checkpoint.path
    guard let network = report.network else {
      guard case .none(let error, _) = report.finding else { return "" }
      throw error.located(file: path)
    }
    guard let diagram = network.diagram else {
      throw DecantError(
        .invalidArgument,
        "an image of \(network.inputSize)×\(network.inputSize) is too small for the network",
        file: path, remedy: "Pass a larger --size.")
    }
    let title = ReportPage.fileName(path)
    switch target {
    case .svg: return diagram.svg(title: title).text
    case .dot: return diagram.dot(title: title)
    case .html, .mermaid: return diagram.mermaid(title: title)
    }
  }

  /// Compares two checkpoints as `diff` does. Files that cannot be compared are part of the page.
  private func comparison(_ one: Checkpoint, _ other: Checkpoint) throws -> ReportPage.Comparison {
    let query = TensorQuery(except: leaving.except)
    let threads = min(ProcessControl.processorCount, 4)
    do {
      let (a, b) = try (
        DiffFile("A", one, key: network.key, query), DiffFile("B", other, key: network.key, query)
      )
      var matching = TensorMatching(a, b, exactNames: false)
      let comparison = PairComparison(
        a: a, b: b, tolerance: Tolerance(), toDense: false, threads: threads)
      if !matching.onlyA.isEmpty, !matching.onlyB.isEmpty {
        matching.add(try comparison.pairsOfEqualData(matching.onlyA, matching.onlyB))
      }
      return .differences(
        DiffResult(
          a, b, matching, try comparison.verdicts(matching.pairs), ignoresNames: false, isTolerant: false))
    } catch let error as DecantError { return .impossible(error) }
  }
}
