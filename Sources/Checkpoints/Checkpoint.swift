public import ByteParsing
internal import Tensors

/// An open checkpoint: what it holds, read lazily from whatever container it is in.
///
///     let checkpoint = try Checkpoint(path: "weights.pth")
///     for entry in checkpoint.tensors { print(entry.name, entry.tensor.shape) }
///
/// Opening reads the container's directory and the pickle or header; weights are read when a tensor's elements
/// are asked for. Nothing a file says is ever executed.
public struct Checkpoint: Sendable {
  /// The kinds of file that are read; raw values are the contract's names.
  public enum Container: String, Sendable, CaseIterable {
    case torchZip = "torch-zip"
    case torchscript
    case safetensors
  }

  /// The file, as the caller named it.
  public var path: String { file.path }
  /// What kind of file it is, judged by its content.
  public let container: Container
  /// Every tensor, in the file's order.
  public let tensors: [CheckpointTensor]
  /// Everything that is no tensor, in the file's order.
  public let objects: [CheckpointObject]
  /// What a reader should know and no command needs to stop for.
  public let warnings: [String]
  /// Records whose checksum is wrong: a warning to who looks, an error to who uses the data.
  public let damage: [CheckpointError]
  /// What the container says about its own writing, such as its version, as label and text.
  public let hints: [(label: String, text: String)]

  let file: InputFile
  let limits: Limits
  /// The pickle that describes the tensors, when there is one.
  let pickle: [UInt8]?

  /// What a container's reader finds.
  struct Parts {
    let container: Container
    let contents: CheckpointContents
    let warnings: [String]
    let damage: [CheckpointError]
    let hints: [(String, String)]
    let pickle: [UInt8]?
  }

  /// Opens a checkpoint.
  ///
  /// - Throws: ``CheckpointError`` when the file is none, or none that is read, or is damaged.
  ///   O(entries + tensors), whatever the weights weigh.
  public init(path: String, limits: Limits = Limits()) throws(CheckpointError) {
    let file = try InputFile(path)
    let head = try file.bytes(at: 0, count: min(file.byteCount, 512))
    let parts: Parts
    switch FileKind(head, fileByteCount: file.byteCount) {
    case .zip: parts = try TorchZip.open(file, limits: limits)
    case .safetensors: parts = try SafetensorsReader.open(file, limits: limits)
    case .foreign(let description, let remedy): throw CheckpointError(description, file: path, remedy: remedy)
    }
    self.file = file
    self.limits = limits
    container = parts.container
    tensors = parts.contents.tensors
    objects = parts.contents.objects
    warnings = parts.warnings
    damage = parts.damage
    hints = parts.hints.map { (label: $0.0, text: $0.1) }
    pickle = parts.pickle
  }

  /// The bytes of the pickle a disassembler should show: a zip's `data.pkl`, or the whole of any other file.
  ///
  /// Works on files that are no checkpoint: that is when one wants to look.
  public static func pickleBytes(path: String, limits: Limits = Limits()) throws(CheckpointError) -> [UInt8] {
    let file = try InputFile(path)
    let head = try file.bytes(at: 0, count: min(file.byteCount, 512))
    if case .zip = FileKind(head, fileByteCount: file.byteCount) {
      return try TorchZip.pickle(file, limits: limits)
    }
    guard file.byteCount <= limits.pickleBytes else {
      throw CheckpointError(
        "has \(file.byteCount) bytes, more than Limits.pickleBytes (\(limits.pickleBytes))", file: path)
    }
    return try file.bytes(at: 0, count: file.byteCount)
  }

  /// Throws the first damaged record; what every command does that uses the data.
  public func requireIntact() throws(CheckpointError) {
    if let first = damage.first { throw first }
  }

  /// Compares the recorded checksum of every storage the tensors use with its data. O(bytes).
  ///
  /// - Throws: ``CheckpointError`` that names the first entry that differs.
  public func verifyChecksums(of tensors: [CheckpointTensor]) throws {
    try requireIntact()
    if let first = try damagedRecords(of: tensors, stopsAtFirst: true).first { throw first }
  }

  /// The storages the tensors use whose data is not what its checksum records, each named. O(bytes).
  ///
  /// - Throws: ``CheckpointError`` for data that cannot be read at all.
  public func damagedRecords(
    of tensors: [CheckpointTensor], stopsAtFirst: Bool = false
  ) throws -> [CheckpointError] {
    var seen: Set<ObjectIdentifier> = []
    var damaged: [CheckpointError] = []
    for entry in tensors where seen.insert(ObjectIdentifier(entry.tensor.storage)).inserted {
      guard let record = entry.tensor.storage.content as? ZipRecord else { continue }
      do {
        guard let crc = try record.wrongChecksum() else { continue }
        damaged.append(checksumMismatch(file, record.entry, found: crc).located(tensor: entry.name))
        if stopsAtFirst { break }
      } catch let error as CheckpointError {
        throw error.located(file: path, tensor: entry.name)
      }
    }
    return damaged
  }
}
