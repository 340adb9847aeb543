public import ByteParsing
public import Tensors

/// How to convert a checkpoint.
public struct ConversionOptions: Sendable {
  /// The part to convert, as names print it; nil for every tensor under its full name.
  public var key: String?
  /// What becomes of tensors, by their names; the others stay as they are.
  public var renamed: [ExactText: Renaming] = [:]
  /// What to take off the front of every name.
  public var stripPrefix: String?
  /// The type floating-point tensors are cast to; integers, bool and complex numbers stay.
  public var dtype: DType?
  /// Whether quantised tensors are written as the float32 numbers they stand for.
  public var dequantize = false
  /// Whether sparse tensors are written in full, zeros included.
  public var toDense = false
  /// Whether an existing file is replaced.
  public var overwrite = true
  /// Whether a checkpoint that is not all there is converted all the same: the tensors that are whole, and whose
  /// checksums are right.
  public var salvage = false
  /// Whether the source file's SHA-256 goes into the metadata; hashing costs more than copying.
  public var sourceDigest = false

  /// Every tensor, as it is.
  public init() {}

  /// A new name, and a new order of the axes.
  public struct Renaming: Sendable {
    public let name: String
    /// Which of the tensor's axes each of the written one's is, as ``Tensor/arranged(_:)`` has them.
    public let axes: [Int?]

    /// Makes one.
    public init(name: String, axes: [Int?]) {
      self.name = name
      self.axes = axes
    }
  }
}

/// What a conversion did.
public struct ConversionReport: Sendable {
  public let tensorCount: Int
  /// Bytes of the file written.
  public let byteCount: Int
  /// Floating-point tensors that were cast.
  public let castCount: Int
  /// Tensors of other types that stayed as they are although a cast was asked for.
  public let uncastCount: Int
  /// Names whose data is also another name's, each written in full: the name and the first of its group.
  public let aliases: [(name: String, of: String)]
  /// Values that are no tensors and have no place in the target.
  public let droppedObjectCount: Int
  /// Tensors that were left out because their data is not whole, and why.
  public let lost: [(name: String, reason: String)]
  /// Wrappers such as torchao's, whose parts were written in their place: the name, the class and the number of parts.
  public let wrappers: [(name: String, type: String, partCount: Int)]
}

