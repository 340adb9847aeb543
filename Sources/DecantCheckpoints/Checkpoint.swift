public import DecantBytes
package import DecantIO
internal import DecantPickle
package import DecantTensors

/// An open checkpoint: what it holds, read lazily from whatever container it is in.
///
///     let checkpoint = try Checkpoint(path: "weights.pth")
///     for entry in checkpoint.tensors { print(entry.name, entry.tensor.shape) }
///
/// Opening reads the container's directory and the pickle or header; weights are read when a tensor's elements
/// are asked for. Nothing a file says is ever executed.
public struct Checkpoint: Sendable {
  /// The kinds of checkpoint that are read; raw values are those of `decant inspect --json`.
  public enum Container: String, Sendable, CaseIterable {
    case torchZip = "torch-zip"
    case torchLegacy = "torch-legacy"
    case torchTar = "torch-tar"
    case torchscript
    /// A program of `torch.export` (`.pt2`), of which the weights are read.
    case torchExport = "torch-export"
    /// An archive of `torch.package`.
    case torchPackage = "torch-package"
    /// One pickle with everything in it, and no tensors of PyTorch's.
    case pickle
    case safetensors
    case npz
    case npy
    case gguf
    /// A folder written by `torch.distributed.checkpoint`.
    case dcp
    /// Several files and the index that says what each holds.
    case shards
  }

  /// The file, as the caller named it.
  public let path: String
  /// The kind of file, judged by its content, never by its name.
  public let container: Container
  /// Every tensor, in the file's order.
  public let tensors: [CheckpointTensor]
  /// Every value that is not a tensor, in the file's order.
  public let objects: [CheckpointObject]
  /// The sources of modules' classes that the file holds: evidence of what was saved, never run.
  package let moduleSources: [ModuleSource]
  /// Sentences that a user should see, such as missing checksums; empty for an ordinary file.
  public let warnings: [String]
  /// Records whose checksum is wrong: a warning to who looks, an error to who uses the data.
  package let damage: [DecantError]
  /// What is missing of a file that was cut off, or of files that are absent; nil for whole checkpoints. The tensors
  /// that are not whole say so in their ``CheckpointTensor/state-swift.property``.
  package let truncation: DecantError?
  /// What the container says about its own writing, such as its version, as label and text: untrusted, as it stands.
  package let hints: [(label: String, text: String)]

  /// The files it is read from: one, or the index and its shards.
  package let files: [InputFile]
  let limits: Limits
  /// The pickle that says everything the checkpoint holds; nil for formats that are none.
  let graph: PickleGraph?
  /// The archive of a TorchScript checkpoint.
  private let script: ScriptArchive?

  /// What a container's reader finds.
  struct Parts {
    let container: Container
    var contents: CheckpointContents
    var warnings: [String] = []
    var damage: [DecantError] = []
    var hints: [(String, String)] = []
    var truncation: DecantError?
    var script: ScriptArchive?

    /// Throws what makes the data unfit for use.
    func requireIntact() throws(DecantError) {
      if let first = truncation ?? damage.first { throw first }
    }
  }

  /// Opens a file or a folder that is one checkpoint. O(entries + tensors), whatever the weights weigh.
  ///
  /// - Throws: ``DecantError``: `fileNotFound`, `permissionDenied`, `notACheckpoint`, `unsupportedFormat`, `truncated`, `damaged`,
  ///   `limitExceeded`, `partMissing`.
  public init(path: String, limits: Limits = Limits()) throws(DecantError) {
    let (parts, files) = try Checkpoint.open(path: path, limits: limits)
    self.init(parts, path: path, files: files, limits: limits)
  }

  /// Opens a checkpoint that is in memory, or wherever some content is; `name` is what messages call it.
  ///
  /// - Throws: ``DecantError`` as for a file.
  package init(
    _ content: any StorageContent, named name: String, limits: Limits = Limits()
  ) throws(DecantError) {
    self.init(
      try Checkpoint.parts(of: ByteSource(content, path: name), limits: limits), path: name, files: [],
      limits: limits)
  }

  /// Opens a checkpoint that is in memory.
  ///
  /// - Parameters:
  ///   - bytes: the whole file.
  ///   - name: what messages call it.
  /// - Throws: ``DecantError`` as for a file.
  public init(
    _ bytes: [UInt8], name: String = "checkpoint in memory", limits: Limits = Limits()
  ) throws(DecantError) {
    try self.init(BytesInMemory(bytes), named: name, limits: limits)
  }

