package import DecantBytes
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A regular file open for reading.
///
/// Bytes are read with `pread` into the caller's buffer. ``mappedBytes()`` maps the whole file once, for access
/// without a copy. If another process truncates a mapped file, touching the lost pages raises SIGBUS; reading them
/// throws.
package final class InputFile: StorageContent, Sendable {
  /// The file's path as the caller gave it.
  package let path: String
  /// The file's size in bytes when it was opened.
  package let byteCount: Int
  /// The device and inode, which identify the file under any name.
  package let identity: FileIdentity
  /// The password of archives in the file; nil when none was given.
  package let password: String?
  private let descriptor: Int32
  private let mapping = Mutex<Mapping?>(nil)

  @safe private struct Mapping: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
  }

  /// Opens a file.
  ///
  /// - Throws: ``DecantError`` when it does not exist, cannot be opened, or is not a regular file.
  package convenience init(_ path: String, password: String? = nil) throws(DecantError) {
    try self.init(FilePath(path), password: password)
  }

  /// Opens a file by a path of any bytes and length.
  ///
  /// - Throws: ``DecantError`` when it does not exist, cannot be opened, or is not a regular file.
  package convenience init(_ path: FilePath, password: String? = nil) throws(DecantError) {
    if StandardInput.isPath(path) {
      try self.init(descriptor: StandardInput.descriptor(), path: path.text, password: password)
      return
    }
    // With O_NONBLOCK, opening a FIFO without a writer does not block.
    let descriptor = unsafe path.withSystemPath { folder, name in
      unsafe openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    }
    guard descriptor >= 0 else {
      throw .system(errno, .reading(errno), "cannot be opened", file: path.text)
    }
    try self.init(descriptor: descriptor, path: path.text, password: password)
  }

  /// Takes ownership of a descriptor that is open for reading.
  ///
  /// - Throws: ``DecantError`` when it is not a regular file; the descriptor is closed then.
  package init(descriptor: Int32, path: String, password: String? = nil) throws(DecantError) {
    self.password = password
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw InputFile.notRegular(status.st_mode, path)
    }
    self.path = path
    self.descriptor = descriptor
    byteCount = Int(status.st_size)
    identity = FileIdentity(status)
  }

  /// Returns the error for a path that is not a regular file.
  static func notRegular(_ mode: mode_t, _ path: String) -> DecantError {
    let isDirectory = mode & S_IFMT == S_IFDIR
    return DecantError(
      .notAFile, isDirectory ? "is a directory, not a checkpoint file" : "is not a regular file",
      file: path,
      remedy: isDirectory
        ? "Pass a file inside it." : "Copy its contents to a regular file first.")
  }

  package var isRandomAccess: Bool { true }

  deinit {
    mapping.withLock { mapping in
      if let mapping {
        unsafe munmap(UnsafeMutableRawPointer(mutating: mapping.bytes.baseAddress), mapping.bytes.count)
      }
    }
    close(descriptor)
  }

  /// Fills `buffer` with the bytes at `offset`.
  ///
  /// - Throws: ``DecantError`` when the file ends before the buffer is full, or the read fails.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError) {
    var done = 0
    while done < buffer.count {
      let count = unsafe pread(
        descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        // Callers stay within the size at opening, so the file has been truncated since.
        throw DecantError(
          .readFailed, "was truncated while it was read: \(buffer.count - done) more bytes are needed",
          file: path,
          offset: offset + done, remedy: "Wait until it is completely written.")
      } else if errno != EINTR {
        throw .system(errno, .reading(errno), "cannot be read", file: path, offset: offset + done)
      }
    }
  }

  /// Returns a copy of the whole file. O(bytes).
  ///
  /// - Throws: ``DecantError`` when the file has been truncated since it was opened, or the read fails.
  package func contents() throws(DecantError) -> [UInt8] {
    try unsafe [UInt8](byteCount: byteCount) { buffer throws(DecantError) in
      try unsafe read(into: buffer, at: 0)
    }
  }

  /// Returns the whole file as memory, mapped at the first call and valid as long as this object lives.
  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    let result = mapping.withLock { mapping -> Result<Mapping, DecantError> in
      if let mapping { return .success(mapping) }
      guard byteCount > 0 else {
        return .success(unsafe Mapping(bytes: UnsafeRawBufferPointer(start: nil, count: 0)))
      }
      let address = unsafe mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
      guard let address = unsafe address, unsafe address != MAP_FAILED else {
        return .failure(.system(errno, .reading(errno), "cannot be mapped", file: path))
      }
      let made = unsafe Mapping(bytes: UnsafeRawBufferPointer(start: address, count: byteCount))
      mapping = made
      return .success(made)
    }
    return try unsafe result.get().bytes
  }
}

/// The identity of a file, independent of its path.
package struct FileIdentity: Hashable, Sendable {
  package let device: UInt64
  let inode: UInt64

  /// Returns the identity of the file that a path leads to; nil when there is none.
  package init?(path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  init(_ status: stat) { (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino)) }
}

extension DecantError {
  /// Returns the error of a system call that failed with an error number.
  ///
  /// - Parameters:
  ///   - code: `.reading(number)` or `.writing(number)`.
  ///   - failure: The operation that failed, such as "cannot be opened".
  ///   - remedy: The remedy; by default one that depends on the number only.
  package static func system(
    _ number: Int32, _ code: Code, _ failure: String, file: String, offset: Int? = nil, remedy: String? = nil
  ) -> DecantError {
    let usual: String? =
      switch number {
      case EACCES, EPERM: "Ask its owner for permission."
      case EMFILE: "Allow more open files: ulimit -n 65536"
      case ENOENT: "Check the path."
      default: nil
      }
    return DecantError(
      code, "\(failure): \(unsafe String(cString: strerror(number)))", file: file, offset: offset,
      remedy: remedy ?? usual)
  }
}

extension DecantError.Code {
  /// Returns the code of a system call that failed to open or read a file.
  package static func reading(_ number: Int32) -> Self {
    switch number {
    case ENOENT, ENOTDIR: .fileNotFound
    case EACCES, EPERM: .permissionDenied
    case ENOMEM: .outOfMemory
    default: .readFailed
    }
  }

  /// Returns the code of a system call that failed to create or write a file.
  package static func writing(_ number: Int32) -> Self {
    switch number {
    case ENOENT, ENOTDIR: .fileNotFound
    case EACCES, EPERM, EROFS: .permissionDenied
    case ENOSPC, EDQUOT: .diskFull
    case EEXIST, ENOTEMPTY: .outputExists
    case ENOMEM: .outOfMemory
    default: .writeFailed
    }
  }
}
