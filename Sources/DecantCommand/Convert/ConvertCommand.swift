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
    abstract: "Write the tensors in another format, or the network as an ONNX model, whole or not at all.")

  @Argument(help: "The checkpoint.") var input: String
  @OptionGroup var limits: LimitOptions
  @Argument(help: "The file to write, whose extension chooses the format; - for standard output.")
  var output: String
  @Option(
    help:
      "The format to write, whatever the extension: \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")).",
    transform: { try ConvertCommand.format($0) })
  var format: OutputFormat?
  @OptionGroup var network: NetworkOptions
  @Option(help: "How many outputs the network should have, 0 for no head; for .onnx and --fold-bn.")
  var numClasses: Int?
  @Flag(help: "Compute a ResNet's normalizations into the convolutions before them.") var foldBn = false
  @Flag(help: "Write the weights to OUTPUT.data beside the model; only for .onnx.") var externalData = false
  @Option(
    help:
      "Rename a ResNet's tensors into this library's names, such as timm; decant identify --dialects lists them."
  )
  var names: String?
  @Option(help: "Take this off the front of every name, such as 'module.'.") var stripPrefix: String?
  @Option(
    help: ArgumentHelp(
      "Change every name as sed does: 's/pattern/replacement/'; again for another.", valueName: "expression"))
  var rename: [String] = []
  @Option(
    help: ArgumentHelp("Only tensors whose names match this glob; again for another.", valueName: "glob"))
  var only: [String] = []
  @Option(help: ArgumentHelp("No tensors whose names match this glob; again for another.", valueName: "glob"))
  var except: [String] = []
  @Option(help: "Cast floating-point tensors to this type, such as float16; others stay.")
  var dtype: String?
  @Option(help: "Order of the sizes of convolutions' weights: nchw as PyTorch has them, or nhwc.")
  var layout: Layout = .nchw
  @Option(
    help: ArgumentHelp(
      "Write several .safetensors files of at most this size, such as 5GB, and their index.",
      valueName: "size"))
  var shardSize: String?
  @Flag(help: "Write quantised tensors as the float32 numbers they stand for.") var dequantize = false
  @Flag(help: "Write sparse tensors in full, zeros included.") var toDense = false
  @Flag(
    help:
      "Into .pth, leave out the values that torch.load(weights_only=True) would refuse; where tensors lie in them, their state dict is written."
  )
  var dropObjects = false
  @Flag(help: "Into .pth, write only the parts of storages that tensors use.") var shrink = false
  @Flag(help: "Write .pth in the format before PyTorch 1.6.") var legacy = false
  @Flag(help: "Refuse to replace an existing file.") var noClobber = false
  @Flag(
    help: "Of a file that was cut off or damaged, convert the tensors that are whole, and name the others.")
  var salvage = false
  @Flag(help: "Put the source file's SHA-256 into the metadata.") var sourceDigest = false
  @Flag(help: "Flush file and folder to the disk before saying that it is done.") var durable = false
  @Flag(help: "Read what was written and compare every tensor with the source.") var check = false
  @Flag(help: "Print JSON, schema 1.") var json = false

  /// The dimension order of convolution weights.
  enum Layout: String, ExpressibleByArgument, CaseIterable { case nchw, nhwc }

  func validate() throws {
    if isNetwork { return try validateForONNX() }
    try refuse([("--external-data", externalData)], "only for a network that is written as .onnx")
    if !foldBn {
      try refuse(
        network.geometryOptions + [("--num-classes", numClasses != nil)],
        "only for a network that is written as .onnx or with --fold-bn")
    }
    if isStandardOutput {
      if format == nil { throw ValidationError("Standard output has no extension: say which --format.") }
      if json {
        throw ValidationError("--json prints on standard output, which the file takes: name a file.")
      }
      if format == .npyFolder || check || noClobber || durable || shardSize != nil {
        throw ValidationError(
          "Standard output takes one file as it comes: no folder, no --check, --durable, --no-clobber, --shard-size."
        )
      }
      if StandardStream.output.isTerminal {
        throw ValidationError("Standard output is a terminal, which shows no weights: redirect it.")
      }
    } else if target == nil {
      throw ValidationError(
        "The output's extension chooses the format, and \(output.escapedForDisplay) chooses none. There are .safetensors, .npz, .npy, .gguf, .pth, .onnx, and a path that ends in / for a folder of .npy files."
      )
    }
    if let names, ResNetDialect.named(names) == nil {
      let all = ResNetDialect.all.map(\.name).joined(separator: ", ")
      throw ValidationError("No dialect is called '\(names.escapedForDisplay)'. There are: \(all).")
    }
    if let shardSize {
      if target != .safetensors || !output.hasSuffix(".safetensors") {
        throw ValidationError("--shard-size is for .safetensors files.")
      }
      if (Format.byteCount(shardSize) ?? 0) < 1 {
        throw ValidationError(
          "--shard-size takes a size such as 500MB or 5GB, not \(shardSize.escapedForDisplay).")
      }
    }
    for expression in rename { _ = try Self.substitution(expression) }
    if target != .torchZip {
      for (flag, isSet) in [("--drop-objects", dropObjects), ("--shrink", shrink), ("--legacy", legacy)]
      where isSet {
        throw ValidationError("\(flag) is for .pth and .pt files.")
      }
    }
    if names != nil, layout == .nhwc {
      throw ValidationError("--names changes the layout as the dialect needs it: leave out --layout.")
    }
    if network.prefix != nil, names == nil, !foldBn {
      throw ValidationError("--prefix says which network --names or --fold-bn means.")
    }
    if let dtype, !Cast.targets.contains(where: { $0.rawValue == dtype }) {
      throw ValidationError(
        "--dtype takes \(Cast.targets.map(\.rawValue).joined(separator: ", ")), not \(dtype.escapedForDisplay)."
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
      ], "not for .onnx, which is the whole network in float32")
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
        "--format knows \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return format
  }

  private static func substitution(_ expression: String) throws -> NameSubstitution {
    do throws(DecantError) { return try NameSubstitution(expression) } catch {
      throw ValidationError("--rename: \(error.reason).")
    }
  }
}
