extension [UInt8] {
  /// Creates an array of `byteCount` bytes, all of which `fill` writes.
  package init<Failure: Error>(
    byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    unsafe self.init(unsafeUninitializedCapacity: byteCount) { buffer, initialized in
      do throws(Failure) {
        try unsafe fill(UnsafeMutableRawBufferPointer(buffer))
        initialized = byteCount
      } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
