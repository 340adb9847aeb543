internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A reader of safetensors files. It validates the whole header before it returns a tensor.
///
/// Source: the safetensors specification 0.8; docs/formats/safetensors.md.
enum SafetensorsReader {
  /// Reads the header; no weights.
  static func open(_ file: ByteSource, limits: Limits) throws(DecantError) -> Checkpoint.Parts {
    var (members, length) = try header(of: file, limits)
    let data = try file.part(at: 8 + length, count: file.byteCount - 8 - length)
    var notes: [(String, String)] = []
    var entries: [Entry] = []
    entries.reserveCapacity(members.count)
    for place in members.indices {
      if members[place].key == "__metadata__" {
        notes = try metadata(members[place].value, file)
      } else {
        entries.append(try entry(members[place].key, members[place].value, file))
      }
      // The parsed JSON of a million tensors takes more memory than their entries, so it is freed here.
      members[place].value = .null
    }
    members = []
    try requireNoGaps(entries, data: data, file)
    var contents = CheckpointContents()
    contents.tensors.reserveCapacity(entries.count)
    for entry in entries { try add(entry, data, file, limits, to: &contents) }
    // A truncated file still has its header, which names the lost tensors.
    let announced = entries.map(\.range.upperBound).max() ?? 0
    let isTruncated = announced > data.byteCount
    if isTruncated { contents.tensors = contents.tensors.map { $0.withState() } }
    let whole = (8 + length).checkedAdding(announced) ?? .max
    return Checkpoint.Parts(
      container: .safetensors, contents: contents,
      containerMetadata: notes,
      truncation: isTruncated
        ? Truncation.error(
          .truncated, "is cut short: it has \(Format.count(file.byteCount)) of \(Format.count(whole)) bytes",
          contents.tensors,
          file: file.path)
        : nil)
  }

  /// Returns the entries of the header's `__metadata__`, unchanged.
  static func metadata(of file: ByteSource, limits: Limits) throws(DecantError) -> [(String, String)] {
    let (members, _) = try header(of: file, limits)
    return try members.first { $0.key == "__metadata__" }.map { member throws(DecantError) in
      try metadata(member.value, file)
    } ?? []
  }

