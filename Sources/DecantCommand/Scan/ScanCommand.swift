import ArgumentParser
import DecantBytes
import DecantIO
import DecantCheckpoints
import DecantScanning

/// The command `decant scan FILE|DIR…`.
struct ScanCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract: "Say what loading a file would execute, without loading it.",
    discussion: """
      A file is clean when every name in it builds tensors, unknown when it names what other libraries define, \
      dangerous when it names or disguises what runs code, and unreadable when it cannot be judged. Exit 0 when every \
      file is clean, 1 when one is not, 2 when one cannot be opened. docs/SECURITY-MODEL.md lists the rules.
      """)

  /// The mildest verdict for which the command's answer is no.
  enum Threshold: String, ExpressibleByArgument, CaseIterable {
    case unknown, dangerous
  }

  @Argument(help: "Files, and folders to search for files.") var paths: [String] = []
  @OptionGroup var limits: LimitOptions
  @Option(help: "Leave out files of folders whose name matches this glob, such as '*.md'; again for another.")
  var skip: [String] = []
  @Option(
    help: "What makes the exit code 1: unknown (or worse), or only dangerous. Unreadable files always do.")
  var failOn = Threshold.unknown
  @Flag(help: "Print JSON, schema 1.") var json = false
  @Flag(help: "Print SARIF 2.1.0, which code-scanning services read.") var sarif = false
  @Flag(help: "Show only files that are not clean.") var quiet = false
  @Flag(help: "List the rules, and what each looks for.") var rules = false
  @Option(help: "Threads; by default one for each processor.") var threads = ProcessControl.processorCount

  func validate() throws {
    if json && sarif { throw ValidationError("Use --json or --sarif, not both.") }
    if paths.isEmpty && !rules { throw ValidationError("Name a file or a folder.") }
    if !(1...256).contains(threads) { throw ValidationError("--threads is 1 to 256, not \(threads).") }
  }

  func run() throws {
    if rules { return ScanReport.printRules() }
    ProcessControl.explainLostPages()
    let tree = FileTree(paths) { name in skip.contains { name.matches(glob: $0) } }
    for skipped in tree.skipped {
      StandardStreams.note("\(skipped.path.escapedForDisplay) \(skipped.reason): not scanned")
    }
    var errors = tree.errors
    var report = ScanReport(isQuiet: quiet)
    var kept: [FileScan] = []
    let scanner = CheckpointScanner(limits: limits.changing(CheckpointScanner.defaultLimits))
    ScanQueue(tree.files, scanner).run(threads: threads) { result in
      switch result {
      case .success(let scan):
        report.count(scan)
        if json || sarif {
          if !quiet || scan.verdict != .clean { kept.append(scan) }
        } else {
          report.print(scan)
        }
      case .failure(let error): errors.append(error)
      }
    }
    if json { StandardStreams.document(ScanJSON.document(kept, errors)) }
    if sarif { StandardStreams.line(ScanSARIF.document(kept, errors).indentedText) }
    if !json && !sarif { report.printTotals() }
    for error in errors { StandardStreams.error(error.commandText) }
    if !errors.isEmpty { throw ExitStatus.wrong }
    if report.fails(failOn) { throw ExitStatus.no }
  }
}
