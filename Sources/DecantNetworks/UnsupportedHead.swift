package import DecantBytes
internal import DecantCheckpoints
package import DecantResNets
internal import DecantTensors

extension ResolvedNetwork {
  /// Throws when the file's head has layers that the graph does not compute, since the output would then be wrong.
  ///
  /// - Parameters:
  ///   - verification: the comparison of these tensors with this graph. When it has other findings, this does not
  ///     throw.
  ///   - classes: the number of outputs that the caller declared; 0 means the network without its head.
  /// - Throws: ``DecantError`` of code `unsupportedNetwork` that names the tensors.
  package func requireSupportedHead(_ verification: ResNetVerification, classes: Int?) throws(DecantError) {
    guard classes != 0, verification.missing.isEmpty, verification.mismatched.isEmpty else { return }
    let names = identification.headContinuation(of: graph)
    guard !names.isEmpty, Set(verification.unexpected).isSubset(of: names),
      identification.overrides.architecture == nil || verification.unexpected.isEmpty
    else { return }
    let list =
      names.prefix(8).map(\.escapedForDisplay).joined(separator: ", ")
      + (names.count > 8 ? " and \(names.count - 8) more" : "")
    // The remedy has to remove the supported part of the head too.
    let isApart = identification.configuration.classes == 0 && verification.unexpected.isEmpty
    throw DecantError(
      .unsupportedNetwork,
      "has a head that is not supported, with the \(names.count == 1 ? "tensor" : "\(names.count) tensors") \(list)",
      file: file.path,
      advice: isApart ? .leaveOutHead : .leaveOutTensors(exceptions(names))
    )
  }

  /// Returns glob patterns that match the names of the head and of the layers after it.
  private func exceptions(_ names: [String]) -> [String] {
    let naming = identification.naming
    let head = ["fc.weight", "fc.0.weight", "attnpool.c_proj.weight"].first { naming.tensors[$0] != nil }
    var patterns: [String] = []
    for name in names + (head.map { [naming.spelling(of: $0)] } ?? []) {
      let behind =
        name.utf8.starts(with: naming.prefix.utf8) ? String(name.dropFirst(naming.prefix.count)) : name
      let pattern = name.prefix(name.count - behind.count) + behind.prefix { $0 != "." } + ".*"
      if !patterns.contains(String(pattern)) { patterns.append(String(pattern)) }
    }
    return patterns
  }
}
