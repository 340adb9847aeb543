public import Tensors

/// Writes `.pth` files that `torch.load(weights_only=True)` reads.
public enum TorchZipWriter {
  /// Writes `{key: OrderedDict of the tensors, name: number, …}`, atomically.
  ///
  /// - Parameters:
  ///   - stateDict: contiguous tensors of types that have a typed storage.
  ///   - key: what the state dict stands under, such as `model`.
  ///   - numbers: integers to stand beside it, such as the epoch.
  /// - Throws: ``CheckpointError`` for a tensor that cannot be written. O(bytes); one piece of a tensor in memory.
  public static func write(
    _ stateDict: StateDict, under key: String, beside numbers: [(name: String, value: Int)], to path: String
  ) throws {
    let pickle = try pickle(stateDict, key, numbers)
    let output = try AtomicOutput(path, overwrite: true)
    var zip = ZipWriter(output)
    var crcs: [UInt32] = []
    crcs.append(zip.entry("archive/data.pkl", pickle))
    crcs.append(zip.entry("archive/.format_version", Array("1".utf8)))
    crcs.append(zip.entry("archive/.storage_alignment", Array("64".utf8)))
    crcs.append(zip.entry("archive/byteorder", Array("little".utf8)))
    for (index, entry) in stateDict.entries.enumerated() {
      var reader = try RowMajorReader(entry.tensor)
      let crc = try unsafe zip.entry("archive/data/\(index)", byteCount: entry.tensor.byteCount) { piece in
        try unsafe reader.read(into: piece)
      }
      crcs.append(crc)
    }
    crcs.append(zip.entry("archive/version", Array("3\n".utf8)))
    zip.entry("archive/.data/serialization_id", serializationID(names: stateDict.names, crcs))
    zip.finish()
    try output.commit()
  }

  private static func pickle(
    _ stateDict: StateDict, _ key: String, _ numbers: [(name: String, value: Int)]
  ) throws(CheckpointError) -> [UInt8] {
    var classes: [String] = []
    for entry in stateDict.entries {
      guard let name = StorageTypes.typedStorageName(entry.tensor.dtype) else {
        throw CheckpointError("\(entry.tensor.dtype.rawValue) has no typed storage", tensor: entry.name)
      }
      classes.append(name)
    }
    var writer = PickleWriter()
    writer.emptyDictionary()
    writer.setItems { writer in
      writer.text(key)
      writer.emptyOrderedDictionary()
      writer.setItems { writer in
        for (index, entry) in stateDict.entries.enumerated() {
          writer.text(entry.name)
          tensor(entry.tensor, storageClass: classes[index], index: index, &writer)
        }
      }
      for (name, value) in numbers {
        writer.text(name)
        writer.integer(value)
      }
    }
    writer.stop()
    return writer.bytes
  }

  /// `_rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict())`.
  private static func tensor(_ tensor: Tensor, storageClass: String, index: Int, _ writer: inout PickleWriter)
  {
    writer.global("torch._utils", "_rebuild_tensor_v2")
    writer.tuple { writer in
      writer.tuple { writer in
        writer.text("storage")
        writer.global("torch", storageClass)
        writer.text(String(index))
        writer.text("cpu")
        writer.integer(tensor.elementCount)
      }
      writer.persistentID()
      writer.integer(0)
      writer.integers(tensor.shape)
      writer.integers(Tensor.contiguousStrides(tensor.shape))
      writer.boolean(false)
      writer.emptyOrderedDictionary()
    }
    writer.reduce()
  }

  /// Forty digits that depend on the content only: twenty from the names, twenty from the checksums.
  private static func serializationID(names: [String], _ crcs: [UInt32]) -> [UInt8] {
    func digits(_ bytes: some Sequence<UInt8>) -> String {
      // FNV-1a, 64 bits: not a defence, a fingerprint.
      let hash = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
      let text = String(hash)
      return String(repeating: "0", count: 20 - text.count) + text
    }
    var crcBytes: [UInt8] = []
    for crc in crcs { crcBytes.appendLittleEndian(crc) }
    return Array((digits(names.joined(separator: "\n").utf8) + digits(crcBytes)).utf8)
  }
}
