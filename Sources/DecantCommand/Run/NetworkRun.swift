internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantGraphs
internal import DecantIO
internal import DecantImages
internal import DecantInference
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// One execution of `decant run`: runs the network on every input, compares and writes stages, and reports.
struct NetworkRun<T: ReferenceScalar> {
  private let command: RunCommand
  private let network: ResolvedNetwork
  private let engine: BoundEngine<T>
  private let validation: (Activation<T>, ReferenceOutputs?) throws -> Validation?

  private let sources: [InputSource]
  private let reference: ReferenceFile?
  private var batches: InputBatches<T>
  private var report: RunReport<T>
  private var runs: BatchRun<T>
  /// The stages of the only input.
  private var kept: [BatchRun<T>.Stage] = []
  private var collected = OutputAccumulator<T>()
  private let progress = ProgressLine()
  /// The batch to run next, read ahead so that an invalid input fails before the reference outputs are opened.
  private var next: InputBatch<T>?

  /// Finds the inputs and reads the first of them.
  ///
  /// - Parameters:
  ///   - nonFiniteWeights: the tensors with NaN or infinity, as text; nil when there are none.
  ///   - validation: compares the stages of an input with a more exact computation and with the reference
  ///     outputs; nil when this was not requested.
  init(
    _ command: RunCommand, _ network: ResolvedNetwork, _ engine: BoundEngine<T>, nonFiniteWeights: String?,
    validation: @escaping (Activation<T>, ReferenceOutputs?) throws -> Validation? = { _, _ in nil }
  ) throws {
    (self.command, self.network, self.engine, self.validation) = (command, network, engine, validation)
    sources = try command.inputs.sources()
    if sources.count > 1, command.comparesStages {
      throw DecantError(
        .invalidArgument,
        "--stages, --compare, --validate and --engine both need exactly one input, not \(Format.count(sources.count))",
        remedy: "Run each input alone.")
    }
    let classes = network.identification.configuration.classes
    var labels = try command.labels.map { path throws(DecantError) in
      try ClassLabels(path: path, classes: classes)
    }
    if labels == nil, classes == ImageNetClasses.names.count {
      labels = .imageNet
      if !command.json { StandardStreams.note("class names are ImageNet's; --labels FILE gives others") }
    }
    batches = InputBatches<T>(sources, command.inputs, limits: command.opening.limits)
    next = try batches.batch { StandardStreams.error($0.commandText) }
    let (options, names) = (command.stages, network.graph.stages.map(\.name))
    let reference = try options.compare.map { path throws(DecantError) in
      try ReferenceFile(path, stages: names, command.opening)
    }
    self.reference = reference
    let wanted = names.filter { name in
      reference?.outputs.holds(name) == true || options.stages != nil
        || (options.output != nil && options.stage == name)
    }
    runs = BatchRun<T>(tiles: command.inputs.tile, stages: wanted, rounds: command.repeat)
    report = RunReport<T>(
      network, engine: engine.description, threads: command.threadCount,
      preprocessing: command.inputs.preprocess ?? .none, fileCount: sources.count, top: command.top,
      labels: labels)
    if let nonFiniteWeights { report.nonFinite.append(nonFiniteWeights) }
    report.goldenNotes = reference?.notes ?? [:]
  }

  /// Runs every batch and reports. Of several inputs, what is done is kept when a signal ends the run.
  ///
  /// - Throws: ``ExitStatus`` when an input could not be read, or a stage differs; ``Interruption``.
  consuming func run() throws {
    defer { progress.clear() }
    if sources.count > 1 { Interruption.watch() }
    var interruption: Interruption?
    while let batch = next {
      do { try Interruption.check() } catch let signal as Interruption {
        interruption = signal
        break
      }
      try run(batch)
      // The images of one file of numbers have indices.
      report.runCount += batch.images[0].index == nil ? batch.images.count : 1
      next = try batches.batch { [progress] error in
        progress.clear()
        StandardStreams.error(error.commandText)
      }
    }
    progress.clear()
    report.failures = batches.failures
    if command.repeat > 1 { report.median = runs.times.sorted()[runs.times.count / 2] }
    try compare()
    try write()
    if command.json { report.printJSON() } else { report.print() }
    if let interruption { throw interruption }
    if !batches.failures.isEmpty { throw ExitStatus.wrong }
    if !report.nonFinite.isEmpty { throw ExitStatus.no }
    if !report.comparisons.allSatisfy(\.passes) || report.validation?.isRoundedCopy == false {
      throw ExitStatus.no
    }
  }

