internal import ArgumentParser
internal import DecantBytes
internal import DecantConversion
internal import DecantGraphs

/// The options that write or compare the stages of a network.
struct StageOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Write the output to this .npy file", discussion: "The output for all images, or the stage of --stage.",
      valueName: "file"), completion: .file(extensions: ["npy"]))
  var output: String?
  @Option(
    help: ArgumentHelp(
      "Stage that --output writes, such as layer4",
      discussion: "input, stem, maxpool, layer1 …, avgpool, logits or output.", valueName: "name"),
    completion: .stages)
  var stage: String?
  @Option(
    help: ArgumentHelp("Write every stage to this file", valueName: "file"),
    completion: .file(extensions: ["safetensors"]))
  var stages: String?
  @Option(
    help: ArgumentHelp(
      "Compare every stage with reference outputs", discussion: "Exit code 1 when one differs.",
      valueName: "file"), completion: .file(extensions: ["safetensors"]))
  var compare: String?
  @Option(
    help: ArgumentHelp(
      "Largest difference of --compare (default 1e-05)", discussion: "Relative to the stage's largest value.",
      valueName: "x"),
    transform: { text in
      guard let value = Double(text), value >= 0 else {
        throw ValidationError("--tolerance is at least 0.")
      }
      return value
    })
  var tolerance = 1e-5

  func validate() throws {
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

  /// True when ``stage`` is neither the input nor the network's output.
  ///
  /// - Parameter last: the name of the stage that is the output.
  func readsInnerStage(last: String = "logits") -> Bool {
    stage.map { !["input", last].contains($0) } ?? false
  }

  /// Throws when the network does not have ``stage``.
  func requireStage(of graph: Graph, file: String) throws(DecantError) {
    let names = ["input"] + graph.stages.map(\.name)
    if let stage, !names.contains(stage) {
      throw DecantError(
        .invalidArgument,
        "the network has no stage \(stage.escapedForDisplay)"
          + (NearestName.question(for: stage, among: names).map { "; \($0)" } ?? ""), file: file,
        remedy: "Its stages are: \(names.joined(separator: ", ")).")
    }
  }
}
