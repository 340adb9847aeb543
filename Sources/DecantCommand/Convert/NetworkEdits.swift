internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The changes that `decant convert` makes to the ResNet in a file: its tensor names and its batch norms.
struct NetworkEdits {
  let checkpoint: Checkpoint
  let network: NetworkOptions
  /// Patterns of the tensor names to leave out.
  let except: [String]
  let format: OutputFormat
  /// True when the output has parametrised weights computed, so that they can be changed.
  let resolvesWeights: Bool

  /// Returns the part to convert.
  private func selection() throws -> Selection {
    try checkpoint.choice(key: network.key, as: format, except: except)
      .excluding(except, in: checkpoint).selection
  }

  /// Returns the file as a network whose weights can be changed in the output.
  ///
  /// - Parameter option: the option that changes them, for the error.
  /// - Throws: ``DecantError`` when the output would have the parts of weights instead of the weights.
  private func file(of selection: Selection, for option: String) throws -> NetworkFile {
    let file = try NetworkFile(checkpoint, selection)
    if !resolvesWeights, let note = file.parametrized.note("stored as") {
      throw DecantError(
        .invalidArgument, "\(option) needs whole weights, but \(note)", file: checkpoint.path,
        advice: .resolveWeights)
    }
    return file
  }

  /// Returns the tensor names of the network in another dialect, by their names in the file. The prefix is kept.
  ///
  /// - Throws: ``DecantError``, with the code `mismatch` when a tensor of the network is missing or left over: its
  ///   names would then be those of another network.
  func renamed(into dialect: ResNetDialect) throws -> [ExactText: WriteOptions.Renaming] {
    let naming = try file(of: selection(), for: "--names").nameMap(
      prefix: network.prefix, allowsStructure: network.byStructure)
    let found = try ResNetIdentification(naming)
    try found.verification.requireMatch(
      found.expectedArchitecture, file: checkpoint.path, mostListed: NetworkOptions.mostListed)
    try found.requireShownShortcuts()
    if found.isPart {
      throw DecantError(
        .notAResNet, "another network whose first layers are a ResNet's: its tensors cannot be renamed",
        file: checkpoint.path, advice: .inspect)
    }
    var renamed: [ExactText: WriteOptions.Renaming] = [:]
    var nameless: [String] = []
    for entry in naming.entries {
      guard let canonical = entry.canonical, !naming.keepsName(canonical) else { continue }
      if let name = dialect.spelling(of: canonical) {
        renamed[ExactText(entry.name)] = WriteOptions.Renaming(
          name: naming.prefix + name,
          axes: dialect.axes(from: naming.dialect, of: canonical, rank: entry.tensor.shape.count))
      } else {
        nameless.append(entry.name)
      }
    }
    guard nameless.isEmpty else {
      throw DecantError(
        .notRepresentable,
        "\(dialect.name) naming has no name for \(nameless.prefix(8).map(\.escapedForDisplay).joined(separator: ", "))"
          + (nameless.count > 8 ? " and \(nameless.count - 8) more" : ""),
        file: checkpoint.path, advice: .listDialects)
    }
    let others = naming.entries.count - renamed.count
    StandardStreams.note(
      "renamed \(Format.count(renamed.count, "tensor")) from \(naming.dialect.name) to \(dialect.name)"
        + (others == 0 ? "" : "; \(Format.count(others, "other name")) unchanged"))
    return renamed
  }

  /// Returns the names of the network's convolution weights; empty when the file holds no ResNet.
  func convolutionNames() -> [String] {
    guard let file = try? NetworkFile(checkpoint, selection()),
      let naming = try? file.nameMap(prefix: network.prefix),
      let found = try? ResNetIdentification(naming)
    else { return [] }
    return found.convolutionNames
  }

  /// Returns the tensors that replace the network's convolutions and batch norms after folding, by their names in the
  /// file. New biases are named in `dialect`, or in the file's own dialect when it is nil.
  ///
  /// - Throws: ``DecantError``, with the code `mismatch` when the weights do not match the network.
  func folded(
    classes: Int?, into dialect: ResNetDialect?
  ) throws -> [ExactText: [WriteOptions.Replacement]] {
    let selection = try selection()
    try checkpoint.requireReadable(selection, use: "converted")
    let found = try network.resolve(
      file(of: selection, for: "--fold-bn"), classes: classes, leavingGeometryOpen: true)
    try found.requireMatch(found.verification(), mostListed: NetworkOptions.mostListed)
    let naming = found.identification.naming
    let folding: FoldedNormalization
    do { folding = try FoldedNormalization(naming, found.graph) } catch let error as DecantError {
      throw error.located(file: checkpoint.path)
    }
    let present = Set(naming.entries.map { ExactText($0.name) })
    var replaced: [ExactText: [WriteOptions.Replacement]] = [:]
    for name in folding.removed { replaced[ExactText(name)] = [] }
    for convolution in folding.convolutions {
      var weights = [
        WriteOptions.Replacement(name: convolution.weight.name, tensor: convolution.weight.tensor)
      ]
      let bias = convolution.bias
      if present.contains(ExactText(bias.name)) {
        replaced[ExactText(bias.name)] = [WriteOptions.Replacement(name: bias.name, tensor: bias.tensor)]
      } else {
        let name = dialect?.spelling(of: bias.canonical).map { naming.prefix + $0 } ?? bias.name
        weights.append(WriteOptions.Replacement(name: name, tensor: bias.tensor))
      }
      replaced[ExactText(convolution.weight.name)] = weights
    }
    StandardStreams.note(
      "folded \(Format.count(folding.convolutions.count, "batch norm")) into their convolutions"
    )
    return replaced
  }
}
