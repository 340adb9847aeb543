internal import CLibdeflate

/// DEFLATE (RFC 1951), as zip entries and `.npz` members use it, by libdeflate.
package enum Deflate {
  /// Inflates a whole stream into a buffer of exactly its size.
  ///
  /// - Returns: whether the stream is sound and fills the buffer; what the buffer holds is undefined otherwise.
  ///   O(output).
  package static func inflate(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard let decompressor = unsafe libdeflate_alloc_decompressor() else { return false }
    defer { unsafe libdeflate_free_decompressor(decompressor) }
    // Empty buffers may have no address, which libdeflate must not be given.
    var nothing: UInt8 = 0
    return unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
      let from = unsafe source.baseAddress ?? UnsafeRawPointer(nothing)
      let into = unsafe target.baseAddress ?? UnsafeMutableRawPointer(nothing)
      return unsafe libdeflate_deflate_decompress(
        decompressor, from, source.count, into, target.count, nil) == LIBDEFLATE_SUCCESS
    }
  }
}
