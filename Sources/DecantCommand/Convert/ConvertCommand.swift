internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantIO
internal import DecantResNets

/// The command `decant convert IN OUT`.
struct ConvertCommand: ParsableCommand, PresentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write the tensors in another format, or the network as ONNX.", usage: help.usageText
  )

  @Argument(help: "The checkpoint; none with --join.", completion: .file())
  var input: String?
  @OptionGroup var opening: OpeningOptions
  @Argument(
    help: "The file to write; its extension chooses the format. - is standard output.", completion: .file())
  var output: String?
  @Option(
    name: [.short, .customLong("output")],
    help: ArgumentHelp("The file to write; - is standard output", valueName: "file"), completion: .file())
  var outputOption: String?
  @OptionGroup var joining: JoinOptions
  @Flag(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Convert each checkpoint below a folder",
      discussion: "Takes two folders, and mirrors the first in the second. Needs --format."))
  var recursive = false
  @Option(
    help: ArgumentHelp(
      "Output format, whatever the extension",
      discussion: "One of safetensors, npz, npy, npy-folder, gguf and torch-zip.", valueName: "format"),
    completion: .list(OutputFormat.allCases.map(\.rawValue)), transform: OptionValue.format)
  var format: OutputFormat?
  @OptionGroup var network: NetworkOptions
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Number of classes; 0 for no head", discussion: "For .onnx and --fold-bn.", valueName: "n"),
    transform: OptionValue.classes)
  var numClasses: Int?
  @Flag(help: "Fold batch norms into their convolutions")
  var foldBn = false
  @Flag(help: "For .onnx: write weights to OUTPUT.data")
  var externalData = false
  @Option(
    help: ArgumentHelp(
      "Rename to another naming, such as timm", discussion: "decant identify --dialects lists all.",
      valueName: "naming"), completion: .dialects, transform: OptionValue.dialect)
  var names: ResNetDialect?
  @OptionGroup var tensors: TensorOptions
  @Flag(help: "Fail if the output exists")
  var noClobber = false
  @Flag(
    help: ArgumentHelp(
      "Convert what is whole of a damaged file",
      discussion: "Converts the complete tensors of a truncated or damaged file, and lists the others."))
  var salvage = false
  @Option(
    help: ArgumentHelp(
      "Add an entry to the metadata (repeatable)", discussion: "Such as general.architecture=resnet.",
      valueName: "key=value"), transform: OptionValue.metadata)
  var metadata: [(key: String, value: String)] = []
  @Flag(
    help: ArgumentHelp(
      "Store the source's SHA-256 in the metadata", discussion: "For .safetensors, .gguf and .onnx."))
  var sourceDigest = false
  @Flag(help: "Flush the file and its folder to disk")
  var durable = false
  @Flag(help: "Read the output back and compare it")
  var check = false
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions

  // MARK: Paths

  /// Returns the source and the output's path. After `--join`, whose files are read up to the next option, the last
  /// one is the output unless it is given apart.
  private func paths() throws -> (source: CheckpointSource, output: String) {
    if let outputOption {
      guard output == nil else {
        throw ValidationError("Pass the output once: '\(output!.escapedForDisplay)' or --output.")
      }
      return (try joining.source(input), outputOption)
    }
    guard !joining.join.isEmpty else {
      guard let input else { throw ValidationError("Missing expected argument '<input>'") }
      guard let output else { throw ValidationError("Missing expected argument '<output>'") }
      return (CheckpointSource(paths: [input], isJoined: false), output)
    }
    if output != nil {
      throw ValidationError("With --join, pass only the output: decant convert OUT --join FILE FILE")
    }
    if let input { return (CheckpointSource(paths: joining.join, isJoined: true), input) }
    guard let last = joining.join.last, joining.join.count > 2, OutputFormat(path: last) != .torchZip else {
      throw ValidationError("With --join, pass the output first: decant convert OUT --join FILE FILE")
    }
    return (CheckpointSource(paths: joining.join.dropLast(), isJoined: true), last)
  }

  /// The output's path.
  private var outputPath: String { (try? paths().output) ?? "" }

  /// Where the output goes, and what it is.
  private enum Destination {
    /// A network as an ONNX model.
    case model
    /// Tensors in a file or a folder.
    case file(OutputFormat)
    /// Tensors on standard output.
    case standardOutput(OutputFormat)
  }

  /// - Throws: `ValidationError` when neither the extension nor `--format` chooses a format.
  private func destination() throws -> Destination {
    if outputPath.hasSuffix(".onnx") { return .model }
    let format = format ?? OutputFormat(path: outputPath)
    if outputPath == "-" {
      guard let format else {
        throw ValidationError("Standard output has no extension: pass --format.")
      }
      return .standardOutput(format)
    }
    guard let format else {
      throw ValidationError(
        "Unknown output format: '\(outputPath.escapedForDisplay)'. Use .safetensors, .npz, .npy, .gguf, .pth (or .pt, .bin, .ckpt), .onnx, a path that ends in / for a folder of .npy files, or --format."
      )
    }
    return .file(format)
  }

  // MARK: Options that have no effect on an output

  func validate() throws {
    _ = try paths()
    if recursive { return try requireTreeOptions() }
    switch try destination() {
    case .model:
      try refuse(
        [("--format", format != nil), ("--names", names != nil)]
          + tensors.given.filter { $0.name != "--except" } + tensors.torchOptions
          + [("--salvage", salvage), ("--metadata", !metadata.isEmpty)], "not for .onnx")
    case .file(let format): try requireTensorOptions(for: format)
    case .standardOutput(let format):
      try requireStandardOutput(holds: format)
      try requireTensorOptions(for: format)
    }
  }

  private func requireTreeOptions() throws {
    guard let format else { throw ValidationError("--recursive needs --format.") }
    try refuse(
      [("--join", !joining.join.isEmpty), ("--shard-size", tensors.shardSize != nil)], "not with --recursive")
    if outputPath == "-" { throw ValidationError("--recursive: pass a folder for the output.") }
    try requireTensorOptions(for: format)
  }

  private func requireTensorOptions(for format: OutputFormat) throws {
    try refuse([("--external-data", externalData)], "only for .onnx")
    if !foldBn {
      try refuse(
        network.geometryOptions + [("--num-classes", numClasses != nil)],
        "only for .onnx or with --fold-bn")
    }
    if tensors.shardSize != nil, format != .safetensors || !outputPath.hasSuffix(".safetensors") {
      throw ValidationError("--shard-size: only for .safetensors.")
    }
    if format != .torchZip { try refuse(tensors.torchOptions, "only for .pth, .pt, .bin and .ckpt") }
    if !format.holdsMetadata {
      try refuse([("--metadata", !metadata.isEmpty)], "only for .safetensors and .gguf")
      try refuse([("--source-digest", sourceDigest)], "only for .safetensors, .gguf and .onnx")
    }
    var keys: Set<ExactText> = []
    if let repeated = metadata.first(where: { !keys.insert(ExactText($0.key)).inserted }) {
      throw ValidationError("--metadata: the key \(repeated.key.escapedForDisplay) is given twice.")
    }
    if tensors.layout != .channelsLast {
      try refuse(
        [
          ("--layout-only", !tensors.layoutOnly.isEmpty),
          ("--layout-transposed", !tensors.layoutTransposed.isEmpty),
        ], "only with --layout nhwc")
    }
    if names != nil, tensors.layout != nil {
      throw ValidationError("--names chooses the layout: leave out --layout.")
    }
    if names == nil, !foldBn {
      if network.prefix != nil { throw ValidationError("--prefix needs --names or --fold-bn.") }
      if network.byStructure { throw ValidationError("--by-structure needs --names or --fold-bn.") }
    }
  }

  private func requireStandardOutput(holds format: OutputFormat) throws {
    if json {
      throw ValidationError("--json cannot share standard output with the file: pass an output file.")
    }
    if format == .npyFolder || check || noClobber || durable || tensors.shardSize != nil {
      throw ValidationError(
        "Standard output takes one file: leave out --check, --durable, --no-clobber, --shard-size and --format npy-folder."
      )
    }
    if StandardStream.output.isTerminal {
      throw ValidationError("Standard output is a terminal: redirect it to a file.")
    }
  }

  /// Throws when an option was given that has no effect on this output.
  private func refuse(_ options: [(name: String, isGiven: Bool)], _ why: String) throws {
    let given = options.filter(\.isGiven).map(\.name)
    guard given.isEmpty else {
      throw ValidationError("\(given.joined(separator: ", ")): \(why).")
    }
  }

  // MARK: Conversion

  func run() throws {
    if recursive { return try convertTree() }
    switch try destination() {
    case .model:
      try ONNXConversion(
        input: paths().source, opening: opening, leaving: tensors.leaving, network: network,
        numClasses: numClasses,
        foldsNormalization: foldBn, hasExternalData: externalData, overwrite: !noClobber,
        isDurable: durable, checks: check, sourceDigest: sourceDigest, json: json
      ).write(to: outputPath)
    case .file(let format): try convert(paths().source, to: outputPath, as: format)
    case .standardOutput(let format): try convert(paths().source, to: nil, as: format)
    }
  }

  private func convertTree() throws {
    guard let input, let output, let format else { return }
    let tree = try TreeConversion(
      from: input, to: output, as: format, limits: opening.limits, password: opening.password())
    try tree.run(json: json) { try convert($0, to: $1, as: format) }
  }

  /// - Parameter path: the output's path; nil for standard output.
  private func convert(_ source: CheckpointSource, to path: String?, as format: OutputFormat) throws {
    let clock = ContinuousClock()
    let start = clock.now
    let checkpoint = try source.open(opening, tensors.leaving)
    var options = tensors.writeOptions
    options.key = network.key
    let edits = NetworkEdits(
      checkpoint: checkpoint, network: network, except: options.except, format: format,
      resolvesWeights: tensors.resolve)
    if let names { options.renamed = try edits.renamed(into: names) }
    if foldBn { options.replaced = try edits.folded(classes: numClasses, into: names) }
    if options.layout == .channelsLast, options.layoutOnly.isEmpty, options.layoutTransposed.isEmpty {
      options.layoutOnly = edits.convolutionNames()
    }
    options.overwrites = !noClobber
    options.recordsSourceDigest = sourceDigest
    options.metadata = metadata
    options.isDurable = durable
    options.salvages = salvage
    options.checks = check
    let line = ProgressLine()
    // With nothing to clean up, signals end the process at once, even while a pipe is full.
    if path == nil {
      options.progress = { line.update($0, of: $1) }
    } else {
      options.progress = { try line.watch($0, of: $1) }
    }
    defer { line.clear() }
    let report = try checkpoint.convert(to: path, as: format, options)
    line.clear()
    ConversionSummary(report, checkpoint, options, format).print(clock.now - start, path, json: json)
  }
}
