internal import CLibdeflate

/// DEFLATE (RFC 1951), as zip entries and `.npz` members use it, by libdeflate.
package enum Deflate {
  /// The most bytes that one byte of a stream can become: a match of 258 bytes takes two bits.
  package static let largestFactor = 1_032

  /// libdeflate is not on this machine, or not whole.
  package struct LibraryMissing: Error {
    /// One clause that says what is missing.
    package let reason: String
    /// The Debian package that has the library.
    package let debianPackage = "libdeflate0"
  }

  /// Inflates a whole stream into a buffer of exactly its size.
  ///
  /// - Returns: whether the stream is sound and fills the buffer; what the buffer holds is undefined otherwise.
  ///   O(output).
  package static func inflate(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(LibraryMissing) -> Bool {
    if let problem = unsafe clibdeflate_load() {
      throw LibraryMissing(reason: unsafe "the data is deflated and \(String(cString: problem))")
    }
    // Empty buffers may have no address, which libdeflate must not be given.
    var nothing: UInt8 = 0
    return unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
      let from = unsafe source.baseAddress ?? UnsafeRawPointer(nothing)
      let into = unsafe target.baseAddress ?? UnsafeMutableRawPointer(nothing)
      return unsafe clibdeflate_inflate(from, source.count, into, target.count)
    }
  }
}
