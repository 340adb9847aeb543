internal import COneDNN

/// The library oneDNN, loaded when something is first asked of it.
///
/// Debian's libdnnl 2.6, or any 3.x. Source: its interface's reference; docs/adr/0016.
package enum OneDNNLibrary {
  /// Its version, such as "2.6.3".
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package that brings it.
  package static func version() throws(InferenceError) -> String {
    if let problem = unsafe conednn_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: conednn_version())
  }

  /// Whether it has Winograd's filtering for this processor; version 2.6 wants AVX-512. Without, ``Numerics/fast`` is exact.
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
