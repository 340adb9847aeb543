package import DecantBytes

/// A run of bytes that a container is read from: a file, a part of one, or bytes in memory.
///
/// Containers hold each other (a zip in a zip, archives one after the other, a pickle inside a pickle), so every reader
/// takes one of these.
package struct ByteSource: Sendable {
  /// What messages call it: the file's path, with the entry for a part of one.
  package let path: String
  package let byteCount: Int
  private let content: any StorageContent
  private let start: Int

  /// Whether its parts can be read in any order at no further cost.
  package var isRandomAccess: Bool { content.isRandomAccess }

  /// The whole of a file.
  package init(_ file: InputFile) { self.init(file, path: file.path) }

  /// The whole of some content.
  package init(_ content: any StorageContent, path: String) {
    self.path = path
    self.content = content
    start = 0
    byteCount = content.byteCount
  }

  private init(_ source: ByteSource, start: Int, byteCount: Int, path: String) {
    self.path = path
    self.byteCount = byteCount
    content = source.content
    self.start = start
  }

  /// A part of this source, under a name of its own.
  ///
  /// - Throws: ``DecantError`` when it lies outside.
  package func part(at offset: Int, count: Int, named name: String? = nil) throws(DecantError) -> ByteSource {
    try require(count, at: offset)
    return ByteSource(self, start: start + offset, byteCount: count, path: name ?? path)
  }

  /// Fills `buffer` with the bytes at `offset`.
  ///
  /// - Throws: ``DecantError`` when they lie outside, or cannot be read.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError) {
    try require(buffer.count, at: offset)
    do { try unsafe content.read(into: buffer, at: start + offset) } catch let error as DecantError {
      throw error
    } catch { throw DecantError(.readFailed, "cannot be read: \(error)", file: path, offset: offset) }
  }

  /// The bytes of a range.
  ///
  /// - Throws: ``DecantError`` when the range lies outside; nothing is allocated before that is known.
  package func bytes(at offset: Int, count: Int) throws(DecantError) -> [UInt8] {
    try require(count, at: offset)
    var failure: DecantError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(DecantError) {
        try unsafe read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        initialized = count
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// The first bytes, as many as there are up to `count`.
  package func head(_ count: Int = 512) throws(DecantError) -> [UInt8] {
    try bytes(at: 0, count: min(count, byteCount))
  }

  /// The last bytes, as many as there are up to `count`.
  package func tail(_ count: Int = 8) throws(DecantError) -> [UInt8] {
    let count = min(count, byteCount)
    return try bytes(at: byteCount - count, count: count)
  }

  /// The bytes in memory without a copy, for as long as the content lives; nil where that cannot be.
  package func mapped() throws(DecantError) -> UnsafeRawBufferPointer? {
    do {
      guard let all = try unsafe content.mappedBytes() else { return nil }
      return unsafe UnsafeRawBufferPointer(rebasing: all[start..<start + byteCount])
    } catch let error as DecantError { throw error } catch {
      throw DecantError(.readFailed, "cannot be mapped: \(error)", file: path)
    }
  }

  private func require(_ count: Int, at offset: Int) throws(DecantError) {
    guard offset >= 0, count >= 0, offset <= byteCount, count <= byteCount - offset else {
      throw DecantError(
        .truncated,
        "\(count) bytes are needed and the file has \(max(0, byteCount - max(offset, 0))) there", file: path,
        offset: offset, remedy: "The file is truncated or damaged: fetch it again.")
    }
  }
}

/// A part of a source as a storage's content.
package final class ByteRange: StorageContent {
  package let source: ByteSource

  /// Takes a part that must lie inside the source.
  package init(_ source: ByteSource, offset: Int, byteCount: Int) throws(DecantError) {
    self.source = try source.part(at: offset, count: byteCount)
  }

  package var byteCount: Int { source.byteCount }
  package var isRandomAccess: Bool { source.isRandomAccess }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe source.read(into: buffer, at: offset)
  }

  package func mappedBytes() throws -> UnsafeRawBufferPointer? { try unsafe source.mapped() }
}
