internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The contents of a distributed checkpoint's `.metadata`: its tensors, and the files and offsets of their parts.
///
/// Source: PyTorch `torch/distributed/checkpoint/metadata.py` and `filesystem.py`; docs/formats/dcp.md.
struct DistributedMetadata {
  /// One value of the state dict that was saved.
  package struct Entry {
    /// The flat name of the value in the file.
    package let name: String
    /// The keys that lead to the value in the nested state dict; the flat name when the file does not record them.
    package let path: [PathKey]
    package let value: Value
  }

  package enum Value {
    case tensor(dtype: DType, shape: [Int], requiresGrad: Bool, chunks: [Chunk])
    /// Any object, as a `torch.save` stream.
    case object(Place)
  }

  /// A box of a tensor, and the file and offset of its elements.
  struct Chunk {
    let offsets: [Int]
    let sizes: [Int]
    let place: Place
  }

  /// The file, offset and length of an item.
  package struct Place {
    package let file: String
    package let offset: Int
    package let byteCount: Int
    /// The transformations that the writer applied to the bytes, such as `stream.zstd/1`.
    let transformations: [String]
  }

  private(set) var entries: [Entry] = []
  private(set) var containerMetadata: [(String, String)] = []
  /// The number of stored items that no entry uses.
  private(set) var unusedCount = 0

  private static let module = "torch.distributed.checkpoint.metadata"

  /// Returns true when a file begins like a `.metadata`: a pickle whose first name is PyTorch's metadata module.
  static func recognises(_ head: [UInt8]) -> Bool {
    guard head.first == 0x80 else { return false }
    let name = Array(module.utf8)
    return (2..<24).contains {
      head.count >= $0 + name.count && head[$0..<$0 + name.count].elementsEqual(name)
    }
  }

  /// Reads the pickle. Nothing in it is executed.
  ///
  /// - Throws: ``DecantError`` when the file is damaged or does not record the location of every value.
  init(_ file: ByteSource, limits: Limits) throws(DecantError) {
    guard file.byteCount <= limits.pickleBytes else {
      throw DecantError(
        limits.exceeded(\.pickleBytes, need: file.byteCount), "has \(Format.count(file.byteCount, "byte"))",
        file: file.path)
    }
    let bytes = try file.bytes(at: 0, count: file.byteCount)
    let graph: PickleGraph
    do throws(PickleError) {
      graph = try PickleMachine.interpret(unsafe bytes.span.bytes, limits: limits)
    } catch {
      throw DecantError(error, file: file.path)
    }
    do throws(DecantError) { try read(graph, limits) } catch {
      throw error.located(file: file.path)
    }
  }

