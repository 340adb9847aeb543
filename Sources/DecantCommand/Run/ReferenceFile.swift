internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantInference

/// The file of reference outputs that `--compare` names.
struct ReferenceFile {
  let path: String
  let outputs: ReferenceOutputs
  let identities: [FileIdentity]
  /// The notes in the file's metadata, such as PyTorch's own float32 error of each stage.
  let notes: [String: String]

  /// Opens a file that must have at least one of the stages.
  init(_ path: String, stages: [String], _ opening: OpeningOptions) throws(DecantError) {
    let checkpoint = try Checkpoint(
      path: path, limits: opening.limits, password: try opening.password())
    let outputs = ReferenceOutputs(try checkpoint.onlyStateDict().stateDict(in: checkpoint))
    guard stages.contains(where: { outputs.holds($0) }) else {
      throw DecantError(
        .invalidInput, "no tensor is named like a stage of the network", file: path,
        remedy: "Name its tensors \(stages.joined(separator: ", ")).")
    }
    (self.path, self.outputs) = (path, outputs)
    identities = checkpoint.files.map(\.identity)
    notes = Dictionary(
      checkpoint.containerMetadata.map { ($0.label, $0.text) }, uniquingKeysWith: { first, _ in first })
  }
}
