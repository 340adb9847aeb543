package import DecantBytes

/// A storage content with recorded checksums: a zip record, or several zip records combined.
package protocol ChecksummedContent: StorageContent {
  /// Returns the zip record whose bytes are exactly this content; nil when there is none, or more than one.
  func wholeRecord() throws -> ZipRecord?

  /// Returns an error for each record whose data does not match its checksum. O(bytes).
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
