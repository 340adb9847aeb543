package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A folder that receives a file for each one of another folder, at the same relative path.
///
/// Nothing is written outside it: links in it are not followed.
package struct MirrorFolder {
  package let path: String

  /// - Parameter source: the folder that is mirrored; nil when a single file or checkpoint is.
  /// - Throws: ``DecantError`` when one of the two folders contains the other, since files that were written could then be
  ///   read as sources, or replace them.
  package init(_ path: String, of source: String?) throws(DecantError) {
    var trimmed = path[...]
    while trimmed.utf8.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    self.path = String(trimmed)
    guard let source, let target = Self.resolved(self.path), let source = Self.resolved(source) else {
      return
    }
    func contains(_ outer: String, _ inner: String) -> Bool {
      inner.utf8.elementsEqual(outer.utf8) || inner.utf8.starts(with: (outer == "/" ? "/" : outer + "/").utf8)
    }
    guard !contains(source, target), !contains(target, source) else {
      throw DecantError(
        .invalidArgument, "is the folder that is read, or one of the two is inside the other", file: path,
        remedy: "Choose another name.")
    }
  }

  /// Returns the name of a file or folder; that of the whole path for `.` and `..`.
  package static func name(of path: String) -> String {
    func last(_ path: String) -> String? { path.split(separator: "/").last.map(String.init) }
    let name = last(path) ?? ""
    return [".", "..", ""].contains(name) ? resolved(path).flatMap(last) ?? "checkpoint" : name
  }

  /// Returns a path without links. Its last name need not exist.
  private static func resolved(_ path: String) -> String? {
    func real(_ path: String) -> String? {
      guard let found = unsafe realpath(path, nil) else { return nil }
      defer { unsafe free(found) }
      return unsafe String(cString: found)
    }
    if let found = real(path) { return found }
    guard let folder = real(AtomicOutput.folder(of: path)) else { return nil }
    let name =
      path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.utf8.index(after: $0)...] } ?? path[...]
    return (folder == "/" ? "" : folder) + "/" + name
  }

  /// Returns the path of a file of the folder.
  package func path(of name: String) -> String { path == "/" ? "/" + name : path + "/" + name }

  /// Makes the folder and those above a file in it. Calls `body` with the file's path. If that fails, removes the folders
  /// that were made and are still empty.
  ///
  /// - Parameter name: the relative path of the file, without `..`.
  /// - Throws: ``DecantError`` when a folder cannot be made, and when the file or a folder above it is a link; the errors
  ///   of `body`.
  package func withFolders<Result>(above name: String, _ body: (String) throws -> Result) throws -> Result {
    let steps = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    precondition(!steps.contains { $0.isEmpty || $0.elementsEqual("..".utf8) })
    var made: [String] = []
    do {
      var folder = path
      if try Self.make(folder, allowsLink: true) { made.append(folder) }
      for step in steps.dropLast() {
        folder += "/" + String(decoding: step, as: UTF8.self)
        if try Self.make(folder, allowsLink: false) { made.append(folder) }
      }
      let file = self.path(of: name)
      var status = stat()
      if unsafe lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFLNK { throw Self.isLink(file) }
      return try body(file)
    } catch {
      for folder in made.reversed() { unsafe rmdir(folder) }
      throw error
    }
  }

  /// Makes a folder.
  ///
  /// - Returns: false when it exists.
  private static func make(_ folder: String, allowsLink: Bool) throws(DecantError) -> Bool {
    if unsafe mkdir(folder, 0o777) == 0 { return true }
    let number = errno
    var status = stat()
    guard number == EEXIST, unsafe lstat(folder, &status) == 0 else {
      throw .system(
        number, .writing(number), "cannot be made", file: folder,
        remedy: number == ENOENT
          ? "Make the folder first: mkdir -p \(AtomicOutput.folder(of: folder).shellWord)"
          : "Choose a folder that you can write to.")
    }
    if status.st_mode & S_IFMT == S_IFLNK {
      guard allowsLink else { throw isLink(folder) }
      guard unsafe stat(folder, &status) == 0 else {
        throw .system(errno, .writing(errno), "cannot be opened", file: folder)
      }
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw DecantError(
        .outputExists, "exists and is not a folder", file: folder, remedy: "Choose another name.")
    }
    return false
  }

  private static func isLink(_ path: String) -> DecantError {
    DecantError(
      .outputExists, "is a link, which --recursive does not follow", file: path,
      remedy: "Choose another name.")
  }
}
