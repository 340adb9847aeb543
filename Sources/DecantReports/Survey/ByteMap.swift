package import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

/// The parts of a checkpoint's files: the data of each storage, and everything between.
package struct ByteMap: Sendable {
  /// The use of a part.
  package enum Use: Sendable, Equatable {
    /// Data of tensors; `group` is an index of ``ByteMap/groups``.
    case tensors(group: Int)
    /// Data that no tensor is a view of.
    case unused
    /// Names, shapes, values and directories: everything that is not data.
    case structure
  }

  /// Consecutive bytes of one use.
  package struct Part: Sendable {
    package let range: Range<Int>
    package let use: Use
    /// The first tensor, or the name of the archive's entry.
    package let name: String
  }

  /// One file of the checkpoint.
  package struct File: Sendable {
    package let path: String
    package let byteCount: Int
    /// The parts in the file's order. Together they are the whole file.
    package let parts: [Part]
  }

  /// A storage of which tensors use only a part.
  package struct Waste: Sendable {
    package let storage: String
    package let byteCount: Int
    package let unusedByteCount: Int
    /// A tensor that is a view of the storage; nil for one that no tensor uses.
    package let tensor: String?
  }

  package private(set) var files: [File] = []
  /// The groups of tensors, by the network's stage or the first part of their names.
  package let groups: [String]
  package private(set) var waste: [Waste] = []
  /// The tensors with data that is not one range of a file, such as compressed archives of arrays and joined ranks.
  package private(set) var unplacedCount = 0
  /// Tensors that are views of the same elements, by name; the first owns them.
  package private(set) var aliases: [(first: String, others: [String])] = []

  /// Finds the parts. Reads the headers of a zip archive's entries and no data. O(tensors + entries).
  ///
  /// - Parameter group: returns the index in `groups` of a tensor, by its index in the checkpoint.
  package init(_ checkpoint: Checkpoint, groups: [String], group: (Int) -> Int) {
    self.groups = groups
    findAliases(checkpoint)
    var placed: [ObjectIdentifier: [Part]] = [:]
    var storages: [ObjectIdentifier: StorageUse] = [:]
    var order: [ObjectIdentifier] = []
    var archives: [ObjectIdentifier: ZipArchive] = [:]
    for (index, entry) in checkpoint.tensors.enumerated() {
      var isPlaced = false
      for tensor in entry.tensor.sources {
        let storage = tensor.storage.root ?? tensor.storage
        guard let content = storage.content, let bytes = FileRange(content) else { continue }
        isPlaced = true
        let key = ObjectIdentifier(storage)
        if storages[key] == nil {
          storages[key] = StorageUse(
            storage, bytes, name: entry.name, group: group(index), entry: (content as? ZipRecord)?.entry.name)
          order.append(key)
          if let record = content as? ZipRecord {
            archives[ObjectIdentifier(record.archive)] = record.archive
          }
        }
        storages[key]?.add(tensor)
      }
      if !isPlaced, entry.tensor.elementCount > 0, entry.tensor.storage.content != nil { unplacedCount += 1 }
    }
    for key in order {
      guard let use = storages[key] else { continue }
      placed[ObjectIdentifier(use.bytes.file), default: []] += use.parts
      if use.unusedByteCount > 0 {
        waste.append(
          Waste(
            storage: use.storage.entry ?? use.storage.key, byteCount: use.storage.byteCount,
            unusedByteCount: use.unusedByteCount, tensor: use.name))
      }
    }
    let used = Set(storages.values.compactMap(\.entry))
    for archive in archives.values {
      for entry in archive.entries where !used.contains(entry.name) && entry.storedByteCount > 0 {
        guard let bytes = archive.fileRange(of: entry) else { continue }
        // PyTorch keeps storages under `data/`.
        let isStorage = entry.name.split(separator: "/").dropLast().last == "data"
        placed[ObjectIdentifier(bytes.file), default: []].append(
          Part(range: bytes.range, use: isStorage ? .unused : .structure, name: entry.name))
        if isStorage {
          waste.append(
            Waste(
              storage: entry.name, byteCount: entry.byteCount, unusedByteCount: entry.byteCount, tensor: nil))
        }
      }
    }
    waste.sort { ($1.unusedByteCount, $0.storage) < ($0.unusedByteCount, $1.storage) }
    files = checkpoint.files.map { file in
      File(
        path: file.path, byteCount: file.byteCount,
        parts: Self.filled(placed[ObjectIdentifier(file)] ?? [], byteCount: file.byteCount))
    }
  }

  /// The number of bytes of one use.
  package func byteCount(_ use: Use) -> Int {
    files.reduce(0) { total, file in
      total + file.parts.reduce(0) { $0 + ($1.use == use ? $1.range.count : 0) }
    }
  }

  private mutating func findAliases(_ checkpoint: Checkpoint) {
    let found = Aliases(checkpoint.tensors.map(\.tensor))
    var groups: [(first: Int, others: [String])] = []
    var places: [Int: Int] = [:]
    for index in checkpoint.tensors.indices {
      guard let first = found.first(of: index) else { continue }
      if let place = places[first] {
        groups[place].others.append(checkpoint.tensors[index].name)
      } else {
        places[first] = groups.count
        groups.append((first, [checkpoint.tensors[index].name]))
      }
    }
    aliases = groups.map { (checkpoint.tensors[$0.first].name, $0.others) }
  }

  /// Returns the parts in order, without overlaps, with the bytes between them as structure.
  private static func filled(_ parts: [Part], byteCount: Int) -> [Part] {
    var result: [Part] = []
    var reached = 0
    func fill(to end: Int) {
      guard end > reached else { return }
      let name = reached == 0 ? "header" : end == byteCount ? "end of the file" : "header or padding"
      result.append(Part(range: reached..<end, use: .structure, name: name))
      reached = end
    }
    for part in parts.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      let range = max(part.range.lowerBound, reached)..<max(reached, min(part.range.upperBound, byteCount))
      guard !range.isEmpty else { continue }
      fill(to: range.lowerBound)
      result.append(Part(range: range, use: part.use, name: part.name))
      reached = range.upperBound
    }
    fill(to: byteCount)
    return result
  }
}

