#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

extension String {
  /// Returns true when a shell pattern such as `layer4.*` matches the whole text; `*` also matches dots and slashes.
  ///
  /// Source: POSIX fnmatch(3) without flags.
  package func matches(glob pattern: String) -> Bool { unsafe fnmatch(pattern, self, 0) == 0 }
}
