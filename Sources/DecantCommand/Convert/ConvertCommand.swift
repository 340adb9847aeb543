import DecantConversion
import DecantIO
import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantResNets
import DecantTensors

/// The command `decant convert IN OUT`.
struct ConvertCommand: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert the tensors to another format, or the network to an ONNX model.")

  @Argument(help: "The checkpoint.") var input: String
  @OptionGroup var limits: LimitOptions
  @Argument(help: "The file to write; its extension chooses the format. - is standard output.")
  var output: String
  @Option(
    help:
      "The output format, whatever the extension: \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")).",
    transform: { try ConvertCommand.format($0) })
  var format: OutputFormat?
  @OptionGroup var network: NetworkOptions
  @Option(help: "The number of classes, 0 for no head; for .onnx and --fold-bn.")
  var numClasses: Int?
  @Flag(help: "Fold a ResNet's batch norms into their convolutions.") var foldBn = false
  @Flag(help: "Write the weights to a second file, OUTPUT.data; only for .onnx.") var externalData = false
  @Option(
    help:
      "Rename a ResNet's tensors to this naming, such as timm; decant identify --dialects lists all."
  )
  var names: String?
  @Option(help: "Remove this prefix from every name, such as 'module.'.") var stripPrefix: String?
  @Option(
    help: ArgumentHelp(
      "Rename tensors like sed: 's/pattern/replacement/'. Repeatable.", valueName: "expression"))
  var rename: [String] = []
  @Option(
    help: ArgumentHelp("Only tensors whose name matches this glob. Repeatable.", valueName: "glob"))
  var only: [String] = []
  @Option(
    help: ArgumentHelp("Leave out tensors whose name matches this glob. Repeatable.", valueName: "glob"))
  var except: [String] = []
  @Option(help: "Cast floating-point tensors to this dtype, such as float16.")
  var dtype: String?
  @Option(help: "Layout of convolution weights: nchw (PyTorch's) or nhwc.")
  var layout: Layout = .nchw
  @Option(
    help: ArgumentHelp(
      "Split the output into .safetensors files of at most this size, such as 5GB, with an index.",
      valueName: "size"))
  var shardSize: String?
  @Flag(help: "Convert quantised tensors to float32.") var dequantize = false
  @Flag(help: "Convert sparse tensors to dense tensors.") var toDense = false
  @Flag(
    help:
      "For .pth: leave out values that torch.load(weights_only=True) rejects, and replace modules by their state dicts."
  )
  var dropObjects = false
  @Flag(help: "For .pth: write only the parts of storages that tensors use.") var shrink = false
  @Flag(help: "Write .pth in the format before PyTorch 1.6.") var legacy = false
  @Flag(help: "Fail if the output exists.") var noClobber = false
  @Flag(
    help: "Convert the complete tensors of a truncated or damaged file, and list the others.")
  var salvage = false
  @Flag(help: "Store the source file's SHA-256 in the metadata.") var sourceDigest = false
  @Flag(help: "Flush the file and its folder to disk before exiting.") var durable = false
  @Flag(help: "Read the output back and compare every tensor with the source.") var check = false
  @Flag(help: "Print JSON, schema 1.") var json = false

  /// The dimension order of convolution weights.
  enum Layout: String, ExpressibleByArgument, CaseIterable { case nchw, nhwc }

  func validate() throws {
    if isNetwork { return try validateForONNX() }
    try refuse([("--external-data", externalData)], "only for .onnx")
    if !foldBn {
      try refuse(
        network.geometryOptions + [("--num-classes", numClasses != nil)],
        "only for .onnx or with --fold-bn")
    }
    if isStandardOutput {
      if format == nil { throw ValidationError("Standard output has no extension: pass --format.") }
      if json {
        throw ValidationError("--json cannot share standard output with the file: pass an output file.")
      }
      if format == .npyFolder || check || noClobber || durable || shardSize != nil {
        throw ValidationError(
          "Standard output takes one file: leave out --check, --durable, --no-clobber, --shard-size and --format npy-folder."
        )
      }
      if StandardStream.output.isTerminal {
        throw ValidationError("Standard output is a terminal: redirect it to a file.")
      }
    } else if target == nil {
      throw ValidationError(
        "Unknown output format: '\(output.escapedForDisplay)'. Use .safetensors, .npz, .npy, .gguf, .pth, .onnx, a path that ends in / for a folder of .npy files, or --format."
      )
    }
    if let names, ResNetDialect.named(names) == nil {
      let all = ResNetDialect.all.map(\.name).joined(separator: ", ")
      throw ValidationError("Unknown naming '\(names.escapedForDisplay)'. Use one of: \(all).")
    }
    if let shardSize {
      if target != .safetensors || !output.hasSuffix(".safetensors") {
        throw ValidationError("--shard-size: only for .safetensors.")
      }
      if (Format.byteCount(shardSize) ?? 0) < 1 {
        throw ValidationError(
          "--shard-size is a size such as 500MB or 5GB, not \(shardSize.escapedForDisplay).")
      }
    }
    for expression in rename { _ = try Self.substitution(expression) }
    if target != .torchZip {
      for (flag, isSet) in [("--drop-objects", dropObjects), ("--shrink", shrink), ("--legacy", legacy)]
      where isSet {
        throw ValidationError("\(flag): only for .pth and .pt.")
      }
    }
    if names != nil, layout == .nhwc {
      throw ValidationError("--names chooses the layout: leave out --layout.")
    }
    if network.prefix != nil, names == nil, !foldBn {
      throw ValidationError("--prefix needs --names or --fold-bn.")
    }
    if let dtype, !Cast.targets.contains(where: { $0.rawValue == dtype }) {
      throw ValidationError(
        "--dtype is one of \(Cast.targets.map(\.rawValue).joined(separator: ", ")), not \(dtype.escapedForDisplay)."
      )
    }
  }

  private func validateForONNX() throws {
    try refuse(
      [
        ("--format", format != nil), ("--names", names != nil), ("--strip-prefix", stripPrefix != nil),
        ("--rename", !rename.isEmpty), ("--only", !only.isEmpty), ("--except", !except.isEmpty),
        ("--dtype", dtype != nil), ("--layout", layout != .nchw), ("--shard-size", shardSize != nil),
        ("--dequantize", dequantize), ("--to-dense", toDense), ("--salvage", salvage),
      ], "not for .onnx")
    if let numClasses, numClasses < 0 {
      throw ValidationError("--num-classes is at least 0, which is no head, not \(numClasses).")
    }
  }

  /// Throws when an option was given that has no effect on this output.
  private func refuse(_ options: [(name: String, isGiven: Bool)], _ why: String) throws {
    let given = options.filter(\.isGiven).map(\.name)
    guard given.isEmpty else {
      throw ValidationError("\(given.joined(separator: ", ")): \(why).")
    }
  }

  func run() throws {
    if isNetwork {
      return try ONNXConversion(
        checkpoint: Checkpoint(path: input, limits: limits.limits), network: network, numClasses: numClasses,
        foldsNormalization: foldBn, hasExternalData: externalData, overwrite: !noClobber,
        isDurable: durable, checks: check, sourceDigest: sourceDigest, json: json
      ).write(to: output)
    }
    let clock = ContinuousClock()
    let start = clock.now
    let checkpoint = try Checkpoint(path: input, limits: limits.limits)
    var options = WriteOptions()
    options.key = network.key
    options.stripPrefix = stripPrefix
    let edits = NetworkEdits(checkpoint: checkpoint, network: network)
    let dialect = names.flatMap { ResNetDialect.named($0) }
    if let dialect { options.renamed = try edits.renamed(into: dialect) }
    if foldBn { options.replaced = try edits.folded(classes: numClasses, into: dialect) }
    options.dtype = dtype.flatMap { DType(rawValue: $0) }
    options.dequantizes = dequantize
    options.makesDense = toDense
    options.dropsObjects = dropObjects
    options.shrinks = shrink
    options.isLegacy = legacy
    options.overwrites = !noClobber
    options.recordsSourceDigest = sourceDigest
    options.only = only
    options.except = except
    options.substitutions = try rename.map { try Self.substitution($0) }
    options.isChannelsLast = layout == .nhwc
    options.shardByteCount = shardSize.flatMap { Format.byteCount($0) }
    options.isDurable = durable
    options.salvages = salvage
    options.checks = check
    let line = ProgressLine()
    // With nothing to clean up, signals end the process at once, even while a pipe is full.
    if isStandardOutput {
      options.progress = { line.update($0, of: $1) }
    } else {
      options.progress = { try line.watch($0, of: $1) }
    }
    defer { line.clear() }
    let report = try checkpoint.convert(to: isStandardOutput ? nil : output, as: target, options)
    line.clear()
    ConversionSummary(report, checkpoint, options, target).print(
      clock.now - start, isStandardOutput ? nil : output, json: json)
  }

  /// True when the output is an ONNX network, not tensors.
  private var isNetwork: Bool { output.hasSuffix(".onnx") }

  private var isStandardOutput: Bool { output == "-" }

  private var target: OutputFormat? { format ?? OutputFormat(path: output) }

  private static func format(_ name: String) throws -> OutputFormat {
    guard let format = OutputFormat(rawValue: name) else {
      throw ValidationError(
        "--format is one of \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return format
  }

  private static func substitution(_ expression: String) throws -> NameSubstitution {
    do throws(DecantError) { return try NameSubstitution(expression) } catch {
      throw ValidationError("--rename: \(error.reason).")
    }
  }
}
