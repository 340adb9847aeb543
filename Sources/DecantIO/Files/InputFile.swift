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
/// Reading is by `pread` into the caller's buffer; ``mappedBytes()`` maps the whole file once, for those who want
/// bytes without a copy. A mapped file that another process truncates raises SIGBUS when the lost pages are
/// touched; a read of them throws.
package final class InputFile: StorageContent, Sendable {
  /// The path as the caller gave it.
  package let path: String
  /// The size when it was opened.
  package let byteCount: Int
  /// Device and inode, to recognise the same file under another name.
  package let identity: FileIdentity
  private let descriptor: Int32
  private let mapping = Mutex<Mapping?>(nil)

  @safe private struct Mapping: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
  }

  /// Opens a file.
  ///
  /// - Throws: ``DecantError`` when it does not exist, may not be read, or is no regular file.
  package convenience init(_ path: String) throws(DecantError) {
    // O_NONBLOCK: opening a FIFO without a writer must not wait.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .system(errno, .reading(errno), "cannot be opened", file: path)
    }
    try self.init(descriptor: descriptor, path: path)
  }

  /// Takes over a descriptor that is open for reading; it is closed when it is no regular file.
  ///
  /// - Throws: ``DecantError`` when it is no regular file.
  package init(descriptor: Int32, path: String) throws(DecantError) {
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

  /// The error of a path that leads to something else than a file with bytes.
  package static func notRegular(_ mode: mode_t, _ path: String) -> DecantError {
    let isDirectory = mode & S_IFMT == S_IFDIR
    return DecantError(
      .notAFile, isDirectory ? "is a directory, not a checkpoint file" : "is not a regular file",
      file: path,
      remedy: isDirectory
        ? "Name a file inside it." : "Copy its contents to a regular file first: reading needs to seek.")
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
  /// - Throws: ``DecantError`` when the file ends before the buffer is full, or the device fails.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError) {
    var done = 0
    while done < buffer.count {
      let count = unsafe pread(
        descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        // Nobody reads beyond the length that it had when it was opened.
        throw DecantError(
          .readFailed, "became shorter while it was read: \(buffer.count - done) more bytes are needed",
          file: path,
          offset: offset + done, remedy: "Wait until it is written completely.")
      } else if errno != EINTR {
        throw .system(errno, .reading(errno), "cannot be read", file: path, offset: offset + done)
      }
    }
  }

  /// The whole file as memory, mapped on first use and for as long as this object lives.
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

/// Which file a path leads to.
package struct FileIdentity: Equatable, Sendable {
  package let device: UInt64
  package let inode: UInt64

  init(_ status: stat) { (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino)) }
}

extension DecantError {
  /// Makes the error of a system call that failed with an error number.
  ///
  /// - Parameters:
  ///   - code: `.reading(number)` or `.writing(number)`.
  ///   - failure: what the call could not do, such as "cannot be opened".
  ///   - remedy: the way out; by default what the number alone advises.
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
  /// Returns the code of a system call that read, or was to open, a file.
  package static func reading(_ number: Int32) -> Self {
    switch number {
    case ENOENT, ENOTDIR: .fileNotFound
    case EACCES, EPERM: .permissionDenied
    case ENOMEM: .outOfMemory
    default: .readFailed
    }
  }

  /// Returns the code of a system call that made or wrote a file.
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
