internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A reader of GGUF files, as llama.cpp uses them. It validates the whole header before it returns a tensor.
///
/// Source: the GGUF specification (ggml `docs/gguf.md`); docs/formats/gguf.md.
enum GGUFReader {

  /// A tensor's entry in the header.
  private struct Entry {
    let name: String
    /// The sizes in PyTorch's order; the file lists the fastest-varying dimension first.
    let shape: [Int]
    let type: GGMLType
    /// The tensor's byte range, from the start of the data.
    let range: Range<Int>
  }

  /// Reads the metadata and the list of tensors; no weights.
  static func open(_ file: ByteSource, limits: Limits) throws(DecantError) -> Checkpoint.Parts {
    var cursor = try begin(file)
    let version = cursor.version
    let tensorCount = try cursor.cursor.count(of: "tensors", size: 24)
    let valueCount = try cursor.cursor.count(of: "keys of metadata", size: 13)
    guard tensorCount <= limits.paths else {
      throw DecantError(
        limits.exceeded(\.paths, need: tensorCount),
        "\(Format.count(tensorCount, "tensor", ("is", "are"))) announced",
        file: file.path)
    }
    let metadata = try GGUFMetadata(&cursor.cursor, count: valueCount, limits: limits)
    var entries: [Entry] = []
    var names: Set<ExactText> = []
    for _ in 0..<tensorCount {
      let start = cursor.cursor.offset
      let entry = try entry(&cursor.cursor, limits)
      guard names.insert(ExactText(entry.name)).inserted else {
        throw DecantError(
          .deceptive, "two tensors have this name, and readers disagree on which one counts",
          file: file.path,
          offset: start, tensor: entry.name,
          remedy: "Do not trust the file: it may be malicious.")
      }
      entries.append(entry)
    }
    var parts = Checkpoint.Parts(container: .gguf, contents: CheckpointContents())
    parts.contents.objects = metadata.objects
    parts.containerMetadata = [("GGUF version", String(version))]
    if cursor.cursor.isBigEndian { parts.containerMetadata.append(("byte order", "big")) }
    guard !entries.isEmpty else { return parts }
    guard let dataOffset = aligned(cursor.cursor.offset, to: metadata.alignment) else {
      throw partialDownload(file, of: nil)
    }
    let excess = try requireLayout(entries, dataOffset: dataOffset, alignment: metadata.alignment, file)
    if excess > 0, let converted = TextConversion.error(of: file) { throw converted }
    if excess > 0 { parts.warnings.append("\(excess) bytes at the end of the file belong to no tensor") }
    for entry in entries {
      try add(entry, dataOffset, file, isBigEndian: cursor.cursor.isBigEndian, limits, to: &parts.contents)
    }
    return parts
  }

  /// Returns the version, and a cursor after it in the file's byte order.
  private static func begin(
    _ file: ByteSource
  ) throws(DecantError) -> (cursor: GGUFCursor, version: UInt32) {
    var cursor = GGUFCursor(file, at: 4, isBigEndian: false)
    var version = try cursor.integer(UInt32.self)
    // No version is a multiple of 65,536, so these bytes are in big-endian order.
    if version & 0xFFFF == 0 {
      cursor = GGUFCursor(file, at: 4, isBigEndian: true)
      version = try cursor.integer(UInt32.self)
    }
    guard 2...3 ~= version else {
      throw DecantError(
        .unsupportedFormat, "is a GGUF file of version \(version); only 2 and 3 are supported",
        file: file.path,
        offset: 4,
        remedy: version == 1
          ? "Convert the original model again with a current llama.cpp."
          : "The file is damaged, or newer than this version of Decant.")
    }
    return (cursor, version)
  }

