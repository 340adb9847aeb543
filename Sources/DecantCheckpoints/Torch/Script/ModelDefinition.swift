internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// A reader of TorchScript archives of PyTorch 1.0 to 1.3. `model.json` describes the modules and a table of tensors.
///
/// Source: PyTorch 1.1 `caffe2/proto/torch.proto`, as JSON; docs/formats/torchscript.md.
struct ModelDefinition {
  private let archive: ZipArchive
  private let prefix: String
  private let limits: Limits
  private let tensors: [Tensor]
  /// The index of each attribute's tensor in the table; nil for attributes that are not tensors.
  private let attributes: [Int?]
  private var used: Set<Int> = []
  private var contents = CheckpointContents()

  /// Reads the description. Reads no weights.
  static func open(
    _ model: ZipEntry, in archive: ZipArchive, prefix: String, limits: Limits
  ) throws(DecantError) -> Checkpoint.Parts {
    let file = archive.file
    var damage: [DecantError] = []
    var warnings: [String] = []
    let (bytes, isIntact) = try archive.bytes(of: model, limit: \.headerBytes)
    if !isIntact { damage.append(checksumMismatch(file, model, found: CRC32.of(bytes))) }
    let json: JSONValue
    do throws(ParsingError) { json = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 256) } catch {
      throw DecantError(error, in: "the model's description", file: file.path, entry: model.name)
    }
    guard let module = json["mainModule"] else {
      throw DecantError(
        .notACheckpoint, "the model's description has no mainModule", file: file.path, entry: model.name,
        remedy: "The file was not written by TorchScript.")
    }
    var reader: ModelDefinition
    do throws(DecantError) {
      reader = try ModelDefinition(archive, prefix, limits, json, &warnings, &damage)
      try reader.list(module, [])
    } catch { throw error.located(file: file.path, entry: model.name) }
    for (index, tensor) in reader.tensors.enumerated() where !reader.used.contains(index) {
      reader.contents.tensors.append(CheckpointTensor(path: [.text("CONSTANTS.c\(index)")], tensor: tensor))
    }
    let versions = [
      ("protoVersion", "description version"), ("producerName", "producer"),
      ("producerVersion", "producer version"),
    ]
    let containerMetadata = versions.compactMap { name, label in json[name]?.string.map { (label, $0) }
    }
    return Checkpoint.Parts(
      container: .torchscript, contents: reader.contents, warnings: warnings, damage: damage,
      containerMetadata: containerMetadata)
  }

  private init(
    _ archive: ZipArchive, _ prefix: String, _ limits: Limits, _ json: JSONValue, _ warnings: inout [String],
    _ damage: inout [DecantError]
  ) throws(DecantError) {
    self.archive = archive
    self.prefix = prefix
    self.limits = limits
    var storages: [ExactText: Storage] = [:]
    var tensors: [Tensor] = []
    for (index, description) in (json["tensors"]?.array ?? []).enumerated() {
      do throws(DecantError) {
        tensors.append(try Self.tensor(description, archive, prefix, &storages, limits))
      } catch { throw error.located(tensor: "CONSTANTS.c\(index)") }
    }
    self.tensors = tensors
    attributes = try Self.attributes(archive, prefix, limits, &warnings, &damage)
  }

  // MARK: Tensors

  private static let dtypes: [String: DType] = [
    "FLOAT": .float32, "INT32": .int32, "BYTE": .uint8, "BOOL": .bool, "UINT8": .uint8, "INT8": .int8,
    "INT16": .int16, "INT64": .int64, "FLOAT16": .float16, "DOUBLE": .float64,
  ]

  private static func tensor(
    _ json: JSONValue, _ archive: ZipArchive, _ prefix: String, _ storages: inout [ExactText: Storage],
    _ limits: Limits
  ) throws(DecantError) -> Tensor {
    guard let typeName = json["dataType"]?.string, let key = json["data"]?["key"]?.string,
      let offset = integer(json["offset"] ?? "0"), let shape = integers(json["dims"]),
      let strides = integers(json["strides"])
    else {
      throw DecantError(.damaged, "the description does not give the tensor's type, sizes and data")
    }
    guard json["isQuantized"] != .bool(true) else {
      throw DecantError(
        .unsupportedFormat, "the tensor is quantised, which is not supported in this kind of archive")
    }
    guard let dtype = dtypes[typeName] else {
      throw DecantError(
        .unsupportedFormat, "PyTorch has no dtype \(typeName.escapedForDisplay)")
    }
    let name = prefix + key
    let storage: Storage
    if let known = storages[ExactText(key)] {
      storage = known
    } else {
      guard let entry = archive.entry(name) else {
        throw DecantError(
          .damaged, "the archive has no entry for the tensor", entry: name,
          remedy: "The file is incomplete. Download it again.")
      }
      storage = Storage(
        key: key, location: json["device"]?.string ?? "cpu", byteCount: entry.byteCount,
        content: ZipRecord(archive, entry), entry: name)
      storages[ExactText(key)] = storage
    }
    do throws(DecantError) {
      return try Tensor(
        dtype: dtype, shape: shape, strides: strides, storage: storage, storageOffset: offset,
        requiresGrad: json["requiresGrad"] == .bool(true), limits: limits)
    } catch { throw error.located(entry: name) }
  }

  /// Returns a 64-bit integer, which protocol buffers write as text in JSON; nil for negative numbers.
  private static func integer(_ json: JSONValue) -> Int? {
    let number = json.size ?? json.string.flatMap { Int($0) }
    return number.flatMap { $0 >= 0 ? $0 : nil }
  }

  private static func integers(_ json: JSONValue?) -> [Int]? {
    guard let json else { return [] }
    guard let list = json.array else { return nil }
    let numbers = list.compactMap { integer($0) }
    return numbers.count == list.count ? numbers : nil
  }

  /// Returns the tensor index of each attribute in `attributes.pkl`: a tuple in which `build_tensor_from_id(n)`
  /// refers to tensor n of the table.
  private static func attributes(
    _ archive: ZipArchive, _ prefix: String, _ limits: Limits, _ warnings: inout [String],
    _ damage: inout [DecantError]
  ) throws(DecantError) -> [Int?] {
    guard let entry = archive.entry(prefix + "attributes.pkl") else { return [] }
    let graph = try TorchZip.interpret(entry, in: archive, &warnings, &damage)
    return (graph.tuple(graph.root) ?? graph.list(graph.root) ?? []).map { value in
      guard let object = graph.object(value),
        graph.global(object.callable)?.qualifiedName == "torch.jit._pickle.build_tensor_from_id",
        let arguments = graph.tuple(object.arguments), arguments.count == 1, case .int(let id) = arguments[0]
      else { return nil }
      return Int(exactly: id)
    }
  }

  // MARK: Modules

  private mutating func list(_ module: JSONValue, _ path: [PathKey]) throws(DecantError) {
    let count = contents.tensors.count + contents.objects.count
    guard count <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths), "at least \(Format.count(count, "value", ("is", "are"))) listed")
    }
    for parameter in module["parameters"]?.array ?? [] {
      guard let name = parameter["name"]?.string, let id = parameter["tensorId"].flatMap(Self.integer) else {
        throw DecantError(.damaged, "a parameter has no name or tensor")
      }
      try add(id, path + [.text(name)], role: parameter["isBuffer"] == .bool(true) ? .buffer : .parameter)
    }
    for attribute in module["attributes"]?.array ?? [] {
      guard let name = attribute["name"]?.string, let type = attribute["type"]?.string,
        let id = attribute["id"].flatMap(Self.integer)
      else { throw DecantError(.damaged, "an attribute has no name, type or id") }
      if attributes.indices.contains(id), let tensor = attributes[id] {
        try add(tensor, path + [.text(name)], role: nil)
      } else {
        contents.objects.append(
          CheckpointObject(path: path + [.text(name)], type: type, value: nil, count: nil, unreadTensor: nil))
      }
    }
    for submodule in module["submodules"]?.array ?? [] {
      guard let name = submodule["name"]?.string else {
        throw DecantError(.damaged, "a module has no name")
      }
      try list(submodule, path + [.text(name)])
    }
  }

  private mutating func add(_ id: Int, _ path: [PathKey], role: CheckpointTensor.Role?)
    throws(DecantError)
  {
    guard tensors.indices.contains(id) else {
      throw DecantError(.damaged, "the description has no tensor \(id)", tensor: path.joinedName)
    }
    used.insert(id)
    contents.tensors.append(
      CheckpointTensor(
        path: path, tensor: tensors[id], role: role, stateDict: role == nil ? nil : [],
        purpose: role == nil ? .attribute : nil))
  }
}
