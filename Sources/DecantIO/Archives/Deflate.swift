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
    package var debianPackage = "libdeflate0"
  }

  /// Decompresses a whole stream into a buffer of exactly its size. O(output).
  ///
  /// - Returns: False when the stream is damaged or does not fill the buffer exactly; the buffer's contents are then
  ///   undefined.
  package static func inflate(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(LibraryMissing) -> Bool {
    if let problem = unsafe clibdeflate_load() {
      throw LibraryMissing(reason: unsafe "the data is compressed, and \(String(cString: problem))")
    }
    // Empty buffers may have a nil address, which libdeflate does not accept.
    var nothing: UInt8 = 0
    return unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
      let from = unsafe source.baseAddress ?? UnsafeRawPointer(nothing)
      let into = unsafe target.baseAddress ?? UnsafeMutableRawPointer(nothing)
      return unsafe clibdeflate_inflate(from, source.count, into, target.count)
    }
  }

  /// The result of ``inflate(_:limit:)``.
  package enum Inflated {
    /// The data, and the number of bytes of the source that the stream takes.
    case data([UInt8], taken: Int)
    /// The stream makes more bytes than allowed, or takes more memory.
    case tooLarge
    case damaged
  }

  /// Decompresses a whole stream of unknown size. O(output): the buffer doubles until the stream fits.
  package static func inflate(_ source: RawSpan, limit: Int) throws(LibraryMissing) -> Inflated {
    if let problem = unsafe clibdeflate_load() {
      throw LibraryMissing(reason: unsafe "the data is compressed, and \(String(cString: problem))")
    }
    return unsafe expand(source, limit: limit) { unsafe clibdeflate_inflate_up_to($0, $1, $2, $3, $4, $5) }
  }

  /// Decompresses a stream of unknown size into a buffer that grows until the stream fits.
  ///
  /// - Parameter decompress: takes the source, its size, the buffer, its size, and the places for the numbers of bytes
  ///   taken and made. Returns 0, 1 when the buffer is too small, or -1.
  static func expand(
    _ source: RawSpan, limit: Int,
    _ decompress: (
      UnsafeRawPointer, Int, UnsafeMutableRawPointer, Int, UnsafeMutablePointer<Int>,
      UnsafeMutablePointer<Int>
    ) -> Int
  ) -> Inflated {
    var capacity = min(max(source.byteCount.multipliedReportingOverflow(by: 4).partialValue, 1 << 16), limit)
    while true {
      var (taken, made, status) = (0, 0, 0)
      // An empty buffer may have no address, which libdeflate does not accept.
      let data = unsafe [UInt8](unsafeUninitializedCapacity: max(capacity, 1)) { buffer, initialized in
        unsafe source.withUnsafeBytes { bytes in
          guard let from = bytes.baseAddress, let into = buffer.baseAddress else {
            status = -1
            return
          }
          status = unsafe decompress(from, bytes.count, into, capacity, &taken, &made)
        }
        initialized = status == 0 ? made : 0
      }
      if status == 0 { return .data(data, taken: taken) }
      guard status > 0 else { return .damaged }
      guard capacity < limit else { return .tooLarge }
      capacity = min(capacity.multipliedReportingOverflow(by: 4).partialValue, limit)
    }
  }
}
