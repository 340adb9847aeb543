internal import DecantBytes
internal import DecantCheckpoints
internal import DecantInference

/// A comparison of every stage of a network, as computed by engines, with a reference.
struct Validation {
  /// The name of the reference, such as "reference engine in float64".
  let truth: String
  /// The largest difference that counts as rounding, relative to the largest value of the stage.
  let tolerance: Double
  private let truths: [ReferenceStage]
  private var rows: [(engine: String, error: ReferenceStageError)] = []

  /// Runs the reference engine and keeps its stages.
  ///
  /// - Parameter finished: called after each stage.
  init<T: ReferenceScalar>(
    _ truth: String, _ network: any NetworkEngine<T>, _ input: Activation<T>, stages: [String],
    tolerance: Double, finished: () -> Void
  ) throws(InferenceError) {
    self.truth = truth
    self.tolerance = tolerance
    var truths: [ReferenceStage] = []
    _ = try network.run(input, stages: Set(stages)) {
      truths.append(ReferenceStage($0, $1))
      finished()
    }
    self.truths = truths
  }

  /// Compares a stage computed by an engine.
  mutating func measure<T: ReferenceScalar>(_ engine: String, _ stage: String, _ value: Activation<T>) {
    guard let truth = truths.first(where: { $0.stage == stage }), let error = truth.error(of: value) else {
      return
    }
    rows.append((engine, error))
  }

  /// Compares the stages in a file of reference outputs.
  mutating func measure(_ golden: ReferenceOutputs) throws {
    for truth in truths where golden.holds(truth.stage) {
      rows.append(("golden", try golden.error(against: truth)))
    }
  }

  /// True when every difference is within the tolerance for rounding.
  var isRoundedCopy: Bool { rows.allSatisfy { $0.error.maxRelative <= tolerance } }

  /// Prints whether all differences are only rounding.
  func printAnswer() {
    let worst = rows.map(\.error.maxRelative).max { $1.isNaN || $0 < $1 } ?? 0
    StandardStreams.line(
      isRoundedCopy
        ? "every difference is within \(Format.scientific(tolerance)) of the stage's largest value: only rounding"
        : "the largest difference is \(Format.scientific(worst)) of the stage's largest value: more than rounding in float32"
    )
  }

  /// Prints the differences of every stage.
  func print() {
    StandardStreams.line()
    StandardStreams.line("compared with \(truth):")
    var table = TextTable([
      ("stage", .left), ("by", .left), ("largest", .right), ("max abs", .right), ("max relative", .right),
      ("RMS relative", .right), ("ULP of largest", .right), ("median ULP", .right), ("", .left),
    ])
    table.optionalColumns = [7, 6, 5, 2]
    table.cellStyles = ["rounding": .green, "MORE THAN ROUNDING": .red]
    for truth in truths {
      for (engine, error) in rows where error.stage == truth.stage {
        table.row(
          truth.stage, engine, Format.scientific(truth.largest), Format.scientific(error.maxAbsolute),
          Format.scientific(error.maxRelative), Format.scientific(error.rmsRelative),
          Format.fixed(error.ulpOfLargest, 1), Format.fixed(error.medianULP, 1),
          error.maxRelative <= tolerance ? "rounding" : "MORE THAN ROUNDING")
      }
    }
    table.show()
  }

  var json: JSONValue {
    .object([
      (key: "truth", value: .string(truth)), (key: "rounding", value: .bool(isRoundedCopy)),
      (
        key: "stages",
        value: .array(
          rows.map { engine, error in
            .object([
              (key: "stage", value: .string(error.stage)), (key: "by", value: .string(engine)),
              (key: "compared", value: .integer(Int64(error.count))),
              (key: "max_abs", value: .exact(error.maxAbsolute)),
              (key: "max_relative", value: .exact(error.maxRelative)),
              (key: "rms_relative", value: .exact(error.rmsRelative)),
              (key: "ulp_of_largest", value: .exact(error.ulpOfLargest)),
              (key: "median_ulp", value: .exact(error.medianULP)),
            ])
          })
      ),
    ])
  }
}
