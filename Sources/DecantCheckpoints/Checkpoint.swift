public import DecantBytes
internal import DecantFormats
package import DecantIO
package import DecantPickle
package import DecantTensors

/// An open checkpoint, read lazily from any supported container.
///
///     let checkpoint = try Checkpoint(path: "weights.pth")
///     for entry in checkpoint.tensors { print(entry.name, entry.tensor.shape) }
///
/// Opening reads the container's directory and the pickle or header. Weights are read when a tensor's elements are
/// requested. Nothing in the file is ever executed.
public struct Checkpoint: Sendable {
  /// The supported containers. Raw values are those of `decant inspect --json`.
  public enum Container: String, Sendable, CaseIterable {
    case torchZip = "torch-zip"
    case torchLegacy = "torch-legacy"
    case torchTar = "torch-tar"
    case torchscript
    /// A program of `torch.export` (`.pt2`). Its weights are read.
    case torchExport = "torch-export"
    /// An archive of `torch.package`.
    case torchPackage = "torch-package"
    /// A single pickle that holds all values and has no storages outside it, as `pickle.dump` writes.
    case pickle
    case safetensors
    case npz
    case npy
    /// A folder of `.npy` files, one for each tensor.
    case npyFolder = "npy-folder"
    case gguf
    /// A network as protocol buffers. Its initialisers and constants are the tensors.
    case onnx
    /// A Core ML package (`.mlpackage`) or model. The constants of its ML Program are the tensors.
    case mlpackage
    /// A folder written by `torch.distributed.checkpoint`.
    case dcp
    /// Several files, with an index that names the file of each tensor.
    case shards
    /// The files of several processes, one for each rank, joined.
    case ranks
    /// A checkpoint of DeepSpeed's ZeRO, joined to its float32 weights.
    case deepspeed
  }

  /// The path of the file, as the caller gave it.
  public let path: String
  /// The kind of container, judged by the file's content, never by its name.
  public let container: Container
  /// Every tensor, in the file's order.
  public let tensors: [CheckpointTensor]
  /// Every value that is not a tensor, in the file's order.
  public private(set) var objects: [CheckpointObject]
  /// The tensors of kinds that are not read, when the caller leaves them out; otherwise ``objects`` lists them.
  package private(set) var skippedTensors: [CheckpointObject] = []
  /// The source code of module classes that is stored in the file. It is never run.
  package let moduleSources: [ModuleSource]
  /// Messages for the user, such as missing checksums; empty for an ordinary file.
  public let warnings: [String]
  /// The errors of records whose checksum is wrong. Inspection shows them as warnings; any use of the data fails.
  package let damage: [DecantError]
  /// The error of a file that was cut off, or of files that are missing; nil for a whole checkpoint. The
  /// ``CheckpointTensor/state-swift.property`` of each incomplete tensor is not `whole`.
  package let truncation: DecantError?
  /// The container's metadata about its writer, such as its version, as label and text. Untrusted and unchanged.
  package let containerMetadata: [(label: String, text: String)]

  /// The files that the checkpoint is read from: one file, or the index and its shards.
  package let files: [InputFile]
  package let limits: Limits
  /// The pickle that describes everything in the checkpoint; nil for formats without one.
  package let graph: PickleGraph?
  /// The archive of a TorchScript checkpoint; nil for other containers.
  private let script: ScriptArchive?

  /// The result of reading one container.
  package struct Parts {
    package let container: Container
    package var contents: CheckpointContents
    package var warnings: [String] = []
    package var damage: [DecantError] = []
    package var containerMetadata: [(String, String)] = []
    package var truncation: DecantError?
    package var script: ScriptArchive?

    /// Throws the first error that makes the data unfit for use.
    package func requireIntact() throws(DecantError) {
      if let first = truncation ?? damage.first { throw first }
    }
  }

  /// Opens a file or a folder that is one checkpoint. O(entries + tensors), independent of the size of the weights.
  ///
  /// - Parameter password: the password of an encrypted zip archive.
  /// - Throws: ``DecantError``: `fileNotFound`, `permissionDenied`, `notACheckpoint`, `unsupportedFormat`,
  ///   `truncated`, `damaged`, `limitExceeded`, `partMissing`, `passwordRequired`, `wrongPassword`.
  public init(path: String, limits: Limits = Limits(), password: String? = nil) throws(DecantError) {
    let (parts, files) = try Checkpoint.open(path: path, limits: limits, password: password)
    self.init(parts, path: path, files: files, limits: limits)
  }

