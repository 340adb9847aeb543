import DecantConversion
import DecantNetworks
import DecantIO
import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantGraphs
import DecantImages
import DecantInference
import DecantResNets
import DecantTensors

/// The command `decant run FILE`.
struct RunCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run the network on an input, and compare every stage with reference outputs.")

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var limits: LimitOptions
  @OptionGroup var network: NetworkOptions
  @Option(help: "The number of classes, 0 for no head. Default: as in the file.")
  var numClasses: Int?
  @OptionGroup var inputs: InputOptions
  @Option(help: "The number of classes to show for each image, largest first.") var top = 5
  @Option(help: "A text file with the class names, one per line.") var labels: String?
  @Option(help: "Write the logits of all images, or the stage of --stage, to this .npy file.") var output:
    String?
  @Option(help: "The stage that --output writes: input, stem, maxpool, layer1 …, avgpool or logits.")
  var stage: String?
  @Option(help: "Write every stage to this .safetensors file.") var stages: String?
  @Option(
    help: "Compare every stage with the reference outputs in this .safetensors file; exit 1 when one differs."
  ) var compare: String?
  @Option(help: "Largest difference that --compare allows, relative to the stage's largest value.")
  var tolerance = 1e-5
  @OptionGroup var engine: EngineOptions
  @Flag(help: "Compute in float64.") var float64 = false
  @Flag(
    name: .customLong("validate"),
    help:
      "Compare every stage with the reference engine in float64; exit 1 when a difference is more than rounding."
  )
  var validates = false
  @Option(help: "The number of threads. Default: one per processor.") var threads: Int?
  @Option(help: "Run this many times and print the median time.") var `repeat` = 1
  @Flag(help: "Print JSON, schema 1.") var json = false

  func validate() throws {
    if let numClasses, numClasses < 0 {
      throw ValidationError("--num-classes is at least 0, which is no head, not \(numClasses).")
    }
    if let threads, !(1...256 ~= threads) {
      throw ValidationError("--threads is between 1 and 256, not \(threads).")
    }
    if !(1...100_000 ~= `repeat`) {
      throw ValidationError("--repeat is between 1 and 100,000, not \(`repeat`).")
    }
    if top < 1 { throw ValidationError("--top is at least 1, not \(top).") }
    if float64, engine.numerics == .fast {
      throw ValidationError(
        "--numerics applies only to the engine onednn, and --float64 uses the reference engine.")
    }
    if validates, float64 {
      throw ValidationError("--validate compares with float64 already; leave out --float64.")
    }
    if inputs.tile,
      stages != nil || compare != nil || validates || engine.engine == .both
        || (stage != nil && !["input", "logits"].contains(stage))
    {
      throw ValidationError("--tile averages logits only; leave it out for other stages.")
    }
    if !(tolerance >= 0) { throw ValidationError("--tolerance is at least 0.") }
    if stage != nil && output == nil {
      throw ValidationError("--stage needs --output.")
    }
    if let output, OutputFormat(path: output) != .npy {
      throw ValidationError("--output is a .npy file, not '\(output.escapedForDisplay)'.")
    }
    if let stages, !stages.hasSuffix(".safetensors") {
      throw ValidationError("--stages is a .safetensors file, not '\(stages.escapedForDisplay)'.")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(path: file, limits: limits.limits)
    try checkpoint.requireIntact()
    let selection = try network.selection(of: checkpoint)
    let stateDict = try selection.stateDict()
    let resolution = try network.resolve(stateDict, selection, in: checkpoint, classes: numClasses)
    let graph = resolution.graph
    let stageNames = ["input"] + graph.stages.map(\.name)
    if let stage, !stageNames.contains(stage) {
      throw DecantError(
        .invalidArgument, "the network has no stage \(stage.escapedForDisplay)", file: file,
        remedy: "Its stages are: \(stageNames.joined(separator: ", ")).")
    }
    for warning in checkpoint.warnings { StandardStreams.note("warning: \(warning)") }
    try checkpoint.verifyChecksums(of: selection.tensors)
    let verification = try ResNetVerification(
      of: resolution.naming, against: graph, checksFiniteness: false)
    try network.requireSupportedHead(resolution, verification, in: checkpoint, classes: numClasses)
    try verification.requireMatch(
      resolution.architecture, file: file, mostListed: NetworkOptions.mostListed)
    NetworkOptions.noteOtherTensors(verification)
    ProcessControl.explainLostPages()
    let weights = resolution.naming.tensors
    if float64 {
      let chosen = try engine.double(graph, weights, threads: threadCount)
      try execute(chosen, graph, resolution, of: checkpoint) { _, _ in nil }
    } else {
      let engines = try engine.float(graph, weights, threads: threadCount)
      try execute(engines[0], graph, resolution, of: checkpoint) {
        try validated($0, $1, engines, graph, weights)
      }
    }
  }

  /// Compares every stage of the engines with float64, or one engine with the other. Returns nil when not requested.
  private func validated(
    _ input: Activation<Float>, _ golden: ReferenceOutputs?, _ engines: [SelectedEngine<Float>],
    _ graph: Graph,
    _ weights: StateDict
  ) throws -> Validation? {
    guard validates || engines.count > 1 else { return nil }
    let stages = graph.stages.map(\.name)
    var validation: Validation
    if validates {
      let truth: SelectedEngine<Double> = try engine.reference(graph, weights, threads: threadCount)
      validation = try Validation(
        "the reference engine in float64", truth.network,
        Activation(shape: input.shape, values: input.values.map { Double($0) }), stages: stages,
        tolerance: tolerance)
    } else {
      validation = try Validation(
        "the reference engine in float32", engines[1].network, input, stages: stages, tolerance: tolerance)
    }
    for chosen in validates ? engines : [engines[0]] {
      _ = try chosen.network.run(input, stages: Set(stages)) { validation.measure(chosen.note.name, $0, $1) }
    }
    if let golden { try validation.measure(golden) }
    return validation
  }

  private var threadCount: Int { threads ?? ProcessControl.processorCount }

  private func execute<T: ReferenceScalar>(
    _ chosen: SelectedEngine<T>, _ graph: Graph, _ resolution: ResNetResolution, of checkpoint: Checkpoint,
    validated: (Activation<T>, ReferenceOutputs?) throws -> Validation?
  ) throws {
    let sources = try inputs.sources()
    if sources.count > 1, stages != nil || compare != nil || validates || engine.engine == .both {
      throw DecantError(
        .invalidArgument,
        "--stages, --compare, --validate and --engine both need exactly one input, not \(Format.count(sources.count))",
        remedy: "Run each input alone, or write one stage of all inputs with --stage and --output.")
    }
    let classes = resolution.configuration.classes
    let labels = try labels.map { path throws(DecantError) in
      try ClassLabels(path: path, classes: classes)
    }
    var batches = InputBatches<T>(sources, inputs, limits: limits.limits)
    let first = try batches.batch { StandardStreams.error($0.commandText) }
    let goldenFile = try compare.map { path throws(DecantError) in try Checkpoint(path: path) }
    // Output must never replace an input file.
    let read =
      (checkpoint.files + (goldenFile?.files ?? [])).map(\.identity)
      + sources.compactMap { try? InputFile($0.path).identity }
    let golden = try goldenFile.map { file throws(DecantError) in
      ReferenceOutputs(try file.onlyStateDict().stateDict())
    }
    let wanted = graph.stages.map(\.name).filter { name in
      golden?.holds(name) == true || stages != nil || (output != nil && stage == name)
    }
    if golden != nil, !wanted.contains(where: { golden?.holds($0) == true }) {
      throw DecantError(
        .invalidInput, "no tensor is named like a stage of the network", file: compare,
        remedy: "Name its tensors \(graph.stages.map(\.name).joined(separator: ", ")).")
    }
    var report = RunReport<T>(
      architecture: resolution.architecture, hasHead: resolution.configuration.classes > 0,
      assumed: resolution.assumed, declared: resolution.declared, read: resolution.read,
      engine: chosen.note, dtype: T.dtype.rawValue, threads: threadCount,
      preprocessing: inputs.preprocessing ?? .none,
      fileCount: sources.count, top: top, labels: labels)
    report.goldenNotes = Dictionary(
      goldenFile?.containerMetadata.map { ($0.label, $0.text) } ?? [], uniquingKeysWith: { first, _ in first }
    )
    var kept: [(name: String, activation: Activation<T>)] = []
    var collected = OutputAccumulator<T>()
    var runs = BatchRun<T>(tiles: inputs.tile, stages: wanted, rounds: `repeat`)
    let progress = ProgressLine()
    defer { progress.clear() }
    var next = first
    while var batch = next {
      let input: Activation<T>
      let result: (logits: Activation<T>, stages: [BatchRun<T>.Stage])
      do throws(InferenceError) {
        input = try batch.activation()
        result = try runs.run(input) { (part, stages, stage) throws(InferenceError) in
          try chosen.network.run(part, stages: stages, stage: stage)
        }
      } catch {
        let refusal = DecantError(error)
        throw refusal.located(file: refusal.code == .invalidInput ? batch.images.first?.file : file)
      }
      if inputs.tile { batch.split(Tiling(height: input.shape[2], width: input.shape[3])) }
      report.add(batch, result.logits)
      if output != nil, let image = batch.images.first {
        let shown =
          switch stage {
          case nil, "logits": result.logits
          case "input": input
          default: result.stages.first { $0.name == stage }?.activation
          }
        if let shown { try collected.append(shown, stage: stage, of: image) }
      }
      if sources.count == 1 {
        kept = result.stages
        do { report.validation = try validated(input, golden) } catch let error as InferenceError {
          throw DecantError(error, file: file)
        } catch let error as DecantError {
          throw error.located(file: compare ?? file)
        }
      } else if !json {
        progress.clear()
        report.printResults()
      }
      if sources.count > 1 { progress.update(images: batches.done, of: sources.count) }
      next = try batches.batch { error in
        progress.clear()
        StandardStreams.error(error.commandText)
      }
    }
    report.failures = batches.failures
    if `repeat` > 1 { report.median = runs.times.sorted()[runs.times.count / 2] }
    if let golden {
      do {
        for (name, activation) in kept where golden.holds(name) {
          report.comparisons.append(try golden.compare(name, activation, tolerance: tolerance))
        }
      } catch let error as DecantError { throw error.located(file: compare) }
    }
    if let output {
      if batches.failures.isEmpty {
        try collected.write(to: output, sources: read)
      } else {
        StandardStreams.note(
          "\(output.escapedForDisplay) was not written, because \(Format.count(batches.failures.count, "input")) "
            + "could not be read.")
      }
    }
    if let stages {
      try SafetensorsFile.write(
        kept.map { (name: $0.name, tensor: try Tensor($0.activation.values, shape: $0.activation.shape)) },
        to: stages, sources: read)
    }
    if json { report.printJSON() } else { report.print() }
    if !batches.failures.isEmpty { throw ExitStatus.wrong }
    if !report.comparisons.allSatisfy(\.passes) || report.validation?.isRoundedCopy == false {
      throw ExitStatus.no
    }
  }
}
