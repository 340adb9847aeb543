import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantComparing
import DecantResNets
import DecantTensors
import DecantIO

/// The command `decant diff A B`.
struct DiffCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the tensors of two checkpoints, whatever their containers, dialects and types.",
    discussion: """
      Exit codes: 0 the same, 1 not the same, 2 a file or a key is wrong. Values that are no tensors are not compared.
      """)

  @Argument(help: "One checkpoint.") var a: String
  @Argument(help: "Another.") var b: String
  @OptionGroup var limits: LimitOptions
  @Option(help: "Compare only what stands under this key in both, named from there; '.' is the root.")
  var key: String?
  @Option(help: "The key in A.") var keyA: String?
  @Option(help: "The key in B.") var keyB: String?
  @Option(
    help: ArgumentHelp("Only tensors whose names match this glob; again for another.", valueName: "glob"))
  var only: [String] = []
  @Option(help: ArgumentHelp("No tensors whose names match this glob; again for another.", valueName: "glob"))
  var except: [String] = []
  @Option(help: "Let numbers differ by this much: |x - y|.") var toleranceAbs: Double?
  @Option(help: "Let numbers differ by this part of the larger: |x - y| / max(|x|, |y|).")
  var toleranceRel: Double?
  @Option(help: "Let numbers differ by as many steps of the coarser of their types.") var toleranceUlp:
    UInt64?
  @Flag(help: "Take tensors whose data is the same under two names for the same.") var ignoreNames = false
  @Flag(help: "Pair only names that are equal as they stand: look for no prefix, dialect or equal data.")
  var exactNames = false
  @Flag(help: "Compare quantised tensors as the float32 numbers they stand for.") var dequantize = false
  @Flag(help: "Compare sparse tensors in full, zeros included.") var toDense = false
  @Flag(help: "Print every list to its end.") var all = false
  @Flag(help: "Print JSON, schema 1.") var json = false

  func validate() throws {
    for (name, value) in [("abs", toleranceAbs), ("rel", toleranceRel)] {
      if let value, !(value >= 0 && value.isFinite) {
        throw ValidationError("--tolerance-\(name) takes a finite number that is not negative.")
      }
    }
    if key != nil, keyA != nil || keyB != nil {
      throw ValidationError("--key is for both files; it goes with neither --key-a nor --key-b.")
    }
    if exactNames, ignoreNames {
      throw ValidationError("Use --exact-names or --ignore-names, not both.")
    }
  }

  func run() throws {
    let choice = DiffFile.Choice(only: only, except: except, dequantize: dequantize)
    let left = try DiffFile("A", path: a, key: keyA ?? key, choice, limits: limits.limits)
    let right = try DiffFile("B", path: b, key: keyB ?? key, choice, limits: limits.limits)
    let unused = (only + except).filter { !left.hasName($0) && !right.hasName($0) }
    guard unused.isEmpty else {
      throw DecantError(
        .tensorNotFound,
        "no tensor's name matches \(unused.map(\.escapedForDisplay).joined(separator: ", "))",
        file: "\(a) and \(b)", advice: .listNames)
    }
    for side in [left, right] { note(side) }
    var matching = TensorMatching(left, right, exactNames: exactNames)
    note(matching)
    let threads = min(ProcessControl.processorCount, 4)
    let sides = [left, right]
    _ = try parallelMap(sides.count, threads: threads) { try sides[$0].verifyChecksums() }
    let comparison = PairComparison(
      a: left, b: right,
      tolerance: Tolerance(absolute: toleranceAbs, relative: toleranceRel, ulp: toleranceUlp),
      toDense: toDense, threads: threads)
    if !exactNames, !matching.onlyA.isEmpty, !matching.onlyB.isEmpty {
      matching.add(try comparison.pairsOfEqualData(matching.onlyA, matching.onlyB))
    }
    let result = DiffResult(
      left, right, matching, try comparison.verdicts(matching.pairs), ignoresNames: ignoreNames,
      isTolerant: toleranceAbs != nil || toleranceRel != nil || toleranceUlp != nil)
    if json { DiffJSON.print(result) } else { DiffReport(result: result, showsAll: all).print() }
    if !result.isSame { throw ExitStatus.no }
  }

  /// Prints the warnings and notes about one file.
  private func note(_ side: DiffFile) {
    for warning in side.checkpoint.warnings {
      StandardStreams.note("warning: \(side.checkpoint.path.escapedForDisplay): \(warning)")
    }
    if side.skippedCount > 0 {
      StandardStreams.note("\(Format.count(side.skippedCount, "tensor")) of \(side.letter) left out")
    }
    if !side.wrapperNames.isEmpty {
      StandardStreams.note(
        "note: in \(side.letter), the tensors below wrappers without data of their own are compared in their place: "
          + DiffFile.list(side.wrapperNames))
    }
  }

  /// Prints notes on the recognised prefixes and dialects.
  private func note(_ matching: TensorMatching) {
    for prefixes in matching.prefixes {
      let sides = [("A", prefixes.left), ("B", prefixes.right)].filter { !$0.1.isEmpty }.map {
        "\($0.1.escapedForDisplay) of \($0.0)"
      }
      StandardStreams.note(
        "\(Format.count(prefixes.count, "name")) compared without the prefix \(sides.joined(separator: " and "))"
      )
    }
    if let (a, b) = matching.dialects {
      StandardStreams.note("A has names of the dialect \(a.name), B of \(b.name)")
    }
  }
}
