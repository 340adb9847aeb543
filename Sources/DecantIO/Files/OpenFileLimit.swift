package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The process's limit of open files.
package enum OpenFileLimit {
  /// Raises the limit so that a conversion can keep `count` files open at once.
  ///
  /// - Throws: ``DecantError`` when the system does not allow that many.
  package static func allow(_ count: Int) throws(DecantError) {
    // RLIMIT_NOFILE of <sys/resource.h>, which Swift imports with a type that the functions do not accept.
    let openFiles = __rlimit_resource_t(7)
    // Sources and libraries keep files open too.
    let needed = rlim_t(count + 64)
    var limit = rlimit()
    guard unsafe getrlimit(openFiles, &limit) == 0, limit.rlim_cur < needed else { return }
    limit.rlim_cur = min(needed, limit.rlim_max)
    guard limit.rlim_cur >= needed, unsafe setrlimit(openFiles, &limit) == 0 else {
      throw DecantError(
        .writeFailed, "\(count) files would be open at once, and the system allows \(limit.rlim_max)",
        advice: .largerShards)
    }
  }
}