extension Checkpoint {
  /// Writes the tensors to a `.safetensors` file, atomically and in bounded memory.
  ///
  /// - Throws: ``CheckpointError``; before anything is written when a tensor has no place in the format, a name
  ///   stands twice or a prefix fits no name. O(bytes).
  public func writeSafetensors(to path: String, _ options: ConversionOptions = ConversionOptions()) throws
    -> ConversionReport
  {
    if !options.salvage { try requireIntact() }
    let (given, lost) = try salvaged(try self.selection(key: options.key ?? "."), options)
    let unread = objects.filter { $0.unreadTensor != nil && $0.path.starts(with: given.path) }
    guard unread.isEmpty else {
      let list = unread.map {
        "\($0.path.isEmpty ? "the one at the root" : $0.name.escapedForDisplay) (\($0.unreadTensor ?? ""))"
      }.joined(
        separator: ", ")
      throw CheckpointError(
        "holds tensors of kinds that are not converted: \(list)", file: self.path,
        remedy: "Choose the other tensors with --key. Nothing was written.")
    }
    guard !given.tensors.isEmpty || lost.isEmpty else {
      throw CheckpointError(
        "has no tensor left that is whole", file: self.path,
        remedy: "Fetch the file again. Nothing was written.")
    }
    guard !given.tensors.isEmpty else {
      throw CheckpointError(
        "holds no tensors", file: self.path,
        remedy: "decant inspect shows what it holds. Nothing was written.")
    }
    let (selection, wrappers) = withoutWrappers(given)
    let named = try names(of: selection, options)
    let tensors = try zip(selection.tensors, written(selection.tensors, options)).map { entry, tensor in
      try options.renamed[ExactText(selection.name(of: entry))].map { try tensor.arranged($0.axes) } ?? tensor
    }
    let items = zip(named, tensors).map { name, tensor in
      let dtype = options.dtype.flatMap { tensor.isCast(to: $0) ? $0 : nil } ?? tensor.dtype
      return SafetensorsWriter.Item(name: name, tensor: tensor, dtype: dtype)
    }
    let meta = items.filter { $0.tensor.storage.content == nil }
    guard meta.isEmpty else {
      throw CheckpointError(
        "holds tensors without data: \(meta.prefix(16).map(\.name.escapedForDisplay).joined(separator: ", "))"
          + (meta.count > 16 ? ", …" : ""), file: self.path,
        remedy:
          "They were saved from the meta device, or as the part of another rank: save them with their data. Nothing was written."
      )
    }

    var metadata: [(key: String, value: JSONValue)] = [
      (key: "format", value: "pt"), (key: "decant.container", value: .string(container.rawValue)),
    ]
    if !lost.isEmpty { metadata.append((key: "decant.lost", value: .string(String(lost.count)))) }
    if let key = options.key { metadata.append((key: "decant.key", value: .string(key))) }
    if options.sourceDigest { metadata.append((key: "decant.source_sha256", value: .string(try sha256()))) }
    let writer: SafetensorsWriter
    do throws(CheckpointError) { writer = try SafetensorsWriter(items, metadata: metadata) } catch {
      throw error.located(file: self.path)
    }
    let output = try AtomicOutput(path, overwrite: options.overwrite, sources: files.map(\.identity))
    do { try writer.write(to: output) } catch let error as CheckpointError {
      throw error.located(file: self.path)
    }
    try output.commit()

    let casts = items.count { $0.dtype != $0.tensor.dtype }
    let aliases = Aliases(selection.tensors.map(\.tensor))
    return ConversionReport(
      tensorCount: items.count, byteCount: output.byteCount, castCount: casts,
      uncastCount: options.dtype == nil ? 0 : items.count { $0.tensor.dtype != options.dtype } - casts,
      aliases: items.indices.compactMap { index in
        aliases.first(of: index).map { (name: items[index].name, of: items[$0].name) }
      },
      droppedObjectCount: objects.count { $0.path.starts(with: selection.path) }, lost: lost,
      wrappers: wrappers)
  }

  /// A selection without the wrappers that hold no data of their own, only tensors that stand below them.
  private func withoutWrappers(
    _ selection: Selection
  ) -> (Selection, [(name: String, type: String, partCount: Int)]) {
    let empty = selection.tensors.filter { $0.subclass != nil && $0.tensor.storage.content == nil }
    guard !empty.isEmpty else { return (selection, []) }
    // Parts follow their wrapper in the file's order, and may be wrappers themselves.
    var wrappers: [(name: String, type: String, partCount: Int)] = []
    var kept: [CheckpointTensor] = []
    var open: [(entry: CheckpointTensor, partCount: Int)] = []
    func close() {
      let last = open.removeLast()
      if last.partCount > 0 {
        wrappers.append((last.entry.name, last.entry.subclass ?? "", last.partCount))
      } else {
        kept.append(last.entry)
      }
    }
    for entry in selection.tensors {
      while let last = open.last, !entry.path.starts(with: last.entry.path + [.text("__dict__")]) { close() }
      let hasData = entry.tensor.storage.content != nil
      if hasData { for place in open.indices { open[place].partCount += 1 } }
      if entry.subclass != nil, !hasData { open.append((entry, 0)) } else { kept.append(entry) }
    }
    while !open.isEmpty { close() }
    return (Selection(path: selection.path, tensors: kept), wrappers)
  }

  /// What of a selection is written: all of it, or when salvaging what is whole and has the right checksum. O(bytes)
  /// when salvaging.
  private func salvaged(
    _ selection: Selection, _ options: ConversionOptions
  ) throws -> (Selection, lost: [(name: String, reason: String)]) {
    guard options.salvage else { return (selection, []) }
    var lost: [(name: String, reason: String)] = []
    var verdicts: [ObjectIdentifier: String] = [:]
    let kept = try selection.tensors.filter { entry in
      if entry.state != .whole {
        lost.append((entry.name, entry.state.rawValue))
        return false
      }
      for tensor in [entry.tensor] + entry.tensor.parts.map(\.tensor) {
        guard let content = tensor.storage.content as? any ChecksummedContent else { continue }
        let storage = ObjectIdentifier(tensor.storage)
        let verdict: String
        if let known = verdicts[storage] {
          verdict = known
        } else {
          do { verdict = try content.damage(stopsAtFirst: true).first?.reason ?? "" } catch let error
            as CheckpointError
          {
            verdict = error.reason
          }
          verdicts[storage] = verdict
        }
        if !verdict.isEmpty {
          lost.append((entry.name, verdict))
          return false
        }
      }
      return true
    }
    return (Selection(path: selection.path, tensors: kept), lost)
  }

