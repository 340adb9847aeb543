internal import DecantBytes
internal import DecantIO

/// A folder that holds nothing but `.npy` files, as `decant convert IN OUT/` writes it: each file is the tensor of its
/// name. The record of weights that are channels last may be beside them.
///
/// Source: docs/formats/npy.md.
enum NpyFolder {
  private static let suffix = ".npy"

  /// Reads the header of every array, in the order of the file names. Returns nil for a folder that holds anything else.
  ///
  /// - Throws: ``DecantError`` when an array is damaged, or of a kind that is not read.
  static func open(
    _ folder: CheckpointFolder, _ names: [String], limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile])? {
    // Hidden files are those of the system, such as .DS_Store; the writer makes none.
    let visible = names.filter { !$0.hasPrefix(".") && $0 != ConvolutionRecord.fileName }
    let arrays = visible.filter { $0.hasSuffix(suffix) }
    guard !arrays.isEmpty, arrays.count == visible.count,
      try folder.folderNames(limit: limits.paths).allSatisfy({ $0.hasPrefix(".") })
    else { return nil }
    var parts = Checkpoint.Parts(container: .npyFolder, contents: CheckpointContents())
    let hidden = names.filter { $0.hasPrefix(".") && $0.hasSuffix(suffix) }
    if let first = hidden.first {
      parts.warnings.append(
        "\(Format.count(hidden.count, "hidden file")), such as \(first.escapedForDisplay), \(hidden.count == 1 ? "was" : "were") not read"
      )
    }
    var files: [InputFile] = []
    if let file = try folder.find(ConvolutionRecord.fileName) {
      files.append(file)
      let source = ByteSource(file)
      guard source.byteCount <= limits.headerBytes else {
        throw DecantError(
          limits.exceeded(\.headerBytes, need: source.byteCount),
          "is JSON of \(Format.count(source.byteCount, "byte"))", file: file.path)
      }
      let bytes = try source.bytes(at: 0, count: source.byteCount)
      parts.containerMetadata = [(ConvolutionRecord.key, String(decoding: bytes, as: UTF8.self))]
    }
    for name in arrays {
      let file = try folder.file(name)
      files.append(file)
      let source = ByteSource(file)
      try NpyReader.read(
        source, key: name, at: [.text(String(name.dropLast(suffix.count)))], into: &parts, stateDict: [],
        limits: limits, nesting: 0
      ) { (offset, count) throws(DecantError) in
        try ByteRange(source, offset: offset, byteCount: count)
      }
    }
    return (parts, files)
  }
}
