internal import COneDNN

/// The library oneDNN, loaded when something is first asked of it.
///
/// Debian's libdnnl 2.6, or any 3.x. Source: its interface's reference; docs/adr/0016.
public enum OneDNNLibrary {
  /// Its version, such as "2.6.3".
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package that brings it.
  public static func version() throws(InferenceError) -> String {
    if let problem = unsafe conednn_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: conednn_version())
  }
}
