internal import DecantBytes
internal import DecantIO
internal import DecantPickle

/// The items of a checkpoint of torch.distributed.checkpoint, as its metadata states them: which bytes of which file a
/// loader reads as a file of its own.
///
/// Source: PyTorch 2.13 `torch/distributed/checkpoint/filesystem.py` and `metadata.py`.
struct DistributedItems {
  struct Item {
    let path: String
    let offset: Int
    let length: Int
    /// True when the item is an object. torch loads it without its safe loader.
    let isObject: Bool
    /// The name of the tensor or object.
    let name: String

    /// The offset after the item. `Int.max` when the sum overflows.
    var end: Int { offset.checkedAdding(length) ?? .max }
    var display: String { String(name.prefix(200)).escapedForDisplay }
  }

  private(set) var items: [Item] = []
  /// The number of items whose place is not stated plainly.
  private(set) var unreadable = 0

  private static let module = "torch.distributed.checkpoint"

  /// Reads the items of a metadata file; nil for pickles that name nothing of torch.distributed.checkpoint. O(nodes).
  ///
  /// A loader reads attributes and asks for no classes. So places in other objects than those that PyTorch writes are
  /// not read, and counted.
  init?(_ graph: PickleGraph) {
    let isDistributed = graph.imports.contains {
      graph.global($0.value)?.module.hasPrefix(Self.module) ?? false
    }
    guard isDistributed else { return nil }
    guard let fields = Self.fields(graph.root, "Metadata", in: graph),
      case .dictionary(let places) = fields["storage_data"].flatMap({ graph.node($0) })
    else {
      unreadable = 1
      return
    }
    var objects: Set<ExactText> = []
    if case .dictionary(let entries) = fields["state_dict_metadata"].flatMap({ graph.node($0) }) {
      for entry in entries {
        guard let name = graph.text(entry.key), let kind = graph.object(entry.value) else { continue }
        if graph.global(kind.callable)?.name != "TensorStorageMetadata" { objects.insert(ExactText(name)) }
      }
    }
    for place in places {
      let index = Self.fields(place.key, "MetadataIndex", in: graph)
      guard let info = Self.fields(place.value, "_StorageInfo", in: graph),
        let path = info["relative_path"].flatMap({ graph.text($0) }),
        case .int(let offset) = info["offset"], case .int(let length) = info["length"],
        let offset = Int(exactly: offset), let length = Int(exactly: length), offset >= 0, length >= 0,
        let name = index?["fqn"].flatMap({ graph.text($0) })
      else {
        unreadable += 1
        continue
      }
      items.append(
        Item(
          path: path, offset: offset, length: length, isObject: objects.contains(ExactText(name)), name: name)
      )
    }
  }

  /// Returns the fields of an object of a dataclass, by name; nil for other values.
  private static func fields(
    _ value: PickleValue, _ type: String, in graph: PickleGraph
  ) -> [String: PickleValue]? {
    guard let object = graph.object(value), let made = graph.global(object.callable), made.name == type,
      made.module.hasPrefix(module), object.states.count == 1,
      case .dictionary(let pairs) = graph.node(object.states[0])
    else { return nil }
    var fields: [String: PickleValue] = [:]
    // As in a dictionary of Python, the last of equal keys counts.
    for pair in pairs { if let key = graph.text(pair.key) { fields[key] = pair.value } }
    return fields
  }
}

extension DistributedItems {
  /// Judges every item where the metadata says that it is.
  ///
  /// - Parameter open: Returns the bytes of a file next to the metadata; nil when it cannot be read.
  func scan(_ audit: FileAudit, open: (String) -> UnsafeRawBufferPointer?) {
    if unreadable > 0 {
      audit.report(
        .unknown, .unaccounted, in: "", at: 0,
        "the metadata gives \(Format.count(unreadable, "item")) no plain place in a file")
    }
    reportOverlaps(audit)
    let files = Dictionary(grouping: items) { ExactText($0.path) }
    for (path, items) in files.sorted(by: { $0.key.text < $1.key.text }) {
      let file = path.text.escapedForDisplay
      // A path that leads out of the folder is a finding about the metadata's pickle.
      guard !ContentScan.escapesFolder(Array(path.text.utf8)) else { continue }
      guard let bytes = unsafe open(path.text) else {
        audit.report(
          .unknown, .unaccounted, in: file, at: 0, "the file cannot be read, so its items are not judged")
        continue
      }
      for item in items { unsafe scan(item, in: RawSpan(_unsafeBytes: bytes), file, audit) }
    }
  }

  /// Returns the items in a file, in the order of their offsets. Those that several names share are listed once.
  func items(of path: String) -> [Item] {
    let found = items.filter { ExactText($0.path) == ExactText(path) }
      .sorted { ($0.offset, $0.length, $0.isObject ? 0 : 1) < ($1.offset, $1.length, $1.isObject ? 0 : 1) }
    var items: [Item] = []
    for item in found where items.last.map({ $0.offset != item.offset || $0.length != item.length }) ?? true {
      items.append(item)
    }
    return items
  }

  /// Judges an item.
  func scan(_ item: Item, in bytes: RawSpan, _ file: String, _ audit: FileAudit) {
    let place = "\(file) › \(item.display)"
    guard item.end <= bytes.byteCount else {
      audit.report(.unknown, .brokenPickle, in: place, at: item.offset, "the file ends before the item does")
      return
    }
    let scan = ContentScan(audit: audit, depth: 1, role: item.isObject ? .pickle : .file)
    let format = scan.scan(bytes.part(item.offset..<item.end), in: place)
    // The place of a tensor in a safetensors file is not one that a loader reads.
    if format == nil, item.isObject {
      audit.report(
        .unknown, .brokenPickle, in: place, at: item.offset, "the object is not a file of torch.save")
    }
  }

  /// Reports objects whose bytes are a part of another item.
  private func reportOverlaps(_ audit: FileAudit) {
    var last: Item?
    for item in items.sorted(by: { ($0.path, $0.offset, -$0.length) < ($1.path, $1.offset, -$1.length) }) {
      if let last, last.path == item.path, item.offset > last.offset || last.isObject != item.isObject,
        item.offset - last.offset < last.length, item.isObject || last.isObject
      {
        audit.report(
          .dangerous, .zipOverlap, in: item.path.escapedForDisplay, at: item.offset,
          "\(item.display) lies in the data of \(last.display)")
      }
      if last.map({ $0.path != item.path || $0.end < item.end }) ?? true { last = item }
    }
  }
}
