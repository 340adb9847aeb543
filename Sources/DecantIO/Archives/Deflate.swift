internal import CLibdeflate

/// DEFLATE decompression (RFC 1951) of zip entries and `.npz` members, with libdeflate.
package enum Deflate {
  /// The most bytes that one compressed byte can become: a match of 258 bytes takes two bits.
  static let largestFactor = 1_032

  /// The error when libdeflate is not installed, or incomplete.
  package struct LibraryMissing: Error {
    /// A clause that says what is missing.
    package let reason: String
    /// The Debian package that contains the library.
    package let debianPackage = "libdeflate0"
  }

  /// Decompresses a whole stream into a buffer of exactly its size. O(output).
  ///
  /// - Returns: The number of bytes of `source` that the stream takes. Nil when it is damaged or does not fill the
  ///   buffer exactly; the buffer's contents are then undefined.
  package static func inflate(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(LibraryMissing) -> Int? {
    if let problem = unsafe clibdeflate_load() {
      throw LibraryMissing(reason: unsafe "the data is compressed, and \(String(cString: problem))")
    }
    // Empty buffers may have a nil address, which libdeflate does not accept.
    var nothing: UInt8 = 0
    return unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
      let from = unsafe source.baseAddress ?? UnsafeRawPointer(nothing)
      let into = unsafe target.baseAddress ?? UnsafeMutableRawPointer(nothing)
      let taken = unsafe clibdeflate_inflate(from, source.count, into, target.count)
      return taken < 0 ? nil : taken
    }
  }
}
