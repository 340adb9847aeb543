internal import ArgumentParser
internal import DecantBytes
internal import DecantConversion
internal import DecantGraphs

/// The options that write or compare the stages of a network.
struct StageOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: "Write the output for all images, or the stage of --stage, to this .npy file.")
  var output: String?
  @Option(help: "The stage that --output writes: input, stem, maxpool, layer1 …, avgpool, logits or output.")
  var stage: String?
  @Option(help: "Write every stage to this .safetensors file.") var stages: String?
  @Option(
    help: "Compare every stage with the reference outputs in this .safetensors file; exit 1 when one differs."
  ) var compare: String?
  @Option(
    help:
      "Largest difference that --compare allows, relative to the stage's largest value. (default: 1e-05)",
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
