internal import DecantBytes
internal import DecantCheckpoints
internal import DecantImages
internal import DecantInference
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The output of `decant run`.
struct RunReport<T: ReferenceScalar> {
  private let network: ResolvedNetwork
  /// The engine and its settings.
  let engine: EngineDescription
  let threads: Int
  let preprocessing: Preprocessing
  let fileCount: Int
  /// The number of input files that were run.
  var runCount = 0
  let top: Int
  let labels: ClassLabels?
  /// The results in input order. `printed` counts those already printed.
  private(set) var results: [ImageResult<T>] = []
  private var printed = 0
  private var channels = 0
  /// The errors of inputs that could not be read.
  var failures: [DecantError] = []
  var comparisons: [StageComparison] = []
  /// The float32 error of PyTorch itself according to the reference outputs, by stage.
  var goldenNotes: [String: String] = [:]
  var validation: Validation?
  /// Clauses on weights, inputs and results that hold NaN or infinity.
  var nonFinite: [String] = []
  var median: Duration?

  init(
    _ network: ResolvedNetwork, engine: EngineDescription, threads: Int, preprocessing: Preprocessing,
    fileCount: Int, top: Int, labels: ClassLabels?
  ) {
    self.network = network
    (self.engine, self.threads, self.preprocessing) = (engine, threads, preprocessing)
    (self.fileCount, self.top, self.labels) = (fileCount, top, labels)
  }

  /// The meaning of the results.
  private var output: ResNetOutput { network.identification.configuration.output }
  private var dtype: String { T.dtype.rawValue }

  /// Adds the results for a batch of images.
  mutating func add(_ batch: InputBatch<T>, _ result: Activation<T>) {
    channels = batch.channels
    let count = result.values.count / max(batch.images.count, 1)
    for (place, image) in batch.images.enumerated() {
      results.append(
        ImageResult(
          image: image, output: output, values: Array(result.values[place * count..<(place + 1) * count])))
    }
  }

  /// The shape N×C×H×W of all inputs, or nil when their sizes differ.
  private var inputShape: [Int]? {
    guard let first = results.first?.image,
      results.allSatisfy({ $0.image.height == first.height && $0.image.width == first.width })
    else { return nil }
    return [results.count, channels, first.height, first.width]
  }

  /// The largest number of clauses on NaN and infinity that the text shows.
  private static var mostNonFinite: Int { 8 }

  /// Prints the network, the engine and the preprocessing.
  private func printSettings() {
    let naming = network.identification.naming
    let shape = fileCount == 1 ? inputShape.map { "input \(Format.shape($0))" } : nil
    StandardStreams.line(
      "\(network.architecture ?? "a custom ResNet")\(naming.isByStructure ? ", \(naming.dialect.summary)" : "")\(output == .features ? " without a head: pooled features" : ""), \(engine), \(dtype), "
        + "\(Format.count(threads, "thread")), \(shape ?? Format.count(fileCount, "input")) "
        + (preprocessing == .none
          ? "without preprocessing" : "with \(preprocessing.rawValue): \(preprocessing.summary)"))
  }

  /// Prints the results that were not printed yet.
  mutating func printResults() {
    for result in results[printed...] { print(result) }
    printed = results.count
  }

  private func print(_ result: ImageResult<T>) {
    let image = result.image
    let number = image.index.map { "image \($0)" }
    let isFile = fileCount > 1 || number == nil
    let name = [isFile ? image.file.escapedForDisplay : nil, number].compactMap { $0 }.joined(separator: " ")
    let history = image.history(preprocessing).map { "  (\($0))" } ?? ""
    if output != .features, result.values.count == 1 {
      let value = result.values[0]
      let probability =
        output == .logits ? ", probability \(Format.fixed(ImageResult.sigmoid(value), 6))" : ""
      StandardStreams.line("  \(name): \(output.valueName) \(value)\(probability)\(history)")
      return
    }
    let entries = result.top(top)
    guard output != .features else {
      StandardStreams.line(
        "  \(name): "
          + entries.map { "feature \($0.place) \(Format.fixed(Double($0.value), 6))" }.joined(
            separator: "  ")
          + history)
      return
    }
    func numbers(_ entry: ImageResult<T>.Entry) -> [String] {
      [Format.fixed(Double(entry.value), 6)] + (entry.probability.map { [Format.fixed($0, 6)] } ?? [])
    }
    let columns = [output.valueName] + (entries.first?.probability == nil ? [] : ["probability"])
    if entries.count == 1, let only = entries.first {
      let label = labels.map { " \($0[only.place].escapedForDisplay)" } ?? ""
      StandardStreams.line(
        "  \(name): class \(only.place)\(label), "
          + zip(columns, numbers(only)).map { "\($0) \($1)" }.joined(separator: ", ") + history)
      return
    }
    StandardStreams.line("  \(name):\(history)")
    var table = TextTable([("  class", .left), ("", .left)] + columns.map { ($0, .right) })
    for entry in entries {
      table.row(
        ["  \(entry.place)", labels.map { $0[entry.place].escapedForDisplay } ?? ""] + numbers(entry))
    }
    table.show()
  }

