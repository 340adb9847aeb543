package import DecantBytes
package import DecantCheckpoints
public import DecantTensors

/// Options for writing tensors; by default all tensors are written unchanged.
///
///     var options = WriteOptions()
///     options.dtype = .float16
///     options.except = ["fc.*"]
///     try weights.write(to: "half.safetensors", options)
public struct WriteOptions: Sendable {
  // MARK: Tensor selection

  /// The key of the part to write, as listings print it; `.` for every tensor under its full name.
  ///
  /// nil writes the only state dict, or every tensor of a file without a state dict. For `.pth`, which can hold
  /// everything, nil means `.`.
  public var key: String?
  /// True to include the tensors of modules that their `state_dict()` leaves out: attributes and non-persistent
  /// buffers.
  public var includesAttributes = false
  /// Patterns such as `layer4.*`: only tensors with a matching name are written; empty for all.
  public var only: [String] = []
  /// Patterns such as `fc.*`: tensors with a matching name are left out.
  public var except: [String] = []
  /// True to write the intact tensors of a truncated or damaged file; ``WriteReport/lost`` names the others.
  public var salvages = false
  /// True to leave out of a `.pth` the values that `torch.load(weights_only=True)` would refuse.
  public var dropsObjects = false

  // MARK: Tensor names

  /// New names and axis orders, by the tensor's current name; other tensors stay as they are.
  package var renamed: [ExactText: Renaming] = [:]
  /// The prefix to remove from every name, such as `module.`; a name that lacks it is an error.
  public var stripPrefix: String?
  /// Name substitutions, applied in order after all other name changes.
  public var substitutions: [NameSubstitution] = []

  // MARK: Tensor data

  /// Replacement tensors, by the name of the tensor they replace; an empty list removes the tensor.
  package var replaced: [ExactText: [Replacement]] = [:]

  /// True to replace the parts of pruned weights, and of weights with weight norm or spectral norm, by the weights that
  /// PyTorch computes from them. Names and patterns are then those of the weights, such as `conv1.weight`.
  public var resolvesWeights = false
  /// The dtype that floating-point tensors are cast to; nil for no cast. Integer, bool and complex tensors keep
  /// theirs.
  public var dtype: DType?
  /// True to write quantised tensors as the float32 numbers they represent.
  public var dequantizes = false
  /// True to write sparse tensors in full, zeros included.
  public var makesDense = false
  /// The order of the axes of convolution weights; nil keeps the source's.
  public var layout: ConvolutionLayout?
  /// Patterns of the names of convolution weights to turn, for a file whose modules do not say which they are. For a
  /// ResNet, pass `convolutionNames` of its identification.
  public var layoutOnly: [String] = []
  /// Patterns of the names of weights of transposed convolutions to turn.
  public var layoutTransposed: [String] = []
  /// True to write a `.pth` in the format before PyTorch 1.6.
  public var isLegacy = false
  /// True to write only the parts of storages that the tensors use; for `.pth`.
  public var shrinks = false

  // MARK: Output files

  /// True to replace an existing file; otherwise the error is `outputExists`.
  public var overwrites = true
  /// The most bytes of tensors in one `.safetensors` file; nil for one file.
  public var shardByteCount: Int?
  /// True to flush the file and its folder to the disk before the call returns.
  public var isDurable = false
  /// Text metadata to write, such as GGUF's `general.architecture`. An entry replaces the source's with the same key.
  public var metadata: [(key: String, value: String)] = []
  /// True to write the source's SHA-256 into the metadata; needs libcrypto. O(bytes of the source).
  public var recordsSourceDigest = false
  /// True to read the output back and compare every tensor with the source before the file gets its name.
  public var checks = false
  /// A callback, called before the first byte and after every mebibyte. An error it throws stops the writing and
  /// leaves no file.
  public var progress: Progress?

  /// A function that receives the number of tensor bytes written so far, and the total.
  public typealias Progress = @Sendable (_ done: Int, _ total: Int) throws -> Void

  /// Creates options that write every tensor unchanged.
  public init() {}

  /// - Throws: ``DecantError`` with the code `invalidArgument` when an option has no effect on a format.
  func requireEffect(on format: OutputFormat) throws(DecantError) {
    let settings = [
      ("objects left out", dropsObjects && format != .torchZip),
      ("the format before PyTorch 1.6", isLegacy && format != .torchZip),
      ("shrunk storages", shrinks && format != .torchZip),
      ("shards", shardByteCount != nil && format != .safetensors),
      ("metadata", !metadata.isEmpty && !format.holdsMetadata),
      ("a digest of the source", recordsSourceDigest && !format.holdsMetadata),
    ]
    if let reserved = metadata.first(where: { Self.isReserved(metadataKey: $0.key) }) {
      throw DecantError(
        .invalidArgument, "the metadata key \(reserved.key.quoted) is written by the format itself",
        remedy: "Choose another key.")
    }
    let unused = settings.filter(\.1).map(\.0)
    guard unused.isEmpty else {
      throw DecantError(
        .invalidArgument, "\(format.name) output cannot have \(unused.joined(separator: ", "))",
        remedy: "Leave the option out, or choose another format.")
    }
  }

