internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// A reader of the tar files that `torch.save` wrote in PyTorch 0.1.
///
/// Source: PyTorch `torch/serialization.py` (`legacy_load` in `_legacy_load`); docs/formats/torch-tar.md.
enum TorchTar {
  /// Reads the pickles of the members and the numbers between them. Reads no weights.
  static func open(
    _ source: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    var reader = Reader(source, limits: limits, nesting: nesting)
    return try reader.read()
  }

  /// Returns the pickles of all members, for the disassembler.
  static func streams(_ source: ByteSource, limits: Limits) -> [PickleSequence.Stream] {
    var reader = Reader(source, limits: limits, nesting: 0)
    _ = try? reader.read()
    return reader.streams.sorted { $0.offset < $1.offset }
  }

  private struct Reader {
    let source: ByteSource
    let limits: Limits
    let nesting: Int
    var streams: [PickleSequence.Stream] = []
    private var named: [ExactText: PersistentIDObject] = [:]
    private var warnings: [String] = []

    init(_ source: ByteSource, limits: Limits, nesting: Int) {
      self.source = source
      self.nesting = nesting
      self.limits = limits
    }

    mutating func read() throws(DecantError) -> Checkpoint.Parts {
      let archive = try TarArchive(source, limits: limits)
      func member(_ name: String) throws(DecantError) -> TarArchive.Member? {
        let found = archive.members.filter { $0.name.utf8.elementsEqual(name.utf8) }
        guard found.count <= 1 else {
          throw DecantError(
            .deceptive, "the archive has \(found.count) members of this name", file: source.path,
            entry: name,
            remedy: "The file is damaged or malicious.")
        }
        return found.first
      }
      guard let pickle = try member("pickle"), let storages = try member("storages") else {
        let names = archive.members.prefix(3).map(\.name.escapedForDisplay).joined(separator: ", ")
        throw DecantError(
          .notACheckpoint,
          "is a tar archive without the members pickle and storages, so it is not a PyTorch checkpoint"
            + (names.isEmpty ? "" : " (it holds \(names)…)"), file: source.path,
          remedy: "If it contains a checkpoint, extract it (tar xf FILE) and pass that file.")
      }
      var containerMetadata: [(String, String)] = []
      if let system = try member("sys_info") { containerMetadata = try systemInformation(system) }
      try readStorages(storages)
      let tensors = try member("tensors")
      if let tensors {
        try readTensors(tensors)
      } else {
        warnings.append(
          "the archive has no member tensors, so PyTorch cannot read it; using the descriptions in its pickle"
        )
      }
      var sequence = sequence(pickle)
      let graph = try sequence.next("the object")
      streams += sequence.streams
      if sequence.bytesLeft > 0 { warnings.append("\(sequence.bytesLeft) bytes follow the pickle") }
      if graph.protocolVersion != 2 {
        containerMetadata.append(("pickle protocol", String(graph.protocolVersion)))
      }
      let named = named
      do throws(DecantError) {
        let contents = try PickledContents.list(
          graph, path: source.path, nesting: nesting, limits: limits, named: named,
          acceptsPlainReferences: tensors == nil
        ) { reference throws(DecantError) in
          guard reference.view == nil, case .storage(let storage, _)? = named[ExactText(reference.key)] else {
            throw DecantError(
              .damaged, "the archive has no storage \(reference.key.escapedForDisplay)",
              remedy: "The file is incomplete. Download it again.")
          }
          guard storage.byteCount == reference.byteCount else {
            throw DecantError(
              .damaged,
              "the pickle says storage \(reference.key.escapedForDisplay) has \(Format.count(reference.byteCount, "byte")), but the "
                + "archive has \(storage.byteCount)", remedy: "The file is damaged. Download it again.")
          }
          return storage
        }
        return Checkpoint.Parts(
          container: .torchTar, contents: contents, warnings: warnings, containerMetadata: containerMetadata)
      } catch { throw error.located(file: source.path, entry: "pickle") }
    }

    private func sequence(_ member: TarArchive.Member) -> PickleSequence {
      PickleSequence(source, from: member.offset, to: member.offset + member.byteCount, limits: limits)
    }

