internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A reader of `torch.export.save` archives (`.pt2`): the weights and constants of exported programs. Their graphs
/// are not run.
///
/// Source: PyTorch 2.13 `torch/export/pt2_archive/_package.py`, `torch/_export/serde/schema.py`;
/// docs/formats/torch-export.md.
struct ExportArchive {
  private let archive: ZipArchive
  /// The archive's folder, with a trailing slash.
  private let prefix: String
  private let limits: Limits
  private let nesting: Int
  private let byteOrder: Storage.ByteOrder
  private var parts = Checkpoint.Parts(container: .torchExport, contents: CheckpointContents())
  private var storages: [ExactText: Storage] = [:]

  /// Reads the descriptions of the weights; nil when `torch.export` did not write the archive.
  static func open(
    _ archive: ZipArchive, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts? {
    if let prefix = archive.folder(of: "archive_format") {
      var damage: [DecantError] = []
      guard try archive.text(prefix + "archive_format", &damage) == "pt2" else { return nil }
      var reader = try ExportArchive(archive, prefix, limits, nesting)
      reader.parts.damage += damage
      try reader.readModels()
      return reader.parts
    }
    if let prefix = archive.folder(of: "serialized_exported_program.json") {
      var reader = try ExportArchive(archive, prefix, limits, nesting)
      try reader.readOlder()
      return reader.parts
    }
    return nil
  }

  private init(_ archive: ZipArchive, _ prefix: String, _ limits: Limits, _ nesting: Int)
    throws(DecantError)
  {
    self.archive = archive
    self.prefix = prefix
    self.limits = limits
    self.nesting = nesting
    byteOrder = try archive.byteOrder(prefix, &parts.containerMetadata, &parts.damage)
    for (record, label) in [("archive_version", "archive version"), ("version", "version")] {
      if let value = try archive.text(prefix + record, &parts.damage) {
        parts.containerMetadata.append((label, value))
      }
    }
    if !archive.recordsChecksums {
      parts.warnings.append("the archive has no CRC-32, so damaged data cannot be detected")
    }
  }

  // MARK: PyTorch 2.8 and later

  private mutating func readModels() throws(DecantError) {
    let models = names(in: "models/", suffix: ".json")
    let compiled = archive.entries.contains { $0.name.hasPrefix(prefix + "data/aotinductor/") }
    guard !models.isEmpty else {
      if compiled {
        throw DecantError(
          .unsupportedFormat,
          "is a package of AOTInductor: compiled programs, whose weights are inside their libraries",
          file: archive.file.path, remedy: "Pass the checkpoint the model was exported from.")
      }
      throw DecantError(
        .damaged, "is an archive of torch.export without a model", file: archive.file.path,
        remedy: "The file is incomplete. Download it again.")
    }
    if compiled { parts.containerMetadata.append(("compiled code", "of AOTInductor, not run")) }
    if models.count > 1 { parts.containerMetadata.append(("models", String(models.count))) }
    for model in models {
      let root: [PathKey] = models.count > 1 ? [.text(model)] : []
      try readPayload("weights", model, root, isState: true)
      try readPayload("constants", model, root, isState: false)
    }
    parts.containerMetadata.append(("program", "a graph of torch.export, not run"))
    if archive.entries.contains(where: { $0.name.hasPrefix(prefix + "data/sample_inputs/") }) {
      parts.containerMetadata.append(("sample inputs", "present, not listed"))
    }
    for name in names(in: "extra/", suffix: "") {
      guard let entry = archive.entry(prefix + "extra/" + name) else { continue }
      parts.contents.objects.append(
        CheckpointObject(
          path: [.text("extra/" + name)], type: "bytes", value: nil, count: entry.byteCount, unreadTensor: nil
        ))
    }
  }

  /// Returns the names of the entries in a folder of the archive, without the folder and the suffix.
  private func names(in folder: String, suffix: String) -> [String] {
    archive.entries.compactMap { entry in
      guard entry.name.hasPrefix(prefix + folder), entry.name.hasSuffix(suffix), !entry.name.hasSuffix("/")
      else { return nil }
      return String(entry.name.dropFirst((prefix + folder).utf8.count).dropLast(suffix.utf8.count))
    }
  }

  /// Reads the weights or constants of a model: a JSON table of names or, in PyTorch 2.8, a `torch.save` file.
  private mutating func readPayload(
    _ kind: String, _ model: String, _ root: [PathKey], isState: Bool
  ) throws(DecantError) {
    let folder = "data/\(kind)/"
    if let entry = archive.entry(prefix + folder + model + ".pt") {
      try readFile(entry, root, isState: isState)
      return
    }
    guard
      let entry = archive.entry(prefix + folder + "model_\(kind)_config.json")
        ?? archive.entry(prefix + folder + "\(model)_\(kind)_config.json")
    else {
      parts.warnings.append("the archive lists no \(kind) of \(model.escapedForDisplay)")
      return
    }
    let (bytes, isIntact) = try archive.bytes(of: entry, limit: \.headerBytes)
    if !isIntact { parts.damage.append(checksumMismatch(archive.file, entry, found: CRC32.of(bytes))) }
    do throws(DecantError) {
      let json: JSONValue
      do throws(ParsingError) { json = try JSONValue(parsing: unsafe bytes.span.bytes) } catch {
        throw DecantError(error, in: "the table of \(kind)")
      }
      guard case .object(let members)? = json["config"] else {
        throw DecantError(
          .damaged, "the table of \(kind) has no config", remedy: "The file was not written by torch.export.")
      }
      guard parts.contents.tensors.count + members.count <= limits.paths else {
        throw DecantError(
          limits.exceeded(\.paths, seen: parts.contents.tensors.count + members.count),
          "at least \(Format.count(parts.contents.tensors.count + members.count, "value", ("is", "are"))) listed"
        )
      }
      for member in members {
        do throws(DecantError) {
          try read(member.value, folder, root + [.text(member.key)], isState ? root : nil)
        } catch { throw error.located(tensor: member.key) }
      }
    } catch { throw error.located(file: archive.file.path, entry: entry.name) }
  }

  /// Reads one row of the table: `{"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta":
  /// {…}}`.
  private mutating func read(
    _ row: JSONValue, _ folder: String, _ path: [PathKey], _ stateDict: [PathKey]?
  ) throws(DecantError) {
    guard let record = row["path_name"]?.string else {
      throw DecantError(.damaged, "the table does not say where the data is")
    }
    guard let entry = archive.entry(prefix + folder + record) else {
      throw DecantError(
        .damaged, "the archive has no entry for the data", entry: prefix + folder + record,
        remedy: "The file is incomplete. Download it again.")
    }
    let role: CheckpointTensor.Role? =
      stateDict == nil ? nil : row["is_param"] == .bool(true) ? .parameter : .buffer
    if row["use_pickle"] == .bool(true) {
      guard row["tensor_meta"] != nil, row["tensor_meta"] != .null else {
        parts.contents.objects.append(
          CheckpointObject(
            path: path, type: "custom object", value: nil, count: entry.byteCount, unreadTensor: nil))
        return
      }
      for tensor in try inner(entry).tensors {
        parts.contents.tensors.append(
          CheckpointTensor(
            path: path + tensor.path, tensor: tensor.tensor, role: tensor.path.isEmpty ? role : nil,
            stateDict: tensor.path.isEmpty ? stateDict : nil, subclass: tensor.subclass,
            purpose: stateDict == nil ? .attribute : tensor.purpose))
      }
      return
    }
    let tensor = try tensor(row["tensor_meta"] ?? .null, entry, record)
    parts.contents.tensors.append(
      CheckpointTensor(
        path: path, tensor: tensor, role: role, stateDict: stateDict,
        purpose: stateDict == nil ? .attribute : nil))
  }

  /// Returns a tensor over the raw bytes of a record.
  private mutating func tensor(
    _ meta: JSONValue, _ entry: ZipEntry, _ record: String
  ) throws(DecantError) -> Tensor {
    guard let code = meta["dtype"]?.size, let shape = integers(meta["sizes"]),
      let strides = integers(meta["strides"]), let offset = integer(meta["storage_offset"])
    else {
      throw DecantError(.damaged, "the table does not give the tensor's type, sizes, strides and offset")
    }
    guard let dtype = ExportArchive.dtypes[code] else {
      throw DecantError(.unsupportedFormat, "the tensor has the unknown torch.export dtype \(code)")
    }
    guard meta["layout"] == .integer(7) else {
      throw DecantError(
        .unsupportedFormat, "the tensor's layout is not strided", remedy: "Ask its author for a state dict.")
    }
    let key = ExactText(entry.name)
    let storage =
      storages[key]
      ?? Storage(
        key: record, location: meta["device"]?["type"]?.string ?? "cpu", byteOrder: byteOrder,
        byteCount: entry.byteCount, content: ZipRecord(archive, entry), entry: entry.name)
    storages[key] = storage
    do throws(DecantError) {
      return try Tensor(
        dtype: dtype, shape: shape, strides: strides, storage: storage, storageOffset: offset,
        requiresGrad: meta["requires_grad"] == .bool(true), limits: limits)
    } catch {
      throw error.ofTensor.located(entry: entry.name)
    }
  }

  /// The dtypes by their `c10::ScalarType` number in the schema of `torch.export`.
  private static let dtypes: [Int: DType] = [
    1: .uint8, 2: .int8, 3: .int16, 4: .int32, 5: .int64, 6: .float16, 7: .float32, 8: .float64,
    9: .complex32, 10: .complex64, 11: .complex128, 12: .bool, 13: .bfloat16, 28: .uint16,
    29: .float8_e4m3fn, 30: .float8_e5m2, 31: .float8_e4m3fnuz, 32: .float8_e5m2fnuz, 33: .float8_e8m0fnu,
    34: .uint32, 35: .uint64,
  ]

  /// Returns the integer of `{"as_int": 3}`; nil for other values.
  private func integer(_ json: JSONValue?) -> Int? { json?["as_int"]?.size }

  private func integers(_ json: JSONValue?) -> [Int]? {
    guard let list = json?.array else { return nil }
    let numbers = list.compactMap { integer($0) }
    return numbers.count == list.count ? numbers : nil
  }

  // MARK: PyTorch 2.1 to 2.7

  /// Reads the `torch.save` files that these versions store in addition to the program's JSON.
  private mutating func readOlder() throws(DecantError) {
    for (record, isState) in [("serialized_state_dict", true), ("serialized_constants", false)] {
      for suffix in [".pt", ".json"] {
        guard let entry = archive.entry(prefix + record + suffix), entry.byteCount > 0 else { continue }
        try readFile(entry, [], isState: isState)
      }
    }
    parts.containerMetadata.append(("program", "a graph of torch.export, not run"))
    if archive.entry(prefix + "serialized_example_inputs.pt") != nil {
      parts.containerMetadata.append(("sample inputs", "present, not listed"))
    }
    for name in names(in: "extra_files/", suffix: "") {
      guard let entry = archive.entry(prefix + "extra_files/" + name) else { continue }
      parts.contents.objects.append(
        CheckpointObject(
          path: [.text("extra_files/" + name)], type: "bytes", value: nil, count: entry.byteCount,
          unreadTensor: nil))
    }
  }

  /// Lists a `torch.save` file: a dictionary of tensors by name.
  private mutating func readFile(_ entry: ZipEntry, _ root: [PathKey], isState: Bool) throws(DecantError) {
    let contents = try inner(entry)
    for tensor in contents.tensors {
      parts.contents.tensors.append(
        CheckpointTensor(
          path: root + tensor.path, tensor: tensor.tensor, role: tensor.role,
          stateDict: isState ? tensor.stateDict.map { root + $0 } : nil, subclass: tensor.subclass,
          purpose: isState ? tensor.purpose : .attribute))
    }
    for object in contents.objects where !(object.path.isEmpty && object.count == 0) {
      parts.contents.objects.append(object.moved(below: root))
    }
  }

  /// Returns the contents of a file inside the archive.
  ///
  /// - Throws: ``DecantError`` also when files are nested more than ``NestedFiles/maxDepth`` deep.
  private mutating func inner(_ entry: ZipEntry) throws(DecantError) -> CheckpointContents {
    guard nesting < NestedFiles.maxDepth else {
      throw DecantError(
        .limitExceeded, "files contain each other more than \(NestedFiles.maxDepth) deep",
        file: archive.file.path
      )
    }
    let inner = try Checkpoint.parts(of: archive.source(of: entry), limits: limits, nesting: nesting + 1)
    parts.damage += inner.damage
    parts.warnings += inner.warnings
    if parts.truncation == nil { parts.truncation = inner.truncation }
    return inner.contents
  }
}