  /// Prints the answers to `--compare` and `--validate`, the results that were not printed yet, and the details.
  mutating func print() {
    if !comparisons.isEmpty {
      let passed = comparisons.count { $0.passes }
      let tolerance = Format.scientific(comparisons[0].tolerance)
      StandardStreams.line(
        "\(passed) of \(comparisons.count) stages agree".styled(passed == comparisons.count ? .green : .red)
          + " within \(tolerance) of the stage's largest value")
    }
    validation?.printAnswer()
    printResults()
    for clause in nonFinite.prefix(Self.mostNonFinite) { StandardStreams.line("not finite: \(clause)") }
    if nonFinite.count > Self.mostNonFinite {
      StandardStreams.line("not finite: \(Format.count(nonFinite.count - Self.mostNonFinite)) more")
    }
    printComparisons()
    validation?.print()
    printSettings()
    if fileCount > 1 {
      let left = fileCount - runCount - failures.count
      StandardStreams.line(
        "\(Format.count(runCount)) run, \(Format.count(failures.count)) failed"
          + (left > 0 ? ", \(Format.count(left)) not run" : ""))
    }
    if let median { StandardStreams.line("median \(milliseconds(median)) ms") }
  }

  /// Prints the comparison of each stage with the reference outputs.
  private func printComparisons() {
    guard !comparisons.isEmpty else { return }
    StandardStreams.line()
    var table = TextTable([
      ("stage", .left), ("compared", .right), ("largest", .right), ("max abs", .right),
      ("max relative", .right),
      ("mean abs", .right), ("", .left), ("PyTorch float32", .right),
    ])
    table.optionalColumns = [7, 5, 1]
    table.cellStyles = ["agrees": .green, "DIFFERS": .red]
    for comparison in comparisons {
      table.row(
        comparison.stage, Format.count(comparison.count), Format.scientific(comparison.largest),
        Format.scientific(comparison.maxAbsolute), Format.scientific(comparison.maxRelative),
        Format.scientific(comparison.meanAbsolute), comparison.passes ? "agrees" : "DIFFERS",
        (goldenNotes["float32_error.\(comparison.stage)"] ?? "").escapedForDisplay)
    }
    table.show()
  }

  func printJSON() {
    var members: [(key: String, value: JSONValue)] = [
      (key: "schema", value: 1), (key: "file", value: .string(network.file.part?.checkpoint.path ?? "")),
      (key: "architecture", value: network.architecture.map { .string($0) } ?? .null),
      (key: "by_structure", value: .bool(network.identification.naming.isByStructure)),
      (key: "engine", value: .string(engine.name)),
      (key: "engine_version", value: engine.version.map { .string($0) } ?? .null),
      (key: "numerics", value: .string((engine.numerics ?? .exact).rawValue)),
      (key: "dtype", value: .string(dtype)),
      (key: "threads", value: .integer(Int64(threads))),
      (key: "input_shape", value: inputShape.map { .array($0.map { .integer(Int64($0)) }) } ?? .null),
      (key: "preprocessing", value: .string(preprocessing.rawValue)),
      (key: "declared", value: network.identification.declared.json),
      (key: "assumed", value: network.identification.assumed.json),
      (key: "read", value: network.identification.read.json),
      (key: "output", value: .string(output.rawValue)),
      (key: "left_out", value: network.file.choice?.leftOutJSON ?? .array([])),
      (key: "images", value: .array(results.map { .object(json(of: $0)) })),
    ]
    let values = JSONValue.array(results.map { .array($0.values.map { .exact(Double($0)) }) })
    // The features are also under the name of the logits, as in the first versions of the schema.
    if output == .features { members.append((key: "logits", value: values)) }
    members.append((key: output.rawValue == "output" ? "outputs" : output.rawValue, value: values))
    members.append((key: "non_finite", value: .array(nonFinite.map { .string($0) })))
    if !failures.isEmpty {
      members.append(
        (
          key: "failures",
          value: .array(
            failures.map {
              .object([
                (key: "file", value: .string($0.location.file ?? "")),
                (key: "error", value: .string($0.commandText)),
                (key: "code", value: .string($0.code.rawValue)),
              ])
            })
        ))
    }
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
    if let validation { members.append((key: "validation", value: validation.json)) }
    if let median { members.append((key: "median_ms", value: .exact(Double(milliseconds(median)) ?? 0))) }
    StandardStreams.document(.object(members))
  }

  private func json(of result: ImageResult<T>) -> [(key: String, value: JSONValue)] {
    if output != .features, result.values.count == 1 {
      let value = result.values[0]
      return result.image.json + [(key: output.valueKey, value: .exact(Double(value)))]
        + (output == .logits ? [(key: "probability", value: .exact(ImageResult.sigmoid(value)))] : [])
    }
    let entries = result.top(top).map { entry in
      var members: [(key: String, value: JSONValue)] = [
        (key: output == .features ? "feature" : "class", value: .integer(Int64(entry.place)))
      ]
      if let labels { members.append((key: "label", value: .string(labels[entry.place]))) }
      if output == .features { members.append((key: "value", value: .exact(Double(entry.value)))) }
      members.append((key: output.valueKey, value: .exact(Double(entry.value))))
      if let probability = entry.probability {
        members.append((key: "probability", value: .exact(probability)))
      }
      return JSONValue.object(members)
    }
    return result.image.json + [(key: "top", value: .array(entries))]
  }

  /// Returns a duration in milliseconds with one decimal.
  private func milliseconds(_ duration: Duration) -> String {
    Format.fixed(
      Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) * 1e-15, 1)
  }
}