  /// Opens the files of all ranks of one run as a single checkpoint, in any order. Reads no weights.
  ///
  ///     let whole = try Checkpoint(joining: ["model_rank_0.pt", "model_rank_1.pt"])
  ///
  /// Each file holds one process's parts of the tensors: those of `DTensor`, those of `ShardedTensor`, or the
  /// partitions of DeepSpeed's ZeRO. Values that are not split are those of the lowest rank.
  ///
  /// - Throws: ``DecantError`` as for a file, and when the files do not belong together.
  public init(
    joining paths: [String], limits: Limits = Limits(), password: String? = nil
  ) throws(DecantError) {
    let (parts, files) = try Checkpoint.join(paths: paths, limits: limits, password: password)
    self.init(parts, path: paths.first ?? "", files: files, limits: limits)
  }

  /// Opens a checkpoint from any content, such as bytes in memory. Messages call it `name`.
  ///
  /// - Throws: ``DecantError`` as for a file.
  package init(
    _ content: any StorageContent, named name: String, limits: Limits = Limits(), password: String? = nil
  ) throws(DecantError) {
    let source = ByteSource(content, path: name, password: password)
    self.init(try Checkpoint.parts(of: source, limits: limits), path: name, files: [], limits: limits)
  }

  /// Opens a checkpoint that is in memory.
  ///
  /// - Parameters:
  ///   - bytes: the whole file.
  ///   - name: the name of the checkpoint in messages.
  ///   - password: the password of an encrypted zip archive.
  /// - Throws: ``DecantError`` as for a file.
  public init(
    _ bytes: [UInt8], name: String = "checkpoint in memory", limits: Limits = Limits(),
    password: String? = nil
  ) throws(DecantError) {
    try self.init(BytesInMemory(bytes), named: name, limits: limits, password: password)
  }

  /// Creates a checkpoint from tensors in memory, in order to write it.
  package init(holding stateDict: StateDict) {
    let tensors = stateDict.entries.map {
      CheckpointTensor(path: [.text($0.name)], tensor: $0.tensor, stateDict: [])
    }
    self.init(
      Parts(container: .pickle, contents: CheckpointContents(tensors: tensors)), path: "state dict in memory",
      files: [], limits: Limits())
    isMadeInMemory = true
  }

  /// True when the checkpoint was created from tensors in memory, so that there is no file with metadata.
  package private(set) var isMadeInMemory = false

  private init(_ parts: Parts, path: String, files: [InputFile], limits: Limits) {
    self.path = path
    self.limits = limits
    self.files = files
    container = parts.container
    var tensors = parts.contents.tensors
    var warnings = parts.warnings + parts.contents.notes
    let record =
      parts.containerMetadata.first { $0.0 == ConvolutionRecord.key }?.1
      ?? parts.contents.objects.first { $0.path == [.text(ConvolutionRecord.key)] }?.value?.string
    if let record, [.safetensors, .shards, .gguf, .npz, .npyFolder, .torchZip].contains(parts.container),
      let warning = ConvolutionRecord.mark(&tensors, record)
    {
      warnings.append(warning)
    }
    self.tensors = tensors
    self.warnings = warnings
    objects = parts.contents.objects
    moduleSources = parts.contents.sources
    damage = parts.damage
    truncation = parts.truncation
    script = parts.script
    graph =
      [.torchZip, .torchLegacy, .torchTar, .pickle].contains(parts.container) ? parts.contents.graph : nil
    containerMetadata = parts.containerMetadata.map { (label: $0.0, text: $0.1) }
  }

  /// Returns the checkpoint without its tensors of kinds that are not read, so that the others can be used. O(values).
  ///
  /// By default such a tensor is an error wherever weights are used, since it may be one of them.
  public func skippingUnreadTensors() -> Checkpoint {
    var others = self
    others.skippedTensors += objects.filter { $0.unreadTensor != nil }
    others.objects.removeAll { $0.unreadTensor != nil }
    return others
  }