  private mutating func read(_ graph: PickleGraph, _ limits: Limits) throws(DecantError) {
    guard let root = graph.dataclass(graph.root, "Metadata", in: Self.module) else {
      throw DecantError(
        .notACheckpoint, "the pickle holds no Metadata, so it does not describe a distributed checkpoint")
    }
    guard let values = root["state_dict_metadata"].flatMap({ graph.mappingPairs($0) }) else {
      throw DecantError(.damaged, "the metadata has no state_dict_metadata")
    }
    guard values.count <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths, need: values.count),
        "\(Format.count(values.count, "value", ("is", "are"))) listed")
    }
    var stored = try Self.places(root["storage_data"], graph)
    let paths = Self.paths(root["planner_data"], graph)
    var names: Set<ExactText> = []
    for pair in values {
      guard let name = graph.text(pair.key) else {
        throw DecantError(.damaged, "a value's name is not text")
      }
      guard names.insert(ExactText(name)).inserted else {
        throw DecantError(
          .deceptive, "two values have this name, and readers disagree on which one counts", tensor: name)
      }
      do throws(DecantError) {
        entries.append(
          Entry(
            name: name, path: paths[ExactText(name)] ?? [.text(name)],
            value: try Self.value(name, pair.value, &stored, graph, limits)))
      } catch { throw error.located(tensor: name) }
    }
    unusedCount = stored.count
    for (name, label) in [("version", "version"), ("save_id", "save id"), ("checkpoint_id", "saved to")] {
      let meta = root["storage_meta"].flatMap { graph.dataclass($0, "StorageMeta", in: Self.module) }
      guard let value = root[name] ?? meta?[name], let text = graph.text(value) ?? Self.fileName(value, graph)
      else {
        continue
      }
      containerMetadata.append((label, text))
    }
  }

  /// Returns the text of a `pathlib` path, which pickles as a call whose arguments are the path's components.
  private static func fileName(_ value: PickleValue, _ graph: PickleGraph) -> String? {
    guard let object = graph.object(value),
      graph.global(object.callable)?.module.hasPrefix("pathlib") == true,
      let steps = graph.tuple(object.arguments)?.compactMap({ graph.text($0) }), let first = steps.first
    else { return nil }
    return first == "/" ? "/" + steps.dropFirst().joined(separator: "/") : steps.joined(separator: "/")
  }

  // MARK: Values

  private static func value(
    _ name: String, _ value: PickleValue, _ stored: inout [ItemKey: Place], _ graph: PickleGraph,
    _ limits: Limits
  ) throws(DecantError) -> Value {
    func place(_ key: ItemKey) throws(DecantError) -> Place {
      guard let place = stored.removeValue(forKey: key) else {
        throw DecantError(
          .damaged,
          "the metadata does not say where \(key.offsets.map { "the part at \($0)" } ?? "the value") is stored"
        )
      }
      return place
    }
    if graph.dataclass(value, "BytesStorageMetadata", in: module) != nil {
      return .object(try place(ItemKey(name: ExactText(name), offsets: nil)))
    }
    guard let fields = graph.dataclass(value, "TensorStorageMetadata", in: module) else {
      throw DecantError(.damaged, "the value is neither a tensor nor bytes")
    }
    guard let shape = fields["size"].flatMap({ graph.sizes($0) }),
      let list = fields["chunks"].flatMap({ graph.list($0) })
    else { throw DecantError(.damaged, "the metadata does not give the tensor's size and chunks") }
    let (dtype, requiresGrad) = try properties(fields["properties"], graph)
    var chunks: [Chunk] = []
    for element in list {
      guard let chunk = graph.dataclass(element, "ChunkStorageMetadata", in: module),
        let offsets = chunk["offsets"].flatMap({ graph.sizes($0) }),
        let sizes = chunk["sizes"].flatMap({ graph.sizes($0) })
      else { throw DecantError(.damaged, "a chunk has no offsets and sizes") }
      chunks.append(
        Chunk(
          offsets: offsets, sizes: sizes, place: try place(ItemKey(name: ExactText(name), offsets: offsets))))
    }
    return .tensor(dtype: dtype, shape: shape, requiresGrad: requiresGrad, chunks: chunks)
  }

  /// Returns the dtype and `requires_grad` of a `TensorProperties`. Its state is the tuple `(dtype, layout,
  /// requires_grad, memory format, pin_memory)` given to `__setstate__`, or a dictionary of its fields.
  private static func properties(
    _ value: PickleValue?, _ graph: PickleGraph
  ) throws(DecantError) -> (DType, requiresGrad: Bool) {
    guard let value, let object = graph.object(value),
      graph.global(object.callable)?.name == "TensorProperties",
      let state = object.states.last
    else { throw DecantError(.damaged, "the metadata does not give the tensor's properties") }
    let fields =
      graph.tuple(state)
      ?? graph.dictionary(state).map { pairs in
        ["dtype", "layout", "requires_grad"].compactMap { name in
          pairs.first { graph.isText($0.key, name) }?.value
        }
      }
    guard let fields, fields.count >= 3, let dtype = graph.global(fields[0]).flatMap(StorageTypes.dtype)
    else {
      throw DecantError(.unsupportedFormat, "the tensor's dtype is unknown")
    }
    return (dtype, fields[2] == .bool(true))
  }

  // MARK: Item locations

  /// A key of `storage_data`: a `MetadataIndex`. Its `index` is only a hint, so it is not part of the key.
  private struct ItemKey: Hashable {
    let name: ExactText
    /// The offsets of the part in its tensor, one for each axis; nil for objects.
    let offsets: [Int]?
  }

  private static func places(
    _ value: PickleValue?, _ graph: PickleGraph
  ) throws(DecantError) -> [ItemKey: Place] {
    guard let value, let pairs = graph.mappingPairs(value) else {
      throw DecantError(.damaged, "the metadata has no storage_data")
    }
    var places: [ItemKey: Place] = [:]
    places.reserveCapacity(pairs.count)
    for pair in pairs {
      guard let index = graph.dataclass(pair.key, "MetadataIndex", in: module), let fqn = index["fqn"],
        let name = graph.text(fqn)
      else { throw DecantError(.damaged, "a key of storage_data is not a MetadataIndex") }
      func refuse(_ reason: String, _ code: DecantError.Code = .damaged) -> DecantError {
        DecantError(code, reason, tensor: name)
      }
      var offsets: [Int]?
      if let offset = index["offset"], offset != .none {
        guard let sizes = graph.sizes(offset) else {
          throw refuse("the offset of a part is not a torch.Size")
        }
        offsets = sizes
      }
      guard
        let info = graph.dataclass(pair.value, "_StorageInfo", in: "torch.distributed.checkpoint.filesystem"),
        let file = info["relative_path"].flatMap({ graph.text($0) }),
        let offset = info["offset"].flatMap(graph.size),
        let length = info["length"].flatMap(graph.size)
      else { throw refuse("the metadata does not give an item's file, offset and length") }
      var transformations: [String] = []
      if let descriptors = info["transform_descriptors"], descriptors != .none {
        let list = graph.list(descriptors) ?? graph.tuple(descriptors) ?? []
        transformations = list.compactMap { graph.text($0) }
        guard !transformations.isEmpty || list.isEmpty, transformations.count == list.count else {
          throw refuse("the transformations of an item are not a list of text")
        }
      }
      let place = Place(file: file, offset: offset, byteCount: length, transformations: transformations)
      guard places.updateValue(place, forKey: ItemKey(name: ExactText(name), offsets: offsets)) == nil else {
        throw refuse(
          "two items are stored for the same part, and readers disagree on which one counts", .deceptive)
      }
    }
    return places
  }

  // MARK: Paths

  /// Returns the path of each flat name, from `planner_data`: a tuple of text for mappings and integers for lists.
  private static func paths(_ value: PickleValue?, _ graph: PickleGraph) -> [ExactText: [PathKey]] {
    guard let value, let pairs = graph.mappingPairs(value) else { return [:] }
    var paths: [ExactText: [PathKey]] = [:]
    paths.reserveCapacity(pairs.count)
    for pair in pairs {
      guard let name = graph.text(pair.key), let steps = graph.tuple(pair.value) ?? graph.list(pair.value),
        !steps.isEmpty, steps.count <= 64
      else { continue }
      let keys: [PathKey] = steps.compactMap { step in
        if let text = graph.text(step) { return .text(text) }
        return graph.size(step).map { .position($0) }
      }
      if keys.count == steps.count { paths[ExactText(name)] = keys }
    }
    return paths
  }
}

