internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The options of `identify` for measuring settings that tensor shapes do not determine.
struct MeasureOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "Estimate the stem's stride from statistics",
      discussion: "A hint from the running statistics of batch norms, printed with its error rate."))
  var measure = false
  @Option(
    help: ArgumentHelp(
      "Measure with these images instead of noise",
      discussion: "A .npy of N×C×H×W, normalised as for training.", valueName: "file"),
    completion: .file(extensions: ["npy"]))
  var images: String?

  func validate() throws {
    if images != nil && !measure {
      throw ValidationError("--images needs --measure.")
    }
  }

  /// Returns the measurement, or nil when it was not requested.
  func report(on found: ResNetIdentification, of network: NetworkFile) throws -> MeasureReport? {
    guard measure else { return nil }
    try network.weights.verifyChecksums()
    ProcessControl.explainLostPages()
    let line = ProgressLine()
    defer { line.clear() }
    let images = try images.map { try NetworkInput.read($0, as: Double.self) }
    do throws(DecantError) {
      return MeasureReport(
        measurement: try network.measureStride(
          of: found, images: images, threads: ProcessControl.processorCount,
          progress: { line.update($0, of: $1, .items("passes")) }))
    } catch {
      guard error.code == .notMeasurable else { throw error }
      throw error.advising(
        .text("Leave out --measure."))
    }
  }
}

/// The section that `identify --measure` adds: divergences and a verdict, which is only a hint.
struct MeasureReport {
  let measurement: StrideMeasurement

  /// The number of wrong and undecided verdicts from noise, on networks trained for this test (docs/adr/0010).
  static let errorRate = (wrong: 4, undecided: 30, of: 92)

  private var usesImages: Bool { measurement.hypotheses.contains { $0.noise == nil } }

  /// The verdict as a sentence.
  var sentence: String {
    switch measurement.verdict {
    case .suggests(let stride0):
      "suggests stride0 \(stride0)"
        + (usesImages
          ? ""
          : " (of \(Self.errorRate.of) networks trained to find out, \(Self.errorRate.wrong) suggested the wrong one and \(Self.errorRate.undecided) none)")
    case .tooClose:
      "cannot tell: the smaller divergence is not \(Format.fixed(StrideMeasurement.leastRatio, 2)) times smaller than the other"
    case .neitherFits:
      "cannot tell: neither stride explains the running statistics, whose divergence should be less than \(Format.fixed(StrideMeasurement.largestDivergence, 2))"
    }
  }

  func print() {
    StandardStreams.line()
    var table = TextTable([
      ("measured", .left), ("divergence", .right), ("best images", .left),
    ])
    for hypothesis in measurement.hypotheses {
      table.row(
        "stride0 \(hypothesis.stride0)", Format.fixed(hypothesis.divergence, 4), hypothesis.images)
    }
    table.show()
    StandardStreams.line("  \(sentence)")
  }

  /// Returns the JSON of `identify` with one more member, `measured`.
  func added(to identification: JSONValue) -> JSONValue {
    guard case .object(let members) = identification else { return identification }
    return .object(members + [(key: "measured", value: json)])
  }

  private var json: JSONValue {
    var suggested: JSONValue = .null
    if case .suggests(let stride0) = measurement.verdict { suggested = .exact(Int64(stride0)) }
    return .object([
      (key: "stride0", value: suggested), (key: "verdict", value: .string(sentence)),
      (
        key: "error_rate",
        value: usesImages
          ? .null
          : .object([
            (key: "wrong", value: .exact(Int64(Self.errorRate.wrong))),
            (key: "undecided", value: .exact(Int64(Self.errorRate.undecided))),
            (key: "networks", value: .exact(Int64(Self.errorRate.of))),
          ])
      ),
      (key: "hypotheses", value: .array(measurement.hypotheses.map(\.json))),
    ])
  }
}

extension StrideMeasurement.Hypothesis {
  /// A description of the images that fitted best.
  fileprivate var images: String {
    let pixels = "\(Format.shape(size)) pixels"
    guard let noise else { return "those given, \(pixels)" }
    return "noise 1/f^\(Format.fixed(noise.exponent, 1))\(noise.softness == nil ? "" : ", soft"), \(pixels)"
  }

  /// The JSON. Means and variances are included only for images that others can reproduce.
  fileprivate var json: JSONValue {
    let layers: [JSONValue] = layers.map { layer in
      var members: [(key: String, value: JSONValue)] = [
        (key: "name", value: .string(layer.name)), (key: "divergence", value: .exact(layer.divergence)),
      ]
      if noise == nil {
        members.append((key: "mean", value: .array(layer.mean.map { .exact($0) })))
        members.append((key: "variance", value: .array(layer.variance.map { .exact($0) })))
      }
      return .object(members)
    }
    return .object([
      (key: "stride0", value: .exact(Int64(stride0))), (key: "divergence", value: .exact(divergence)),
      (key: "exponent", value: noise.map { .exact($0.exponent) } ?? .null),
      (key: "softness", value: noise?.softness.map { .exact($0) } ?? .null),
      (key: "size", value: .array(size.map { .exact(Int64($0)) })), (key: "layers", value: .array(layers)),
    ])
  }
}
