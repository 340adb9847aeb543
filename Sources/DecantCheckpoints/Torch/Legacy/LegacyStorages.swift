internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The storages of a legacy file. They follow the pickles, one after another, each with an element count and its
/// bytes.
///
/// Only the object's pickle gives the width of an element, so its persistent IDs are read first.
final class LegacyStorages {
  /// The location of one storage.
  package struct Record {
    package let key: String
    /// The offset of its bytes from the start of the file.
    package let offset: Int
    package let byteCount: Int
    /// True when the file holds all of its bytes.
    package let isWhole: Bool
  }

  /// The storages that were located, in the file's order.
  private(set) var records: [Record] = []
  private(set) var warnings: [String] = []
  /// The error that stopped the search; nil when all storages were located.
  private(set) var failure: DecantError?
  /// The offset of the end of the last storage.
  private(set) var end: Int
  /// The byte count of the complete file when it was cut off within its storages; otherwise nil. `failure` gives the
  /// offset.
  private(set) var expectedByteCount: Int?

  private let source: ByteSource
  private var places: [ExactText: Int] = [:]
  private var storages: [ExactText: Storage] = [:]
  private var views: [ExactText: (StorageReference.View, Storage)] = [:]
  private var hasSwappedCounts = false
  private var isCutShort = false
  /// The keys of the storages beyond the end of the file.
  private var lost: Set<ExactText> = []

  /// Locates the storages, from the offset where the list of their keys ends. O(keys); reads eight bytes for each.
  init(_ source: ByteSource, at start: Int, keys: [String], graph: PickleGraph) {
    self.source = source
    end = start
    // As in PyTorch, the first reference to a key determines the storage's type and size.
    var references: [ExactText: (StorageReference, width: Int)] = [:]
    for node in graph.nodes {
      guard case .persistentID(let id) = node, let parts = graph.tuple(id),
        let (reference, type) = try? graph.storageReference(of: parts)
      else { continue }
      let key = ExactText(reference.key)
      if references[key] == nil { references[key] = (reference, type.width) }
    }
    do throws(DecantError) {
      for (index, key) in keys.enumerated() {
        let next = index + 1 < keys.count ? references[ExactText(keys[index + 1])] : nil
        try add(
          key, references[ExactText(key)],
          following: next.map { $0.0.byteCount / $0.width }, isLast: index + 1 == keys.count)
      }
    } catch { failure = error.located(file: source.path) }
    if isCutShort {
      let rest = keys.dropFirst(records.filter(\.isWhole).count)
      lost = Set(rest.map { ExactText($0) })
      expectedByteCount = rest.map { references[ExactText($0)].map { 8 + $0.0.byteCount } ?? 8 }.reduce(end) {
        $0.checkedAdding($1) ?? .max
      }
    }
    if hasSwappedCounts {
      warnings.append(
        "the storages' element counts are big-endian, as PyTorch on such machines wrote them; the data is read as "
          + "little-endian, which PyTorch writes everywhere")
    }
  }

  private func add(
    _ key: String, _ reference: (StorageReference, width: Int)?, following: Int?, isLast: Bool
  ) throws(DecantError) {
    guard places[ExactText(key)] == nil else {
      throw DecantError(
        .deceptive, "storage \(key.escapedForDisplay) is listed twice", offset: end,
        remedy: "The file is damaged or malicious.")
    }
    guard source.byteCount - end >= 8 else {
      isCutShort = true
      throw DecantError(
        .truncated,
        "the element count of storage \(key.escapedForDisplay) is missing: \(8) bytes are needed, but the file "
          + "has \(source.byteCount - end) there", offset: end,
        remedy: "The file is truncated. Download it again.")
    }
    let count = try count(at: end)
    let offset = end + 8
    let byteCount: Int
    if let (reference, width) = reference {
      let expected = Int64(reference.byteCount / width)
      guard count == expected || count.byteSwapped == expected else {
        throw DecantError(
          .damaged,
          "storage \(key.escapedForDisplay) has \(Format.count(count, "element")), but the pickle says \(Format.count(expected))",
          offset: end,
          remedy: "The file is damaged. Download it again.")
      }
      if count != expected { hasSwappedCounts = true }
      byteCount = reference.byteCount
    } else {
      byteCount = try unreferenced(key, count, following: following, isLast: isLast)
    }
    let isWhole = byteCount <= source.byteCount - offset
    places[ExactText(key)] = records.count
    records.append(Record(key: key, offset: offset, byteCount: byteCount, isWhole: isWhole))
    guard isWhole else {
      isCutShort = true
      throw DecantError(
        .truncated,
        "storage \(key.escapedForDisplay) needs \(Format.count(byteCount, "byte")), but the file has "
          + "\(source.byteCount - offset) there", offset: offset,
        remedy: "The file is truncated. Download it again.")
    }
    end = offset + byteCount
  }

