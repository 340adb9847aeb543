internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A reader of the folders that `torch.distributed.checkpoint` writes.
///
/// Source: PyTorch `torch/distributed/checkpoint/filesystem.py`; docs/formats/dcp.md.
struct DistributedCheckpoint {
  private let folder: CheckpointFolder
  private let limits: Limits
  private var sources: [ExactText: ByteSource] = [:]
  private var bundles: [ExactText: SafetensorsBundle] = [:]
  /// Every file that is read, the metadata first.
  private var files: [InputFile]
  private var parts = Checkpoint.Parts(container: .dcp, contents: CheckpointContents())
  /// The names of the files that are missing. `short` names those that are too short. Both are in order.
  private var absent: [String] = []
  private var short: [String] = []
  private var transformed: Set<String> = []

  /// Opens the metadata and every file that it names. Reads no weights.
  ///
  /// - Parameter metadata: one file, or one from each rank.
  static func open(
    _ metadata: [InputFile], in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    var reader = DistributedCheckpoint(folder: folder, limits: limits, files: metadata)
    try reader.read(metadata)
    return (reader.parts, reader.files)
  }

  private init(folder: CheckpointFolder, limits: Limits, files: [InputFile]) {
    self.folder = folder
    self.limits = limits
    self.files = files
  }

