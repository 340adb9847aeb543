internal import ArgumentParser
internal import DecantBytes
internal import DecantGraphs
internal import DecantIO
internal import DecantInference
internal import DecantNetworks
internal import DecantResNets

/// The command `decant run FILE`.
struct RunCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run the network on images or tensors, and compare its stages.",
    usage: help.usageText)

  @Argument(help: "The checkpoint.", completion: .file())
  var file: String?
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @OptionGroup var leaving: LeaveOutOptions
  @OptionGroup var network: NetworkOptions
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Number of classes; 0 for no head", discussion: "By default as in the file.", valueName: "n"),
    transform: OptionValue.classes)
  var numClasses: Int?
  @OptionGroup var inputs: InputOptions
  @Option(
    help: ArgumentHelp("Number of classes to show (default 5)", valueName: "n"),
    transform: OptionValue.integer(in: 1..., "--top is at least 1"))
  var top = 5
  @Option(
    help: ArgumentHelp("Text file with a class name on each line", valueName: "file"), completion: .file())
  var labels: String?
  @OptionGroup var stages: StageOptions
  @OptionGroup var engine: EngineOptions
  @Flag(help: "Compute in float64")
  var float64 = false
  @Flag(
    name: .customLong("validate"),
    help: ArgumentHelp(
      "Compare every stage with float64", discussion: "Exit code 1 when a difference is more than rounding."))
  var validates = false
  @Option(
    name: [.customShort("j", allowingJoined: true), .long],
    help: ArgumentHelp("Number of threads", discussion: "By default one for each processor.", valueName: "n"),
    transform: OptionValue.integer(in: 1...256, "--threads is between 1 and 256"))
  var threads: Int?
  @Option(
    help: ArgumentHelp("Run N times and print the median time", valueName: "n"),
    transform: OptionValue.integer(in: 1...100_000, "--repeat is between 1 and 100,000"))
  var `repeat` = 1
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  mutating func validate() throws {
    takeCheckpointFromInputs()
    _ = try joining.source(file)
    if float64, engine.numerics == .fast {
      throw ValidationError(
        "--numerics applies only to the engine onednn, and --float64 uses the reference engine.")
    }
    if validates, float64 {
      throw ValidationError("--validate compares with float64 already; leave out --float64.")
    }
    if inputs.tile, comparesStages || stages.readsInnerStage() && stages.readsInnerStage(last: "output") {
      throw ValidationError("--tile averages the output only; leave it out for other stages.")
    }
  }

  /// Takes the last word after `--input` as the checkpoint when no other is given: `run --input *.jpg model.pth`.
  private mutating func takeCheckpointFromInputs() {
    guard file == nil, joining.join.isEmpty, inputs.input.count > 1 else { return }
    file = inputs.input.removeLast()
  }

  mutating func run() throws {
    takeCheckpointFromInputs()
    try answer()
  }

  private func answer() throws {
    let source = try joining.source(file)
    let network = try network.network(in: source, opening, leaving, classes: numClasses)
    try stages.requireStage(of: network.graph, file: source.path)
    if inputs.tile, stages.readsInnerStage(last: network.graph.stages.last?.name ?? "") {
      throw ValidationError("--tile averages the output only; leave it out for other stages.")
    }
    network.printWarnings()
    let verification = try network.requireMatch(
      classes: numClasses, checksFiniteness: true, allowsNonFinite: true,
      mostListed: NetworkOptions.mostListed)
    verification.noteOtherTensors()
    let weights = verification.nonFiniteWeightsText
    ProcessControl.explainLostPages()
    if float64 {
      try NetworkRun<Double>(
        self, network, try engine.double(network, threads: threadCount), nonFiniteWeights: weights
      ).run()
    } else {
      let engines = try engine.float(network, areFinite: weights == nil, threads: threadCount)
      try NetworkRun<Float>(self, network, engines[0], nonFiniteWeights: weights) { input, reference in
        try validation(of: engines, network, input, reference)
      }.run()
    }
  }

  /// True when all stages of one input are compared or written.
  var comparesStages: Bool {
    stages.stages != nil || stages.compare != nil || validates || engine.engine == .both
  }

  var threadCount: Int { threads ?? ProcessControl.processorCount }

  /// Compares every stage of the engines with float64, or one engine with the other. Returns nil when not requested.
  private func validation(
    of engines: [BoundEngine<Float>], _ network: ResolvedNetwork, _ input: Activation<Float>,
    _ reference: ReferenceOutputs?
  ) throws -> Validation? {
    guard validates || engines.count > 1 else { return nil }
    let names = network.graph.stages.map(\.name)
    let line = ProgressLine()
    defer { line.clear() }
    let total = names.count * (validates ? 1 + engines.count : 2)
    let finished = { line.advance(by: 1, of: total, .items("stages")) }
    var validation: Validation
    if validates {
      let truth: BoundEngine<Double> = try engine.choice(threads: threadCount).reference(
        network.graph, network.parameters)
      validation = try Validation(
        "the reference engine in float64", truth.network,
        Activation(shape: input.shape, values: input.values.map { Double($0) }), stages: names,
        tolerance: stages.tolerance, finished: finished)
    } else {
      validation = try Validation(
        "the reference engine in float32", engines[1].network, input, stages: names,
        tolerance: stages.tolerance, finished: finished)
    }
    for bound in validates ? engines : [engines[0]] {
      _ = try bound.network.run(input, stages: Set(names)) {
        validation.measure(bound.description.name, $0, $1)
        finished()
      }
    }
    if let reference { try validation.measure(reference) }
    return validation
  }
}
