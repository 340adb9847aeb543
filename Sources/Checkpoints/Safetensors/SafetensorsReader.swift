internal import ByteParsing
internal import Tensors

/// Reads the header of a safetensors file and proves all of it before handing out a tensor.
///
/// Source: the safetensors specification 0.8; docs/formats/safetensors.md.
enum SafetensorsReader {
  /// Whether a file begins like one: a header length that fits, then `{`.
  static func recognises(_ head: [UInt8], fileByteCount: Int) -> Bool {
    guard head.count >= 9, head[8] == UInt8(ascii: "{") else { return false }
    let length = head.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return length >= 2 && length <= 1 << 40
  }

  /// Reads the header; no weights.
  static func open(_ file: ByteSource, limits: Limits) throws(CheckpointError) -> Checkpoint.Parts {
    let lengthBytes = try file.bytes(at: 0, count: 8)
    let length = lengthBytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(limits.headerBytes) else {
      throw CheckpointError(
        "the header has \(length) bytes, more than the format allows (\(limits.headerBytes))", file: file.path
      )
    }
    guard Int(length) <= file.byteCount - 8 else {
      throw CheckpointError(
        "the header has \(length) bytes and only \(file.byteCount - 8) follow", file: file.path, offset: 8,
        remedy: "The file is truncated: fetch it again.")
    }
    let bytes = try file.bytes(at: 8, count: Int(length))
    let header: JSONValue
    do throws(ParsingError) { header = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 8) } catch {
      throw CheckpointError(
        "the header is no JSON: \(error.reason)", file: file.path, offset: 8 + error.offset)
    }
    guard case .object(let members) = header else {
      throw CheckpointError("the header is no JSON object", file: file.path, offset: 8)
    }

    let data = try file.part(at: 8 + Int(length), count: file.byteCount - 8 - Int(length))
    var contents = CheckpointContents()
    var hints: [(String, String)] = []
    var ranges: [(range: Range<Int>, name: String)] = []
    for (name, description) in members {
      if name == "__metadata__" {
        hints = try metadata(description, file)
        continue
      }
      let (tensor, range) = try tensor(name, description, data, file, limits)
      ranges.append((range, name))
      contents.tensors.append(CheckpointTensor(path: [.text(name)], tensor: tensor, role: nil, stateDict: []))
    }
    try requireNoGaps(ranges, dataByteCount: data.byteCount, file)
    return Checkpoint.Parts(
      container: .safetensors, contents: contents, hints: hints)
  }

  private static func tensor(
    _ name: String, _ description: JSONValue, _ data: ByteSource, _ file: ByteSource, _ limits: Limits
  ) throws(CheckpointError) -> (Tensor, Range<Int>) {
    func refuse(_ reason: String) -> CheckpointError {
      CheckpointError(reason, file: file.path, tensor: name)
    }
    guard let typeName = description["dtype"]?.string, let shape = description["shape"]?.array,
      let offsets = description["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].size,
      let end = offsets[1].size
    else { throw refuse("the header does not give the tensor's dtype, shape and data_offsets") }
    guard let dtype = SafetensorsTypes.dtype(typeName) else {
      throw refuse("the element type \(typeName.escapedForDisplay) is none that PyTorch has")
    }
    let sizes = shape.compactMap(\.size)
    guard sizes.count == shape.count, let count = checkedProduct(sizes),
      let byteCount = count.checkedMultiplying(by: dtype.byteCount)
    else { throw refuse("the shape is negative or too large") }
    guard begin <= end, end <= data.byteCount else {
      throw refuse("the data_offsets [\(begin), \(end)] leave the \(data.byteCount) bytes of data")
    }
    guard end - begin == byteCount else {
      throw refuse("the shape needs \(byteCount) bytes and the data_offsets give \(end - begin)")
    }
    do {
      // A storage of its own: safetensors aligns nothing, so an offset in elements may not exist.
      let range = try ByteRange(data, offset: begin, byteCount: byteCount)
      let own = Storage(key: String(begin), byteCount: byteCount, content: range)
      return (try Tensor(dtype: dtype, shape: sizes, storage: own, limits: limits), begin..<end)
    } catch let error as CheckpointError { throw error.located(tensor: name) } catch {
      throw refuse("\(error)")
    }
  }

  /// Refuses bytes that belong to two tensors or to none: places to hide things, which the format forbids.
  private static func requireNoGaps(
    _ ranges: [(range: Range<Int>, name: String)], dataByteCount: Int, _ file: ByteSource
  ) throws(CheckpointError) {
    var end = 0
    for (range, name) in ranges.sorted(by: {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }) {
      guard range.lowerBound == end else {
        throw CheckpointError(
          range.lowerBound < end
            ? "the tensor's data overlaps another's"
            : "\(range.lowerBound - end) bytes before the tensor's data belong to none",
          file: file.path, tensor: name)
      }
      end = range.upperBound
    }
    guard end == dataByteCount else {
      throw CheckpointError(
        "\(dataByteCount - end) bytes at the end belong to no tensor", file: file.path,
        remedy: "The file is damaged: fetch it again.")
    }
  }

  private static func metadata(_ value: JSONValue, _ file: ByteSource) throws(CheckpointError) -> [(
    String, String
  )] {
    guard case .object(let members) = value else {
      throw CheckpointError("the header's __metadata__ is no JSON object", file: file.path)
    }
    var hints: [(String, String)] = []
    for (key, value) in members {
      guard let text = value.string else {
        throw CheckpointError("the header's __metadata__ holds something that is no text", file: file.path)
      }
      hints.append((key.escapedForDisplay, text.escapedForDisplay))
    }
    return hints
  }
}