  /// Returns the header's members and its length in bytes.
  private static func header(
    of file: ByteSource, _ limits: Limits
  ) throws(DecantError) -> (members: [(key: String, value: JSONValue)], byteCount: Int) {
    let lengthBytes = try file.bytes(at: 0, count: 8)
    let length = lengthBytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(limits.headerBytes) else {
      throw DecantError(
        limits.exceeded(\.headerBytes, need: Int(clamping: length)), "the header has \(length) bytes",
        file: file.path)
    }
    guard Int(length) <= file.byteCount - 8 else {
      throw DecantError(
        .truncated, "the header has \(length) bytes, but only \(file.byteCount - 8) follow",
        file: file.path, offset: 8,
        remedy: "The file is truncated. Download it again.")
    }
    let bytes = try file.bytes(at: 8, count: Int(length))
    let header: JSONValue
    do throws(ParsingError) { header = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 8) } catch {
      throw DecantError(error, in: "the header", file: file.path, at: 8)
    }
    guard case .object(let members) = header else {
      throw DecantError(.damaged, "the header is not a JSON object", file: file.path, offset: 8)
    }
    return (members, Int(length))
  }

  /// A tensor's entry in the header.
  private struct Entry {
    let name: String
    /// The tensor's dtype; nil for types that PyTorch lacks.
    let dtype: DType?
    let typeName: String
    let shape: [Int]
    /// The tensor's byte range, from the start of the data.
    let range: Range<Int>
  }

  private static func entry(
    _ name: String, _ description: JSONValue, _ file: ByteSource
  ) throws(DecantError) -> Entry {
    func refuse(_ reason: String, _ code: DecantError.Code = .damaged) -> DecantError {
      DecantError(code, reason, file: file.path, tensor: name)
    }
    guard let typeName = description["dtype"]?.string, let shape = description["shape"]?.array,
      let offsets = description["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].size,
      let end = offsets[1].size
    else { throw refuse("the header does not give the tensor's dtype, shape and data_offsets") }
    guard let type = SafetensorsDType(rawValue: typeName) else {
      throw refuse("PyTorch has no dtype \(typeName.escapedForDisplay)", .unsupportedFormat)
    }
    var sizes = shape.compactMap(\.size)
    guard sizes.count == shape.count, let count = checkedProduct(sizes),
      let bitCount = count.checkedMultiplying(by: type.bitCount)
    else { throw refuse("the shape is negative or too large") }
    guard bitCount % 8 == 0 else {
      throw refuse("the tensor has \(bitCount) bits, which are not whole bytes")
    }
    guard begin <= end else { throw refuse("the data_offsets [\(begin), \(end)] are reversed") }
    guard end - begin == bitCount / 8 else {
      throw refuse(
        "the shape needs \(Format.count(bitCount / 8, "byte")), but the data_offsets give \(Format.count(end - begin))"
      )
    }
    let dtype = type.dtype
    if dtype == .float4_e2m1fn_x2 {
      // The format counts four-bit elements; PyTorch counts pairs of them, along the last dimension.
      guard let last = sizes.last, last % 2 == 0 else {
        throw refuse(
          "the last size of an F4 tensor is odd, and PyTorch keeps its elements in pairs", .unsupportedFormat)
      }
      sizes[sizes.count - 1] = last / 2
    }
    return Entry(name: name, dtype: dtype, typeName: typeName, shape: sizes, range: begin..<end)
  }

  private static func add(
    _ entry: Entry, _ data: ByteSource, _ file: ByteSource, _ limits: Limits,
    to contents: inout CheckpointContents
  ) throws(DecantError) {
    let path: [PathKey] = [.text(entry.name)]
    guard let dtype = entry.dtype else {
      contents.objects.append(
        CheckpointObject(
          path: path, type: "safetensors.\(entry.typeName)", value: nil, count: nil,
          unreadTensor: "\(entry.typeName), which PyTorch has not", stateDict: [], shape: entry.shape,
          byteCount: entry.range.count))
      return
    }
    do throws(DecantError) {
      // Each tensor has its own storage: the format does not align data, so its offset may not be a whole number of
      // elements.
      let own = Storage(
        key: String(entry.range.lowerBound), byteCount: entry.range.count,
        content: try content(entry.range, data, file))
      let tensor = try Tensor(dtype: dtype, shape: entry.shape, storage: own, limits: limits)
      contents.tensors.append(CheckpointTensor(path: path, tensor: tensor, role: nil, stateDict: []))
    } catch { throw error.located(file: file.path, tensor: entry.name) }
  }

  /// Returns a tensor's bytes, or those of them that a truncated file still has.
  private static func content(
    _ range: Range<Int>, _ data: ByteSource, _ file: ByteSource
  ) throws(DecantError) -> any StorageContent {
    if range.upperBound <= data.byteCount {
      return try ByteRange(data, offset: range.lowerBound, byteCount: range.count)
    }
    let start = min(range.lowerBound, data.byteCount)
    return PartialContent(
      byteCount: range.count,
      available: try ByteRange(data, offset: start, byteCount: data.byteCount - start),
      DecantError(
        .truncated, "the file ends before the data does", file: file.path, remedy: "Download the file again.")
    )
  }

  /// Throws when bytes belong to two tensors or to none: the format forbids both, because such bytes can hide data.
  private static func requireNoGaps(
    _ entries: [Entry], data: ByteSource, _ file: ByteSource
  ) throws(DecantError) {
    var end = 0
    let order = entries.indices.sorted {
      let (left, right) = (entries[$0].range, entries[$1].range)
      return (left.lowerBound, left.upperBound) < (right.lowerBound, right.upperBound)
    }
    for place in order {
      let entry = entries[place]
      guard entry.range.lowerBound == end else {
        throw DecantError(
          entry.range.lowerBound < end ? .deceptive : .damaged,
          entry.range.lowerBound < end
            ? "the tensor's data overlaps another's"
            : "\(entry.range.lowerBound - end) bytes before the tensor's data belong to no tensor",
          file: file.path, tensor: entry.name)
      }
      end = entry.range.upperBound
    }
    guard end >= data.byteCount else {
      throw DecantError(
        .damaged, "\(Format.count(data.byteCount - end, "byte")) at the end belong to no tensor",
        file: file.path,
        remedy: "The file is damaged. Download it again.")
    }
  }

  private static func metadata(_ value: JSONValue, _ file: ByteSource) throws(DecantError) -> [(
    String, String
  )] {
    guard case .object(let members) = value else {
      throw DecantError(.damaged, "the header's __metadata__ is not a JSON object", file: file.path)
    }
    var notes: [(String, String)] = []
    for (key, value) in members {
      guard let text = value.string else {
        throw DecantError(
          .damaged, "the header's __metadata__ holds a value that is not text", file: file.path)
      }
      notes.append((key, text))
    }
    return notes
  }
}
