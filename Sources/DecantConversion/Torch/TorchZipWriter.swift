internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
package import DecantIO
package import DecantTensors

/// A writer of the zip files that PyTorch writes since 1.6, readable with `torch.load(weights_only=True)`.
///
/// The output is deterministic: the folder is always called `archive`, and the file contains nothing about the
/// machine or the time. Source: PyTorch `torch/serialization.py`, `caffe2/serialize/inline_container.cc`;
/// docs/formats/torch-zip.md.
package struct TorchZipWriter {
  private let pickle: [UInt8]
  private let records: [StorageRecords.Record]
  private let comment: [UInt8]

  /// Creates a writer for a pickle, the storages that its tensors are views of, and the archive's comment.
  package init(_ pickle: [UInt8], _ records: [StorageRecords.Record], comment: [UInt8] = []) {
    self.pickle = pickle
    self.records = records
    self.comment = comment
  }

  /// Writes the file; a piece of a storage at a time is in memory.
  package func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    var zip = ZipWriter(output)
    zip.entry("archive/data.pkl", pickle)
    zip.entry("archive/.format_version", Array("1".utf8))
    zip.entry("archive/.storage_alignment", Array("64".utf8))
    zip.entry("archive/byteorder", Array("little".utf8))
    for (index, record) in records.enumerated() {
      try zip.entry("archive/data/\(index)", byteCount: record.byteCount) { output in
        try pipeline.pour(record.elements, intoEntryOf: output)
      }
    }
    zip.entry("archive/version", Array("3\n".utf8))
    try zip.settle()
    zip.entry("archive/" + TorchSerializationID.entryName, TorchSerializationID.bytes(pickle, zip.checksums))
    try zip.finish(comment: comment)
  }
}

extension TorchZipWriter {
  /// Writes `{key: OrderedDict of the tensors, name: number, …}`, atomically. O(bytes); a piece of a tensor at a time
  /// is in memory.
  ///
  /// - Parameters:
  ///   - stateDict: Strided tensors.
  ///   - key: The key of the state dict, such as `model`.
  ///   - numbers: Other integers to write in the same dictionary, such as the epoch.
  /// - Throws: ``DecantError`` for a tensor that cannot be written.
  package static func write(
    _ stateDict: StateDict, under key: String, beside numbers: [(name: String, value: Int)], to path: String
  ) throws {
    let planned = stateDict.entries.map { entry in
      PlannedTensor(
        name: entry.name, entry: CheckpointTensor(path: [.text(entry.name)], tensor: entry.tensor),
        tensor: entry.tensor, dtype: entry.tensor.dtype)
    }
    var tensors = try TensorPickling(planned)
    var writer = PickleWriter()
    writer.write(.emptyDictionary)
    writer.write(.mark)
    writer.text(key)
    writer.emptyOrderedDictionary()
    if !planned.isEmpty {
      writer.write(.mark)
      for (index, tensor) in planned.enumerated() {
        writer.text(tensor.name)
        tensors.write(index, as: .tensor, isCoalesced: nil, isDetached: true, to: &writer)
      }
      writer.write(.setItems)
    }
    for (name, value) in numbers {
      writer.text(name)
      writer.integer(value)
    }
    writer.write(.setItems)
    writer.write(.stop)
    var pipeline = try TensorPipeline(tensors.records.map(\.elements))
    let output = try AtomicOutput(path, holding: pipeline.totalByteCount, overwrite: true)
    try TorchZipWriter(writer.bytes, tensors.records).write(to: output, &pipeline)
    try output.commit()
  }
}