  private static func entry(_ cursor: inout GGUFCursor, _ limits: Limits) throws(DecantError) -> Entry {
    let start = cursor.offset
    let path = cursor.file.path
    guard let name = String(validating: try cursor.text(), as: UTF8.self) else {
      throw DecantError(.damaged, "a tensor's name is not UTF-8", file: path, offset: start)
    }
    func refuse(
      _ reason: String, _ code: DecantError.Code = .damaged,
      _ advice: DecantError.Advice = .text("The file is damaged. Download it again.")
    ) -> DecantError {
      DecantError(code, reason, file: path, offset: start, tensor: name, advice: advice)
    }
    let rank = try cursor.integer(UInt32.self)
    guard rank <= limits.rank else {
      throw DecantError(
        limits.exceeded(\.rank, need: Int(rank)), "the tensor has \(rank) dimensions",
        file: path, offset: start, tensor: name)
    }
    var sizes: [Int] = []
    for _ in 0..<rank {
      guard let size = Int(exactly: try cursor.integer(UInt64.self)) else {
        throw refuse("the tensor has a size of more than 63 bits")
      }
      sizes.append(size)
    }
    let code = try cursor.integer(UInt32.self)
    guard let type = GGMLType(code) else {
      throw refuse(
        "the tensor has the unknown ggml type \(code)",
        .unsupportedFormat, .text("The file is damaged, or newer than this version of Decant."))
    }
    let begin = try cursor.integer(UInt64.self)
    guard (sizes.first ?? 1) % type.blockElements == 0 else {
      throw refuse(
        "rows of \(sizes.first ?? 1) elements are not whole blocks of \(type.name), which have \(type.blockElements)"
      )
    }
    guard let count = checkedProduct(sizes),
      let byteCount = (count / type.blockElements).checkedMultiplying(by: type.blockBytes),
      let begin = Int(exactly: begin), let end = begin.checkedAdding(byteCount)
    else { throw refuse("the sizes or the offset are too large for any file") }
    return Entry(name: name, shape: sizes.reversed(), type: type, range: begin..<end)
  }

  /// Checks that the tensors lie one after the other, each at the next multiple of the alignment, as ggml requires.
  ///
  /// - Returns: The number of bytes after the last tensor and its padding.
  /// - Throws: ``DecantError``; when only the file's end is missing, it states the expected size.
  private static func requireLayout(
    _ entries: [Entry], dataOffset: Int, alignment: Int, _ file: ByteSource
  ) throws(DecantError) -> Int {
    var end = 0
    let order = entries.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    for entry in order {
      func refuse(_ reason: String, _ code: DecantError.Code = .damaged) -> DecantError {
        DecantError(
          code, reason, file: file.path, tensor: entry.name,
          remedy: "The file is damaged. Download it again.")
      }
      let begin = entry.range.lowerBound
      guard begin % alignment == 0 else {
        throw refuse("the tensor's offset \(begin) is not a multiple of the alignment \(alignment)")
      }
      guard begin >= end else { throw refuse("the tensor's data overlaps another's", .deceptive) }
      guard begin - end < alignment else {
        throw refuse("\(begin - end) bytes before the tensor's data belong to no tensor")
      }
      end = entry.range.upperBound
    }
    guard let fileEnd = dataOffset.checkedAdding(end) else { throw partialDownload(file, of: nil) }
    guard fileEnd <= file.byteCount else { throw partialDownload(file, of: fileEnd) }
    return max(0, file.byteCount - (aligned(fileEnd, to: alignment) ?? .max))
  }

  private static func add(
    _ entry: Entry, _ dataOffset: Int, _ file: ByteSource, isBigEndian: Bool, _ limits: Limits,
    to contents: inout CheckpointContents
  ) throws(DecantError) {
    let path: [PathKey] = [.text(entry.name)]
    guard let dtype = entry.type.dtype else {
      let blocks = "blocks of \(entry.type.blockElements) elements in \(entry.type.blockBytes) bytes"
      contents.objects.append(
        CheckpointObject(
          path: path, type: blocks, value: nil, count: nil, unreadTensor: "gguf \(entry.type.name)",
          stateDict: [], shape: entry.shape, byteCount: entry.range.count))
      return
    }
    let content = try ByteRange(
      file, offset: dataOffset + entry.range.lowerBound, byteCount: entry.range.count)
    let storage = Storage(
      key: String(entry.range.lowerBound), byteOrder: isBigEndian ? .big : .little,
      byteCount: entry.range.count, content: content)
    do throws(DecantError) {
      let tensor = try Tensor(dtype: dtype, shape: entry.shape, storage: storage, limits: limits)
      contents.tensors.append(CheckpointTensor(path: path, tensor: tensor, role: nil, stateDict: []))
    } catch { throw error.located(file: file.path, tensor: entry.name) }
  }

  private static func aligned(_ offset: Int, to alignment: Int) -> Int? {
    offset.checkedAdding((alignment - offset % alignment) % alignment)
  }
}