    private mutating func systemInformation(
      _ member: TarArchive.Member
    ) throws(DecantError) -> [(String, String)] {
      var sequence = sequence(member)
      defer { streams += sequence.streams }
      let graph = try sequence.next("the system information")
      func value(_ name: String) -> PickleValue? {
        graph.dictionary(graph.root)?.first { graph.isText($0.key, name) }?.value
      }
      var containerMetadata: [(String, String)] = []
      if let version = value("protocol_version") {
        containerMetadata.append(("format version", graph.pythonSpelling(version)))
      }
      containerMetadata.append(("byte order", TorchLegacy.byteOrder(isLittleEndian: value("little_endian"))))
      return containerMetadata
    }

    // MARK: Storages

    /// Reads the member `storages`: a count; for each storage a description, an element count and the bytes; then the
    /// list of views.
    private mutating func readStorages(_ member: TarArchive.Member) throws(DecantError) {
      var sequence = sequence(member)
      defer { streams += sequence.streams }
      for _ in 0..<(try count(&sequence, "the number of storages")) {
        let start = sequence.offset
        let graph = try sequence.next("the description of a storage")
        guard let parts = graph.tuple(graph.root), parts.count == 3, let key = graph.name(parts[0]),
          let location = graph.text(parts[1]),
          let type = graph.global(parts[2]).flatMap(StorageTypes.storageClass)
        else { throw wrong("the description of a storage is not a key, a location and a class", start) }
        let numberStart = sequence.offset
        let elements = try sequence.number(Int64.self)
        func fits(_ count: Int64) -> Int? {
          guard count >= 0, let bytes = Int(exactly: count)?.checkedMultiplying(by: type.width),
            bytes <= sequence.bytesLeft
          else { return nil }
          return bytes
        }
        if fits(elements) == nil, fits(elements.byteSwapped) != nil {
          warnings.append("storage \(key.escapedForDisplay) has a big-endian element count")
        }
        guard let byteCount = fits(elements) ?? fits(elements.byteSwapped) else {
          throw DecantError(
            .damaged,
            "storage \(key.escapedForDisplay) has \(elements) elements of \(type.width) bytes, but the member has "
              + "\(sequence.bytesLeft) bytes there", file: source.path, entry: "storages",
            offset: numberStart,
            remedy: "The file is truncated or damaged. Download it again.")
        }
        let storage = Storage(
          key: key, location: location, byteCount: byteCount,
          content: try ByteRange(source, offset: sequence.offset, byteCount: byteCount), entry: "storages")
        try add(key, .storage(storage, type), start)
        sequence.skip(byteCount)
      }
      // Imitations end here. PyTorch always writes the list.
      if sequence.bytesLeft > 0 { try readViews(&sequence) }
      if sequence.bytesLeft > 0 {
        warnings.append("\(sequence.bytesLeft) bytes follow the last pickle of the member storages")
      }
    }

    /// Reads the list of views `[(view, storage, offset, count)…]`. Offset and count are in elements.
    private mutating func readViews(_ sequence: inout PickleSequence) throws(DecantError) {
      let start = sequence.offset
      let graph = try sequence.next("the list of views")
      for element in graph.list(graph.root) ?? graph.tuple(graph.root) ?? [.none] {
        guard let parts = graph.tuple(element) ?? graph.list(element), parts.count == 4,
          let key = graph.name(parts[0]), let rootKey = graph.name(parts[1]),
          case .int(let offset) = parts[2],
          case .int(let count) = parts[3], offset >= 0, count >= 0
        else {
          throw wrong("the description of a view is not a key, a storage, an offset and a count", start)
        }
        guard case .storage(let root, let type)? = named[ExactText(rootKey)], root.root == nil else {
          throw wrong(
            "view \(key.escapedForDisplay) is of storage \(rootKey.escapedForDisplay), which does not exist",
            start)
        }
        guard let byteOffset = Int(exactly: offset)?.checkedMultiplying(by: type.width),
          let byteCount = Int(exactly: count)?.checkedMultiplying(by: type.width),
          let end = byteOffset.checkedAdding(byteCount), end <= root.byteCount,
          let content = root.content as? ByteRange
        else {
          throw wrong(
            "view \(key.escapedForDisplay) of \(Format.count(count, "element")) at \(offset) reaches beyond storage "
              + "\(rootKey.escapedForDisplay), which holds \(Format.count(root.byteCount / type.width))",
            start)
        }
        let view = Storage(
          key: key, location: root.location, byteCount: byteCount,
          content: try ByteRange(content.source, offset: byteOffset, byteCount: byteCount), entry: "storages",
          root: root, rootOffset: byteOffset)
        try add(key, .storage(view, type), start)
      }
    }

