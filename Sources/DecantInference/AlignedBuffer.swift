import DecantIO

/// Numbers in memory of their own, 64-byte aligned, not initialised.
///
/// Whoever holds it decides who writes: the executor gives each thread a part of its own, hence
/// `@unchecked Sendable`.
@safe final class AlignedBuffer<Scalar: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafeMutablePointer<Scalar>
  let count: Int

  /// Allocates room for `count` numbers.
  ///
  /// - Throws: ``InferenceError/outOfMemory(bytes:)`` when the machine has no room.
  init(count: Int) throws(InferenceError) {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Scalar>.stride)
    guard !overflow, let memory = unsafe PageMemory.allocate(byteCount: bytes) else {
      throw .outOfMemory(bytes: overflow ? .max : bytes)
    }
    unsafe base = memory.bindMemory(to: Scalar.self, capacity: max(count, 1))
    self.count = count
  }

  deinit { unsafe PageMemory.free(base) }
}
