package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A folder that appears under its name whole, or not at all.
///
/// It is filled under a temporary name beside the target, and removed with all that is in it unless it is committed.
package final class OutputFolder {
  /// Where its files are written.
  package let path: String
  private let target: String
  private var isCommitted = false

  /// Makes the temporary folder.
  ///
  /// - Throws: ``DecantError`` when the target exists and is no empty folder, or nothing can be made beside it.
  package init(_ target: String) throws(DecantError) {
    var trimmed = target[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    var status = stat()
    let exists = unsafe stat(String(trimmed), &status) == 0
    // A link's own place is not where its folder is, and `.` has no name that could be given.
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
          .outputExists, "is a folder that is not empty, which is not replaced", file: target,
          remedy: "Empty it, or choose another name.")
      }
    }
    guard unsafe mkdir(path, 0o777) == 0 else {
      throw .system(
        errno, .writing(errno), "cannot be written", file: target,
        remedy: errno == EMFILE ? nil : "Choose a folder you may write to.")
    }
  }

  deinit {
    guard !isCommitted else { return }
    OutputFolder.forEachName(in: path) { unsafe unlink(path + "/" + $0) }
    unsafe rmdir(path)
  }

  /// Gives the folder its name.
  package func commit(isDurable: Bool) throws(DecantError) {
    // Replaces an empty folder, and nothing else.
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
