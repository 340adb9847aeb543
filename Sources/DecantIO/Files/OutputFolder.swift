package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An output folder that appears under its name complete, or not at all.
///
/// It is filled under a temporary name in the target's parent folder, and is removed with its contents unless it is
/// committed.
package final class OutputFolder {
  /// The path of the temporary folder, where files are written.
  package let path: String
  private let target: String
  private var isCommitted = false

  /// Creates the temporary folder.
  ///
  /// - Throws: ``DecantError`` when the target exists and is not an empty folder, or its parent cannot be written.
  package init(_ target: String) throws(DecantError) {
    var trimmed = target[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    var status = stat()
    let exists = unsafe stat(String(trimmed), &status) == 0
    // A link may lie in another folder than its target, and `.` is not a name that a folder can be renamed to.
    if exists, let resolved = unsafe realpath(String(trimmed), nil) {
      self.target = unsafe String(cString: resolved)
      unsafe free(resolved)
    } else {
      self.target = String(trimmed)
    }
    path = AtomicOutput.temporaryName(for: self.target)
    if exists {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        throw DecantError(
          .outputExists, "exists and is not a folder", file: target, remedy: "Choose another name.")
      }
      guard OutputFolder.isEmpty(self.target) else {
        throw DecantError(
          .outputExists, "is a folder that is not empty", file: target,
          remedy: "Empty it, or choose another name.")
      }
    }
    guard unsafe mkdir(path, 0o777) == 0 else {
      throw .system(
        errno, .writing(errno), "cannot be written", file: target,
        remedy: errno == EMFILE ? nil : "Choose a folder that you can write to.")
    }
  }

  deinit {
    guard !isCommitted else { return }
    OutputFolder.forEachName(in: path) { unsafe unlink(path + "/" + $0) }
    unsafe rmdir(path)
  }

  /// Gives the folder its name.
  package func commit(isDurable: Bool) throws(DecantError) {
    // The rename replaces only an empty folder.
    guard unsafe rename(path, target) == 0 else {
      throw .system(
        errno, .writing(errno), "cannot be put in place", file: target, remedy: "Nothing was changed.")
    }
    isCommitted = true
    if isDurable { try AtomicOutput.flush(folder: AtomicOutput.folder(of: target)) }
  }

  private static func isEmpty(_ path: String) -> Bool {
    var isEmpty = true
    forEachName(in: path) { _ in isEmpty = false }
    return isEmpty
  }

  private static func forEachName(in path: String, _ body: (String) -> Void) {
    guard let stream = unsafe opendir(path) else { return }
    defer { unsafe closedir(stream) }
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { body(name) }
    }
  }
}
