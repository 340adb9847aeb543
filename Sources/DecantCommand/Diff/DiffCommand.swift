internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantComparing
internal import DecantIO
internal import DecantResNets
internal import DecantTensors

/// The command `decant diff A B`.
struct DiffCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the tensors of two checkpoints.",
    usage: help.usageText,
    discussion: """
      Exit codes: 0 equal, 1 different, 2 a file or a key is wrong. Only tensors are compared.
      """)

  @Argument(help: "The first checkpoint.", completion: .file())
  var a: String
  @Argument(help: "The second checkpoint; none with --join.", completion: .file())
  var b: String?
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @Option(
    name: .shortAndLong, parsing: .unconditional,
    help: ArgumentHelp("Compare what is under this key; '.' is the root", valueName: "key"), completion: .keys
  )
  var key: String?
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Key in the first file", valueName: "key"), completion: .keys)
  var keyA: String?
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Key in the second file", valueName: "key"), completion: .keys
  )
  var keyB: String?
  @Option(help: ArgumentHelp("Only tensors by name (repeatable)", valueName: "glob"))
  var only: [String] = []
  @OptionGroup var leaving: LeaveOutOptions
  @Option(
    help: ArgumentHelp(
      "Allowed absolute difference", discussion: "The largest allowed |x - y|.", valueName: "x"),
    transform: OptionValue.tolerance("--tolerance-abs"))
  var toleranceAbs: Double?
  @Option(
    help: ArgumentHelp(
      "Allowed relative difference", discussion: "The largest allowed |x - y| / max(|x|, |y|).",
      valueName: "x"), transform: OptionValue.tolerance("--tolerance-rel"))
  var toleranceRel: Double?
  @Option(
    help: ArgumentHelp(
      "Allowed difference in the last place (ULP)",
      discussion: "In units in the last place of the less precise dtype.", valueName: "n"))
  var toleranceUlp: UInt64?
  @Flag(help: "Treat renamed tensors with equal data as equal")
  var ignoreNames = false
  @Flag(help: ArgumentHelp("Match tensors by exact name only", discussion: "Not by prefix, naming or data."))
  var exactNames = false
  @Flag(help: "Compare quantised tensors as float32")
  var dequantize = false
  @Flag(help: "Compare sparse tensors as dense tensors")
  var toDense = false
  @Flag(
    help: ArgumentHelp(
      "Compare the weights that PyTorch computes",
      discussion: "Those of pruning, weight norm and spectral norm."))
  var resolve = false
  @Option(help: ArgumentHelp("Print the N tensors that differ most", valueName: "n"))
  var top: Int?
  @Flag(help: "Print every list in full")
  var all = false
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  func validate() throws {
    if b == nil, joining.join.isEmpty { throw ValidationError("Missing expected argument '<b>'") }
    _ = try joining.source(b)
    if key != nil, keyA != nil || keyB != nil {
      throw ValidationError("Use --key, or --key-a and --key-b, not both.")
    }
    if let top, top < 1 { throw ValidationError("--top takes a number from 1.") }
    if top != nil, all { throw ValidationError("Use --top or --all, not both.") }
    if top != nil, json { throw ValidationError("--top is for text; --json lists every tensor.") }
    if exactNames, ignoreNames {
      throw ValidationError("Use --exact-names or --ignore-names, not both.")
    }
  }

  func run() throws {
    let except = leaving.except
    let query = TensorQuery(only: only, except: except, dequantize: dequantize, resolves: resolve)
    let second = try joining.source(b)
    let first = CheckpointSource(paths: [a], isJoined: false)
    let left = try DiffFile("A", first.open(opening, leaving), key: keyA ?? key, query)
    let right = try DiffFile("B", second.open(opening, leaving), key: keyB ?? key, query)
    let unused = (only + except).filter { !left.hasName($0) && !right.hasName($0) }
    guard unused.isEmpty else {
      throw DecantError(
        .tensorNotFound,
        "neither this file nor \(second.path.escapedForDisplay) has a tensor name that matches \(unused.map(\.quoted).joined(separator: ", "))",
        file: a, advice: .listNames)
    }
    for side in [left, right] { note(side) }
    var matching = TensorMatching(left, right, exactNames: exactNames)
    note(matching)
    let threads = min(ProcessControl.processorCount, 4)
    let sides = [left, right]
    let line = ProgressLine()
    defer { line.clear() }
    let sizes =
      sides.flatMap { $0.items.map(\.tensor.byteCount) }
      + matching.pairs.map { left.items[$0.a].tensor.byteCount }
    let total = sizes.reduce(0) { $0.checkedAdding($1) ?? .max }
    _ = try parallelMap(sides.count, threads: threads) { index in
      try sides[index].verifyChecksums { line.advance(by: $0, of: total) }
    }
    let comparison = PairComparison(
      a: left, b: right,
      tolerance: Tolerance(absolute: toleranceAbs, relative: toleranceRel, ulp: toleranceUlp),
      toDense: toDense, threads: threads)
    if !exactNames, !matching.onlyA.isEmpty, !matching.onlyB.isEmpty {
      matching.add(try comparison.pairsOfEqualData(matching.onlyA, matching.onlyB))
    }
    let result = DiffResult(
      left, right, matching, try comparison.verdicts(matching.pairs) { line.advance(by: $0, of: total) },
      ignoresNames: ignoreNames,
      isTolerant: toleranceAbs != nil || toleranceRel != nil || toleranceUlp != nil)
    line.clear()
    if json {
      DiffJSON.print(result, (file: a, choice: left.choice), (file: second.path, choice: right.choice))
    } else {
      DiffReport(result: result, top: top, showsAll: all).print()
    }
    if !result.isSame { throw ExitStatus.no }
  }

  /// Prints the warnings and notes about one file.
  private func note(_ side: DiffFile) {
    for warning in side.checkpoint.warnings {
      StandardStreams.warning("\(side.checkpoint.path.escapedForDisplay): \(warning)")
    }
    if let note = side.choice.commandText(hasAttributesOption: false) {
      StandardStreams.note("in \(side.letter), \(note)")
    }
    if let note = side.parametrized.note(resolve ? "computed from" : "stored as") {
      StandardStreams.note(
        "in \(side.letter), \(note)\(resolve ? "" : "; --resolve compares the weights")")
    }
    if resolve {
      for unknown in side.parametrized.unknown.prefix(8) {
        StandardStreams.warning("in \(side.letter), not resolved: \(unknown.text)")
      }
    }
    if side.skippedCount > 0 {
      StandardStreams.note("skipped \(Format.count(side.skippedCount, "tensor")) of \(side.letter)")
    }
    if !side.wrapperNames.isEmpty {
      StandardStreams.note(
        "note: in \(side.letter), comparing the tensors inside wrappers that have no data: "
          + DiffFile.list(side.wrapperNames))
    }
  }

  /// Prints notes on the recognised prefixes and dialects.
  private func note(_ matching: TensorMatching) {
    for prefixes in matching.prefixes {
      let sides = [("A", prefixes.left), ("B", prefixes.right)].filter { !$0.1.isEmpty }.map {
        "\($0.1.quoted) of \($0.0)"
      }
      StandardStreams.note(
        "ignoring the prefix \(sides.joined(separator: " and ")) in \(Format.count(prefixes.count, "name"))"
      )
    }
    if let (a, b) = matching.dialects {
      StandardStreams.note("naming: \(a.name) in A, \(b.name) in B")
    }
  }
}
