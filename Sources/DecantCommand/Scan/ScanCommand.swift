internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantScanning

/// The command `decant scan FILE|DIR…`.
struct ScanCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract: "Report code that loading a file would execute.", usage: help.usageText,
    discussion: """
      Verdicts: clean (loading only builds tensors), unknown (loading imports other libraries), dangerous (loading can \
      execute code, or the file hides what it loads), unreadable (damaged, or not a format that scan reads). Texts, \
      vocabularies and pictures in a folder are counted as not checkpoints. Exit codes: 0 every checkpoint is clean, 1 a \
      file is not or a path was skipped, 2 a path cannot be opened. docs/SECURITY-MODEL.md lists the rules.
      """)

  /// The mildest verdict for which the command's answer is no.
  enum Threshold: String, ExpressibleByArgument, CaseIterable {
    case unknown, dangerous
  }

  @Argument(help: "Files and folders; folders are searched for files.", completion: .file())
  var paths: [String] = []
  @OptionGroup var opening: OpeningOptions
  @Option(help: ArgumentHelp("Skip files in folders by name (repeatable)", valueName: "glob"))
  var skip: [String] = []
  @Option(
    help: ArgumentHelp(
      "Verdict from which the exit code is 1",
      discussion: "unknown by default. Unreadable files always give 1.", valueName: "unknown|dangerous"))
  var failOn = Threshold.unknown
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions
  @Flag(help: "Print SARIF 2.1.0 for code scanning")
  var sarif = false
  @Flag(help: "Show only files that are not clean")
  var onlyFindings = false
  @Flag(help: "List the rules instead")
  var rules = false
  @Option(
    name: [.customShort("j", allowingJoined: true), .long],
    help: ArgumentHelp("Number of threads", discussion: "By default one for each processor.", valueName: "n"),
    transform: OptionValue.integer(in: 1...256, "--threads is between 1 and 256"))
  var threads = ProcessControl.processorCount

  func validate() throws {
    if json && sarif { throw ValidationError("Use --json or --sarif, not both.") }
    if paths.isEmpty && !rules { throw ValidationError("Pass a file or a folder.") }
  }

  func run() throws {
    if rules { return json ? StandardStreams.document(ScanJSON.rules) : ScanReport.printRules() }
    ProcessControl.explainLostPages()
    let tree = FileTree(paths) { name in skip.contains { name.matches(glob: $0) } }
    for skipped in tree.skipped {
      StandardStreams.note("not scanned: \(skipped.path.escapedForDisplay) \(skipped.reason)")
    }
    var results = ScanResults(skipped: tree.skipped, errors: tree.errors)
    let scanner = CheckpointScanner(
      limits: opening.changing(CheckpointScanner.defaultLimits), password: try opening.password())
    ScanQueue(tree.files, scanner).run(threads: threads) { file, result in
      results.add(result, of: file, onlyFindings: onlyFindings)
    }
    if json { StandardStreams.document(ScanJSON.document(results)) }
    if sarif { StandardStreams.line(ScanSARIF.document(results).indentedText) }
    if !json && !sarif { ScanReport.print(results) }
    for error in results.errors { StandardStreams.error(error.commandText) }
    if !results.errors.isEmpty { throw ExitStatus.wrong }
    if results.fails(failOn) { throw ExitStatus.no }
  }
}
