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
    let names = identification.naming.head.unresolved
    guard !names.isEmpty, Set(verification.unexpected).isSubset(of: names),
      identification.overrides.architecture == nil || verification.unexpected.isEmpty
    else { return }
    throw DecantError(
      .unsupportedNetwork,
      "has a head that is not supported, with the \(ResNetIdentification.text(ofTensors: names))",
      file: file.path, advice: .leaveOutHead)
  }
}
