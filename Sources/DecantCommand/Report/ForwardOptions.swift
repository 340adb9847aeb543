internal import ArgumentParser
internal import DecantBytes
internal import DecantGraphs
internal import DecantIO
internal import DecantImages
internal import DecantInference
internal import DecantNetworks
internal import DecantReports
internal import DecantResNets

/// The options of `report` that run the network and compare its stages with reference outputs.
struct ForwardOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Run the network on this input, as run does", valueName: "file"), completion: .file())
  var input: String?
  @Option(help: ArgumentHelp("Name of the input in a .safetensors", valueName: "name"))
  var inputKey: String?
  @Option(
    help: ArgumentHelp("Compare every stage with reference outputs", valueName: "file"),
    completion: .file(extensions: ["safetensors"]))
  var compare: String?
  @Option(
    help: ArgumentHelp("imagenet-eval, imagenet-raw or none", valueName: "name"),
    transform: OptionValue.preprocessing)
  var preprocess: Preprocessing?
  @Option(
    help: ArgumentHelp(
      "Largest difference of --compare (default 1e-05)", discussion: "Relative to the stage's largest value.",
      valueName: "x"),
    transform: OptionValue.tolerance("--tolerance"))
  var tolerance = 1e-5
  @OptionGroup var engine: EngineOptions

  func validate() throws {
    if (input == nil) != (compare == nil) {
      throw ValidationError(
        input == nil ? "--compare needs --input." : "--input needs --compare: decant run shows the output.")
    }
  }

  /// Runs the network and compares every stage that the reference file has; nil when no comparison was requested.
  func comparison(
    _ options: NetworkOptions, in source: CheckpointSource, _ opening: OpeningOptions,
    _ leaving: LeaveOutOptions,
    classes: Int?
  ) throws -> ForwardComparison? {
    guard let input, let compare else { return nil }
    let network = try options.network(in: source, opening, leaving, classes: classes)
    let verification = try network.requireMatch(
      classes: classes, checksFiniteness: true, allowsNonFinite: true, mostListed: NetworkOptions.mostListed)
    let names = network.graph.stages.map(\.name)
    let reference = try ReferenceFile(compare, stages: names, opening)
    let words =
      ["--input", input] + (inputKey.map { ["--input-key", $0] } ?? [])
      + (preprocess.map { ["--preprocess", $0.rawValue] } ?? [])
    let inputs = try InputOptions.parse(words)
    var batches = InputBatches<Float>(try inputs.sources(), inputs, limits: opening.limits)
    guard let batch = try batches.batch(failed: { StandardStreams.error($0.commandText) }) else {
      throw batches.failures.first ?? DecantError(.invalidInput, "holds no image", file: input)
    }
    let bound = try engine.float(
      network, areFinite: verification.nonFinite.isEmpty, threads: ProcessControl.processorCount)[0]
    var stages: [StageComparison] = []
    var failure: (any Error)?
    do throws(InferenceError) {
      let wanted = Set(names.filter { reference.outputs.holds($0) })
      _ = try bound.network.run(try batch.activation(), stages: wanted) { name, value in
        do { stages.append(try reference.outputs.compare(name, value, tolerance: tolerance)) } catch {
          failure = failure ?? error
        }
      }
    } catch { throw DecantError(error, file: source.path) }
    if let failure { throw (failure as? DecantError)?.located(file: compare) ?? failure }
    return ForwardComparison(
      engine: bound.description.description, input: input, reference: compare,
      stages: names.compactMap { name in stages.first { $0.stage == name } })
  }
}