  /// Returns true for a key that the writers set themselves.
  package static func isReserved(metadataKey key: String) -> Bool {
    ["format", "general.alignment", "general.file_type"].contains(key) || key.hasPrefix("decant.")
  }

  /// The choice of tensors, and the form to write them in.
  var query: TensorQuery {
    TensorQuery(only: only, except: except, dequantize: dequantizes, makesDense: makesDense)
  }

  /// A tensor that replaces another.
  package struct Replacement: Sendable {
    /// The replacement's name.
    package let name: String
    package let tensor: Tensor

    /// Creates a replacement.
    package init(name: String, tensor: Tensor) {
      self.name = name
      self.tensor = tensor
    }
  }

  /// A tensor's new name, and the new order of its axes.
  package struct Renaming: Sendable {
    package let name: String
    /// The source axis of each axis of the written tensor, as in ``Tensor/permuted(_:)``.
    package let axes: [Int?]

    /// Creates a renaming.
    package init(name: String, axes: [Int?]) {
      self.name = name
      self.axes = axes
    }
  }
}

/// An order of the axes of convolution weights.
public enum ConvolutionLayout: String, Sendable, CaseIterable {
  /// PyTorch's: output channels, input channels, space; transposed convolutions have the first two exchanged.
  case channelsFirst = "nchw"
  /// Output channels, space, input channels, as MLX and TensorFlow Lite have them.
  case channelsLast = "nhwc"
}

/// The files that were written, and every tensor or value that was changed or left out.
public struct WriteReport: Sendable {
  /// The files that were written, with their sizes in bytes.
  public let files: [(path: String, byteCount: Int)]
  /// The paths of other files of the same name: a single file beside new shards, or shards and an index beside a new
  /// single file. They were not written, and a loader may read them instead of the output.
  public let staleFiles: [String]
  /// The number of tensors written.
  public let tensorCount: Int
  /// The number of floating-point tensors that were cast.
  public let castCount: Int
  /// The number of tensors of other dtypes that stayed unchanged although a cast was requested.
  package let uncastCount: Int
  /// Tensors with elements that the new dtype cannot hold. `overflowed` counts elements that became infinite or the
  /// largest number, `underflowed` those that became zero.
  public let losses: [(name: String, overflowed: Int, underflowed: Int)]
  /// Names that share their data with an earlier name in the source; each is written in full.
  public let aliases: [(name: String, of: String)]
  /// The number of values that were left out because they are not tensors, or because the format's readers would
  /// refuse them.
  public let droppedObjectCount: Int
  /// The keys of these values, such as `opset_import` for all values below it; for `.pth`, the full names of the first
  /// 32.
  public let droppedObjects: [String]
  /// The keys of the source's metadata that the format cannot store.
  public let droppedMetadata: [String]
  /// Tensors that were left out because their data is not intact, with the reason; only with
  /// ``WriteOptions/salvages``.
  public let lost: [(name: String, reason: String)]
  /// The keys beside the state dict that was written, with the number of tensors below each; empty when a key was given.
  public var leftOut: [(key: String, tensorCount: Int)] {
    choice.leftOut.map { (key: $0.key, tensorCount: $0.tensorCount) }
  }
  /// The names of the convolution weights that are channels last in the output.
  public let channelsLast: [String]
  /// The names of the other tensors of three or more dimensions, when convolution weights were turned to channels last.
  package let notTurned: [String]
  /// The part of the source that was written.
  package let choice: StateDictChoice
  /// The weights that were written, or stay divided into parts, because PyTorch computes them from several tensors.
  package let parametrized: ParametrizedWeights
  /// The names of the weights that were computed from several tensors, with ``WriteOptions/resolvesWeights``.
  public let resolvedNames: [String]
  /// The names of the weights whose parts were written as they are: those of parametrizations that are not known, and all
  /// others without ``WriteOptions/resolvesWeights``.
  public let unresolvedNames: [String]
  /// Tensor subclasses without data of their own, whose parts were written instead: name, class and number of parts.
  public let wrappers: [(name: String, type: String, partCount: Int)]

  /// The total size in bytes of all files.
  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}