  /// Returns the source code of a TorchScript archive's classes by qualified name, such as
  /// `__torch__.torchvision.models.resnet.BasicBlock`. It is never run. O(bytes of code).
  package func scriptClasses() -> [String: String] { script?.classTexts() ?? [:] }

  /// Reads any container, recognised by its bytes.
  ///
  /// - Parameter nesting: the number of containers around these bytes.
  package static func parts(of source: ByteSource, limits: Limits, nesting: Int = 0) throws(DecantError)
    -> Parts
  {
    do throws(DecantError) { return try container(of: source, limits: limits, nesting: nesting) } catch {
      // Other errors do not depend on the file's bytes being what its writer wrote.
      let codes: [DecantError.Code] = [
        .damaged, .truncated, .unsupportedFormat, .notACheckpoint, .deceptive, .limitExceeded,
      ]
      guard codes.contains(error.code), nesting == 0, let converted = TextConversion.error(of: source)
      else { throw error }
      throw converted
    }
  }

  private static func container(
    of source: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Parts {
    switch FileKind(try source.head(), tail: try source.tail(), fileByteCount: source.byteCount) {
    case .zip: return try ZipContainer.open(source, limits: limits, nesting: nesting)
    case .npy: return try NpyReader.open(source, limits: limits, nesting: nesting)
    case .gguf: return try GGUFReader.open(source, limits: limits)
    case .safetensors: return try SafetensorsReader.open(source, limits: limits)
    case .torchLegacy: return try TorchLegacy.open(source, limits: limits, nesting: nesting)
    case .tar: return try TorchTar.open(source, limits: limits, nesting: nesting)
    case .pickle: return try BarePickle.open(source, limits: limits, nesting: nesting)
    case .onnx, .coreML: return try model(source, in: nil, limits: limits, nesting: nesting).0
    case .unknown(let unsupported):
      if let parts = try BarePickle.openIfAny(source, limits: limits, nesting: nesting) { return parts }
      if let parts = try ZipContainer.openIfAny(behindOtherBytes: source, limits: limits, nesting: nesting) {
        return parts
      }
      throw unsupported.error(file: source.path)
    case .unsupported(let unsupported):
      if try source.head().first == 0,
        let parts = try ZipContainer.openIfAny(behindOtherBytes: source, limits: limits, nesting: nesting)
      {
        return parts
      }
      throw unsupported.error(file: source.path)
    }
  }

  /// Throws the first error that makes the data unfit for use. Every command that uses the data calls this.
  package func requireIntact() throws(DecantError) {
    if let first = truncation ?? damage.first { throw first }
  }

  /// Verifies the data of every storage that the tensors use against its recorded checksum. O(bytes).
  ///
  /// - Parameter progress: called with the number of bytes of each storage that was read.
  /// - Throws: ``DecantError`` that names the first entry that differs.
  package func verifyChecksums(
    of tensors: [CheckpointTensor], progress: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws {
    try requireIntact()
    if let first = try damagedRecords(of: tensors, stopsAtFirst: true, progress: progress).first {
      throw first
    }
  }

  /// Returns an error for each storage of the tensors whose data differs from its recorded checksum. O(bytes).
  ///
  /// - Parameter progress: called with the number of bytes of each storage that was read, from several threads.
  /// - Throws: ``DecantError`` for data that cannot be read at all.
  package func damagedRecords(
    of tensors: [CheckpointTensor], stopsAtFirst: Bool = false,
    progress: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> [DecantError] {
    var seen: Set<ObjectIdentifier> = []
    var contents: [(name: String, content: any ChecksummedContent)] = []
    for entry in tensors {
      for tensor in entry.tensor.sources where seen.insert(ObjectIdentifier(tensor.storage)).inserted {
        guard let content = tensor.storage.content as? any ChecksummedContent else { continue }
        contents.append((entry.name, content))
      }
    }
    let damaged = try parallelMap(contents.count) { [contents, path] index in
      let (name, content) = contents[index]
      defer { progress(content.byteCount) }
      do { return try content.damage(stopsAtFirst: stopsAtFirst).map { $0.located(tensor: name) } } catch let
        error as DecantError
      {
        throw error.located(file: path, tensor: name)
      }
    }.flatMap { $0 }
    return damaged
  }
}
