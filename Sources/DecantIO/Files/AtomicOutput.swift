package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An output file that appears under its name complete, or not at all.
///
/// The bytes go to an unnamed file in the target's folder (`O_TMPFILE`), which the kernel removes whenever the
/// process ends, for any reason. ``commit()`` gives the file its name. On file systems without unnamed files it is a
/// temporary file, which is removed on failure. By default nothing is flushed to the disk, so the file may not
/// survive a power cut: a flush costs more than the copy.
package final class AtomicOutput {
  /// The path as the caller gave it.
  package let path: String
  /// The path of the finished file: `path` with symbolic links followed, as `cp` does.
  private let target: String
  private let descriptor: Int32
  /// The temporary file's path on file systems without unnamed files.
  private var temporary: String?
  private let writer: BlockWriter
  /// The appended feeds, whose results ``finish()`` checks after everything is written.
  private var feeds: [any BlockSource] = []
  private let overwrite: Bool
  /// True when the bytes go straight to standard output and no file gets a name.
  package let isStream: Bool

  /// Returns an output that writes to standard output.
  ///
  /// - Throws: ``DecantError`` when it is one of the `sources`.
  package static func standardOutput(sources: [FileIdentity]) throws(DecantError) -> AtomicOutput {
    var status = stat()
    if unsafe fstat(STDOUT_FILENO, &status) == 0, sources.contains(FileIdentity(status)) {
      throw sourceIsTarget("standard output")
    }
    return AtomicOutput()
  }

  private static func sourceIsTarget(_ path: String) -> DecantError {
    DecantError(
      .invalidArgument, "is the file being read", file: path,
      remedy: "Write to another file, then move it.")
  }

  private init() {
    path = "standard output"
    target = ""
    overwrite = true
    descriptor = STDOUT_FILENO
    isStream = true
    writer = BlockWriter(descriptor: STDOUT_FILENO, isStream: true)
  }

  /// Creates an unnamed file in the folder of `path`.
  ///
  /// - Parameters:
  ///   - name: The file's name in messages; by default the path.
  ///   - byteCount: The least number of bytes that the file will have; disk space for them is reserved.
  /// - Throws: ``DecantError`` when the folder cannot be written, the target is not a regular file, it is one of the
  ///   `sources`, the disk is full, or the target exists and `overwrite` is false.
  package init(
    _ path: String, named name: String? = nil, holding byteCount: Int = 0, overwrite: Bool,
    sources: [FileIdentity] = []
  ) throws(DecantError) {
    self.path = name ?? path
    self.overwrite = overwrite
    var target = path
    var mode: mode_t = 0o666
    var replaces = false
    var status = stat()
    if unsafe stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw DecantError(
          .notAFile, status.st_mode & S_IFMT == S_IFDIR ? "is a directory" : "is not a regular file",
          file: path,
          remedy: "Pass the file to write.")
      }
      if sources.contains(FileIdentity(status)) { throw AtomicOutput.sourceIsTarget(path) }
      guard overwrite else {
        throw DecantError(
          .outputExists, "exists already", file: path, advice: .replaceOutput)
      }
      mode = status.st_mode & 0o777
      replaces = true
      if let resolved = unsafe realpath(path, nil) {
        target = unsafe String(cString: resolved)
        unsafe free(resolved)
      }
    } else if unsafe lstat(path, &status) == 0 {
      // Like cp, do not replace the link and do not create a file at a path that the caller did not name.
      throw DecantError(
        .notAFile, "is a symbolic link to a file that does not exist", file: self.path,
        remedy: "Pass the file to write.")
    }
    self.target = target
    let folder = AtomicOutput.folder(of: target)
    var descriptor = Descriptors.openNameless(in: folder, mode: mode)
    if descriptor < 0, errno == EOPNOTSUPP {
      let name = AtomicOutput.temporaryName(for: target)
      descriptor = unsafe open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode)
      temporary = descriptor < 0 ? nil : name
    }
    guard descriptor >= 0 else {
      throw .system(
        errno, .writing(errno), "cannot be written", file: self.path,
        remedy: errno == EMFILE
          ? nil
          : errno == ENOENT
            ? "Make the folder first: mkdir -p \(folder.shellWord)" : "Choose a folder that you can write to."
      )
    }
    // Ignores the umask: a file that replaces another keeps its mode.
    if replaces { fchmod(descriptor, mode) }
    self.descriptor = descriptor
    isStream = false
    writer = BlockWriter(descriptor: descriptor)
    try reserve(byteCount)
  }

  /// Reserves disk space without changing the file's size, so that blocks are written in two thirds of the time.
  ///
  /// A file system that cannot reserve space allocates it as the bytes are written.
  private func reserve(_ byteCount: Int) throws(DecantError) {
    guard byteCount >= BlockWriter.blockByteCount else { return }
    let code = Descriptors.reserve(byteCount, for: descriptor)
    guard [ENOSPC, EDQUOT, EFBIG].contains(code) else { return }
    throw refusal(code, "its \(Format.count(byteCount, "byte")) cannot be written")
  }

  /// Returns the error of a write, or of a reservation, that the system refused.
  private func refusal(_ code: Int32, _ reason: String, at offset: Int? = nil) -> DecantError {
    .system(
      code, .writing(code), reason, file: path, offset: offset,
      remedy: code == ENOSPC
        ? "Free some space, or write to another disk. Nothing was changed."
        : isStream ? nil : "Nothing was changed.")
  }

  deinit {
    _ = writer.finish()
    if !isStream { close(descriptor) }
    if let temporary { unsafe unlink(temporary) }
  }

  /// The number of bytes appended so far.
  package var byteCount: Int { writer.byteCount }

  /// Appends `count` bytes. `fill` writes them into the output's buffer, in pieces of the output's choice.
  ///
  /// ``commit()`` throws the error of a failed write: until then the file has no name.
  package func append<E: Error>(
    byteCount count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    try unsafe writer.append(byteCount: count, fill: fill)
  }

  /// Appends the bytes of `feed`, which may be read later on another thread. ``finish()`` throws its errors.
  ///
  /// - Parameter appended: Called with the number of bytes of `feed` that are assigned to blocks so far.
  package func append<E: Error>(_ feed: any BlockSource, appended: (Int) throws(E) -> Void) throws(E) {
    feeds.append(feed)
    try writer.append(feed, appended: appended)
  }

  /// Appends the bytes of a buffer.
  package func write(_ bytes: UnsafeRawBufferPointer) {
    var done = 0
    unsafe writer.append(byteCount: bytes.count) { target in
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + target.count]))
      done += target.count
    }
  }

  /// Appends the bytes of an array.
  package func write(_ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes { unsafe write($0) }
  }

  /// Overwrites bytes that ``finish()`` has waited for.
  package func replace(at offset: Int, with bytes: [UInt8]) throws(DecantError) {
    if let failure = writer.replace(at: offset, with: bytes) { throw error(of: failure) }
  }

  /// Gives the file its name, replacing an existing file of that name.
  ///
  /// - Parameter isDurable: True to flush the file's data and then its name to the disk. The file then survives a
  ///   power cut; this costs more than the writing.
  /// - Throws: ``DecantError`` when a write has failed or the file cannot be named. The target is unchanged then.
  package func commit(isDurable: Bool = false) throws(DecantError) {
    try finish()
    if isStream { return }
    if isDurable, fsync(descriptor) != 0 { throw failure() }
    try name()
    if isDurable {
      try AtomicOutput.flush(folder: AtomicOutput.folder(of: target))
    }
  }

  /// Flushes a folder's directory entries to the disk.
  package static func flush(folder path: String) throws(DecantError) {
    let folder = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if folder >= 0 { close(folder) } }
    guard folder >= 0, fsync(folder) == 0 else {
      throw .system(errno, .writing(errno), "cannot be flushed to the disk", file: path)
    }
  }

  /// Waits until every byte is written.
  ///
  /// - Throws: ``DecantError`` when a write or a feed has failed.
  package func finish() throws(DecantError) {
    if let failure = writer.finish() { throw error(of: failure) }
    for feed in feeds { try feed.finish() }
    feeds = []
  }

  /// Returns the bytes written so far as an input file.
  package func reopened() throws(DecantError) -> InputFile {
    let copy = Descriptors.reopen(descriptor)
    guard copy >= 0 else {
      throw .system(errno, .reading(errno), "cannot be read again", file: path)
    }
    return try InputFile(descriptor: copy, path: path)
  }

  private func error(of failure: BlockWriter.Failure) -> DecantError {
    switch failure {
    case .write(let code, let offset): refusal(code, "cannot be written", at: offset)
    case .feed(let error, _): error
    }
  }

  /// Returns the error of `--check` when the output differs from what was written.
  package func mismatch(_ reason: String, tensor: String? = nil) -> DecantError {
    DecantError(
      .outputDiffers, "the output differs from the source: \(reason)", file: path, tensor: tensor,
      remedy: "Please report this. Nothing was changed.")
  }

  /// Removes the existing file with the target's name, if there is one.
  package func removeTarget() { unsafe unlink(target) }

  private func name() throws(DecantError) {
    if let temporary {
      // Unlike a rename, a link never replaces a file that was created in the meantime.
      let isNamed = unsafe overwrite ? rename(temporary, target) : link(temporary, target)
      guard isNamed == 0 else { throw failure() }
      if overwrite { self.temporary = nil }
      return
    }
    if Descriptors.setName(target, of: descriptor) { return }
    guard errno == EEXIST, overwrite else { throw failure() }
    // A link cannot replace an existing file; a rename can.
    let name = AtomicOutput.temporaryName(for: target)
    guard Descriptors.setName(name, of: descriptor) else { throw failure() }
    guard unsafe rename(name, target) == 0 else {
      let failure = failure()
      unsafe unlink(name)
      throw failure
    }
  }

  private func failure() -> DecantError {
    errno == EEXIST
      ? DecantError(.outputExists, "exists already", file: path, advice: .replaceOutput)
      : .system(errno, .writing(errno), "cannot be put in place", file: path, remedy: "Nothing was changed.")
  }

  package static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
  }

  static func temporaryName(for path: String) -> String {
    "\(folder(of: path))/.decant-\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))"
  }
}
