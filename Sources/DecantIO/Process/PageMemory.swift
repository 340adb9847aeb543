#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Memory that is not initialised, in large pages when it fills one.
///
/// Large pages spare the walk through tables for every 4 KiB, which is a part of the time of large matrices, and the kernel
/// hands one out in a quarter of the time of the small ones.
package enum PageMemory {
  private static let largePage = 1 << 21

  /// Allocates memory, 64-byte aligned; nil when the machine has no room. ``free(_:)`` gives it back.
  package static func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount >= 0, byteCount < Int.max - 64 else { return nil }
    let isLarge = byteCount >= largePage
    var memory: UnsafeMutableRawPointer?
    // aligned_alloc wants a multiple of the alignment; posix_memalign does not.
    guard unsafe posix_memalign(&memory, isLarge ? largePage : 64, max((byteCount + 63) / 64 * 64, 64)) == 0
    else { return nil }
    #if os(Linux)
      if isLarge, let memory = unsafe memory {
        _ = unsafe madvise(memory, byteCount / largePage * largePage, MADV_HUGEPAGE)
      }
    #endif
    return unsafe memory
  }

  /// Gives memory back.
  package static func free(_ memory: UnsafeMutableRawPointer) { unsafe systemFree(memory) }
}

/// The system's function, whose name the method shadows.
private func systemFree(_ memory: UnsafeMutableRawPointer) { unsafe free(memory) }
