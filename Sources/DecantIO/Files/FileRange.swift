package import DecantBytes

/// The bytes of a file that a content is read from.
package struct FileRange: Sendable {
  package let file: InputFile
  package let range: Range<Int>
  /// False when the content is decompressed or decrypted from these bytes.
  package let isStored: Bool

  /// Finds the bytes; nil for a content that is in memory or computed, or that is put together from several ranges.
  package init?(_ content: any StorageContent) {
    switch content {
    case let file as InputFile: self.init(file, 0..<file.byteCount)
    case let part as ByteRange:
      guard let range = part.source.fileRange else { return nil }
      self = range
    case let part as PartialContent: self.init(part.available)
    case let record as ZipRecord:
      guard let range = record.archive.fileRange(of: record.entry) else { return nil }
      self = range
    case let part as ZipRecordPart: self.init(part)
    default: return nil
    }
  }

  private init?(_ part: ZipRecordPart) {
    guard let whole = FileRange(part.record) else { return nil }
    self = whole.isStored ? whole.part(at: part.offset, count: part.byteCount) : whole
  }

  fileprivate init(_ file: InputFile, _ range: Range<Int>, isStored: Bool = true) {
    (self.file, self.range, self.isStored) = (file, range, isStored)
  }

  fileprivate func part(at offset: Int, count: Int) -> FileRange {
    let start = range.lowerBound + offset
    return FileRange(file, start..<start + count, isStored: isStored)
  }
}

extension ByteSource {
  /// The bytes of the file that this is read from; nil when it is not a range of one file.
  package var fileRange: FileRange? {
    guard let whole = FileRange(content), whole.isStored else { return nil }
    return whole.part(at: start, count: byteCount)
  }
}

extension ZipArchive {
  /// Returns the bytes of the file that hold an entry's data; nil when its local header is wrong.
  package func fileRange(of entry: ZipEntry) -> FileRange? {
    if isUnzipped { return (try? storedContent(of: entry)).flatMap { FileRange($0) } }
    guard let offset = try? dataOffset(of: entry),
      let part = try? file.part(at: offset, count: entry.storedByteCount), let range = part.fileRange
    else { return nil }
    return FileRange(range.file, range.range, isStored: entry.isStored)
  }
}
