package import DecantBytes
public import DecantTensors

/// How tensors are written; by default all of them, as they are.
///
///     var options = WriteOptions()
///     options.dtype = .float16
///     options.except = ["fc.*"]
///     try weights.write(to: "half.safetensors", options)
public struct WriteOptions: Sendable {
  // MARK: What is written

  /// The part to convert, as names print it; nil for every tensor under its full name.
  package var key: String?
  /// Patterns such as `layer4.*`: only tensors with a matching name are written; empty for all.
  public var only: [String] = []
  /// Patterns such as `fc.*`: tensors with a matching name are left out.
  public var except: [String] = []
  /// Of a truncated or damaged file, writes the tensors that are whole; ``WriteReport/lost`` names the others.
  public var salvages = false
  /// In a `.pth`, leaves out the values that `torch.load(weights_only=True)` would refuse.
  public var dropsObjects = false

  // MARK: What becomes of names

  /// What becomes of tensors, by their names; the others stay as they are.
  package var renamed: [ExactText: Renaming] = [:]
  /// The prefix to remove from every name, such as `module.`; it is an error when a name lacks it.
  public var stripPrefix: String?
  /// Changes of names, applied in order after everything else.
  public var substitutions: [NameSubstitution] = []

  // MARK: What becomes of data

  /// What stands in the place of tensors, by their names; nothing for those that go.
  package var replaced: [ExactText: [Replacement]] = [:]

  /// The type that floating-point tensors are cast to; integers, bool and complex numbers keep theirs. Nil for no cast.
  public var dtype: DType?
  /// Writes quantised tensors as the float32 numbers they represent.
  public var dequantizes = false
  /// Writes sparse tensors in full, zeros included.
  public var makesDense = false
  /// Writes convolution weights as output channels, height, width, input channels (NHWC).
  public var isChannelsLast = false
  /// Writes a `.pth` in the format before PyTorch 1.6.
  public var isLegacy = false
  /// In a `.pth`, writes only the parts of storages that the tensors use.
  public var shrinks = false

  // MARK: How it is written

  /// Replaces an existing file; otherwise `outputExists` is thrown.
  public var overwrites = true
  /// The most bytes of tensors in one `.safetensors` file; nil for one file.
  public var shardByteCount: Int?
  /// Flushes the file and its folder to the disk before the call returns.
  public var isDurable = false
  /// Writes the source's SHA-256 into the metadata; needs libcrypto. O(bytes of the source).
  public var recordsSourceDigest = false
  /// Reads back what was written and compares every tensor with the source before the file gets its name.
  public var checks = false
  /// Called before the first byte and after every mebibyte; an error it throws ends the writing and leaves nothing behind.
  public var progress: Progress?

  /// Receives the bytes of tensors that are written, and the bytes of all.
  public typealias Progress = @Sendable (_ done: Int, _ total: Int) throws -> Void

  /// Makes the options that write every tensor as it is.
  public init() {}

  /// A tensor in the place of another.
  package struct Replacement: Sendable {
    /// Its name.
    package let name: String
    package let tensor: Tensor

    /// Makes one.
    package init(name: String, tensor: Tensor) {
      self.name = name
      self.tensor = tensor
    }
  }

  /// A new name, and a new order of the axes.
  package struct Renaming: Sendable {
    package let name: String
    /// Which of the tensor's axes each of the written one's is, as ``Tensor/arranged(_:)`` has them.
    package let axes: [Int?]

    /// Makes one.
    package init(name: String, axes: [Int?]) {
      self.name = name
      self.axes = axes
    }
  }
}

/// The files that were written, and every tensor or value that was changed or left out.
public struct WriteReport: Sendable {
  /// The files that were written, with their sizes in bytes.
  public let files: [(path: String, byteCount: Int)]
  /// The number of tensors written.
  public let tensorCount: Int
  /// The number of floating-point tensors that were cast.
  public let castCount: Int
  /// Tensors of other types that stayed as they are although a cast was asked for.
  package let uncastCount: Int
  /// Tensors with elements that the new type cannot hold: how many became infinite or the largest number, how many zero.
  public let losses: [(name: String, overflowed: Int, underflowed: Int)]
  /// Names that share their data with an earlier name in the source; each is written in full.
  public let aliases: [(name: String, of: String)]
  /// The number of values that were left out since they are not tensors, or since the format's readers would refuse them.
  public let droppedObjectCount: Int
  /// Keys of the source's metadata that the format has no place for.
  public let droppedMetadata: [String]
  /// Tensors that were left out since their data is not whole, and why; only with ``WriteOptions/salvages``.
  public let lost: [(name: String, reason: String)]
  /// Tensor subclasses that hold no data of their own, whose parts were written instead: name, class and number of parts.
  public let wrappers: [(name: String, type: String, partCount: Int)]

  /// The number of bytes of all files.
  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}
