internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantTensors

/// The messages about a conversion: a line with the result, and notes on everything that differs from the input.
struct ConversionSummary {
  private let report: WriteReport
  private let checkpoint: Checkpoint
  private let options: WriteOptions

  private let format: String
  private let target: OutputFormat?

  init(
    _ report: WriteReport, _ checkpoint: Checkpoint, _ options: WriteOptions,
    _ format: OutputFormat?
  ) {
    self.format = format?.name ?? ""
    target = format
    self.report = report
    self.checkpoint = checkpoint
    self.options = options
  }

  /// Prints the notes to standard error and the result to standard output.
  ///
  /// - Parameters:
  ///   - output: The output path; nil when standard output receives the file, and the result is printed as a note.
  ///   - json: True to print the result as JSON.
  func print(_ time: Duration, _ output: String?, json: Bool) {
    for warning in checkpoint.warnings { StandardStreams.warning(warning) }
    if let note = report.choice.commandText(hasAttributesOption: true) { StandardStreams.note(note) }
    if let key = options.key, let selection = try? checkpoint.selection(key: key),
      let warning = checkpoint.unreadWarning(outside: selection)
    {
      StandardStreams.warning(warning)
    }
    if let truncation = checkpoint.truncation { StandardStreams.warning(truncation.commandText) }
    for (name, reason) in report.lost {
      StandardStreams.note("left out: \(name.escapedForDisplay) (\(reason))")
    }
    noteOnDroppedObjects()
    if !report.droppedMetadata.isEmpty {
      StandardStreams.note(
        "skipped \(Format.count(report.droppedMetadata.count, "metadata key")) that \(format) cannot store: "
          + list(report.droppedMetadata))
    }
    notesOnParametrizedWeights()
    notesOnLayout()
    notesOnStaleFiles()
    notesOnWrappers()
    notesOnAliases()
    notesOnLosses()
    let files = report.files.count > 1 ? " in \(Format.count(report.files.count, "file"))" : ""
    let result =
      "\(Format.count(report.tensorCount, "tensor")), \(Format.count(report.byteCount, "byte"))\(files)\(casts)"
      + (options.checks ? ", verified" : "") + ", \(Format.duration(time))"
    guard let output else { return StandardStreams.note("\(result): standard output") }
    if json {
      return StandardStreams.document(
        Self.json(
          output, from: checkpoint.path, format: target?.rawValue ?? "", tensors: report.tensorCount,
          bytes: report.byteCount,
          choice: report.choice,
          others: skippedJSON + layoutJSON + report.parametrized.json(isResolved: options.resolvesWeights)))
    }
    StandardStreams.line("\(result): \(output.escapedForDisplay)")
  }

  /// The keys of the values and of the metadata that the output does not hold, as members of the JSON.
  private var skippedJSON: [(key: String, value: JSONValue)] {
    [("skipped_values", report.droppedObjects), ("skipped_metadata", report.droppedMetadata)].compactMap {
      $1.isEmpty ? nil : (key: $0, value: .array($1.map(JSONValue.string)))
    }
  }

  /// The weights that are channels last in the output, and those that `--layout nhwc` left as they are, as members of the
  /// JSON.
  private var layoutJSON: [(key: String, value: JSONValue)] {
    guard !report.channelsLast.isEmpty else { return [] }
    func list(_ names: [String]) -> JSONValue { .array(names.map(JSONValue.string)) }
    return [
      (key: "channels_last", value: list(report.channelsLast)),
      (key: "not_turned", value: list(report.notTurned)),
    ]
  }

