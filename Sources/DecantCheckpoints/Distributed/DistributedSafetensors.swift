internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A reader of the safetensors files that `HuggingFaceStorageWriter` writes when every rank saves its own part.
///
/// The files are named `shard-R-model-I-of-N`. The header of each records, under `DCP_SHARDING_INFO`, the offsets of
/// its parts in the whole tensors.
///
/// Source: PyTorch `torch/distributed/checkpoint/hf_storage.py`; docs/formats/dcp.md.
enum DistributedSafetensors {
  private struct Whole {
    var dtype: DType
    var shape: [Int]
    var boxes: [(offsets: [Int], sizes: [Int])] = []
    var parts: [any StorageContent] = []
  }

  /// Opens every file. Reads no weights.
  static func open(
    _ names: [String], in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    var files: [InputFile] = []
    var result = Checkpoint.Parts(container: .dcp, contents: CheckpointContents())
    var order: [String] = []
    var wholes: [ExactText: Whole] = [:]
    for name in names {
      let file = try folder.file(name)
      files.append(file)
      do throws(DecantError) {
        let parts = try SafetensorsReader.open(ByteSource(file), limits: limits)
        let offsets = try savedOffsets(try SafetensorsReader.metadata(of: ByteSource(file), limits: limits))
        for entry in parts.contents.tensors {
          let tensor = entry.tensor
          let corner = offsets[ExactText(entry.name)] ?? [Int](repeating: 0, count: tensor.shape.count)
          guard corner.count == tensor.shape.count, let content = tensor.storage.content else {
            throw DecantError(
              .damaged, "the saved offsets have another rank than the tensor", tensor: entry.name)
          }
          let ends = zip(corner, tensor.shape).compactMap { $0.checkedAdding($1) }
          guard ends.count == corner.count else {
            throw DecantError(.damaged, "the saved offsets are too large", tensor: entry.name)
          }
          if wholes[ExactText(entry.name)] == nil { order.append(entry.name) }
          var whole = wholes[ExactText(entry.name)] ?? Whole(dtype: tensor.dtype, shape: ends)
          guard whole.dtype == tensor.dtype, whole.shape.count == ends.count else {
            throw DecantError(
              .damaged, "two files hold parts of different types or ranks", tensor: entry.name)
          }
          whole.shape = zip(whole.shape, ends).map { max($0, $1) }
          whole.boxes.append((corner, tensor.shape))
          whole.parts.append(content)
          wholes[ExactText(entry.name)] = whole
        }
      } catch { throw error.located(file: file.path) }
    }
    for name in order {
      guard let whole = wholes[ExactText(name)] else { continue }
      do throws(DecantError) {
        result.contents.tensors.append(
          CheckpointTensor(
            path: [.text(name)], tensor: try tensor(name, whole, limits), role: nil, stateDict: []))
      } catch { throw error.located(file: folder.path, tensor: name) }
    }
    result.containerMetadata = [("data files", String(files.count))]
    return (result, files)
  }

  private static func tensor(_ name: String, _ whole: Whole, _ limits: Limits) throws(DecantError)
    -> Tensor
  {
    guard let count = checkedProduct(whole.shape),
      let byteCount = count.checkedMultiplying(by: whole.dtype.byteCount)
    else { throw DecantError(.damaged, "shape \(whole.shape) is too large") }
    let layout = try ChunkLayout(
      shape: whole.shape, elementByteCount: whole.dtype.byteCount, boxes: whole.boxes)
    let content = ChunkedContent(
      byteCount: byteCount, layout: layout, items: whole.parts.map { OpenChunkSource($0) })
    return try Tensor(
      dtype: whole.dtype, shape: whole.shape,
      storage: Storage(key: name, byteCount: byteCount, content: content), limits: limits)
  }

  /// Returns the offsets of each tensor's part from `DCP_SHARDING_INFO`, which is JSON text in the header's metadata:
  /// `{"NAME": {"saved_offsets": [0, 4]}}`.
  private static func savedOffsets(_ metadata: [(String, String)]) throws(DecantError) -> [ExactText:
    [Int]]
  {
    guard let text = metadata.first(where: { $0.0 == "DCP_SHARDING_INFO" })?.1 else { return [:] }
    let bytes = Array(text.utf8)
    let json: JSONValue
    do throws(ParsingError) { json = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 8) } catch {
      throw DecantError(error, in: "DCP_SHARDING_INFO")
    }
    guard case .object(let members) = json else {
      throw DecantError(.damaged, "DCP_SHARDING_INFO is not a JSON object")
    }
    var offsets: [ExactText: [Int]] = [:]
    for (name, value) in members {
      guard let list = value["saved_offsets"]?.array else {
        throw DecantError(.damaged, "DCP_SHARDING_INFO gives no saved_offsets", tensor: name)
      }
      let sizes = list.compactMap(\.size)
      guard sizes.count == list.count else {
        throw DecantError(.damaged, "saved_offsets are not sizes", tensor: name)
      }
      offsets[ExactText(name)] = sizes
    }
    return offsets
  }
}
