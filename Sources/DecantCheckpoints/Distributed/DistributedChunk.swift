internal import DecantBytes
internal import DecantIO
internal import DecantTensors
internal import Synchronization

/// One stored item of a distributed checkpoint: either a `torch.save` stream with one tensor, or a tensor of a
/// safetensors file that holds all tensors of its data file.
///
/// The item is opened when its elements are first read. It must then have the dtype and shape that the metadata
/// records.
final class DistributedChunk: ChunkSource {
  private let source: ByteSource
  private let dtype: DType
  private let sizes: [Int]
  private let limits: Limits
  private let nesting: Int
  /// The reason that the item cannot be read, when it is known before opening.
  private let refusal: DecantError?
  private let bundle: SafetensorsBundle?
  /// The tensor's flat name: its key in a bundle.
  private let name: String
  private let opened = Mutex<Opened?>(nil)

  private struct Opened: Sendable {
    let content: RowMajorContent
    let record: ZipRecord?
  }

  init(
    _ source: ByteSource, dtype: DType, sizes: [Int], limits: Limits, nesting: Int,
    refusal: DecantError? = nil, bundle: SafetensorsBundle? = nil, name: String = ""
  ) {
    self.source = source
    self.dtype = dtype
    self.sizes = sizes
    self.limits = limits
    self.nesting = nesting
    self.refusal = refusal
    self.bundle = bundle
    self.name = name
  }

  /// Returns the elements in row-major order.
  func content() throws(DecantError) -> any StorageContent { try open().content }

  /// Returns the zip record whose bytes are exactly the elements in row-major order; nil when there is none.
  func wholeRecord() throws(DecantError) -> ZipRecord? {
    let opened = try open()
    guard opened.content.isPlain, let record = opened.record, record.byteCount == opened.content.byteCount
    else {
      return nil
    }
    return record
  }

  /// Returns a checksum error when the data differs from its recorded checksum; nil when it matches. O(bytes).
  func damage() throws -> DecantError? {
    guard let record = try open().record, let found = try record.wrongChecksum() else { return nil }
    return checksumMismatch(record.archive.file, record.entry, found: found)
  }

  private func open() throws(DecantError) -> Opened {
    if let refusal { throw refusal }
    if let known = opened.withLock({ $0 }) { return known }
    let tensor: Tensor
    if let bundled = try bundle?.tensor(name) { tensor = bundled } else { tensor = try onlyTensor() }
    guard tensor.dtype == dtype, tensor.shape == sizes else {
      throw DecantError(
        .damaged,
        "holds \(tensor.dtype.rawValue) \(tensor.shape) where the metadata says \(dtype.rawValue) \(sizes)",
        file: source.path, remedy: "The metadata and the data are of different checkpoints, or damaged.")
    }
    guard tensor.storage.content != nil else {
      throw DecantError(.noData, "holds a tensor without data", file: source.path)
    }
    let made = Opened(content: RowMajorContent(tensor), record: tensor.storage.content as? ZipRecord)
    opened.withLock { $0 = made }
    return made
  }

  /// Returns the only tensor of a `torch.save` stream.
  ///
  /// - Throws: ``DecantError`` when the stream holds anything else.
  private func onlyTensor() throws(DecantError) -> Tensor {
    let parts: Checkpoint.Parts
    do throws(DecantError) {
      parts = try Checkpoint.parts(of: source, limits: limits, nesting: nesting)
    } catch {
      throw error.located(file: source.path)
    }
    try parts.requireIntact()
    guard parts.contents.tensors.count == 1, parts.contents.objects.isEmpty,
      let entry = parts.contents.tensors.first,
      entry.path.isEmpty
    else {
      throw DecantError(
        .damaged,
        "holds \(Format.count(parts.contents.tensors.count, "tensor")) and \(parts.contents.objects.count) other values, not one tensor",
        file: source.path, remedy: "The checkpoint is damaged. Download it again.")
    }
    return entry.tensor
  }
}
