package import DecantBytes
package import DecantCheckpoints
internal import DecantIO
package import DecantInference
package import DecantResNets
package import DecantTensors

/// The weights of a network, and the checkpoint that holds them.
///
/// A file becomes a running network in five steps, and each step needs the one before:
///
///     let file = try NetworkFile(path: path, key: "model")     // open, choose a state dict
///     let network = try file.resolve(overrides)                // identify
///     try network.requireMatch(classes: nil, checksFiniteness: false)  // verify
///     let engines = try EngineChoice(threads: 4).float(network.graph, network.parameters)  // bind
package struct NetworkFile: Sendable {
  /// The tensors of the chosen state dict, with parametrised weights computed and without those that were set aside;
  /// some may not belong to the network.
  package let weights: StateDict
  /// The weights that PyTorch computes from several tensors of the state dict.
  package let parametrized: ParametrizedWeights
  /// The tensors that were set aside.
  package let setAside: SetAsideTensors
  /// The part of the checkpoint that holds the weights, and what it leaves out; nil for weights made in memory.
  package private(set) var choice: StateDictChoice?

  /// Uses a state dict, which may have been made in memory, and sets known extras aside.
  ///
  /// - Throws: ``DecantError`` with the code `duplicateName`.
  package init(_ all: StateDict) throws(DecantError) {
    let (used, setAside) = SetAsideTensors.split(all)
    self.setAside = setAside
    parametrized = ParametrizedWeights(used.entries.map { ($0.name, $0.tensor) })
    let resolved = try used.resolved(by: parametrized)
    weights = used.source.map { resolved.belonging(to: $0) } ?? resolved
  }

  /// Opens a checkpoint and chooses the state dict to compute with.
  ///
  /// - Parameter key: the key of the state dict; nil for the only one.
  /// - Throws: ``DecantError`` when the file is damaged, when there is no such state dict, and when some of its tensors
  ///   cannot be read or are one rank's part.
  package init(path: String, limits: Limits = Limits(), key: String? = nil) throws(DecantError) {
    try self.init(Checkpoint(path: path, limits: limits), key: key)
  }

  /// Chooses the state dict of an open checkpoint to compute with.
  ///
  /// - Parameters:
  ///   - key: the key of the state dict; nil for the only one.
  ///   - except: patterns of the names of tensors to leave out.
  package init(
    _ checkpoint: Checkpoint, key: String? = nil, except: [String] = []
  ) throws(DecantError) {
    try checkpoint.requireIntact()
    try self.init(checkpoint) { () throws(DecantError) in
      try checkpoint.readableChoice(key: key, except: except)
    }
  }

  /// Chooses the state dict of an open checkpoint to identify, which may be damaged or have tensors that cannot be
  /// read.
  ///
  /// - Parameters:
  ///   - key: the key of the state dict; nil for the only one.
  ///   - except: patterns of the names of tensors to leave out.
  package init(
    identifying checkpoint: Checkpoint, key: String? = nil, except: [String] = []
  ) throws(DecantError) {
    try self.init(checkpoint) { () throws(DecantError) in
      try checkpoint.networkChoice(key: key, except: except)
    }
  }

  private init(
    _ checkpoint: Checkpoint, choosing: () throws(DecantError) -> StateDictChoice
  ) throws(DecantError) {
    let choice: StateDictChoice
    do throws(DecantError) { choice = try choosing() } catch {
      // Tensors that are no state dict, such as an optimizer's, are an answer: no ResNet.
      guard error.code == .noStateDict, !checkpoint.tensors.isEmpty else { throw error }
      throw DecantError(
        .notAResNet, "not recognised as a ResNet: \(error.reason)", file: checkpoint.path, advice: .inspect)
    }
    do throws(DecantError) { try self.init(checkpoint, choice.selection) } catch {
      throw error.located(file: checkpoint.path)
    }
    self.choice = choice
  }

  /// Chooses the state dict of an open checkpoint to verify, whose checksums may be wrong.
  ///
  /// - Parameters:
  ///   - key: the key of the state dict; nil for the only one.
  ///   - except: patterns of the names to leave out.
  package init(
    verifying checkpoint: Checkpoint, key: String? = nil, except: [String] = []
  ) throws(DecantError) {
    if let truncation = checkpoint.truncation { throw truncation }
    try self.init(checkpoint) { () throws(DecantError) in
      try checkpoint.readableChoice(key: key, except: except)
    }
  }

  /// Uses a part of an open checkpoint, which may be damaged or have tensors that cannot be read.
  package init(_ checkpoint: Checkpoint, _ selection: Selection) throws(DecantError) {
    try self.init(checkpoint.stateDict(of: selection))
  }

  /// The part of the checkpoint that the weights were read from; nil for weights made in memory.
  package var part: CheckpointPart? { weights.part }
  /// The checkpoint's path; nil for weights made in memory.
  var path: String? { part?.checkpoint.path }

  /// Returns an error for each storage and each record of the checkpoint whose data differs from its recorded checksum.
  /// O(bytes).
  ///
  /// - Parameter progress: called with the number of bytes of each storage that was read, from several threads.
  /// - Throws: ``DecantError`` for data that cannot be read at all.
  package func damage(progress: @escaping @Sendable (Int) -> Void = { _ in }) throws(DecantError)
    -> [DecantError]
  {
    guard let part else { return [] }
    return try DecantError.mapping {
      try part.checkpoint.damage
        + part.checkpoint.damagedRecords(of: part.selection.tensors, progress: progress)
    }
  }

  /// A warning that names the tensors outside the state dict that are not read; nil when there are none.
  package var unreadWarning: String? {
    part.flatMap { $0.checkpoint.unreadWarning(outside: $0.selection) }
  }

  /// A note on the weights that are computed from several tensors of the file; nil when there are none.
  package var parametrizationNote: String? { parametrized.note("computed from") }

  /// Throws when a ResNet in the state dict has a weight that is parametrised in a way that is not known.
  ///
  /// - Parameter prefix: the prefix of the network's tensor names; nil for any.
  private func requireKnownWeights(prefix: String?) throws(DecantError) {
    let unknown = parametrized.unknown
    guard !unknown.isEmpty else { return }
    // A network is found by the names of its weights. Stand-ins have them.
    let known = Set(weights.entries.map { ExactText($0.name) })
    let standIns = unknown.filter { !known.contains(ExactText($0.name)) }
    let all = try StateDict(
      weights.entries + standIns.map { StateDict.Entry(name: $0.name, tensor: $0.largest) })
    for naming in ResNetTensorNameMap.all(in: all, prefix: prefix) {
      let names = Set(naming.entries.lazy.filter { $0.canonical != nil }.map { ExactText($0.name) })
      let needed = standIns.filter { names.contains(ExactText($0.name)) }
      guard let first = needed.first else { continue }
      throw DecantError(
        .unsupportedFormat,
        first.text
          + (needed.count > 1 ? "; and so for \(Format.count(needed.count - 1, "more weight"))" : ""),
        remedy:
          "Make the weight plain in Python, for example with torch.nn.utils.parametrize.remove_parametrizations, and save the state dict again."
      )
    }
  }

  /// Returns the names of the only ResNet in the state dict.
  ///
  /// - Parameters:
  ///   - prefix: the prefix of the network's tensor names, when there are several networks.
  ///   - allowsStructure: true to recognise a network by the order and shapes of its tensors where no name is a
  ///     ResNet's.
  ///   - architecture: the network that the caller expects; it decides between networks of equal shapes.
  package func nameMap(
    prefix: String?, allowsStructure: Bool = false, architecture: ResNetArchitecture? = nil
  ) throws(DecantError) -> ResNetTensorNameMap {
    do throws(DecantError) {
      try requireKnownWeights(prefix: prefix)
      if let named = try ResNetTensorNameMap.onlyIfAny(in: weights, prefix: prefix) { return named }
      return try structure(prefix: prefix, isAllowed: allowsStructure, architecture: architecture)
    } catch { throw error.located(file: path) }
  }

  /// Returns the network that the order and shapes of the tensors show.
  ///
  /// - Throws: ``DecantError`` of code `notAResNet` when there is none, when several fit, and when one fits and the
  ///   caller does not allow it.
  private func structure(
    prefix: String?, isAllowed: Bool, architecture: ResNetArchitecture?
  ) throws(DecantError) -> ResNetTensorNameMap {
    let reason = ResNetNoMatch.reason(weights, prefix: prefix)
    // Where every name is a ResNet's, a part is missing, and what is left may look like a smaller network.
    guard prefix == nil, !ResNetNoMatch.namesAll(of: weights) else {
      throw DecantError(.notAResNet, reason, advice: .inspect)
    }
    switch ResNetTensorNameMap.byStructure(in: weights, architecture: architecture) {
    case .network(let map):
      guard isAllowed else {
        throw DecantError(
          .notAResNet, "\(reason); the order and shapes of its tensors are a ResNet's",
          advice: .acceptStructure)
      }
      return map
    case .ambiguous:
      throw DecantError(
        .notAResNet, "\(reason); the order and shapes of its tensors fit several ResNets",
        advice: .nameArchitecture)
    case .none: throw DecantError(.notAResNet, reason, advice: .inspect)
    }
  }

  /// Identifies the network to compute with, where the caller's settings come before the file's own evidence.
  ///
  /// - Parameters:
  ///   - isForComputing: false when only names and shapes matter; the stem's stride then need not be known.
  ///   - note: called for tensors that were set aside and for each file next to the checkpoint that could not be read.
  /// - Throws: ``DecantError``: `notAResNet`, `ambiguousStateDict`, `undetermined`, `unsupportedNetwork`.
  package func resolve(
    _ overrides: ResNetOverrides, isForComputing: Bool = true, note: (String) -> Void = { _ in }
  ) throws(DecantError) -> ResolvedNetwork {
    if let text = setAside.text { note(text) }
    do throws(DecantError) {
      try requireKnownWeights(prefix: overrides.prefix)
      let naming = try names(overrides)
      let identification = try ResNetIdentification(
        naming, overrides, evidence: evidence(of: naming, note: note))
      return ResolvedNetwork(
        file: self, identification: identification,
        graph: try isForComputing ? identification.graph() : identification.shapeGraph(),
        architecture: identification.expectedArchitecture)
    } catch { throw error.located(file: path) }
  }

  /// Returns the names of the network to compute with.
  ///
  /// Without a ResNet's names or structure, they are those of the most likely dialect when the caller expects an
  /// architecture, so that missing tensors can be reported.
  private func names(_ overrides: ResNetOverrides) throws(DecantError) -> ResNetTensorNameMap {
    let named =
      if let expected = overrides.architecture {
        try ResNetTensorNameMap.nearest(to: expected, in: weights, prefix: overrides.prefix)
      } else {
        try ResNetTensorNameMap.onlyIfAny(in: weights, prefix: overrides.prefix)
      }
    if let named { return named }
    do throws(DecantError) {
      return try structure(
        prefix: overrides.prefix, isAllowed: overrides.allowsStructure, architecture: overrides.architecture)
    } catch {
      guard !overrides.allowsStructure, error.advice == .inspect, overrides.architecture != nil else {
        throw error
      }
      return try ResNetTensorNameMap.mostLikely(in: weights, prefix: overrides.prefix)
    }
  }

  /// Identifies the network, with the source of each fact and the facts that the file does not hold.
  ///
  /// A file is hashed, to recognise published weights, only if its size is a published file's of a network with these
  /// shapes, or if its name claims a digest.
  ///
  /// - Parameters:
  ///   - prefix: the prefix of the network's tensor names, when there are several networks.
  ///   - note: called with messages about tensors that were set aside and files that were not read or not compared.
  /// - Throws: ``DecantError``: `notAResNet` or `unsupportedNetwork` when it is not a ResNet.
  package func identify(
    prefix: String?, note: (String) -> Void = { _ in }
  ) throws(DecantError) -> ResNetIdentification {
    if let text = setAside.text { note(text) }
    do throws(DecantError) {
      try requireKnownWeights(prefix: prefix)
      let naming = try nameMap(prefix: prefix, allowsStructure: true)
      let evidence = evidence(of: naming, note: note)
      let found = try ResNetIdentification(naming, evidence: evidence)
      guard let published = try publishedFile(of: found, note: note) else { return found }
      return try ResNetIdentification(naming, published: published, evidence: evidence)
    } catch { throw error.located(file: path) }
  }

  /// Measures which stride of the stem fits the recorded running statistics.
  ///
  /// - Parameters:
  ///   - images: the images to measure with; nil for noise.
  ///   - progress: called with the numbers of passes done and in all.
  /// - Throws: ``DecantError``: `notMeasurable`, and the errors of data that cannot be read.
  package func measureStride(
    of found: ResNetIdentification, images: Activation<Double>?, threads: Int,
    progress: (Int, Int) -> Void = { _, _ in }
  ) throws(DecantError) -> StrideMeasurement {
    do throws(MeasurementError) {
      return try StrideMeasurement(
        of: found.configuration, weights: found.naming.tensors, images: images, threads: threads,
        progress: progress)
    } catch {
      var error = error
      if case .missing(let names) = error { error = .missing(names.map(found.naming.spelling(of:))) }
      throw DecantError(error, file: path)
    }
  }

  private func evidence(of naming: ResNetTensorNameMap, note: (String) -> Void) -> ResNetEvidence {
    guard let part else { return .none }
    let collected = EvidenceCollector(part.checkpoint, part.selection)
    for text in collected.notes { note(text) }
    return ResNetEvidence(collected.traces, of: naming)
  }

  /// Returns the published file with the checkpoint's SHA-256. Returns nil for other files, for a checkpoint of several
  /// files, for files beyond 1 GiB, which are never published weights, and without libcrypto.
  ///
  /// O(bytes) when the file's size and the network's shapes are a published file's, or when the file's name claims a
  /// digest; else O(1).
  ///
  /// - Parameter note: called when libcrypto is missing, and when the file's name states another digest.
  private func publishedFile(
    of found: ResNetIdentification, note: (String) -> Void
  ) throws(DecantError) -> PublishedFile? {
    guard let checkpoint = part?.checkpoint, let byteCount = checkpoint.fileByteCount, byteCount <= 1 << 30
    else { return nil }
    let claimed = PublishedFile.claimedDigest(inFileName: checkpoint.path)
    let sizes = PublishedFile.architectures(ofByteCount: byteCount)
    guard claimed != nil || !Set(found.sameShapes).isDisjoint(with: sizes) else { return nil }
    do { _ = try SHA256() } catch {
      note("cannot compare the file with published weights: \(error)")
      return nil
    }
    let digest = try DecantError.mapping { try checkpoint.sha256() }
    if let claimed, !digest.hasPrefix(claimed) {
      note(
        "warning: the file name says that the SHA-256 begins with \(claimed), but it begins with \(digest.prefix(claimed.utf8.count)): the file differs from the published one"
      )
    }
    return PublishedFile.of(sha256: digest)
  }
}
