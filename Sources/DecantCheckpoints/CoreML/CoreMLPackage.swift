internal import DecantBytes
internal import DecantIO

/// A Core ML package: a folder with `Manifest.json`, the model's specification, and the file of its weights.
///
/// Source: coremltools 9.0, `modelpackage/src/ModelPackage.cpp`; docs/formats/coreml.md.
enum CoreMLPackage {
  private static let manifest = "Manifest.json"
  private static let data = "Data"

  /// Opens a package; nil for other folders.
  ///
  /// - Throws: ``DecantError`` when the package is damaged or its model is not supported.
  static func open(
    _ folder: CheckpointFolder, _ names: [String], limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile])? {
    if names.contains("coremldata.bin") {
      throw DecantError(
        .unsupportedFormat, "is a compiled Core ML model (.mlmodelc)", file: folder.path,
        remedy: "Pass the .mlpackage it was compiled from.")
    }
    guard names.contains(manifest), try folder.folderNames(limit: limits.paths).contains(data) else {
      return nil
    }
    let file = try folder.file(manifest)
    let path = try modelPath(ByteSource(file), limits)
    let model = try folder.file("\(data)/\(path)")
    let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let companions = CompanionFiles(folder: folder, model: model.path, below: "\(data)/\(parent)")
    let (parts, weights) = try CoreMLReader.open(
      ByteSource(model), companions, limits: limits)
    return (parts, [file, model] + weights)
  }

  /// Returns the path of the package's model below the folder `Data`.
  private static func modelPath(_ file: ByteSource, _ limits: Limits) throws(DecantError) -> String {
    guard file.byteCount <= limits.headerBytes else {
      throw DecantError(
        limits.exceeded(\.headerBytes, need: file.byteCount),
        "the manifest has \(Format.count(file.byteCount, "byte"))",
        file: file.path)
    }
    let bytes = try file.bytes(at: 0, count: file.byteCount)
    let json: JSONValue
    do throws(ParsingError) { json = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 8) } catch {
      throw DecantError(error, in: "the manifest", file: file.path)
    }
    guard let root = json["rootModelIdentifier"]?.string,
      let path = json["itemInfoEntries"]?[root]?["path"]?.string
    else {
      throw DecantError(
        .damaged, "the manifest does not name the package's model", file: file.path,
        remedy: "Copy the whole package again.")
    }
    return path
  }
}
