import Glibc

/// Numbers in memory of their own, 64-byte aligned, not initialised.
///
/// Whoever holds it decides who writes: the executor gives each thread a part of its own, hence
/// `@unchecked Sendable`.
@safe final class AlignedBuffer<Scalar: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafeMutablePointer<Scalar>
  let count: Int
  private static var largePage: Int { 1 << 21 }

  /// Allocates room for `count` numbers.
  ///
  /// - Throws: ``InferenceError/outOfMemory(bytes:)`` when the machine has no room.
  init(count: Int) throws(InferenceError) {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Scalar>.stride)
    guard !overflow, bytes >= 0, bytes < Int.max - 64 else { throw .outOfMemory(bytes: Int.max) }
    // Large pages spare the walk through tables for every 4 KiB, which is a part of the time of large matrices.
    let isLarge = bytes >= Self.largePage
    let alignment = isLarge ? Self.largePage : 64
    // aligned_alloc wants a multiple of the alignment.
    var allocated: UnsafeMutableRawPointer?
    guard unsafe posix_memalign(&allocated, alignment, max((bytes + 63) / 64 * 64, 64)) == 0,
      let memory = unsafe allocated
    else { throw .outOfMemory(bytes: bytes) }
    if isLarge { unsafe madvise(memory, bytes / Self.largePage * Self.largePage, MADV_HUGEPAGE) }
    unsafe base = memory.bindMemory(to: Scalar.self, capacity: max(count, 1))
    self.count = count
  }

  deinit { unsafe free(base) }
}
