public import DecantBytes
public import DecantCheckpoints
internal import DecantGraphs
public import DecantResNets
public import DecantTensors

extension Checkpoint {
  /// Returns which ResNet the checkpoint holds, how each fact is known, and what the file cannot say.
  ///
  ///     let found = try checkpoint.identify()
  ///     print(found.architecture ?? "custom", found.facts.map { "\($0.name): \($0.value), from \($0.source)" })
  ///
  /// - Parameters:
  ///   - key: the state dict to look at; nil for the only one.
  ///   - prefix: what the network's names begin with, when the state dict holds several networks.
  /// - Throws: ``DecantError``: `notAResNet`, `noStateDict`, `ambiguousStateDict` for several state dicts or networks, `keyNotFound`
  ///   for a key or prefix that is not there, `unsupportedNetwork`. O(tensors); a file of up to
  ///   1 GiB is hashed, to recognise published weights, where libcrypto is installed.
  public func identify(key: String? = nil, prefix: String? = nil) throws(DecantError) -> ResNetIdentification
  {
    try stateDict(at: key).identify(prefix: prefix)
  }
}

extension StateDict {
  /// Returns which ResNet these tensors are, how each fact is known, and what they cannot say.
  ///
  /// - Parameter prefix: what the network's names begin with, when there are several networks.
  /// - Throws: ``DecantError``: `notAResNet`, `ambiguousStateDict` for several networks, `keyNotFound` when none has the prefix,
  ///   `unsupportedNetwork`. O(tensors).
  public func identify(prefix: String? = nil) throws(DecantError) -> ResNetIdentification {
    let part = self.part
    do throws(DecantError) {
      guard let naming = try ResNetNaming.onlyIfAny(in: self, prefix: prefix) else {
        throw DecantError(.notAResNet, ResNetAbsence.reason)
      }
      let evidence = part.map {
        EvidenceGathering.evidence(in: $0.checkpoint, $0.selection, of: naming, note: { _ in })
      }
      let published = part?.checkpoint.publishedFile()
      return try DecantError.mapping {
        try ResNetIdentification(naming, published: published, evidence: evidence ?? .none)
      }
    } catch { throw error.located(file: part?.checkpoint.path) }
  }

  /// Compares names, shapes, types and finite numbers with those of a network, and returns every finding.
  ///
  ///     let result = try weights.verify(against: .resnet50nodown)
  ///     for missing in result.missing { print("missing", missing.name, missing.shape) }
  ///
  /// - Parameters:
  ///   - architecture: the network.
  ///   - classes: the number of outputs; nil for the architecture's published number.
  ///   - prefix: what the network's names begin with, when there are several networks.
  /// - Throws: ``DecantError``: `ambiguousStateDict` for several networks, `keyNotFound` when none has the prefix,
  ///   `checksumMismatch`, and the errors of data that cannot be read. O(bytes).
  public func verify(
    against architecture: ResNetArchitecture, classes: Int? = nil, prefix: String? = nil
  ) throws(DecantError) -> ResNetVerification {
    var overrides = ResNetOverrides()
    overrides.architecture = architecture
    overrides.prefix = prefix
    overrides.classes = classes ?? architecture.configuration.classes
    return try ResNetResolution.verified(self, overrides, readsNumbers: true) { _ in }.1
  }
}

extension Checkpoint {
  /// The published file that this one is, by its SHA-256; nil for others, for several files, for files too large to be one,
  /// and without libcrypto.
  package func publishedFile() -> PublishedFile? {
    guard let byteCount = fileByteCount, byteCount <= 1 << 30, let digest = try? sha256() else { return nil }
    return PublishedFile.of(sha256: digest)
  }
}