  /// The tensors as they are written: sparse and quantised ones only in the form that was asked for.
  private func written(
    _ entries: [CheckpointTensor], _ options: ConversionOptions
  ) throws -> [Tensor] {
    let sparse = entries.filter { $0.tensor.layout != .strided }
    guard sparse.isEmpty || options.toDense else {
      throw refusal("sparse, which safetensors cannot hold", sparse, "Write them in full with --to-dense.")
    }
    let quantized = entries.filter { $0.tensor.quantization != nil }
    guard quantized.isEmpty || options.dequantize else {
      throw refusal(
        "quantised, which safetensors cannot hold", quantized,
        "Write the numbers they stand for with --dequantize.")
    }
    return try entries.map { entry in
      do { return try entry.tensor.quantization == nil ? entry.tensor : entry.tensor.dequantized() } catch {
        throw CheckpointError("\(error)", file: path, tensor: entry.name)
      }
    }
  }

  private func refusal(
    _ what: String, _ entries: [CheckpointTensor], _ remedy: String
  ) -> CheckpointError {
    let list = entries.prefix(16).map { "\($0.name.escapedForDisplay) (\($0.tensor.dtype.rawValue))" }
    return CheckpointError(
      "\(entries.count == 1 ? "this tensor is" : "these \(entries.count) tensors are") \(what): "
        + list.joined(separator: ", ") + (entries.count > 16 ? ", …" : ""), file: path,
      remedy: remedy + " Nothing was written.")
  }

  /// The names tensors get in the target.
  private func names(
    of selection: Selection, _ options: ConversionOptions
  ) throws(CheckpointError) -> [String] {
    var paths: [ExactText: [PathKey]] = [:]
    var names: [String] = []
    for entry in selection.tensors {
      var name = selection.name(of: entry)
      name = options.renamed[ExactText(name)]?.name ?? name
      if let prefix = options.stripPrefix {
        guard name.hasPrefix(prefix) else {
          throw CheckpointError(
            "does not begin with the prefix \(prefix.escapedForDisplay) that is to be stripped", file: path,
            tensor: name, remedy: "Leave out --strip-prefix, or choose with --key the tensors that have it.")
        }
        name = String(name.dropFirst(prefix.count))
      }
      if let other = paths.updateValue(entry.path, forKey: ExactText(name)) {
        func spell(_ path: [PathKey]) -> String {
          "[" + path.map { $0.json.text }.joined(separator: ", ") + "]"
        }
        throw CheckpointError(
          "two tensors would be called \(name.escapedForDisplay): \(spell(other)) and \(spell(entry.path))",
          file: path,
          remedy: "Choose one of them with --key. Nothing was written.")
      }
      names.append(name)
    }
    return names
  }

  /// Bytes of the file it is read from; nil when there are several.
  public var fileByteCount: Int? { files.count == 1 ? files.first?.byteCount : nil }

  /// The file's SHA-256 in lower-case hexadecimal. O(bytes).
  ///
  /// - Throws: ``CheckpointError`` for a checkpoint of several files, which has no one digest.
  public func sha256() throws -> String {
    guard files.count == 1, let file = files.first else {
      throw CheckpointError(
        "consists of \(files.count) files, which have no one SHA-256", file: path,
        remedy: "Leave out --source-digest.")
    }
    let hash = try SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { unsafe buffer.deallocate() }
    var done = 0
    while done < file.byteCount {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: buffer[..<min(buffer.count, file.byteCount - done)])
      try unsafe file.read(into: part, at: done)
      unsafe hash.update(UnsafeRawBufferPointer(part))
      done += part.count
    }
    return hash.finish()
  }
}
