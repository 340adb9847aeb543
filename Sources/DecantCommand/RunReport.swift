import ByteParsing
import Inference
import ResNets

/// What `decant run` prints.
struct RunReport<T: ReferenceScalar> {
  let architecture: String?
  /// Whether the results are of a head; else they are pooled features.
  let hasHead: Bool
  let assumed: [ResNet.Resolution.Fact]
  let declared: [ResNet.Resolution.Fact]
  let read: [ResNet.Evidence.Item]
  /// Which engine, and how.
  let engine: String
  let dtype: String
  let threads: Int
  let inputShape: [Int]
  /// N×classes.
  var logits: Activation<T>?
  var comparisons: [StageComparison] = []
  /// What the golden says of the float32 error of PyTorch itself, by stage.
  var goldenNotes: [String: String] = [:]
  var median: Duration?

  /// The logits of every image.
  private var rows: [[T]] {
    guard let logits, let classes = logits.shape.last, classes > 0 else { return [] }
    return stride(from: 0, to: logits.values.count, by: classes).map { start in
      Array(logits.values[start..<start + classes])
    }
  }

  func print() {
    StandardStreams.line(
      "\(architecture ?? "a ResNet without a published name"), \(engine), \(dtype), "
        + "\(Spelling.count(threads, "thread")), input \(Spelling.shape(inputShape)) as given, no preprocessing"
    )
    for (image, row) in rows.enumerated() {
      if row.count <= 10 {
        StandardStreams.line("  image \(image): " + row.map { "\($0)" }.joined(separator: "  "))
      } else {
        let best = row.indices.sorted { (row[$1], $0) < (row[$0], $1) }.prefix(5)
        StandardStreams.line(
          "  image \(image): "
            + best.map { "\(hasHead ? "class" : "feature") \($0) \(Spelling.fixed(Double(row[$0]), 6))" }
            .joined(separator: "  "))
      }
    }
    if !comparisons.isEmpty {
      StandardStreams.line()
      var table = TextTable([
        ("stage", .left), ("compared", .right), ("largest", .right), ("max abs", .right),
        ("max relative", .right),
        ("mean abs", .right), ("", .left), ("PyTorch float32", .right),
      ])
      for comparison in comparisons {
        table.row(
          comparison.stage, Spelling.count(comparison.count), Spelling.scientific(comparison.largest),
          Spelling.scientific(comparison.maxAbsolute), Spelling.scientific(comparison.maxRelative),
          Spelling.scientific(comparison.meanAbsolute), comparison.passes ? "agrees" : "DIFFERS",
          (goldenNotes["float32_error.\(comparison.stage)"] ?? "").escapedForDisplay)
      }
      table.show()
      let passed = comparisons.count { $0.passes }
      let tolerance = Spelling.scientific(comparisons[0].tolerance)
      StandardStreams.line(
        "  \(passed) of \(comparisons.count) stages agree within \(tolerance) of the stage's largest value")
    }
    if let median { StandardStreams.line("median \(milliseconds(median)) ms") }
  }

  func printJSON() {
    var members: [(key: String, value: JSONValue)] = [
      (key: "schema", value: 1),
      (key: "architecture", value: architecture.map { .string($0) } ?? .null),
      (key: "engine", value: .string(engine)),
      (key: "dtype", value: .string(dtype)),
      (key: "threads", value: .integer(Int64(threads))),
      (key: "input_shape", value: .array(inputShape.map { .integer(Int64($0)) })),
      (key: "preprocessing", value: "none"),
      (key: "declared", value: declared.json),
      (key: "assumed", value: assumed.json),
      (key: "read", value: read.json),
      (key: "logits", value: .array(rows.map { .array($0.map { .exact(Double($0)) }) })),
    ]
    if !comparisons.isEmpty {
      members.append((key: "same", value: .bool(comparisons.allSatisfy(\.passes))))
      members.append(
        (
          key: "comparison",
          value: .array(
            comparisons.map {
              .object([
                (key: "stage", value: .string($0.stage)), (key: "compared", value: .integer(Int64($0.count))),
                (key: "largest", value: .exact($0.largest)), (key: "max_abs", value: .exact($0.maxAbsolute)),
                (key: "max_relative", value: .exact($0.maxRelative)),
                (key: "mean_abs", value: .exact($0.meanAbsolute)),
                (key: "passes", value: .bool($0.passes)),
              ])
            })
        ))
    }
    if let median { members.append((key: "median_ms", value: .exact(Double(milliseconds(median)) ?? 0))) }
    StandardStreams.line(JSONValue.object(members).indentedText)
    if let median { StandardStreams.line("median \(milliseconds(median)) ms") }
  }

  /// Milliseconds with one decimal.
  private func milliseconds(_ duration: Duration) -> String {
    Spelling.fixed(
      Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) * 1e-15, 1)
  }
}
