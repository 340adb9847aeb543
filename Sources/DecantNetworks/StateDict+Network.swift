public import DecantBytes
public import DecantCheckpoints
internal import DecantGraphs
public import DecantResNets
public import DecantTensors

extension Checkpoint {
  /// Returns the ResNet that the checkpoint holds, the source of each fact, and the facts that are not in the file.
  ///
  ///     let found = try checkpoint.identify()
  ///     print(found.architecture ?? "custom", found.facts.map { "\($0.name): \($0.value), from \($0.source)" })
  ///
  /// - Parameters:
  ///   - key: the key of the state dict; nil for the only one.
  ///   - prefix: the prefix of the network's tensor names, when the state dict holds several networks.
  /// - Throws: ``DecantError``: `notAResNet`, `noStateDict`, `ambiguousStateDict` for several state dicts or networks,
  ///   `keyNotFound` for a key or prefix that does not exist, `unsupportedNetwork`. O(tensors). A file is
  ///   hashed, to recognise published weights, if its size is a published file's or its name claims a digest.
  public func identify(key: String? = nil, prefix: String? = nil) throws(DecantError) -> ResNetIdentification
  {
    try stateDict(at: key).identify(prefix: prefix)
  }
}

extension StateDict {
  /// Returns the ResNet that these tensors belong to, the source of each fact, and the facts that they do not contain.
  ///
  /// - Parameter prefix: the prefix of the network's tensor names, when there are several networks.
  /// - Throws: ``DecantError``: `notAResNet`, `ambiguousStateDict` for several networks, `keyNotFound` when none has
  ///   the prefix, `unsupportedNetwork`. O(tensors).
  public func identify(prefix: String? = nil) throws(DecantError) -> ResNetIdentification {
    try NetworkFile(self).identify(prefix: prefix)
  }

  /// Compares names, shapes, dtypes and finite values with those of a network, and returns every finding.
  ///
  ///     let result = try weights.verify(against: .resnet50nodown)
  ///     for missing in result.missing { print("missing", missing.name, missing.shape) }
  ///
  /// - Parameters:
  ///   - architecture: the network.
  ///   - classes: the number of outputs; nil for the architecture's published number.
  ///   - prefix: the prefix of the network's tensor names, when there are several networks.
  /// - Throws: ``DecantError``: `ambiguousStateDict` for several networks, `keyNotFound` when none has the prefix,
  ///   `checksumMismatch`, and the errors of data that cannot be read. O(bytes).
  public func verify(
    against architecture: ResNetArchitecture, classes: Int? = nil, prefix: String? = nil
  ) throws(DecantError) -> ResNetVerification {
    var overrides = ResNetOverrides()
    overrides.architecture = architecture
    overrides.prefix = prefix
    overrides.classes = classes ?? architecture.configuration.classes
    return try NetworkFile(self).resolve(overrides, isForComputing: false).verification()
  }
}