  private mutating func read(_ metadata: [InputFile]) throws(DecantError) {
    guard let first = metadata.first else { return }
    var merged = try DistributedMetadata(ByteSource(first), limits: limits)
    var replicas = 0
    for other in metadata.dropFirst() {
      do throws(DecantError) {
        replicas += try merged.merge(try DistributedMetadata(ByteSource(other), limits: limits))
      } catch { throw error.located(file: other.path) }
    }
    parts.containerMetadata = merged.containerMetadata
    if metadata.count > 1 { parts.containerMetadata.append(("ranks", String(metadata.count))) }
    if replicas > 0 {
      parts.warnings.append(
        "\(replicas) parts are stored by several ranks; using those of the lowest rank")
    }
    if merged.unusedCount > 0 {
      parts.warnings.append("skipped \(merged.unusedCount) stored items that belong to no value")
    }
    let optimizers = Self.optimizers(merged.entries.map(\.path))
    for entry in merged.entries {
      do throws(DecantError) {
        switch entry.value {
        case .tensor(let dtype, let shape, let requiresGrad, let chunks):
          try addTensor(entry, dtype, shape, requiresGrad, chunks, optimizers)
        case .object(let place): try addObject(entry, place, optimizers)
        }
      } catch { throw error.located(file: first.path, tensor: entry.name) }
    }
    let count = parts.contents.tensors.count + parts.contents.objects.count
    guard count <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths, need: count), "\(Format.count(count, "value", ("is", "are"))) listed",
        file: first.path)
    }
    if !transformed.isEmpty {
      parts.warnings.append(
        "items are stored through \(transformed.sorted().map(\.escapedForDisplay).joined(separator: ", ")), which is not supported"
      )
    }
    parts.containerMetadata.append(("data files", String(files.count - metadata.count)))
    reportAbsence()
  }

  // MARK: Tensors

  private mutating func addTensor(
    _ entry: DistributedMetadata.Entry, _ dtype: DType, _ shape: [Int], _ requiresGrad: Bool,
    _ chunks: [DistributedMetadata.Chunk], _ optimizers: Set<[PathKey]>
  ) throws(DecantError) {
    guard let byteCount = Self.byteCount(dtype, shape) else {
      throw DecantError(.damaged, "shape \(shape) is negative or too large")
    }
    let isPacked = dtype.elementsPerByte > 1
    guard !isPacked || (chunks.count == 1 && chunks[0].sizes == shape) else {
      throw DecantError(
        .unsupportedFormat, "elements of \(dtype.rawValue), which share bytes, are in several chunks")
    }
    let layout = try ChunkLayout(
      shape: isPacked ? [byteCount] : shape, elementByteCount: isPacked ? 1 : dtype.byteCount,
      boxes: isPacked ? [([0], [byteCount])] : chunks.map { ($0.offsets, $0.sizes) })
    var items: [DistributedChunk] = []
    var lost = 0
    var isCut = false
    for chunk in chunks {
      let (item, loss) = try item(chunk, dtype, entry.name)
      items.append(item)
      if loss != .whole { lost += 1 }
      if loss == .truncated { isCut = true }
    }
    let key = chunks.first.map { "\($0.place.file):\($0.place.offset)" } ?? ""
    let storage = Storage(
      key: key, byteCount: byteCount,
      content: ChunkedContent(byteCount: byteCount, layout: layout, items: items))
    let tensor = try Tensor(
      dtype: dtype, shape: shape, storage: storage, requiresGrad: requiresGrad, limits: limits)
    var listed = CheckpointTensor(
      path: entry.path, tensor: tensor, role: nil, stateDict: Self.stateDict(of: entry.path, optimizers),
      purpose: Self.isInside(entry.path, optimizers) ? .optimizer : nil)
    if lost > 0 { listed.state = isCut || lost < chunks.count ? .truncated : .missing }
    parts.contents.tensors.append(listed)
  }

  private mutating func item(
    _ chunk: DistributedMetadata.Chunk, _ dtype: DType, _ name: String
  ) throws(DecantError) -> (DistributedChunk, CheckpointTensor.State) {
    let (source, state) = try source(of: chunk.place)
    var refusal: DecantError?
    if state != .whole {
      refusal = DecantError(
        state == .missing ? .partMissing : .truncated,
        state == .missing ? "is missing" : "ends before the item's end",
        file: folder.path(of: chunk.place.file),
        offset: chunk.place.offset, remedy: "Download the file again.")
    } else if !chunk.place.transformations.isEmpty {
      refusal = Self.refusal(of: chunk.place.transformations, source.path)
    }
    let item = DistributedChunk(
      source, dtype: dtype, sizes: chunk.sizes, limits: limits, nesting: 1, refusal: refusal,
      bundle: state == .whole ? try bundle(chunk.place) : nil, name: name)
    if refusal != nil, state == .whole { transformed.formUnion(chunk.place.transformations) }
    return (item, state)
  }

  /// Returns the bundle that begins at an item's offset; nil when the file is missing.
  private mutating func bundle(_ place: DistributedMetadata.Place) throws(DecantError)
    -> SafetensorsBundle?
  {
    guard let file = try open(place.file) else { return nil }
    let key = ExactText("\(place.offset):\(place.file)")
    if let known = bundles[key] { return known }
    let path = "\(folder.path(of: place.file)), tensors at \(place.offset)"
    let rest = try file.part(at: place.offset, count: file.byteCount - place.offset, named: path)
    let made = SafetensorsBundle(rest, limits: limits)
    bundles[key] = made
    return made
  }

  private static func refusal(of transformations: [String], _ path: String) -> DecantError {
    DecantError(
      .unsupportedFormat,
      "is stored through \(transformations.map(\.escapedForDisplay).joined(separator: ", ")), which is not supported",
      file: path, remedy: "Load the checkpoint with PyTorch and save it without extensions.")
  }

  private static func byteCount(_ dtype: DType, _ shape: [Int]) -> Int? {
    guard let count = checkedProduct(shape), let bytes = count.checkedMultiplying(by: dtype.byteCount) else {
      return nil
    }
    let perByte = dtype.elementsPerByte
    return perByte == 1 ? bytes : count / perByte + (count % perByte == 0 ? 0 : 1)
  }

  // MARK: Objects

  private mutating func addObject(
    _ entry: DistributedMetadata.Entry, _ place: DistributedMetadata.Place, _ optimizers: Set<[PathKey]>
  ) throws(DecantError) {
    let (source, state) = try source(of: place)
    func list(_ note: String, _ error: DecantError? = nil) {
      parts.contents.objects.append(
        CheckpointObject(
          path: entry.path, type: "bytes", value: nil, count: place.byteCount, unreadTensor: nil))
      parts.warnings.append(
        "\(entry.name.escapedForDisplay) is listed as bytes: \(error.map(\.description) ?? note)")
    }
    guard state == .whole else {
      return list("its file \(place.file.escapedForDisplay) is cut off or missing")
    }
    guard place.transformations.isEmpty else {
      return list("", Self.refusal(of: place.transformations, source.path))
    }
    let inner: Checkpoint.Parts
    do throws(DecantError) { inner = try Checkpoint.parts(of: source, limits: limits, nesting: 1) } catch {
      return list("", error)
    }
    parts.damage += (inner.damage + [inner.truncation].compactMap { $0 }).map {
      $0.located(file: source.path)
    }
    for tensor in inner.contents.tensors {
      let own =
        tensor.stateDict.map { entry.path + $0 }
        ?? (tensor.path.isEmpty ? Self.stateDict(of: entry.path, optimizers) : nil)
      var listed = CheckpointTensor(
        path: entry.path + tensor.path, tensor: tensor.tensor, role: tensor.role,
        stateDict: Self.isInside(entry.path, optimizers) ? nil : own,
        purpose: Self.isInside(entry.path, optimizers) ? .optimizer : tensor.purpose)
      listed.state = tensor.state
      listed.rankPart = tensor.rankPart?.moved(below: entry.path)
      parts.contents.tensors.append(listed)
    }
    for object in inner.contents.objects {
      var listed = CheckpointObject(
        path: entry.path + object.path, type: object.type, value: object.value, count: object.count,
        unreadTensor: object.unreadTensor)
      if object.unreadTensor != nil, !Self.isInside(entry.path, optimizers) {
        listed.stateDict =
          object.path.isEmpty
          ? Self.stateDict(of: entry.path, optimizers) : object.stateDict.map { entry.path + $0 }
      }
      parts.contents.objects.append(listed)
    }
  }

  // MARK: Files

  /// Returns the bytes of an item, as far as its file has them, and the item's state.
  private mutating func source(
    of place: DistributedMetadata.Place
  ) throws(DecantError) -> (ByteSource, CheckpointTensor.State) {
    let name = "\(folder.path(of: place.file)), item at \(place.offset)"
    guard let file = try open(place.file) else {
      return (
        ByteSource(
          MissingContent(byteCount: 0, DecantError(.partMissing, "is missing", file: name)), path: name),
        .missing
      )
    }
    guard place.offset <= file.byteCount, place.byteCount <= file.byteCount - place.offset else {
      if !short.contains(place.file) { short.append(place.file) }
      return (file, place.offset < file.byteCount ? .truncated : .missing)
    }
    return (try file.part(at: place.offset, count: place.byteCount, named: name), .whole)
  }

  private mutating func open(_ name: String) throws(DecantError) -> ByteSource? {
    if let known = sources[ExactText(name)] { return known }
    if absent.contains(name) { return nil }
    guard let file = try folder.find(name) else {
      absent.append(name)
      return nil
    }
    files.append(file)
    let source = ByteSource(file)
    sources[ExactText(name)] = source
    return source
  }

  private mutating func reportAbsence() {
    guard !absent.isEmpty || !short.isEmpty else { return }
    func list(_ names: [String]) -> String {
      names.prefix(4).map(\.escapedForDisplay).joined(separator: ", ") + (names.count > 4 ? ", …" : "")
    }
    var clauses: [String] = []
    if !absent.isEmpty {
      clauses.append(
        "\(absent.count) of its files \(absent.count == 1 ? "is" : "are") missing (\(list(absent)))")
    }
    if !short.isEmpty {
      clauses.append(
        "\(short.count) \(short.count == 1 ? "is" : "are") shorter than the metadata says (\(list(short)))")
    }
    parts.truncation = Truncation.error(
      absent.isEmpty ? .truncated : .partMissing, clauses.joined(separator: " and "), parts.contents.tensors,
      file: folder.path)
  }

  // MARK: State dicts

  /// Returns the paths of the optimizers: mappings that have both `state` and `param_groups`.
  private static func optimizers(_ paths: [[PathKey]]) -> Set<[PathKey]> {
    var states: Set<[PathKey]> = []
    var groups: Set<[PathKey]> = []
    for path in paths {
      for (place, key) in path.enumerated() {
        if key == .text("state") { states.insert(Array(path[..<place])) }
        if key == .text("param_groups") { groups.insert(Array(path[..<place])) }
      }
    }
    return states.intersection(groups)
  }

  private static func isInside(_ path: [PathKey], _ optimizers: Set<[PathKey]>) -> Bool {
    !optimizers.isEmpty && path.indices.contains { optimizers.contains(Array(path[..<$0])) }
  }

  /// Returns the path of the mapping that directly contains a tensor; nil when that is in an optimizer.
  private static func stateDict(of path: [PathKey], _ optimizers: Set<[PathKey]>) -> [PathKey]? {
    guard case .text = path.last, !isInside(path, optimizers) else { return nil }
    return Array(path.dropLast())
  }
}
