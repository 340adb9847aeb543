package import DecantBytes
internal import DecantFormats
package import DecantIO
package import DecantPickle
internal import DecantTensors

/// A reader of the files that `torch.save` wrote before PyTorch 1.6, and still writes on request: five pickles, then
/// the storages.
///
/// Source: PyTorch `torch/serialization.py` (`_legacy_save`, `_legacy_load`); docs/formats/torch-legacy.md.
package enum TorchLegacy {
  package static let version: Int64 = 1001

  /// The parts of a file, before its values are listed.
  struct File {
    let graph: PickleGraph
    let storages: LegacyStorages
    let containerMetadata: [(String, String)]
    let warnings: [String]
  }

  /// Reads the pickles and the element counts of the storages. Reads no weights.
  package static func open(
    _ source: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    let file = try read(source, limits: limits)
    let expected = file.storages.expectedByteCount
    if let failure = file.storages.failure, expected == nil { throw failure }
    do throws(DecantError) {
      var contents = try PickledContents.list(
        file.graph, path: source.path, nesting: nesting, limits: limits
      ) { reference throws(DecantError) in try file.storages.storage(reference)
      }
      if expected != nil { contents.tensors = contents.tensors.map { $0.withState() } }
      return Checkpoint.Parts(
        container: .torchLegacy, contents: contents, warnings: file.warnings,
        containerMetadata: file.containerMetadata,
        truncation: expected.map {
          Truncation.error(
            .truncated, "is cut short: it has \(Format.count(source.byteCount)) of \(Format.count($0)) bytes",
            contents.tensors,
            file: source.path)
        })
    } catch { throw error.located(file: source.path) }
  }

  /// Reads the pickles and locates the storages, as far as possible.
  static func read(_ source: ByteSource, limits: Limits) throws(DecantError) -> File {
    var sequence = PickleSequence(source, limits: limits)
    return try read(&sequence)
  }

  /// Returns the pickles of a file for the disassembler: those that can be read, and the one at which reading fails.
  package static func streams(_ source: ByteSource, limits: Limits) -> [PickleSequence.Stream] {
    var sequence = PickleSequence(source, limits: limits)
    _ = try? read(&sequence)
    return sequence.streams
  }

  /// Returns the byte order of the data. Adds a note when the system information says that the writer was big-endian.
  package static func byteOrder(isLittleEndian: PickleValue?) -> String {
    isLittleEndian == .bool(false)
      ? "little (the writer's machine was big-endian; PyTorch writes the same data on every machine)"
      : "little"
  }

  private static func read(_ sequence: inout PickleSequence) throws(DecantError) -> File {
    let source = sequence.source
    let number = try sequence.next("the magic number")
    guard case .longInteger(FileSignature.torchLegacy) = number.node(number.root) else {
      throw DecantError(
        .damaged, "does not begin with PyTorch's magic number", file: source.path)
    }
    let start = sequence.offset
    let version = try sequence.next("the protocol version")
    guard version.root == .int(Self.version) else {
      throw DecantError(
        .damaged,
        "the format version is \(version.pythonSpelling(version.root)), but PyTorch writes only "
          + "\(Self.version)", file: source.path, offset: start,
        remedy: "The file is damaged. Download it again.")
    }
    var containerMetadata = [("format version", String(Self.version))]
    let system = try sequence.next("the system information")
    let isLittle = system.dictionary(system.root)?.first { system.isText($0.key, "little_endian") }?.value
    containerMetadata.append(("byte order", byteOrder(isLittleEndian: isLittle)))
    let graph = try sequence.next("the object")
    if graph.protocolVersion != 2 {
      containerMetadata.append(("pickle protocol", String(graph.protocolVersion)))
    }
    let listStart = sequence.offset
    let list = try sequence.next("the list of storages")
    func wrong(_ reason: String) -> DecantError {
      DecantError(
        .damaged, reason, file: source.path, offset: listStart,
        remedy: "The file is damaged. Download it again.")
    }
    var keys: [String] = []
    var keyBytes = 0
    for element in list.list(list.root) ?? list.tuple(list.root) ?? [.none] {
      // Different keys have separate bytes in the stream. Only a shared key can take more bytes than the stream has.
      keyBytes += list.textByteCount(element)
      guard keyBytes <= list.byteCount else { throw wrong("the list of storages names one storage twice") }
      guard let key = list.text(element) else { throw wrong("the list of storages is not a list of names") }
      keys.append(key)
    }
    let storages = LegacyStorages(source, at: sequence.offset, keys: keys, graph: graph)
    var warnings = sequence.warnings + storages.warnings
    if storages.failure == nil, storages.end < source.byteCount {
      warnings.append(
        "\(Format.count(source.byteCount - storages.end, "byte", ("follows", "follow"))) the last storage, at offset \(storages.end)"
      )
    }
    return File(graph: graph, storages: storages, containerMetadata: containerMetadata, warnings: warnings)
  }
}
