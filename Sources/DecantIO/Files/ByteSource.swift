package import DecantBytes

/// A range of bytes that a container is read from: a file, a part of one, or bytes in memory.
///
/// Containers can be nested (a zip in a zip, concatenated archives, a pickle inside a pickle), so every reader takes
/// a byte source.
package struct ByteSource: Sendable {
  /// The source's name in messages: the file's path, with the entry's name for a part of a file.
  package let path: String
  package let byteCount: Int
  /// The password of archives in the source; nil when none was given.
  package let password: String?
  let content: any StorageContent
  /// The offset of the source's first byte in ``content``.
  let start: Int

  /// True when parts can be read in any order at no extra cost.
  package var isRandomAccess: Bool { content.isRandomAccess }

  /// Creates a source of a whole file.
  package init(_ file: InputFile) {
    self.init(file, path: file.path, password: file.password)
  }

  /// Creates a source of a whole storage content.
  package init(_ content: any StorageContent, path: String, password: String? = nil) {
    self.path = path
    self.password = password
    self.content = content
    start = 0
    byteCount = content.byteCount
  }

  private init(_ source: ByteSource, start: Int, byteCount: Int, path: String) {
    self.path = path
    self.byteCount = byteCount
    content = source.content
    password = source.password
    self.start = start
  }

  /// Returns a part of this source, with its own name in messages.
  ///
  /// - Throws: ``DecantError`` when the part lies outside the source.
  package func part(at offset: Int, count: Int, named name: String? = nil) throws(DecantError) -> ByteSource {
    try require(count, at: offset)
    return ByteSource(self, start: start + offset, byteCount: count, path: name ?? path)
  }

  /// Fills `buffer` with the bytes at `offset`.
  ///
  /// - Throws: ``DecantError`` when the bytes lie outside the source or cannot be read.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError) {
    try require(buffer.count, at: offset)
    do { try unsafe content.read(into: buffer, at: start + offset) } catch let error as DecantError {
      throw error
    } catch { throw DecantError(.readFailed, "cannot be read: \(error)", file: path, offset: offset) }
  }

  /// Returns the bytes of a range.
  ///
  /// - Throws: ``DecantError`` when the range lies outside the source; checked before anything is allocated.
  package func bytes(at offset: Int, count: Int) throws(DecantError) -> [UInt8] {
    try require(count, at: offset)
    return try unsafe [UInt8](byteCount: count) { buffer throws(DecantError) in
      try unsafe read(into: buffer, at: offset)
    }
  }

  /// Returns the first `count` bytes, or all of them in a shorter source.
  package func head(_ count: Int = 512) throws(DecantError) -> [UInt8] {
    try bytes(at: 0, count: min(count, byteCount))
  }

  /// Returns the last `count` bytes, or all of them in a shorter source.
  package func tail(_ count: Int = 8) throws(DecantError) -> [UInt8] {
    let count = min(count, byteCount)
    return try bytes(at: byteCount - count, count: count)
  }

  /// Returns the bytes in memory without a copy; nil when the content cannot do that. Valid as long as the content
  /// lives.
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
        "\(Format.count(count, "byte", ("is", "are"))) needed, but the file has \(Format.count(max(0, byteCount - max(offset, 0)))) there",
        file: path,
        offset: offset, remedy: "The file is truncated or damaged. Download it again.")
    }
  }
}

/// A storage content that is a part of a byte source.
package final class ByteRange: StorageContent {
  package let source: ByteSource

  /// Creates a content of a part; throws when it lies outside the source.
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