  /// The JSON of `decant convert --json`, schema 1.
  static func json(
    _ output: String, from input: String? = nil, format: String, tensors: Int, bytes: Int,
    choice: StateDictChoice? = nil, others: [(key: String, value: JSONValue)] = []
  ) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "schema", value: 1), (key: "output", value: .string(output)),
      (key: "format", value: .string(format)),
      (key: "tensors", value: .exact(Int64(tensors))), (key: "bytes", value: .exact(Int64(bytes))),
    ]
    if let input { members.append((key: "file", value: .string(input))) }
    if let choice {
      members.append((key: "key", value: .string(choice.selection.key)))
      members.append((key: "left_out", value: choice.leftOutJSON))
    }
    return .object(members + others)
  }

  private var casts: String {
    guard let dtype = options.dtype?.rawValue else { return "" }
    let cast = ", cast \(Format.count(report.castCount, "tensor")) to \(dtype)"
    guard report.uncastCount > 0 else { return cast }
    let isInteger = checkpoint.tensors.allSatisfy {
      [.floatingPoint, .signedInteger, .unsignedInteger].contains($0.tensor.dtype.kind)
    }
    return cast
      + "; \(Format.count(report.uncastCount, isInteger ? "integer tensor" : "other tensor")) unchanged"
  }

  private func noteOnDroppedObjects() {
    let count = report.droppedObjectCount
    guard count > 0 else { return }
    let isRefused = target == .torchZip && ![.onnx, .mlpackage].contains(checkpoint.container)
    let reason =
      isRefused
      ? " that torch.load(weights_only=True) rejects"
      : " that \(count == 1 ? "is not a tensor" : "are not tensors")"
        + (target == .torchZip ? "" : " (\(format) stores only tensors)")
    StandardStreams.note(
      "skipped \(Format.count(count, "value"))\(reason): \(list(report.droppedObjects, most: 8))")
  }

  private func notesOnParametrizedWeights() {
    if options.resolvesWeights {
      if let note = report.parametrized.note("computed from") { StandardStreams.note(note) }
      if report.parametrized.isEmpty {
        StandardStreams.note("--resolve: no weight is stored in several parts")
      }
    } else if let note = report.parametrized.note("stored as") {
      StandardStreams.note("note: \(note), written as they are; --resolve computes the weights")
    }
    for unknown in report.parametrized.unknown.prefix(Self.mostUnknown) {
      let clause = "\(unknown.text); its parts are written as they are"
      if options.resolvesWeights {
        StandardStreams.warning("not resolved: \(clause)")
      } else {
        StandardStreams.note("note: \(clause)")
      }
    }
    let more = report.parametrized.unknown.count - Self.mostUnknown
    if more > 0 { StandardStreams.note("note: and so for \(Format.count(more, "more weight"))") }
  }

  /// The number of weights of unknown parametrizations that notes describe.
  private static let mostUnknown = 8

  private func notesOnLayout() {
    let count = report.channelsLast.count
    guard count > 0 else { return }
    let weights = Format.count(count, "convolution weight")
    if options.layout == .channelsLast {
      StandardStreams.note(
        "turned \(weights) to channels last"
          + (report.notTurned.isEmpty ? "" : "; left as they are: \(list(report.notTurned))"))
      if target?.recordsLayout(options) != true {
        StandardStreams.warning("\(format) cannot record the layout, so other programs must be told")
      }
    } else {
      StandardStreams.note(
        "note: \(weights) \(count == 1 ? "stays" : "stay") channels last; --layout nchw turns back")
    }
  }

  private func notesOnStaleFiles() {
    let count = report.staleFiles.count
    guard count > 0 else { return }
    StandardStreams.warning(
      "\(Format.count(count, "file")) of the same name \(count == 1 ? "was" : "were") not written now, and a loader may read \(count == 1 ? "it" : "them") instead: "
        + list(report.staleFiles))
  }

  private func notesOnWrappers() {
    guard let first = report.wrappers.first else { return }
    let count = report.wrappers.count
    StandardStreams.note(
      "note: \(first.name.escapedForDisplay) (\(first.type.escapedForDisplay))"
        + (count > 1 ? " and \(count - 1) others are wrappers" : " is a wrapper")
        + " without data: wrote the tensors inside \(count > 1 ? "them" : "it") instead"
    )
  }

  private func notesOnAliases() {
    guard !report.aliases.isEmpty else { return }
    StandardStreams.note(
      "note: wrote \(Format.count(report.aliases.count, "tensor")) in full that \(report.aliases.count == 1 ? "shares" : "share") data with another: "
        + list(report.aliases.map { "\($0.name) (of \($0.of))" }))
  }

  private func notesOnLosses() {
    let dtype = options.dtype?.rawValue ?? ""
    for (what, losses) in [
      ("were too large for \(dtype)", report.losses.map { ($0.name, $0.overflowed) }),
      ("became zero in \(dtype)", report.losses.map { ($0.name, $0.underflowed) }),
    ] {
      let found = losses.filter { $0.1 > 0 }
      guard !found.isEmpty else { continue }
      StandardStreams.warning(
        "\(Format.count(found.reduce(0) { $0 + $1.1 }, "number")) of \(Format.count(found.count, "tensor")) \(what): "
          + list(found.map { "\($0.0) (\(Format.count($0.1)))" }))
    }
  }

  /// Returns the first names as text.
  private func list(_ names: [String], most: Int = 4) -> String {
    names.prefix(most).map(\.escapedForDisplay).joined(separator: ", ") + (names.count > most ? ", …" : "")
  }
}
