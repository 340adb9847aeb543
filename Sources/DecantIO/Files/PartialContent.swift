package import DecantBytes

/// A storage of a file that was cut off: the bytes that are there, and why the others are not.
package final class PartialContent: StorageContent {
  package let byteCount: Int
  /// The first of them; the others are lost.
  package let available: ByteRange
  private let reason: DecantError

  /// - Parameter available: no longer than `byteCount`.
  package init(byteCount: Int, available: ByteRange, _ reason: DecantError) {
    self.byteCount = byteCount
    self.available = available
    self.reason = reason
  }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard offset >= 0, buffer.count <= available.byteCount, offset <= available.byteCount - buffer.count
    else {
      throw reason
    }
    try unsafe available.read(into: buffer, at: offset)
  }

  package func mappedBytes() -> UnsafeRawBufferPointer? { nil }
}
