internal import ByteParsing
internal import Dispatch
internal import Synchronization
internal import Tensors

/// Writes safetensors files: a JSON header, then every tensor's data without gaps.
///
/// Source: the safetensors specification 0.8; docs/formats/safetensors.md.
struct SafetensorsWriter {
  /// A tensor to write and the type to write it in.
  struct Item {
    let name: String
    let tensor: Tensor
    let dtype: DType
    /// Where its data begins: bytes from the first tensor's.
    fileprivate(set) var offset = 0

    init(name: String, tensor: Tensor, dtype: DType) {
      self.name = name
      self.tensor = tensor
      self.dtype = dtype
    }

    var byteCount: Int { tensor.elementCount * dtype.byteCount }
  }

  /// The items in the order of their data: larger elements first, so that every tensor is aligned to its own
  /// element size whatever the sizes of the others; the source's order among equals.
  let items: [Item]
  /// Length and JSON, padded with spaces so that the data begins at a multiple of 8.
  let header: [UInt8]
  /// Bytes of all data.
  let dataByteCount: Int

  /// Plans a file; writes nothing.
  ///
  /// - Throws: ``CheckpointError`` that lists every tensor the format cannot hold.
  init(_ items: [Item], metadata: [(key: String, value: JSONValue)]) throws(CheckpointError) {
    let refused = items.filter { SafetensorsTypes.name($0.dtype) == nil }
    guard refused.isEmpty else {
      let list = refused.map { "\($0.name.escapedForDisplay) (\($0.dtype.rawValue))" }.joined(separator: ", ")
      throw CheckpointError(
        "safetensors has no element type for \(refused.count == 1 ? "this tensor" : "these \(refused.count) tensors"): \(list)",
        remedy: "Choose the other tensors with --key. Nothing was written.")
    }
    guard !items.contains(where: { $0.name == "__metadata__" }) else {
      throw CheckpointError("a tensor is called __metadata__, a name that safetensors keeps for itself")
    }
    var items = items.enumerated().sorted { left, right in
      let (a, b) = (left.element.dtype.byteCount, right.element.dtype.byteCount)
      return a == b ? left.offset < right.offset : a > b
    }.map(\.element)

    var members: [(key: String, value: JSONValue)] = [(key: "__metadata__", value: .object(metadata))]
    var offset = 0
    for (place, item) in items.enumerated() {
      items[place].offset = offset
      guard let end = offset.checkedAdding(item.byteCount) else {
        throw CheckpointError("the tensors together have more bytes than any file")
      }
      members.append(
        (
          key: item.name,
          value: .object([
            (key: "dtype", value: .string(SafetensorsTypes.name(item.dtype) ?? "")),
            (key: "shape", value: .array(item.tensor.shape.map { .integer(Int64($0)) })),
            (key: "data_offsets", value: .array([.integer(Int64(offset)), .integer(Int64(end))])),
          ])
        ))
      offset = end
    }
    self.items = items
    dataByteCount = offset
    var json = Array(JSONValue.object(members).text.utf8)
    json += [UInt8](repeating: 0x20, count: (8 - json.count % 8) % 8)
    guard json.count <= Limits().headerBytes else {
      throw CheckpointError(
        "the header would have \(json.count) bytes, more than the format allows (\(Limits().headerBytes))")
    }
    header = (0..<8).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) } + json
  }

  /// Writes the planned file, streaming; every storage's recorded checksum is compared on the way.
  ///
  /// Two threads share the tensors: while one writes, which the file system lets only one do at a time, the other
  /// reads and checksums. The bytes do not depend on who writes what. Memory: a buffer for each.
  func write(to output: AtomicOutput) throws {
    try output.write(header)
    let progress = Mutex(Progress())
    DispatchQueue.concurrentPerform(iterations: min(2, items.count)) { _ in
      while let index = progress.withLock({ $0.take(of: items.count) }) {
        do {
          try write(items[index], to: output, progress)
        } catch {
          let failure = (error as? CheckpointError) ?? CheckpointError("\(error)")
          progress.withLock { $0.fail(failure.located(tensor: items[index].name), at: index) }
        }
      }
    }
    if let failure = progress.withLock({ $0.failure?.error }) { throw failure }
    output.advance(by: dataByteCount)
  }

  /// What the threads share.
  private struct Progress {
    private var next = 0
    private var verified: Set<ObjectIdentifier> = []
    private(set) var failure: (error: CheckpointError, index: Int)?

    /// The next tensor to write; nil when none is left or one has failed.
    mutating func take(of count: Int) -> Int? {
      guard failure == nil, next < count else { return nil }
      defer { next += 1 }
      return next
    }

    /// Keeps the failure of the first tensor in order, so that the message does not depend on the threads.
    mutating func fail(_ error: CheckpointError, at index: Int) {
      if index < failure?.index ?? .max { failure = (error, index) }
    }

    /// Whether a storage's checksum is still to be compared; the caller then does.
    mutating func claim(_ storage: Storage) -> Bool { verified.insert(ObjectIdentifier(storage)).inserted }
  }

  private func write(_ item: Item, to output: AtomicOutput, _ progress: borrowing Mutex<Progress>) throws {
    let tensor = item.tensor
    let record = tensor.storage.content as? ZipRecord
    let isNew = record != nil && progress.withLock { $0.claim(tensor.storage) }
    // The whole record as it stands: its checksum is that of the bytes that pass by.
    let passesWhole =
      tensor.isContiguous && tensor.byteCount == tensor.storage.byteCount
      && tensor.storage.byteOrder == .little
      && !tensor.isConjugated && !tensor.isNegated && item.dtype == tensor.dtype
    if isNew, !passesWhole { try record?.verifyChecksum() }
    var crc = CRC32()
    var offset = header.count + item.offset
    try unsafe tensor.readRowMajor(castTo: item.dtype) { bytes in
      if isNew && passesWhole { unsafe crc.update(bytes) }
      try unsafe output.write(bytes, at: offset)
      offset += bytes.count
    }
    if isNew, passesWhole { try record?.compare(crc) }
  }
}
