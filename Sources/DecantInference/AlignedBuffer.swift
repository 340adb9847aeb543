internal import DecantIO

/// An uninitialised, 64-byte aligned memory buffer that it owns and frees.
///
/// The buffer does not synchronise access. The executor gives each thread its own part, hence `@unchecked Sendable`.
@safe final class AlignedBuffer<Scalar: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafeMutablePointer<Scalar>
  let count: Int

  /// Allocates memory for `count` elements.
  ///
  /// - Throws: ``InferenceError/outOfMemory(bytes:)`` when the system cannot provide the memory.
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