/// The ranges of a storage that tensors are views of.
private struct StorageUse {
  let storage: Storage
  let bytes: FileRange
  let name: String
  let entry: String?
  private let group: Int
  private var used: [Range<Int>] = []

  init(_ storage: Storage, _ bytes: FileRange, name: String, group: Int, entry: String?) {
    (self.storage, self.bytes, self.name, self.group, self.entry) = (storage, bytes, name, group, entry)
  }

  mutating func add(_ tensor: Tensor) {
    guard tensor.elementCount > 0 else { return }
    let perByte = tensor.dtype.elementsPerByte
    let last = zip(tensor.shape, tensor.strides).reduce(tensor.storageOffset) { $0 + ($1.0 - 1) * $1.1 }
    let start = tensor.storage.rootOffset + tensor.storageOffset / perByte * tensor.dtype.byteCount
    let end = tensor.storage.rootOffset + (last / perByte + 1) * tensor.dtype.byteCount
    if used.last == start..<end { return }
    used.append(start..<end)
  }

  /// The gaps between the used ranges.
  private var unused: [Range<Int>] {
    var gaps: [Range<Int>] = []
    var reached = 0
    for range in used.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if range.lowerBound > reached { gaps.append(reached..<range.lowerBound) }
      reached = max(reached, range.upperBound)
    }
    if reached < storage.byteCount { gaps.append(reached..<storage.byteCount) }
    return gaps
  }

  var unusedByteCount: Int { unused.reduce(0) { $0 + $1.count } }

  /// The storage's bytes in its file. A compressed storage is one part.
  var parts: [ByteMap.Part] {
    guard bytes.isStored else {
      return [ByteMap.Part(range: bytes.range, use: .tensors(group: group), name: name)]
    }
    let start = bytes.range.lowerBound
    var parts: [ByteMap.Part] = []
    var reached = 0
    for gap in unused {
      if gap.lowerBound > reached {
        parts.append(
          ByteMap.Part(
            range: start + reached..<start + gap.lowerBound, use: .tensors(group: group), name: name))
      }
      parts.append(
        ByteMap.Part(
          range: start + gap.lowerBound..<start + gap.upperBound, use: .unused,
          name: storage.entry ?? storage.key))
      reached = gap.upperBound
    }
    if reached < storage.byteCount {
      parts.append(
        ByteMap.Part(
          range: start + reached..<start + storage.byteCount, use: .tensors(group: group), name: name))
    }
    return parts
  }
}