    // MARK: Tensors

    /// Reads the member `tensors`: a count, then for each tensor a description, the rank, four unused bytes, sizes,
    /// strides and the storage offset.
    private mutating func readTensors(_ member: TarArchive.Member) throws(DecantError) {
      var sequence = sequence(member)
      defer { streams += sequence.streams }
      for _ in 0..<(try count(&sequence, "the number of tensors")) {
        let start = sequence.offset
        let graph = try sequence.next("the description of a tensor")
        guard let parts = graph.tuple(graph.root), parts.count == 3, let key = graph.name(parts[0]) else {
          throw wrong("the description of a tensor is not a key, a storage and a class", start)
        }
        let rank = Int(try sequence.number(Int32.self))
        _ = try sequence.number(Int32.self)
        guard rank >= 0 else {
          throw wrong("tensor \(key.escapedForDisplay) has \(rank) dimensions", start)
        }
        guard rank <= limits.rank else {
          throw DecantError(
            limits.exceeded(\.rank, need: rank), "tensor \(key.escapedForDisplay) has \(rank) dimensions",
            file: source.path, entry: "tensors", offset: start)
        }
        var numbers: [Int] = []
        for _ in 0..<(2 * rank + 1) { numbers.append(Int(try sequence.number(Int64.self))) }
        let storage: Storage
        let dtype: DType
        switch graph.name(parts[1]).flatMap({ named[ExactText($0)] }) {
        case .storage(let known, .typed(let type))?: (storage, dtype) = (known, type)
        default:
          // A tensor that never had elements has no storage.
          guard parts[1] == .none, let type = graph.global(parts[2]).flatMap(StorageTypes.tensorClass) else {
            throw wrong("tensor \(key.escapedForDisplay) has a storage that does not exist", start)
          }
          dtype = type
          storage = Storage(key: "none", byteCount: 0, content: BytesInMemory([]))
        }
        // PyTorch 0.1 had no 0-dimensional tensors. A tensor without dimensions had no elements.
        let isEmpty = rank == 0 && storage.byteCount == 0
        let tensor: Tensor
        do throws(DecantError) {
          tensor = try Tensor(
            dtype: dtype, shape: isEmpty ? [0] : Array(numbers[..<rank]),
            strides: isEmpty ? [1] : Array(numbers[rank..<2 * rank]), storage: storage,
            storageOffset: numbers[2 * rank], limits: limits)
        } catch {
          var failure = error.ofTensor.located(file: source.path)
          failure.reason = "tensor \(key.escapedForDisplay): \(error.reason)"
          failure.location.offset = start
          throw failure
        }
        try add(key, .tensor(tensor), start)
      }
      if sequence.bytesLeft > 0 {
        warnings.append("\(sequence.bytesLeft) bytes follow the last tensor of the member tensors")
      }
    }

    // MARK: Helpers

    private func count(_ sequence: inout PickleSequence, _ title: String) throws(DecantError) -> Int {
      let start = sequence.offset
      let graph = try sequence.next(title)
      guard case .int(let count) = graph.root, count >= 0, let count = Int(exactly: count) else {
        throw wrong("\(title) is not a number", start)
      }
      return count
    }

    private mutating func add(
      _ key: String, _ object: PersistentIDObject, _ offset: Int
    ) throws(DecantError) {
      guard named.updateValue(object, forKey: ExactText(key)) == nil else {
        throw wrong("two storages or tensors have the key \(key.escapedForDisplay)", offset, .deceptive)
      }
    }

    private func wrong(
      _ reason: String, _ offset: Int, _ code: DecantError.Code = .damaged
    ) -> DecantError {
      DecantError(
        code, reason, file: source.path, offset: offset,
        remedy: "The file is damaged or malicious.")
    }
  }
}
