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
  /// The files, in the order of the paths. The files of a folder are sorted by the bytes of their paths.
  package private(set) var files: [String] = []
  /// The paths that were skipped, each with the reason as a clause.
  package private(set) var skipped: [(path: String, reason: String)] = []
  /// The errors of paths and folders that cannot be opened.
  package private(set) var errors: [DecantError] = []

  /// Finds the files. O(files).
  ///
  /// Follows links to files, also out of the folder: model caches consist of such links, and nothing is written. Does
  /// not follow links to folders, which prevents loops. Skips pipes, sockets and devices.
  ///
  /// - Parameter isSkipped: Returns true for the names of files in folders that are to be skipped.
  package init(_ paths: [String], skip isSkipped: (String) -> Bool = { _ in false }) {
    for path in paths {
      var status = stat()
      guard unsafe stat(path, &status) == 0 else {
        errors.append(Self.error(path))
        continue
      }
      if status.st_mode & S_IFMT == S_IFDIR { walk(path, isSkipped) } else { files.append(path) }
    }
  }

  private static func error(_ path: String) -> DecantError {
    let number = errno
    let (code, remedy): (DecantError.Code, String?) =
      switch number {
      case ENOENT, ENOTDIR: (.fileNotFound, "Check the path.")
      case EACCES, EPERM: (.permissionDenied, "Ask its owner for permission to read it.")
      default: (.readFailed, nil)
      }
    return DecantError(
      code, "cannot be opened: \(unsafe String(cString: strerror(number)))", file: path, remedy: remedy)
  }

  private mutating func walk(_ root: String, _ isSkipped: (String) -> Bool) {
    // Folders still to read; the last is read next.
    var folders = [root]
    var found: [(path: [UInt8], text: String)] = []
    while let folder = folders.popLast() {
      guard let names = Self.names(in: folder) else {
        errors.append(Self.error(folder))
        continue
      }
      for name in names {
        let path = folder.hasSuffix("/") ? folder + name : folder + "/" + name
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { continue }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: folders.append(path)
        case _ where isSkipped(name): skipped.append((path, "is left out"))
        case S_IFREG: found.append((Array(path.utf8), path))
        case S_IFLNK:
          guard unsafe stat(path, &status) == 0 else {
            skipped.append((path, "is a broken link"))
            continue
          }
          switch status.st_mode & S_IFMT {
          case S_IFREG: found.append((Array(path.utf8), path))
          case S_IFDIR: skipped.append((path, "is a link to a folder"))
          default: skipped.append((path, "is not a regular file"))
          }
        default: skipped.append((path, "is not a regular file"))
        }
      }
    }
    found.sort { $0.path.lexicographicallyPrecedes($1.path) }
    skipped.sort { $0.path < $1.path }
    files += found.map(\.text)
  }

  /// Returns the names in a folder without `.` and `..`, or nil when it cannot be read.
  private static func names(in folder: String) -> [String]? {
    guard let handle = unsafe opendir(folder) else { return nil }
    defer { unsafe closedir(handle) }
    var names: [String] = []
    while let entry = unsafe readdir(handle) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}