  private func count(at offset: Int) throws(DecantError) -> Int64 {
    try source.bytes(at: offset, count: 8).reversed().reduce(0) { $0 << 8 | Int64($1) }
  }

  /// Returns the byte count of a storage that no persistent ID describes. It tries each element width: exactly one
  /// must lead to the next storage's element count or, for the last storage, to the end of the file.
  private func unreferenced(
    _ key: String, _ count: Int64, following: Int?, isLast: Bool
  ) throws(DecantError) -> Int {
    var sizes: Set<Int> = []
    for width in [1, 2, 4, 8, 16] {
      guard let count = Int(exactly: count), count >= 0, let size = count.checkedMultiplying(by: width),
        let behind = (end + 8).checkedAdding(size), behind <= source.byteCount
      else { continue }
      if isLast {
        if behind == source.byteCount { sizes.insert(size) }
      } else if let following, source.byteCount - behind >= 8, try self.count(at: behind) == Int64(following)
      {
        sizes.insert(size)
      }
    }
    guard sizes.count == 1, let size = sizes.first else {
      throw DecantError(
        .damaged,
        "storage \(key.escapedForDisplay) of \(Format.count(count, "element")) is listed, but nothing in the pickle refers to it, "
          + "so its length is unknown", offset: end,
        remedy: "The file is damaged or malicious.")
    }
    warnings.append(
      "storage \(key.escapedForDisplay), \(size) bytes, is listed, but nothing in the pickle refers to it")
    return size
  }

  /// Returns the storage of a reference: a whole storage, or a view of one.
  func storage(_ reference: StorageReference) throws(DecantError) -> Storage {
    let root = try root(reference)
    guard root.byteCount == reference.byteCount else {
      throw DecantError(
        .damaged,
        "the pickle says storage \(reference.key.escapedForDisplay) has \(Format.count(reference.byteCount, "byte")), and elsewhere "
          + "\(root.byteCount)", remedy: "The file is damaged. Download it again.")
    }
    guard let view = reference.view else { return root }
    let key = ExactText(view.key)
    guard places[key] == nil else {
      throw DecantError(
        .deceptive,
        "storage \(view.key.escapedForDisplay) is listed with its data, but is a view of "
          + reference.key.escapedForDisplay, remedy: "The file is damaged or malicious.")
    }
    if let (known, storage) = views[key] {
      guard known == view, storage.root === root else {
        throw DecantError(
          .deceptive, "view \(view.key.escapedForDisplay) is described twice and differently",
          remedy: "The file is damaged or malicious.")
      }
      return storage
    }
    var content: (any StorageContent)?
    if let place = places[ExactText(reference.key)] {
      content = try bytes(at: records[place].offset + view.byteOffset, byteCount: view.byteCount)
    } else if lost.contains(ExactText(reference.key)) {
      content = try bytes(at: source.byteCount, byteCount: view.byteCount)
    }
    let storage = Storage(
      key: view.key, location: root.location, byteCount: view.byteCount, content: content, root: root,
      rootOffset: view.byteOffset)
    views[key] = (view, storage)
    return storage
  }

  private func root(_ reference: StorageReference) throws(DecantError) -> Storage {
    let key = ExactText(reference.key)
    if let known = storages[key] { return known }
    var content: (any StorageContent)?
    var byteCount = reference.byteCount
    if let place = places[key] {
      let record = records[place]
      byteCount = record.byteCount
      content = try bytes(at: record.offset, byteCount: record.byteCount)
    } else if lost.contains(key) {
      content = try bytes(at: source.byteCount, byteCount: byteCount)
    } else if reference.location != "meta" {
      throw DecantError(
        .damaged, "the file's list of storages has no storage \(reference.key.escapedForDisplay)",
        remedy: "The file is incomplete. Download it again.")
    }
    let storage = Storage(
      key: reference.key, location: reference.location, byteCount: byteCount, content: content)
    storages[key] = storage
    return storage
  }

  /// Returns the bytes of a storage, as far as the file has them.
  private func bytes(at offset: Int, byteCount: Int) throws(DecantError) -> any StorageContent {
    let start = min(offset, source.byteCount)
    let available = min(byteCount, source.byteCount - start)
    let range = try ByteRange(source, offset: start, byteCount: available)
    if available == byteCount { return range }
    return PartialContent(
      byteCount: byteCount, available: range,
      DecantError(
        .truncated, "the file ends before the data does", file: source.path,
        remedy: "Download the file again."))
  }
}
