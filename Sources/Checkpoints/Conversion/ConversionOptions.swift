package import ByteParsing
package import Tensors

/// How to convert a checkpoint.
package struct WriteOptions: Sendable {
  // MARK: What is written

  /// The part to convert, as names print it; nil for every tensor under its full name.
  package var key: String?
  /// Only tensors whose names match one of these globs; empty for all.
  package var only: [String] = []
  /// Tensors whose names match one of these globs are left out.
  package var except: [String] = []
  /// Whether a checkpoint that is not all there is converted all the same: the tensors that are whole, and whose
  /// checksums are right.
  package var salvage = false
  /// Whether values that the target could hold and its readers would not load are left out.
  package var dropsObjects = false

  // MARK: What becomes of names

  /// What becomes of tensors, by their names; the others stay as they are.
  package var renamed: [ExactText: Renaming] = [:]
  /// What to take off the front of every name.
  package var stripPrefix: String?
  /// What to change in every name, in order, after all else.
  package var substitutions: [NameSubstitution] = []

  // MARK: What becomes of data

  /// What stands in the place of tensors, by their names; nothing for those that go.
  package var replaced: [ExactText: [Replacement]] = [:]

  /// The type floating-point tensors are cast to; integers, bool and complex numbers stay.
  package var dtype: DType?
  /// Whether quantised tensors are written as the float32 numbers they stand for.
  package var dequantize = false
  /// Whether sparse tensors are written in full, zeros included.
  package var makeDense = false
  /// Whether weights of convolutions are written output channels, height, width, input channels.
  package var channelsLast = false
  /// Whether a `.pth` file is written in the format before PyTorch 1.6.
  package var isLegacy = false
  /// Whether a `.pth` file gets only the parts of storages that its tensors use.
  package var shrinks = false

  // MARK: How it is written

  /// Whether an existing file is replaced.
  package var overwrite = true
  /// The most bytes of tensors in one file; nil for one file.
  package var shardByteCount: Int?
  /// Whether the file and its folder are flushed to the disk before the conversion is done.
  package var isDurable = false
  /// Whether the source file's SHA-256 goes into the metadata; hashing costs more than copying.
  package var sourceDigest = false
  /// Whether what was written is read and compared with the source before it gets its name.
  package var checks = false
  /// Is told how many bytes are written of how many, before the first and for every mebibyte; what it throws ends the
  /// conversion.
  package var progress: Progress?

  /// How far a conversion is, in bytes of tensors.
  package typealias Progress = @Sendable (_ done: Int, _ total: Int) throws -> Void

  /// Every tensor, as it is.
  package init() {}

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

/// What a conversion did.
package struct WriteReport: Sendable {
  /// The files that were written, each path with its bytes.
  package let files: [(path: String, byteCount: Int)]
  package let tensorCount: Int
  /// Floating-point tensors that were cast.
  package let castCount: Int
  /// Tensors of other types that stayed as they are although a cast was asked for.
  package let uncastCount: Int
  /// Tensors of which numbers had no finite number or none but zero in the type they were cast to, and how many.
  package let losses: [(name: String, overflowed: Int, underflowed: Int)]
  /// Names whose data is also another name's, each written in full: the name and the first of its group.
  package let aliases: [(name: String, of: String)]
  /// Values that are no tensors and have no place in the target, or none its readers would load.
  package let droppedObjectCount: Int
  /// Keys of the source's metadata that have no place in the target.
  package let droppedMetadata: [String]
  /// Tensors that were left out because their data is not whole, and why.
  package let lost: [(name: String, reason: String)]
  /// Wrappers such as torchao's, whose parts were written in their place: the name, the class and the number of parts.
  package let wrappers: [(name: String, type: String, partCount: Int)]

  /// Bytes of all files.
  package var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}
