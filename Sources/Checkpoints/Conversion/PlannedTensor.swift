internal import Tensors

/// A tensor as it is to be written.
struct PlannedTensor {
  /// Its name in the target.
  let name: String
  /// Where it stands in the source.
  let entry: CheckpointTensor
  /// Its elements in the order in which they are written.
  let tensor: Tensor
  /// The type they are written in.
  let dtype: DType

  /// Bytes of what is written.
  var byteCount: Int { dtype == tensor.dtype ? tensor.byteCount : tensor.elementCount * dtype.byteCount }

  /// Whether it is a tensor of the meta device: sizes without data.
  var isMeta: Bool {
    tensor.storage.content == nil && tensor.storage.location == "meta" && tensor.layout == .strided
  }

  var shape: [Int] { tensor.shape }
}

/// Hands tensors to a writer one after the other: cast, their storages' checksums compared, what was lost counted.
struct TensorPouring {
  /// What casts lost, by tensor.
  private(set) var losses: [(name: String, overflowed: Int, underflowed: Int)] = []
  private var verified: Set<ObjectIdentifier> = []
  private var doneByteCount = 0
  private let totalByteCount: Int
  private let progress: ConversionOptions.Progress?

  /// - Throws: what `progress` throws, which is told of the beginning.
  init(_ tensors: [PlannedTensor], progress: ConversionOptions.Progress? = nil) throws {
    totalByteCount = tensors.reduce(0) { $0 + $1.byteCount }
    self.progress = progress
    try progress?(0, totalByteCount)
  }

  /// Hands one tensor to `sink`, which asks for all its bytes in order, in pieces of whole elements.
  mutating func pour<R>(
    _ planned: PlannedTensor,
    _ sink: (_ byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> R
  ) throws -> R {
    do {
      let isNew = verified.insert(ObjectIdentifier(planned.tensor.storage)).inserted
      var feed = try TensorFeed(planned.tensor, as: planned.dtype, comparesChecksum: isNew)
      var done = doneByteCount
      let result = try unsafe sink(planned.byteCount) { piece in
        try unsafe feed.read(into: piece)
        done += piece.count
        try progress?(done, totalByteCount)
      }
      doneByteCount = done
      try feed.finish()
      if let cast = feed.cast, cast.overflowed + cast.underflowed > 0 {
        losses.append((planned.name, cast.overflowed, cast.underflowed))
      }
      return result
    } catch let error as CheckpointError {
      throw error.located(tensor: planned.name)
    } catch let error as TensorError {
      throw CheckpointError(error.reason, tensor: planned.name)
    }
  }

  /// Appends one tensor to a file.
  mutating func pour(_ planned: PlannedTensor, into output: AtomicOutput) throws {
    try unsafe pour(planned) { count, fill in try unsafe output.append(byteCount: count, fill: fill) }
  }
}

/// Reads a tensor's elements from first to last in another type, and compares its storage's checksum.
struct TensorFeed {
  private(set) var cast: Cast?
  private var reader: RowMajorReader
  /// The record whose bytes pass by as they stand, and their checksum so far.
  private let record: ZipRecord?
  private var crc = CRC32()
  private var scratch: [UInt8] = []

  /// Elements that are cast at once: as many as stay in the second-level cache.
  private static let castCount = 1 << 14

  /// - Parameter comparesChecksum: whether the storage's checksum is compared: while its bytes pass by when all of them
  ///   do, and else before. O(bytes) in the second case.
  init(_ tensor: Tensor, as dtype: DType, comparesChecksum: Bool) throws {
    cast = Cast(tensor, to: dtype)
    precondition(cast != nil || tensor.dtype == dtype, "the plan casts what can be cast")
    reader = try RowMajorReader(tensor)
    let content = comparesChecksum ? tensor.storage.content as? any ChecksummedContent : nil
    record = reader.passesStorageUnchanged ? try content?.wholeRecord() : nil
    if record == nil, let first = try content?.damage(stopsAtFirst: true).first { throw first }
  }

  /// Fills `piece` with the next elements.
  mutating func read(into piece: UnsafeMutableRawBufferPointer) throws {
    guard let cast else { return try unsafe read(uncast: piece) }
    let (size, sourceSize) = (cast.target.byteCount, cast.source.byteCount)
    if scratch.isEmpty { scratch = [UInt8](repeating: 0, count: Self.castCount * sourceSize) }
    var done = 0
    while done < piece.count {
      let count = min(Self.castCount, (piece.count - done) / size)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: piece[done..<done + count * size])
      // Taken out, so that reading and casting do not both have hold of this value.
      var elements = scratch
      scratch = []
      defer { scratch = elements }
      try unsafe elements.withUnsafeMutableBytes { buffer in
        let elements = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * sourceSize)])
        try unsafe read(uncast: elements)
        unsafe self.cast?.convert(UnsafeRawBufferPointer(elements), into: part)
      }
      done += count * size
    }
  }

  private mutating func read(uncast piece: UnsafeMutableRawBufferPointer) throws {
    try unsafe reader.read(into: piece)
    if record != nil { unsafe crc.update(UnsafeRawBufferPointer(piece)) }
  }

  /// Compares the checksum when every byte has passed.
  func finish() throws { try record?.compare(crc) }
}
