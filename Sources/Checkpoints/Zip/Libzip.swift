internal import ByteParsing
internal import CLibzip
internal import Synchronization

/// libzip's view of an archive, opened when the first deflated entry is wanted.
final class Libzip: Sendable {
  private let archive = Mutex<Handle?>(nil)

  @safe private struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  deinit {
    archive.withLock { if let handle = $0 { unsafe decant_libzip_close(handle.pointer) } }
  }

  /// Inflates an entry into a buffer of its size.
  ///
  /// - Throws: ``CheckpointError`` when libzip is missing, sees another entry in its place, or finds it damaged.
  func inflate(
    _ entry: ZipEntry, of file: InputFile, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CheckpointError) {
    let problem = archive.withLock { archive -> String? in
      if archive == nil {
        guard decant_libzip_is_available() != 0 else { return "libzip is not installed" }
        // The descriptor's own path: the same file even if another took its name meanwhile.
        guard let opened = unsafe decant_libzip_open(file.descriptorPath) else {
          return "libzip refuses the archive"
        }
        archive = unsafe Handle(pointer: opened)
      }
      guard let handle = archive else { return nil }
      var message = [CChar](repeating: 0, count: 256)
      let name = entry.rawName.map { CChar(bitPattern: $0) } + [0]
      let status = unsafe decant_libzip_inflate(
        handle.pointer, UInt64(entry.index), name, buffer.baseAddress, buffer.count, &message, message.count)
      if status == 0 { return nil }
      return String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    guard let problem else { return }
    throw CheckpointError(
      "the entry is compressed and cannot be inflated: \(problem.escapedForDisplay)", file: file.path,
      entry: entry.name,
      remedy: decant_libzip_is_available() == 0
        ? "Install it with: apt-get install libzip4" : "The file is damaged: fetch it again.")
  }
}