  private mutating func run(_ batch: InputBatch<T>) throws {
    var batch = batch
    let input: Activation<T>
    let result: (logits: Activation<T>, stages: [BatchRun<T>.Stage])
    do throws(InferenceError) {
      input = try batch.activation()
      result = try runs.run(input) { [engine] (part, stages, stage) throws(InferenceError) in
        try engine.network.run(part, stages: stages, stage: stage)
      }
    } catch {
      let refusal = DecantError(error)
      throw refusal.located(
        file: refusal.code == .invalidInput ? batch.images.first?.file : command.file)
    }
    noteNonFinite(batch, input, result.logits)
    if command.inputs.tile { batch.split(Tiling(height: input.shape[2], width: input.shape[3])) }
    report.add(batch, result.logits)
    try collect(batch, input, result.logits, result.stages)
    if sources.count == 1 {
      kept = result.stages
      try validate(input)
      return
    }
    if !command.json {
      progress.clear()
      report.printResults()
      StandardStreams.flush()
    }
    progress.update(batches.done, of: sources.count, .items("images"))
  }

  /// Notes images whose numbers or results are NaN or infinite.
  private mutating func noteNonFinite(_ batch: InputBatch<T>, _ input: Activation<T>, _ result: Activation<T>)
  {
    for (values, name) in [(input.values, "input"), (result.values, "result")] {
      let share = values.count / max(batch.images.count, 1)
      for (index, image) in batch.images.enumerated() {
        let count = values[index * share..<(index + 1) * share].count { !$0.isFinite }
        guard count > 0 else { continue }
        let place = image.index.map { ", image \($0)" } ?? ""
        report.nonFinite.append(
          "the \(name) of \(image.file.escapedForDisplay)\(place) holds \(Format.count(count, "number")) that \(count == 1 ? "is" : "are") NaN or Inf"
        )
      }
    }
  }

  /// Keeps what `--output` writes.
  private mutating func collect(
    _ batch: InputBatch<T>, _ input: Activation<T>, _ logits: Activation<T>, _ stages: [BatchRun<T>.Stage]
  ) throws(DecantError) {
    guard command.stages.output != nil, let image = batch.images.first else { return }
    let stage = command.stages.stage
    let output =
      switch stage {
      case nil, network.graph.stages.last?.name: logits
      case "input": input
      default: stages.first { $0.name == stage }?.activation
      }
    if let output { try collected.append(output, stage: stage, of: image) }
  }

  private mutating func validate(_ input: Activation<T>) throws {
    do { report.validation = try validation(input, reference?.outputs) } catch let error as InferenceError {
      throw DecantError(error, file: command.file)
    } catch let error as DecantError {
      throw error.located(file: reference?.path ?? command.file)
    }
  }

  /// Compares the stages of the only input with the reference outputs.
  private mutating func compare() throws {
    guard let reference else { return }
    do {
      for (name, activation) in kept where reference.outputs.holds(name) {
        report.comparisons.append(
          try reference.outputs.compare(name, activation, tolerance: command.stages.tolerance))
      }
    } catch let error as DecantError { throw error.located(file: reference.path) }
  }

  /// Writes the files that were requested. They never replace an input file.
  private func write() throws {
    let inputs =
      (network.file.part?.checkpoint.files.map(\.identity) ?? []) + (reference?.identities ?? [])
      + sources.compactMap { try? InputFile($0.path).identity }
    if let output = command.stages.output {
      if batches.failures.isEmpty {
        try collected.write(to: output, sources: inputs)
      } else {
        StandardStreams.note(
          "\(output.escapedForDisplay) was not written, because \(Format.count(batches.failures.count, "input")) "
            + "could not be read.")
      }
    }
    if let stages = command.stages.stages {
      try SafetensorsFile.write(
        kept.map { (name: $0.name, tensor: try Tensor($0.activation.values, shape: $0.activation.shape)) },
        to: stages, sources: inputs)
    }
  }
}
