internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A writer of the format before PyTorch 1.6, which `torch.load` still reads: five pickles, then the storages.
///
/// Source: PyTorch `torch/serialization.py` (`_legacy_save`); docs/formats/torch-legacy.md.
struct TorchLegacyWriter {
  private let pickle: [UInt8]
  private let records: [StorageRecords.Record]

  /// Creates a writer for a pickle and the storages that its tensors are views of.
  init(_ pickle: [UInt8], _ records: [StorageRecords.Record]) {
    self.pickle = pickle
    self.records = records
  }

  /// Writes the file; a piece of a storage at a time is in memory.
  func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    output.write(Self.head)
    output.write(pickle)
    // PyTorch reads the storages in the order of their keys as texts.
    let order = records.indices.map { (key: String($0), index: $0) }.sorted {
      $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
    }
    var keys = PickleWriter()
    keys.write(.emptyList)
    if !order.isEmpty {
      keys.write(.mark)
      for (key, _) in order { keys.text(key) }
      keys.write(.appends)
    }
    keys.write(.stop)
    output.write(keys.bytes)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    defer { unsafe buffer.deallocate() }
    for (_, index) in order {
      let record = records[index]
      var count: [UInt8] = []
      count.appendLittleEndian(Int64(record.count))
      output.write(count)
      // Storage data is not aligned here, so a buffer keeps elements whole.
      try unsafe pipeline.pour(record.elements) { byteCount, fill in
        var done = 0
        while done < byteCount {
          let piece = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<min(buffer.count, byteCount - done)])
          try unsafe fill(piece)
          unsafe output.write(UnsafeRawBufferPointer(piece))
          done += piece.count
        }
      }
    }
  }

  /// The magic number, the format's version and the system description, which are the same on every machine.
  private static let head: [UInt8] = {
    var magic = PickleWriter()
    magic.long(FileSignature.torchLegacy)
    magic.write(.stop)
    var version = PickleWriter()
    version.integer(Int(TorchLegacy.version))
    version.write(.stop)
    var system = PickleWriter()
    system.write(.emptyDictionary)
    system.write(.mark)
    system.text("protocol_version")
    system.integer(Int(TorchLegacy.version))
    system.text("little_endian")
    system.boolean(true)
    system.text("type_sizes")
    system.write(.emptyDictionary)
    system.write(.mark)
    for (name, size) in [("short", 2), ("int", 4), ("long", 4)] {
      system.text(name)
      system.integer(size)
    }
    system.write(.setItems)
    system.write(.setItems)
    system.write(.stop)
    return magic.bytes + version.bytes + system.bytes
  }()
}
