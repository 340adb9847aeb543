internal import DecantBytes
package import DecantIO
internal import DecantTensors

extension InputFile {
  /// The SHA-256 of a part of it in lower-case hexadecimal; O(length).
  package func sha256(_ range: Range<Int>) throws -> String {
    let hash: SHA256
    do throws(DecantError) { hash = try SHA256() } catch {
      throw error.located(file: path)
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(min(range.count, 1 << 20), 1), alignment: 64)
    defer { unsafe buffer.deallocate() }
    var done = range.lowerBound
    while done < range.upperBound {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: buffer[..<min(buffer.count, range.upperBound - done)])
      try unsafe read(into: part, at: done)
      unsafe hash.update(UnsafeRawBufferPointer(part))
      done += part.count
    }
    return hash.finish()
  }
}

extension Checkpoint {
  /// The size in bytes of the source file; nil when the checkpoint has several files.
  package var fileByteCount: Int? { files.count == 1 ? files.first?.byteCount : nil }

  /// Returns the source file's SHA-256 in lower-case hexadecimal. O(bytes).
  ///
  /// - Throws: ``DecantError`` for a checkpoint of several files, which has no single digest.
  package func sha256() throws -> String {
    guard files.count == 1, let file = files.first else {
      throw DecantError(
        .invalidArgument, "consists of \(files.count) files, so it has no single SHA-256", file: path,
        advice: .omitSourceDigest)
    }
    return try file.sha256(0..<file.byteCount)
  }
}
