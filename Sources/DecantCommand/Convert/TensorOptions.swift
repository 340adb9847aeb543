internal import ArgumentParser
internal import DecantBytes
internal import DecantConversion
internal import DecantTensors

/// The options of `convert` that choose and change tensors.
struct TensorOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Remove a prefix from names, such as 'module.'", valueName: "prefix"))
  var stripPrefix: String?
  @Option(
    help: ArgumentHelp("Rename like sed: 's/pattern/new/' (repeatable)", valueName: "expr"),
    transform: OptionValue.substitution)
  var rename: [NameSubstitution] = []
  @Option(help: ArgumentHelp("Only tensors by name (repeatable)", valueName: "glob"))
  var only: [String] = []
  @OptionGroup var leaving: LeaveOutOptions
  @Option(
    help: ArgumentHelp(
      "Cast floats to this dtype, such as float16",
      discussion: "Also fp16, half, bf16 and other usual names.", valueName: "dtype"), completion: .dtypes,
    transform: OptionValue.castTarget)
  var dtype: DType?
  @Option(
    help: ArgumentHelp(
      "Turn convolution weights to nhwc, or back",
      discussion: "nhwc turns PyTorch's order to channels last, nchw turns it back.", valueName: "nhwc|nchw"),
    completion: .list(["nhwc", "nchw"]), transform: OptionValue.layout)
  var layout: ConvolutionLayout?
  @Option(
    help: ArgumentHelp(
      "Convolution weights to turn (repeatable)",
      discussion: "Needed when the file does not say which they are.", valueName: "glob"))
  var layoutOnly: [String] = []
  @Option(help: ArgumentHelp("Transposed convolutions to turn (repeatable)", valueName: "glob"))
  var layoutTransposed: [String] = []
  @Option(
    help: ArgumentHelp(
      "Split .safetensors into files of at most this",
      discussion: "A size such as 5GB or 20M. An index names the file of each tensor.", valueName: "size"),
    transform: OptionValue.shardSize)
  var shardSize: Int?
  @Flag(help: "Convert quantised tensors to float32")
  var dequantize = false
  @Flag(help: "Convert sparse tensors to dense tensors")
  var toDense = false
  @Flag(
    help: ArgumentHelp(
      "Compute weights as PyTorch does when used",
      discussion: "Those of pruning, weight norm and spectral norm. Always done for .onnx."))
  var resolve = false
  @Flag(help: "Include tensors that state_dict() leaves out")
  var withAttributes = false
  @Flag(
    help: ArgumentHelp(
      "For .pth: leave out what weights_only rejects",
      discussion:
        "Leaves out values that torch.load(weights_only=True) rejects, and replaces modules by their state dicts."
    ))
  var dropObjects = false
  @Flag(help: "For .pth: write only used parts of storages")
  var shrink = false
  @Flag(help: "For .pth: the format before PyTorch 1.6")
  var legacy = false

  /// The options that change what every format holds, and whether each was given.
  var given: [(name: String, isGiven: Bool)] {
    [
      ("--strip-prefix", stripPrefix != nil), ("--rename", !rename.isEmpty), ("--only", !only.isEmpty),
      ("--dtype", dtype != nil), ("--layout", layout != nil),
      ("--shard-size", shardSize != nil), ("--dequantize", dequantize), ("--to-dense", toDense),
      ("--with-attributes", withAttributes), ("--layout-only", !layoutOnly.isEmpty),
      ("--layout-transposed", !layoutTransposed.isEmpty),
    ]
  }

  /// The options that only PyTorch's format has, and whether each was given.
  var torchOptions: [(name: String, isGiven: Bool)] {
    [("--drop-objects", dropObjects), ("--shrink", shrink), ("--legacy", legacy)]
  }

  /// The options of a conversion that these options set.
  var writeOptions: WriteOptions {
    var options = WriteOptions()
    options.stripPrefix = stripPrefix
    options.substitutions = rename
    options.only = only
    options.except = leaving.except
    options.dtype = dtype
    options.layout = layout
    options.layoutOnly = layoutOnly
    options.layoutTransposed = layoutTransposed
    options.shardByteCount = shardSize
    options.dequantizes = dequantize
    options.makesDense = toDense
    options.resolvesWeights = resolve
    options.includesAttributes = withAttributes
    options.dropsObjects = dropObjects
    options.shrinks = shrink
    options.isLegacy = legacy
    return options
  }
}
