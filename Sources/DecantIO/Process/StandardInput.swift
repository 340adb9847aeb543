internal import DecantBytes
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Standard input as a file that can be read at any offset, any number of times.
///
/// A regular file is read as it is. A pipe is copied to a file without a name in `$TMPDIR` or /tmp, which the kernel
/// removes when the process ends. The disk bounds its size.
package enum StandardInput {
  /// The path that stands for standard input.
  package static let path = "-"

  private static let state = Mutex(State())

  private struct State {
    var isAccepted = false
    /// The descriptor to read from; nil until the first use.
    var descriptor: Int32?
  }

  /// From now on, the path `-` opens standard input.
  package static func acceptAsPath() { state.withLock { $0.isAccepted = true } }

  /// Returns true for the path that opens standard input.
  static func isPath(_ path: FilePath) -> Bool {
    path.bytes == Array(Self.path.utf8) && state.withLock { $0.isAccepted }
  }

  /// Returns a new descriptor of standard input. The first call copies a pipe to its end.
  static func descriptor() throws(DecantError) -> Int32 {
    let result = state.withLock { state -> Result<Int32, DecantError> in
      do throws(DecantError) {
        let descriptor = if let known = state.descriptor { known } else { try seekable() }
        state.descriptor = descriptor
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .system(errno, .reading(errno), "cannot be opened", file: path) }
        return .success(copy)
      } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Returns a descriptor of all that is left to read of standard input, from offset 0 on.
  private static func seekable() throws(DecantError) -> Int32 {
    guard isatty(STDIN_FILENO) == 0 else {
      throw DecantError(
        .invalidArgument, "is a terminal", file: path,
        remedy: "Redirect a file, such as decant inspect - < model.pth, or name it.")
    }
    var status = stat()
    if unsafe fstat(STDIN_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      lseek(STDIN_FILENO, 0, SEEK_CUR) == 0
    {
      return STDIN_FILENO
    }
    return try copied()
  }

  /// Copies standard input to a file without a name. O(bytes).
  private static func copied() throws(DecantError) -> Int32 {
    let folder = unsafe getenv("TMPDIR").flatMap { unsafe String(validatingCString: $0) } ?? "/tmp"
    let spool = namelessFile(in: folder)
    guard spool >= 0 else {
      throw .system(
        errno, .writing(errno), "cannot be copied to a temporary file in \(folder.escapedForDisplay)",
        file: path,
        remedy: "Set TMPDIR to a folder with space that you can write to.")
    }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 16) {
      (buffer) throws(DecantError) -> Int32 in
      while true {
        let count = unsafe read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        if count == 0 { return spool }
        guard count > 0 else {
          if errno == EINTR { continue }
          throw .system(errno, .reading(errno), "cannot be read", file: path)
        }
        var done = 0
        while done < count {
          let written = unsafe write(spool, buffer.baseAddress! + done, count - done)
          if written >= 0 {
            done += written
          } else if errno != EINTR {
            throw .system(
              errno, .writing(errno), "cannot be copied to a temporary file in \(folder.escapedForDisplay)",
              file: path, remedy: "Set TMPDIR to a folder with space that you can write to.")
          }
        }
      }
    }
  }

  private static func namelessFile(in folder: String) -> Int32 {
    let nameless = Descriptors.openNameless(in: folder, mode: 0o600, access: O_RDWR)
    guard nameless < 0, errno == EOPNOTSUPP else { return nameless }
    let name = AtomicOutput.temporaryName(for: folder + "/-")
    let descriptor = unsafe open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
    if descriptor >= 0 { unsafe unlink(name) }
    return descriptor
  }

}
