package import DecantBytes

/// A storage content whose bytes are missing from the file; reading them throws the reason.
package final class MissingContent: StorageContent {
  package let byteCount: Int
  private let reason: DecantError

  package init(byteCount: Int, _ reason: DecantError) {
    self.byteCount = byteCount
    self.reason = reason
  }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    if buffer.count > 0 { throw reason }
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? { throw reason }
}
