package import DecantBytes
internal import DecantCheckpoints
package import DecantGraphs
internal import DecantIO
package import DecantResNets
package import DecantTensors

/// An identified network and its weights, not verified yet.
package struct ResolvedNetwork: Sendable {
  package let file: NetworkFile
  package let identification: ResNetIdentification
  /// The graph of the identification's configuration.
  package let graph: Graph
  /// The published name of the network; nil when it has none and the caller named none.
  package let architecture: String?

  /// The network's tensors under the names of the graph's parameters.
  package var parameters: StateDict { identification.naming.tensors }

  /// Verifies the checksums of the weights, and compares their names, shapes and dtypes with the network's. O(bytes).
  ///
  /// - Parameters:
  ///   - standsAlone: true when the state dict should hold nothing else; all other tensors are then unexpected.
  ///   - ignoresHead: true to take the tensors of a head that the network does not have for other tensors.
  ///   - checksFiniteness: true to count the elements that are NaN or infinite.
  /// - Throws: ``DecantError``: `checksumMismatch`, and the errors of data that cannot be read.
  package func verification(
    standsAlone: Bool = false, ignoresHead: Bool = false, checksFiniteness: Bool = true
  ) throws(DecantError) -> ResNetVerification {
    do throws(DecantError) { try file.weights.verifyChecksums() } catch {
      throw error.located(file: file.path)
    }
    return try comparison(
      standsAlone: standsAlone, ignoresHead: ignoresHead, checksFiniteness: checksFiniteness)
  }

  /// Compares the weights' names, shapes and dtypes with the network's, whatever their checksums. O(bytes).
  ///
  /// - Parameters: as for ``verification(standsAlone:ignoresHead:checksFiniteness:)``, and `progress`, which is called
  ///   with the number of bytes of each tensor that was read, from several threads.
  /// - Throws: ``DecantError`` for data that cannot be read.
  package func comparison(
    standsAlone: Bool = false, ignoresHead: Bool = false, checksFiniteness: Bool = true,
    progress: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws(DecantError) -> ResNetVerification {
    do throws(DecantError) {
      return ResNetVerification(
        of: identification.naming, against: graph, standsAlone: standsAlone, ignoresHead: ignoresHead,
        nonFinite: checksFiniteness ? try nonFinite(progress) : [])
    } catch { throw error.located(file: file.path) }
  }

  /// Reads all tensors, and returns those with elements that are NaN or infinite.
  ///
  /// - Parameter progress: called with the number of bytes of each tensor, from several threads.
  private func nonFinite(_ progress: @escaping @Sendable (Int) -> Void) throws(DecantError)
    -> [ResNetVerification.NonFinite]
  {
    let entries = identification.naming.entries.filter { $0.tensor.storage.content != nil }
    let counts = try DecantError.mapping {
      try parallelMap(entries.count) { index in
        defer { progress(entries[index].tensor.byteCount) }
        return try entries[index].tensor.countNonFinite()
      }
    }
    return zip(entries, counts).filter { $1 > 0 }.map {
      ResNetVerification.NonFinite(name: $0.name, count: $1)
    }
  }

  /// Verifies that the weights are the network's, and that the whole head is computed.
  ///
  /// - Parameters:
  ///   - classes: the number of outputs that the caller declared; 0 means the network without its head.
  ///   - allowsNonFinite: true to accept NaN and infinity, which the result then lists.
  ///   - mostListed: the largest number of differences of each kind in an error.
  /// - Throws: ``DecantError`` of code `mismatch` that lists the differences, and the errors of
  ///   ``verification(standsAlone:ignoresHead:checksFiniteness:)`` and ``requireSupportedHead(_:classes:)``.
  @discardableResult
  package func requireMatch(
    classes: Int?, checksFiniteness: Bool, allowsNonFinite: Bool = false, mostListed: Int = .max
  ) throws(DecantError) -> ResNetVerification {
    let verification = try verification(
      ignoresHead: classes == 0, checksFiniteness: checksFiniteness)
    try requireSupportedHead(verification, classes: classes)
    try requireMatch(verification, allowsNonFinite: allowsNonFinite, mostListed: mostListed)
    return verification
  }

  /// Throws when a comparison has found differences.
  ///
  /// - Throws: ``DecantError`` of code `mismatch` that lists the differences, at most `mostListed` of each kind.
  package func requireMatch(
    _ verification: ResNetVerification, allowsNonFinite: Bool = false, mostListed: Int = .max
  ) throws(DecantError) {
    try verification.requireMatch(
      architecture, file: file.path, allowsNonFinite: allowsNonFinite, mostListed: mostListed)
  }
}
