import ArgumentParser
import ByteParsing
import Checkpoints
import ResNets
import Tensors

/// `decant convert IN OUT`.
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Write the tensors to a .safetensors file, whole or not at all.")

  @Argument(help: "The checkpoint.") var input: String
  @OptionGroup var limits: LimitOptions
  @Argument(help: "The file to write; its extension chooses the format.") var output: String
  @Option(help: "Convert only what stands under this key, named from there; '.' is the root.") var key:
    String?
  @Option(
    help:
      "Rename a ResNet's tensors into this library's names, such as timm; decant identify --dialects lists them."
  )
  var names: String?
  @Option(help: "What stands before the names of the network that --names means, when there are several.")
  var prefix: String?
  @Option(help: "Take this off the front of every name, such as 'module.'.") var stripPrefix: String?
  @Option(help: "Cast floating-point tensors to float64, float32, float16 or bfloat16; others stay.")
  var dtype: String?
  @Flag(help: "Write quantised tensors as the float32 numbers they stand for.") var dequantize = false
  @Flag(help: "Write sparse tensors in full, zeros included.") var toDense = false
  @Flag(help: "Refuse to replace an existing file.") var noClobber = false
  @Flag(
    help: "Of a file that was cut off or damaged, convert the tensors that are whole, and name the others.")
  var salvage = false
  @Flag(help: "Put the source file's SHA-256 into the metadata.") var sourceDigest = false

  func validate() throws {
    if !output.hasSuffix(".safetensors") {
      throw ValidationError(
        "The output's extension chooses the format, and .safetensors is the one that is written: \(output.escapedForDisplay)"
      )
    }
    if let names, ResNet.Dialect.named(names) == nil {
      let all = ResNet.Dialect.all.map(\.name).joined(separator: ", ")
      throw ValidationError("No dialect is called '\(names.escapedForDisplay)'. There are: \(all).")
    }
    if prefix != nil, names == nil { throw ValidationError("--prefix says which network --names means.") }
    if let dtype, !Tensor.castTargets.contains(where: { $0.rawValue == dtype }) {
      throw ValidationError(
        "--dtype takes \(Tensor.castTargets.map(\.rawValue).joined(separator: ", ")), not \(dtype.escapedForDisplay)."
      )
    }
  }

  func run() throws {
    let clock = ContinuousClock()
    let start = clock.now
    let checkpoint = try Checkpoint(path: input, limits: limits.limits)
    var options = ConversionOptions()
    options.key = key
    options.stripPrefix = stripPrefix
    if let dialect = names.flatMap({ ResNet.Dialect.named($0) }) {
      options.renamed = try renamed(checkpoint, into: dialect)
    }
    options.dtype = dtype.flatMap { DType(rawValue: $0) }
    options.dequantize = dequantize
    options.toDense = toDense
    options.overwrite = !noClobber
    options.sourceDigest = sourceDigest
    options.salvage = salvage
    let report = try checkpoint.writeSafetensors(to: output, options)
    let time = Spelling.duration(clock.now - start)
    for warning in checkpoint.warnings { StandardStreams.note("warning: \(warning)") }
    if let truncation = checkpoint.truncation { StandardStreams.note("warning: \(truncation)") }
    for (name, reason) in report.lost {
      StandardStreams.note("left out: \(name.escapedForDisplay) (\(reason))")
    }
    if report.droppedObjectCount > 0 {
      StandardStreams.note(
        "note: \(Spelling.count(report.droppedObjectCount, "value")) that \(report.droppedObjectCount == 1 ? "is no tensor has" : "are no tensors have") no place in safetensors and stayed behind"
      )
    }
    if let first = report.wrappers.first {
      let count = report.wrappers.count
      StandardStreams.note(
        "note: \(first.name.escapedForDisplay) (\(first.type.escapedForDisplay))"
          + (count > 1 ? " and \(count - 1) like it are wrappers" : " is a wrapper")
          + " without data of \(count > 1 ? "their" : "its") own: the tensors below \(count > 1 ? "them" : "it") were written"
      )
    }
    if !report.aliases.isEmpty {
      let shown = report.aliases.prefix(4).map {
        "\($0.name.escapedForDisplay) (of \($0.of.escapedForDisplay))"
      }
      StandardStreams.note(
        "note: \(Spelling.count(report.aliases.count, "tensor")) sharing data with another \(report.aliases.count == 1 ? "was" : "were") written in full: "
          + shown.joined(separator: ", ") + (report.aliases.count > 4 ? ", …" : ""))
    }
    var casts = ""
    if let dtype {
      casts =
        ", \(Spelling.count(report.castCount)) cast to \(dtype), \(Spelling.count(report.uncastCount)) of other kinds kept"
    }
    StandardStreams.line(
      "\(Spelling.count(report.tensorCount, "tensor")), \(Spelling.count(report.byteCount, "byte"))\(casts), \(time): \(output.escapedForDisplay)"
    )
  }

  /// The network's names in another dialect, by those in the file; the prefix stays.
  private func renamed(_ checkpoint: Checkpoint, into dialect: ResNet.Dialect) throws -> [ExactText:
    ConversionOptions.Renaming]
  {
    let stateDict = try checkpoint.selection(key: key ?? ".").stateDict()
    let naming: ResNet.Naming
    do throws(TensorError) { naming = try ResNet.Naming.only(in: stateDict, prefix: prefix) } catch {
      throw CheckpointError(
        "cannot be renamed: \(error.reason.escapedForDisplay)", file: checkpoint.path,
        remedy: "Nothing was written.")
    }
    var renamed: [ExactText: ConversionOptions.Renaming] = [:]
    var nameless: [String] = []
    for entry in naming.entries {
      guard let canonical = entry.canonical else { continue }
      if let name = dialect.spelling(of: canonical) {
        renamed[ExactText(entry.name)] = ConversionOptions.Renaming(
          name: naming.prefix + name,
          axes: dialect.axes(from: naming.dialect, of: canonical, rank: entry.tensor.shape.count))
      } else {
        nameless.append(entry.name)
      }
    }
    guard nameless.isEmpty else {
      throw CheckpointError(
        "\(dialect.name) has no name for \(nameless.prefix(8).map(\.escapedForDisplay).joined(separator: ", "))"
          + (nameless.count > 8 ? " and \(nameless.count - 8) more" : ""),
        file: checkpoint.path,
        remedy: "Choose another dialect of decant identify --dialects. Nothing was written.")
    }
    let others = naming.entries.count - renamed.count
    StandardStreams.note(
      "\(Spelling.count(renamed.count, "name")) of \(naming.dialect.name) written as \(dialect.name)'s"
        + (others == 0 ? "" : "; \(Spelling.count(others, "other")) kept"))
    return renamed
  }
}
