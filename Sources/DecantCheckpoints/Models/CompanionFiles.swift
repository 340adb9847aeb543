internal import DecantBytes
internal import DecantIO

/// The files next to a model that hold its weights. Each is opened once, by the name that the model gives.
struct CompanionFiles {
  /// The model's folder; nil for a model in memory.
  let folder: CheckpointFolder?
  /// The model's path in messages.
  let model: String
  private(set) var files: [InputFile] = []
  /// The path from the folder to where the model's names begin; empty, or ends in a slash.
  private let prefix: String
  private var places: [ExactText: Int] = [:]

  init(folder: CheckpointFolder?, model: String, below prefix: String = "") {
    self.folder = folder
    self.prefix = prefix
    self.model = model
  }

  /// Opens a file by its name relative to the model's folder.
  ///
  /// - Throws: ``DecantError`` when the name leads out of the folder, or the file is missing.
  mutating func file(_ name: String) throws(DecantError) -> ByteSource {
    if let place = places[ExactText(name)] { return ByteSource(files[place]) }
    guard let folder else {
      throw DecantError(
        .partMissing, "keeps weights in another file (\(name.escapedForDisplay)), which is not at hand",
        file: model, remedy: "Extract all of it into one folder, and pass the model there.")
    }
    let file = try folder.file(prefix + name)
    places[ExactText(name)] = files.count
    files.append(file)
    return ByteSource(file)
  }
}
