import DecantConversion
import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantResNets
import DecantTensors

/// The command `decant synthesize ARCH -o FILE.pth`.
struct SynthesizeCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Write a checkpoint of seeded numbers that PyTorch can load, for demos, tests and benchmarks.")

  @Argument(help: "The architecture, such as resnet50nodown.") var architecture: String
  @Option(name: .shortAndLong, help: "The .pth file to write.") var output: String
  @Option(help: "What the numbers are made from; the same seed gives the same bytes.") var seed: UInt64 = 7
  @Option(help: "How many outputs it has; by default the architecture's published count.") var numClasses:
    Int?
  @Option(help: "What the weights stand under.") var key = "model"
  @Option(help: "The epoch that stands beside them.") var epoch = 0
  @Flag(help: "Print JSON, schema 1.") var json = false

  func validate() throws {
    if ResNetArchitecture.named(architecture) == nil {
      throw NetworkOptions.unknownArchitecture(architecture)
    }
    if OutputFormat(path: output) != .torchZip {
      throw ValidationError("--output names a .pth file: \(output.escapedForDisplay)")
    }
    if let numClasses, !(1...1_000_000 ~= numClasses) {
      throw ValidationError("--num-classes is between 1 and 1,000,000, not \(numClasses).")
    }
  }

  func run() throws {
    guard let architecture = ResNetArchitecture.named(architecture) else { throw ExitStatus.wrong }
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
