package import DecantBytes

/// A content whose bytes were recorded with checksums: a zip's record, or several put together.
package protocol ChecksummedContent: StorageContent {
  /// The record whose bytes these are, all of them, in order; nil when there is none, or more than one.
  func wholeRecord() throws -> ZipRecord?

  /// What of the data is not what its checksum records. O(bytes).
  func damage(stopsAtFirst: Bool) throws -> [DecantError]
}

extension ZipRecord: ChecksummedContent {
  package func wholeRecord() -> ZipRecord? { self }

  package func damage(stopsAtFirst: Bool) throws -> [DecantError] {
    try wrongChecksum().map { [checksumMismatch(archive.file, entry, found: $0)] } ?? []
  }
}

extension ZipRecordPart: ChecksummedContent {
  package func wholeRecord() -> ZipRecord? { nil }

  package func damage(stopsAtFirst: Bool) throws -> [DecantError] {
    try record.damage(stopsAtFirst: stopsAtFirst)
  }
}
