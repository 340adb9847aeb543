internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantResNets
internal import DecantTensors

/// The command `decant synthesize ARCH -o FILE.pth`.
struct SynthesizeCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Write a PyTorch checkpoint with random weights, for demos, tests and benchmarks.")

  @Argument(help: "The architecture, such as resnet50nodown.", transform: OptionValue.architecture)
  var architecture: ResNetArchitecture
  @Option(name: .shortAndLong, help: "The .pth file to write.") var output: String
  @Option(help: "The random seed; the same seed gives the same bytes.") var seed: UInt64 = 7
  @Option(
    help: "The number of classes. Default: as published.",
    transform: OptionValue.integer(in: 1...1_000_000, "--num-classes is between 1 and 1,000,000"))
  var numClasses: Int?
  @Option(name: .shortAndLong, help: "The key of the state dict.") var key = "model"
  @Option(help: "The value to store under the key epoch.") var epoch = 0
  @Flag(help: "Print JSON, schema 1.") var json = false
  @OptionGroup var presentation: PresentationOptions

  func validate() throws {
    if OutputFormat(path: output) != .torchZip {
      throw ValidationError("--output is a .pth file, not '\(output.escapedForDisplay)'.")
    }
  }

  func run() throws {
    let clock = ContinuousClock()
    let start = clock.now
    var configuration = architecture.configuration
    if let numClasses { configuration.classes = numClasses }
    let stateDict = try SyntheticWeights.stateDict(try configuration.graph(), seed: seed)
    try TorchZipWriter.write(stateDict, under: key, beside: [(name: "epoch", value: epoch)], to: output)
    let bytes = stateDict.entries.reduce(0) { $0 + $1.tensor.byteCount }
    if json {
      return StandardStreams.document(
        ConversionSummary.json(
          output, format: OutputFormat.torchZip.rawValue, tensors: stateDict.count, bytes: bytes))
    }
    StandardStreams.line(
      "\(Format.count(stateDict.count, "tensor")), \(Format.count(bytes, "byte")) of weights under '\(key.escapedForDisplay)', "
        + "\(Format.duration(clock.now - start)): \(output.escapedForDisplay)")
  }
}