extension PickleGraph {
  /// Returns the attributes of a dataclass instance, which pickles as NEWOBJ and a BUILD with a dictionary; nil for
  /// other values.
  fileprivate func dataclass(_ value: PickleValue, _ name: String, in module: String) -> Attributes? {
    guard let object = object(value), object.construction != .reduce, let global = global(object.callable),
      global.name == name, global.module == module
    else { return nil }
    var pairs: [PicklePair] = []
    for state in object.states {
      guard let dictionary = dictionary(state) else { continue }
      pairs = pairs.isEmpty ? dictionary : pairs + dictionary
    }
    return Attributes(graph: self, pairs: pairs)
  }

  /// Returns a non-negative integer; nil for other values.
  fileprivate func size(_ value: PickleValue) -> Int? {
    guard case .int(let number) = value, let size = Int(exactly: number), size >= 0 else { return nil }
    return size
  }

  /// Returns the integers of a `torch.Size`, a tuple or a list; nil for other values.
  func sizes(_ value: PickleValue) -> [Int]? {
    var elements = tuple(value) ?? list(value)
    if elements == nil, let object = object(value), global(object.callable)?.qualifiedName == "torch.Size",
      let arguments = tuple(object.arguments)
    {
      elements =
        arguments.isEmpty ? [] : arguments.count == 1 ? tuple(arguments[0]) ?? list(arguments[0]) : nil
    }
    guard let elements else { return nil }
    let sizes = elements.compactMap { size($0) }
    return sizes.count == elements.count ? sizes : nil
  }
}

/// The attributes that BUILD gave an object. When a name occurs twice the last value counts, as in Python.
private struct Attributes {
  let graph: PickleGraph
  let pairs: [PicklePair]

  subscript(name: String) -> PickleValue? { pairs.last { graph.isText($0.key, name) }?.value }
}

extension DistributedMetadata {
  /// Adds the entries of another rank's metadata.
  ///
  /// - Returns: the number of parts that both have. The parts of this metadata are kept.
  /// - Throws: ``DecantError`` when the two contradict each other.
  mutating func merge(_ other: DistributedMetadata) throws(DecantError) -> Int {
    var places = Dictionary(
      entries.enumerated().map { (ExactText($1.name), $0) }, uniquingKeysWith: { first, _ in first })
    var replicas = 0
    for entry in other.entries {
      guard let place = places[ExactText(entry.name)] else {
        places[ExactText(entry.name)] = entries.count
        entries.append(entry)
        continue
      }
      switch (entries[place].value, entry.value) {
      case (.object, .object): replicas += 1
      case (
        .tensor(let dtype, let shape, let requiresGrad, var chunks), .tensor(let type, let size, _, let more)
      ):
        guard dtype == type, shape == size else {
          throw DecantError(
            .damaged, "two ranks give the tensor another dtype or size", tensor: entry.name)
        }
        var known = Set(chunks.map { [$0.offsets, $0.sizes] })
        for chunk in more {
          if known.insert([chunk.offsets, chunk.sizes]).inserted {
            chunks.append(chunk)
          } else {
            replicas += 1
          }
        }
        entries[place] = Entry(
          name: entry.name, path: entries[place].path,
          value: .tensor(dtype: dtype, shape: shape, requiresGrad: requiresGrad, chunks: chunks))
      default:
        throw DecantError(.damaged, "two ranks describe the value differently", tensor: entry.name)
      }
    }
    unusedCount += other.unusedCount
    return replicas
  }
}
