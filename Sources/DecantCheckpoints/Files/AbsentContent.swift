internal import DecantBytes
internal import DecantTensors

/// The place of bytes that a file no longer has; reading them throws why.
final class AbsentContent: StorageContent {
  let byteCount: Int
  private let reason: DecantError

  init(byteCount: Int, _ reason: DecantError) {
    self.byteCount = byteCount
    self.reason = reason
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    if buffer.count > 0 { throw reason }
  }

  func mappedBytes() throws -> UnsafeRawBufferPointer? { throw reason }
}
