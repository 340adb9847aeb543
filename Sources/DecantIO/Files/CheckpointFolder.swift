package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A checkpoint folder whose files are opened by names that come from another file in it: an index, a `.metadata`.
///
/// Such names are not trusted. A name is opened without side effects (`O_PATH`), the kernel reports the path it
/// resolved to, and only a regular file inside the folder is read. docs/adr/0007 lists the links that are followed.
package struct CheckpointFolder {
  /// The folder's path as the caller gave it.
  package let path: String
  /// The password of archives in the folder's files; nil when none was given.
  private let password: String?
  private let handle: Handle
  /// The folders that files may lie in: the folder itself and, for a snapshot in a Hugging Face cache, its `blobs`.
  private let roots: [String]

  /// A file descriptor of the folder, closed with the last copy.
  private final class Handle: Sendable {
    let descriptor: Int32
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
  }

  /// Opens a folder; nil when there is no folder at the path.
  ///
  /// - Throws: ``DecantError`` when the folder cannot be opened.
  package init?(_ path: String, password: String? = nil) throws(DecantError) {
    self.password = password
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOTDIR || errno == ENOENT { return nil }
      throw .system(errno, .reading(errno), "cannot be opened", file: path)
    }
    handle = Handle(descriptor)
    self.path = path
    guard let resolved = Descriptors.path(of: descriptor) else {
      throw DecantError(.readFailed, "cannot be located: /proc is not mounted", file: path)
    }
    roots = [resolved] + (CheckpointFolder.blobs(ofSnapshot: resolved).map { [$0] } ?? [])
  }

  /// The folder a file lies in, and the file's name there.
  package static func containing(
    _ path: String, password: String? = nil
  ) throws(DecantError) -> (folder: CheckpointFolder, name: String)? {
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let parent = slash.map { $0 == path.utf8.startIndex ? "/" : String(path[..<$0]) } ?? "."
    guard let folder = try CheckpointFolder(parent, password: password) else { return nil }
    return (folder, slash.map { String(path[path.utf8.index(after: $0)...]) } ?? path)
  }

  /// Returns the path that messages show for a file of the folder.
  package func path(of name: String) -> String {
    path == "." ? name : path.hasSuffix("/") ? path + name : path + "/" + name
  }

  /// Opens a file by a name relative to the folder.
  ///
  /// - Throws: ``DecantError`` when the name leads out of the folder, does not exist, or is not a regular file.
  package func file(_ name: String) throws(DecantError) -> InputFile {
    if let file = try find(name) { return file }
    errno = ENOENT
    throw CheckpointFolder.failure(path(of: name))
  }

  /// Opens a file by a name relative to the folder; nil when the name does not exist.
  ///
  /// - Throws: ``DecantError`` when the name leads out of the folder, or is not a regular file.
  package func find(_ name: String) throws(DecantError) -> InputFile? {
    let path = path(of: name)
    let steps = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard !name.isEmpty, !name.utf8.contains(0),
      !steps.contains(where: { $0.isEmpty || $0.elementsEqual("..".utf8) })
    else {
      throw DecantError(
        .deceptive, "the name \"\(name.escapedForDisplay)\" does not stay inside the folder",
        file: self.path,
        remedy: "Do not trust the checkpoint: the name is malicious.")
    }
    let found = CheckpointFolder.retryingWithMoreDescriptors {
      unsafe openat(handle.descriptor, name, Descriptors.inspection | O_CLOEXEC)
    }
    if found < 0, errno == ENOENT { return nil }
    guard found >= 0 else { throw CheckpointFolder.failure(path) }
    defer { close(found) }
    var status = stat()
    guard unsafe fstat(found, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw InputFile.notRegular(status.st_mode, path)
    }
    guard let resolved = Descriptors.path(of: found),
      roots.contains(where: { resolved.utf8.starts(with: ($0 == "/" ? "/" : $0 + "/").utf8) })
    else {
      throw DecantError(
        .deceptive,
        "is a link to a file outside its folder\(Descriptors.path(of: found).map { " (\($0.escapedForDisplay))" } ?? "")",
        file: path,
        remedy: "If you trust the link, replace it by a copy of the file: cp -L.")
    }
    let descriptor = CheckpointFolder.retryingWithMoreDescriptors {
      Descriptors.reopen(found)
    }
    guard descriptor >= 0 else { throw CheckpointFolder.failure(path) }
    return try InputFile(descriptor: descriptor, path: path, password: password)
  }

  /// Opens the folder with this name inside this folder; nil when there is none.
  ///
  /// - Throws: ``DecantError`` when the name is not a plain one, or is a link that leads out of this folder.
  package func folder(_ name: String) throws(DecantError) -> CheckpointFolder? {
    guard !name.isEmpty, name != ".", name != "..",
      !name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") })
    else {
      throw DecantError(
        .deceptive, "the name \"\(name.escapedForDisplay)\" is not the plain name of a folder",
        file: path,
        remedy: "Do not trust the checkpoint: the name is malicious.")
    }
    guard let inner = try CheckpointFolder(path(of: name), password: password) else { return nil }
    guard let resolved = Descriptors.path(of: inner.handle.descriptor),
      roots.contains(where: { resolved.utf8.starts(with: ($0 == "/" ? "/" : $0 + "/").utf8) })
    else {
      throw DecantError(
        .deceptive, "is a link to a folder outside its own", file: path(of: name),
        remedy: "If you trust the link, name the folder that it leads to.")
    }
    return inner
  }

  /// An entry of a folder.
  package struct Entry {
    /// The name, which need not be UTF-8.
    package let name: FilePath
    /// False for files, links and everything else.
    package let isFolder: Bool
  }

  /// Returns the entries of the folder, sorted by the bytes of their names. O(entries log entries).
  ///
  /// - Throws: ``DecantError`` when the folder cannot be read, or has more than `limit` entries.
  package func entries(limit: Int) throws(DecantError) -> [Entry] {
    var entries: [Entry] = []
    try list(".", limit: limit) { entries.append(Entry(name: FilePath(bytes: $0), isFolder: $1)) }
    return entries.sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) }
  }

  /// Returns the names of the files in the folder, sorted by their bytes. O(entries log entries).
  ///
  /// - Throws: ``DecantError`` when the folder cannot be read, or has more than `limit` entries.
  package func names(limit: Int) throws(DecantError) -> [String] {
    try entries(limit: limit).filter { !$0.isFolder }.map(\.name.repairedText)
  }

  /// Returns the names of the folders in the folder, sorted by their bytes. Links are left out.
  ///
  /// - Throws: ``DecantError`` when the folder cannot be read, or has more than `limit` entries.
  package func folderNames(limit: Int) throws(DecantError) -> [String] {
    try entries(limit: limit).filter(\.isFolder).map(\.name.repairedText)
  }

  /// Returns the files in the folder and in the folders below it with their sizes, sorted by the bytes of their names,
  /// which are relative to the folder. Links to folders are not followed.
  ///
  /// - Throws: ``DecantError`` when a folder cannot be read, or there are more than `limit` files and folders.
  package func filesBelow(limit: Int) throws(DecantError) -> [(name: String, byteCount: Int)] {
    var found: [(name: String, byteCount: Int)] = []
    var folders = [""]
    var seen = 0
    while let parent = folders.popLast() {
      try list(parent.isEmpty ? "." : parent, limit: limit - seen) { bytes, isFolder in
        let name = FilePath(bytes: bytes).repairedText
        let path = parent.isEmpty ? name : parent + "/" + name
        seen += 1
        if isFolder { return folders.append(path) }
        var status = stat()
        if unsafe fstatat(handle.descriptor, path, &status, 0) == 0, status.st_mode & S_IFMT == S_IFREG {
          found.append((path, Int(status.st_size)))
        }
      }
    }
    return found.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// Calls `body` with each entry of a folder but `.` and `..`, and with true for folders.
  private func list(
    _ folder: String, limit: Int, _ body: ([UInt8], Bool) -> Void
  ) throws(DecantError) {
    let own = CheckpointFolder.retryingWithMoreDescriptors {
      unsafe openat(handle.descriptor, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    }
    guard own >= 0, let stream = unsafe fdopendir(own) else {
      throw .system(errno, .reading(errno), "cannot be read", file: folder == "." ? path : path(of: folder))
    }
    defer { unsafe closedir(stream) }
    var count = 0
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      guard name != [0x2E], name != [0x2E, 0x2E] else { continue }
      count += 1
      guard count <= limit else {
        throw DecantError(
          .limitExceeded, "holds more than \(limit) files", file: path, remedy: "Pass the checkpoint's index."
        )
      }
      body(name, unsafe entry.pointee.d_type == UInt8(DT_DIR))
    }
  }

  /// Returns the folder with the files of a Hugging Face snapshot: `NAME/blobs` for `NAME/snapshots/REVISION/…`. Nil
  /// for other paths.
  private static func blobs(ofSnapshot resolved: String) -> String? {
    let steps = resolved.split(separator: "/", omittingEmptySubsequences: false)
    guard let snapshots = steps.lastIndex(of: "snapshots"), snapshots > 1, snapshots + 1 < steps.count else {
      return nil
    }
    return (steps[..<snapshots] + ["blobs"]).joined(separator: "/")
  }

  /// Calls `open`. If the process has too many open files, raises its limit as far as allowed and tries once more.
  private static func retryingWithMoreDescriptors(_ open: () -> Int32) -> Int32 {
    let first = open()
    guard first < 0, errno == EMFILE else { return first }
    _ = Descriptors.raiseLimit(to: .max)
    return open()
  }

  private static func failure(_ path: String) -> DecantError {
    let isMissing = errno == ENOENT
    return .system(
      errno, isMissing ? .partMissing : .reading(errno), "cannot be opened", file: path,
      remedy: isMissing ? "The checkpoint is incomplete. Download the missing file." : nil)
  }
}
