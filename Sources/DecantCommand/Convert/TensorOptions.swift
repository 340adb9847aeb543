internal import ArgumentParser
internal import DecantBytes
internal import DecantConversion
internal import DecantTensors

/// The options of `convert` that choose and change tensors.
struct TensorOptions: ParsableArguments {
  @Option(help: "Remove this prefix from every name, such as 'module.'.") var stripPrefix: String?
  @Option(
    help: ArgumentHelp(
      "Rename tensors like sed: 's/pattern/replacement/'. Repeatable.", valueName: "expression"),
    transform: OptionValue.substitution)
  var rename: [NameSubstitution] = []
  @Option(
    help: ArgumentHelp("Only tensors whose name matches this glob. Repeatable.", valueName: "glob"))
  var only: [String] = []
  @OptionGroup var leaving: LeaveOutOptions
  @Option(
    help: "Cast floating-point tensors to this dtype, such as float16.",
    transform: OptionValue.castTarget)
  var dtype: DType?
  @Option(
    help: "Layout of convolution weights: nhwc turns PyTorch's to channels last, nchw turns them back.",
    transform: OptionValue.layout)
  var layout: ConvolutionLayout?
  @Option(
    help: ArgumentHelp(
      "The convolution weights to turn, when the file does not say which they are. Repeatable.",
      valueName: "glob"))
  var layoutOnly: [String] = []
  @Option(help: ArgumentHelp("The transposed convolutions' weights to turn. Repeatable.", valueName: "glob"))
  var layoutTransposed: [String] = []
  @Option(
    help: ArgumentHelp(
      "Split the output into .safetensors files of at most this size, such as 5GB, with an index.",
      valueName: "size"),
    transform: OptionValue.shardSize)
  var shardSize: Int?
  @Flag(help: "Convert quantised tensors to float32.") var dequantize = false
  @Flag(help: "Convert sparse tensors to dense tensors.") var toDense = false
  @Flag(
    help:
      "Compute the weights that PyTorch computes: pruned, weight norm, spectral norm. Always done for .onnx.")
  var resolve = false
  @Flag(help: "Include the tensors of a module that its state_dict() leaves out.") var withAttributes = false
  @Flag(
    help:
      "For .pth: leave out values that torch.load(weights_only=True) rejects, and replace modules by their state dicts."
  )
  var dropObjects = false
  @Flag(help: "For .pth: write only the parts of storages that tensors use.") var shrink = false
  @Flag(help: "Write .pth in the format before PyTorch 1.6.") var legacy = false

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
