internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A writer of safetensors files: a JSON header, then every tensor's data without gaps.
///
/// Source: the safetensors specification 0.8; docs/formats/safetensors.md.
struct SafetensorsWriter {
  /// The tensors in the order of their data: larger elements first, then the source's order. So every tensor is
  /// aligned to its own element size.
  let items: [PlannedTensor]
  /// The length and the JSON, padded with spaces so that the data begins at a multiple of 8.
  let header: [UInt8]
  /// The number of bytes of the file.
  let byteCount: Int

  /// Plans a file; writes nothing.
  ///
  /// - Throws: ``DecantError`` that lists every tensor the format cannot hold.
  init(_ items: [PlannedTensor], metadata: [(key: String, value: String)]) throws(DecantError) {
    // PyTorch keeps four-bit floats in pairs along the last dimension; the format counts them one by one, so the last
    // size doubles.
    var refused = RefusedTensors(among: items)
    refused.refuse(
      dtypesOf: items.indices {
        SafetensorsDType($0.dtype) == nil
          || $0.dtype == .float4_e2m1fn_x2 && $0.tensor.shape.last?.checkedMultiplying(by: 2) == nil
      }, "safetensors cannot store the dtype of")
    refused.refuse(
      namesOf: items.indices { $0.name == "__metadata__" }, "safetensors reserves the name of",
      isValid: { $0 != "__metadata__" }, substitutions: ["s/^__metadata__$/metadata/"])
    try refused.finish()
    let ordered = items.enumerated().sorted { left, right in
      let (a, b) = (left.element.dtype.byteCount, right.element.dtype.byteCount)
      return a == b ? left.offset < right.offset : a > b
    }.map(\.element)

    var offset = 0
    var json = try JSONValue.utf8 { add throws(DecantError) in
      add("__metadata__", .object(metadata.map { (key: $0.key, value: .string($0.value)) }))
      for item in ordered {
        guard let type = SafetensorsDType(item.dtype), let end = offset.checkedAdding(item.byteCount) else {
          throw DecantError(.notRepresentable, "the tensors are too large for one file")
        }
        add(
          item.name,
          .object([
            (key: "dtype", value: .string(type.rawValue)),
            (key: "shape", value: .array(type.shape(item.tensor.shape).map { .integer(Int64($0)) })),
            (key: "data_offsets", value: .array([.integer(Int64(offset)), .integer(Int64(end))])),
          ]))
        offset = end
      }
    }
    json += [UInt8](repeating: 0x20, count: (8 - json.count % 8) % 8)
    guard json.count <= Limits().headerBytes else {
      throw DecantError(
        .notRepresentable,
        "the header would have \(Format.count(json.count, "byte")), more than the format allows (\(Format.count(Limits().headerBytes)))"
      )
    }
    header = (0..<8).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) } + json
    byteCount = header.count + offset
    self.items = ordered
  }

  /// Writes the file; a large tensor is never in memory as a whole.
  func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    output.write(header)
    for item in items { try pipeline.pour(item, into: output) }
  }
}
