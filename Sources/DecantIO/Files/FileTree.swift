package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The files that a list of paths names: the paths themselves and, for folders, all files below.
package struct FileTree: Sendable {
  /// A file that was found.
  package struct File: Sendable {
    package let path: FilePath
    /// True for a path of the list, false for a file in a folder.
    package let isNamed: Bool
  }

  /// A path that was not followed.
  package struct Skipped: Sendable {
    package let path: FilePath
    /// The reason as a clause.
    package let reason: String
    /// True when the caller asked for it.
    package let isWanted: Bool
  }

  /// The files, in the order of the paths. The files of a folder are sorted by the bytes of their paths.
  package private(set) var files: [File] = []
  /// The paths that were skipped, sorted for each folder.
  package private(set) var skipped: [Skipped] = []
  /// The errors of paths and folders that cannot be opened.
  package private(set) var errors: [DecantError] = []

  /// Finds the files. O(files).
  ///
  /// Follows links to files, also out of the folder: model caches consist of such links, and nothing is written. Does
  /// not follow links to folders, which prevents loops. Skips pipes, sockets and devices.
  ///
  /// - Parameter isSkipped: Returns true for the names of files and links in folders that are to be skipped.
  package init(_ paths: [String], skip isSkipped: (String) -> Bool = { _ in false }) {
    for text in paths {
      let path = FilePath(text)
      var status = stat()
      if StandardInput.isPath(path) {
        files.append(File(path: path, isNamed: true))
        continue
      }
      guard Self.status(of: path, followsLinks: true, &status) else {
        errors.append(Self.error(path))
        continue
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        walk(path, isSkipped)
      } else {
        files.append(File(path: path, isNamed: true))
      }
    }
  }

  /// Returns true when a path exists, and when that cannot be found out. Follows links.
  package static func exists(_ path: String) -> Bool {
    var current = stat()
    return Self.status(of: FilePath(path), followsLinks: true, &current)
      || ![ENOENT, ENOTDIR].contains(errno)
  }

  private static func status(of path: FilePath, followsLinks: Bool, _ status: inout stat) -> Bool {
    unsafe path.withSystemPath { folder, name in
      unsafe fstatat(folder, name, &status, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW)
    } == 0
  }

  private static func error(_ path: FilePath) -> DecantError {
    let number = errno
    let (code, remedy): (DecantError.Code, String?) =
      switch number {
      case ENOENT, ENOTDIR: (.fileNotFound, "Check the path.")
      case EACCES, EPERM: (.permissionDenied, "Ask its owner for permission to read it.")
      default: (.readFailed, nil)
      }
    return DecantError(
      code, "cannot be opened: \(unsafe String(cString: strerror(number)))", file: path.text, remedy: remedy)
  }

  private mutating func walk(_ root: FilePath, _ isSkipped: (String) -> Bool) {
    // Folders still to read; the last is read next.
    var folders = [root]
    var found: [FilePath] = []
    var passed: [Skipped] = []
    while let folder = folders.popLast() {
      let (names, isComplete) = Self.names(in: folder)
      if !isComplete { errors.append(Self.error(folder)) }
      for name in names {
        let path = folder.appending(name)
        func skip(_ reason: String, isWanted: Bool = false) {
          passed.append(Skipped(path: path, reason: reason, isWanted: isWanted))
        }
        var status = stat()
        guard Self.status(of: path, followsLinks: false, &status) else {
          errors.append(Self.error(path))
          continue
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: folders.append(path)
        case _ where isSkipped(FilePath(bytes: name).text): skip("is left out", isWanted: true)
        case S_IFREG: found.append(path)
        case S_IFLNK:
          guard Self.status(of: path, followsLinks: true, &status) else {
            if errno == ENOENT || errno == ELOOP {
              skip("is a broken link")
            } else {
              errors.append(Self.error(path))
            }
            continue
          }
          switch status.st_mode & S_IFMT {
          case S_IFREG: found.append(path)
          case S_IFDIR: skip("is a link to a folder")
          default: skip("is not a regular file")
          }
        default: skip("is not a regular file")
        }
      }
    }
    found.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    passed.sort { $0.path.bytes.lexicographicallyPrecedes($1.path.bytes) }
    files += found.map { File(path: $0, isNamed: false) }
    skipped += passed
  }

  /// Returns the names in a folder without `.` and `..`, and false, with `errno` set, when it cannot be read to its end.
  private static func names(in folder: FilePath) -> (names: [[UInt8]], isComplete: Bool) {
    let descriptor = unsafe folder.withSystemPath { parent, name in
      unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    guard descriptor >= 0 else { return ([], false) }
    guard let handle = unsafe fdopendir(descriptor) else {
      close(descriptor)
      return ([], false)
    }
    defer {
      // Closing must not replace the error of reading.
      let number = errno
      unsafe closedir(handle)
      errno = number
    }
    var names: [[UInt8]] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(handle) else { return (names, errno == 0) }
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe Array(bytes.prefix { $0 != 0 })
      }
      if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
    }
  }
}
