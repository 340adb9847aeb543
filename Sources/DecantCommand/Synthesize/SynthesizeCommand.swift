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
    abstract: "Write a checkpoint with random weights, for demos and tests.",
    usage: help.usageText)

  @Argument(
    help: "The architecture, such as resnet50nodown.", completion: .architectures,
    transform: OptionValue.architecture)
  var architecture: ResNetArchitecture
  @Option(
    name: .shortAndLong, help: ArgumentHelp("The .pth file to write", valueName: "file"),
    completion: .file(extensions: ["pth"]))
  var output: String
  @Option(
    help: ArgumentHelp(
      "Random seed (default 7)", discussion: "The same seed gives the same bytes.", valueName: "n"))
  var seed: UInt64 = 7
  @Option(
    help: ArgumentHelp(
      "Number of classes", discussion: "By default the number of the published network.", valueName: "n"),
    transform: OptionValue.integer(in: 1...1_000_000, "--num-classes is between 1 and 1,000,000"))
  var numClasses: Int?
  @Option(name: .shortAndLong, help: ArgumentHelp("Key of the state dict (default model)", valueName: "key"))
  var key = "model"
  @Option(help: ArgumentHelp("Value to store under the key epoch", valueName: "n"))
  var epoch = 0
  @Flag(help: "Print JSON")
  var json = false
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
