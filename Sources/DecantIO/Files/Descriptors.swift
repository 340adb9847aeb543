#if canImport(Glibc)
  internal import CFallocate
  internal import Glibc
#elseif canImport(Musl)
  internal import CFallocate
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// File descriptors: the operations that Linux and Darwin spell differently.
///
/// As system calls do, each sets `errno` when it fails.
enum Descriptors {
  // MARK: Nameless files

  /// Creates a file without a name in a folder, open for `access`. The kernel removes it when the process ends.
  ///
  /// - Returns: the descriptor; -1 where the file system, or the system, has no such files (`EOPNOTSUPP`).
  static func openNameless(in folder: String, mode: mode_t, access: Int32 = O_WRONLY) -> Int32 {
    #if os(Linux)
      // O_TMPFILE of <fcntl.h>, a macro that Swift does not import.
      let nameless = 0o20000000 | O_DIRECTORY
      let descriptor = unsafe open(folder, nameless | access | O_CLOEXEC, mode)
      // Kernels and file systems without such files say so in three ways.
      if descriptor < 0, [EISDIR, EINVAL].contains(errno) { errno = EOPNOTSUPP }
      return descriptor
    #else
      errno = EOPNOTSUPP
      return -1
    #endif
  }

  /// Gives a nameless file a name that no file has.
  ///
  /// - Returns: true when it has the name; otherwise `errno` is EEXIST, or another error.
  static func setName(_ name: String, of nameless: Int32) -> Bool {
    #if os(Linux)
      unsafe linkat(AT_FDCWD, "/proc/self/fd/\(nameless)", AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0
    #else
      errno = EOPNOTSUPP
      return false
    #endif
  }

  /// Reserves disk space without changing the file's size.
  ///
  /// - Returns: 0, or the error number; file systems that cannot reserve return `EOPNOTSUPP`.
  static func reserve(_ byteCount: Int, for descriptor: Int32) -> Int32 {
    #if os(Linux)
      return fallocate(descriptor, FALLOCATE_KEEP_SIZE, 0, off_t(byteCount)) == 0 ? 0 : errno
    #else
      var request = fstore_t(
        fst_flags: UInt32(F_ALLOCATEALL), fst_posmode: F_PEOFPOSMODE, fst_offset: 0,
        fst_length: off_t(byteCount),
        fst_bytesalloc: 0)
      return unsafe fcntl(descriptor, F_PREALLOCATE, &request) == 0 ? 0 : errno
    #endif
  }

  // MARK: Open files

  /// The flag that opens a file without side effects: nothing is read, and a pipe or device does not wait.
  static var inspection: Int32 {
    #if os(Linux)
      // O_PATH of <fcntl.h>, a macro that Swift does not import.
      0o10000000
    #else
      O_EVTONLY | O_NONBLOCK
    #endif
  }

  /// Returns the path of an open file with links resolved; nil where the system does not know it (Linux without /proc).
  static func path(of descriptor: Int32) -> String? {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX) + 1) { buffer in
      guard let base = buffer.baseAddress else { return nil }
      #if os(Linux)
        let count = unsafe readlink("/proc/self/fd/\(descriptor)", base, Int(PATH_MAX))
      #else
        let count = unsafe fcntl(descriptor, F_GETPATH, base) == 0 ? strlen(base) : 0
      #endif
      guard count > 0 else { return nil }
      return unsafe String(
        decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]), as: UTF8.self)
    }
  }

  /// Opens the file of a descriptor again, for reading; -1 when it cannot be opened.
  static func reopen(_ descriptor: Int32) -> Int32 {
    #if os(Linux)
      return unsafe open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    #else
      guard let path = path(of: descriptor) else { return -1 }
      return unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    #endif
  }

  // MARK: Their number

  /// Raises the number of files that the process may have open as far as the system allows.
  ///
  /// - Returns: the limit afterwards.
  static func raiseLimit(to wanted: Int) -> Int {
    #if os(Linux)
      // RLIMIT_NOFILE of <sys/resource.h>, which Swift imports with a type that the functions do not accept.
      let openFiles = __rlimit_resource_t(7)
    #else
      let openFiles = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    guard unsafe getrlimit(openFiles, &limit) == 0 else { return .max }
    let before = limit.rlim_cur
    limit.rlim_cur = min(max(before, rlim_t(wanted)), limit.rlim_max)
    guard limit.rlim_cur > before, unsafe setrlimit(openFiles, &limit) == 0 else {
      return Int(clamping: before)
    }
    return Int(clamping: limit.rlim_cur)
  }
}