  /// Makes a checkpoint of tensors in memory, to be written.
  package init(holding stateDict: StateDict) {
    let tensors = stateDict.entries.map {
      CheckpointTensor(path: [.text($0.name)], tensor: $0.tensor, stateDict: [])
    }
    self.init(
      Parts(container: .pickle, contents: CheckpointContents(tensors: tensors)), path: "state dict in memory",
      files: [], limits: Limits())
    isMadeInMemory = true
  }

  /// True when it was made of tensors in memory, so that there is no file with metadata.
  private(set) var isMadeInMemory = false

  private init(_ parts: Parts, path: String, files: [InputFile], limits: Limits) {
    self.path = path
    self.limits = limits
    self.files = files
    container = parts.container
    tensors = parts.contents.tensors
    objects = parts.contents.objects
    moduleSources = parts.contents.sources
    warnings = parts.warnings
    damage = parts.damage
    truncation = parts.truncation
    script = parts.script
    graph =
      [.torchZip, .torchLegacy, .torchTar, .pickle].contains(parts.container) ? parts.contents.graph : nil
    hints = parts.hints.map { (label: $0.0, text: $0.1) }
  }

  /// The code of a TorchScript archive's classes by their qualified names, such as
  /// `__torch__.torchvision.models.resnet.BasicBlock`: evidence of what was saved, never run. O(bytes of code).
  package func scriptClasses() -> [String: String] { script?.classTexts() ?? [:] }

  /// Reads whatever container some bytes are, judged by the bytes.
  ///
  /// - Parameter nesting: how many containers the bytes lie in.
  static func parts(of source: ByteSource, limits: Limits, nesting: Int = 0) throws(DecantError) -> Parts {
    switch FileKind(try source.head(), tail: try source.tail(), fileByteCount: source.byteCount) {
    case .zip: return try ZipContainer.open(source, limits: limits, nesting: nesting)
    case .npy: return try NpyReader.open(source, limits: limits, nesting: nesting)
    case .gguf: return try GGUFReader.open(source, limits: limits)
    case .safetensors: return try SafetensorsReader.open(source, limits: limits)
    case .torchLegacy: return try TorchLegacy.open(source, limits: limits, nesting: nesting)
    case .tar: return try TorchTar.open(source, limits: limits, nesting: nesting)
    case .pickle: return try BarePickle.open(source, limits: limits, nesting: nesting)
    case .unknown(let foreign):
      if let parts = try BarePickle.openIfAny(source, limits: limits, nesting: nesting) { return parts }
      throw foreign.error(file: source.path)
    case .foreign(let foreign):
      throw foreign.error(file: source.path)
    }
  }

  /// Throws what makes the data unfit for use; what every command does that uses the data.
  package func requireIntact() throws(DecantError) {
    if let first = truncation ?? damage.first { throw first }
  }

  /// Compares the recorded checksum of every storage the tensors use with its data. O(bytes).
  ///
  /// - Throws: ``DecantError`` that names the first entry that differs.
  package func verifyChecksums(of tensors: [CheckpointTensor]) throws {
    try requireIntact()
    if let first = try damagedRecords(of: tensors, stopsAtFirst: true).first { throw first }
  }

  /// The storages the tensors use whose data is not what its checksum records, each named. O(bytes).
  ///
  /// - Throws: ``DecantError`` for data that cannot be read at all.
  package func damagedRecords(
    of tensors: [CheckpointTensor], stopsAtFirst: Bool = false
  ) throws -> [DecantError] {
    var seen: Set<ObjectIdentifier> = []
    var damaged: [DecantError] = []
    for entry in tensors {
      // A sparse tensor's own storage is computed: what the file holds is its parts.
      for tensor in [entry.tensor] + entry.tensor.parts.map(\.tensor)
      where seen.insert(ObjectIdentifier(tensor.storage)).inserted {
        guard let content = tensor.storage.content as? any ChecksummedContent else { continue }
        do {
          damaged += try content.damage(stopsAtFirst: stopsAtFirst).map { $0.located(tensor: entry.name) }
          if stopsAtFirst, !damaged.isEmpty { return damaged }
        } catch let error as DecantError {
          throw error.located(file: path, tensor: entry.name)
        }
      }
    }
    return damaged
  }
}
