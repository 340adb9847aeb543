internal import COneDNN

/// The oneDNN library, loaded on first use.
///
/// Debian's libdnnl 2.6, or any 3.x. Source: oneDNN's API reference; docs/adr/0016.
package enum OneDNNLibrary {
  /// Returns the library's version, such as "2.6.3".
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package to install.
  package static func version() throws(InferenceError) -> String {
    if let problem = unsafe conednn_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: conednn_version())
  }

  /// Returns true when the library has Winograd for this processor. Version 2.6 requires AVX-512. Without it,
  /// ``Numerics/fast`` equals ``Numerics/exact``.
  package static func hasWinograd() throws(InferenceError) -> Bool {
    _ = try version()
    guard let map = OneDNNLayout([1, 64, 56, 56], strides: nil),
      let weights = OneDNNLayout([64, 64, 3, 3], strides: nil), let bias = OneDNNLayout.rowMajor([64])
    else { return false }
    let window = OneDNNWindow(kernel: (3, 3), before: (1, 1), after: (1, 1))
    return OneDNNOperation.convolution(
      winograd: true, input: map, weights: weights, bias: bias, output: map, window, .init()) != nil
  }
}
