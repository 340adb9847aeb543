package import DecantBytes
internal import DecantIO

/// The result of reading a file in a checkpoint's folder, such as its configuration.
package enum SiblingFile: Sendable {
  case absent
  /// The file exists but was not read, for this reason.
  case refused(DecantError)
  case content([UInt8])
}

extension Checkpoint {
  /// Reads a file in the checkpoint's folder, or in the folder that the checkpoint itself is.
  ///
  /// Does not follow links out of the folder (docs/adr/0007), and does not read more than `limit` bytes.
  package func siblingFile(named name: String, limit: Int = 1 << 20) -> SiblingFile {
    // A checkpoint in memory has a name but no folder.
    guard !files.isEmpty else { return .absent }
    do throws(DecantError) {
      var found = try CheckpointFolder(path)
      if found == nil { found = try CheckpointFolder.containing(path)?.folder }
      guard let folder = found, let file = try folder.find(name) else { return .absent }
      let source = ByteSource(file)
      guard source.byteCount <= limit else {
        throw DecantError(
          .limitExceeded,
          "has \(Format.count(source.byteCount, "byte")), more than a configuration needs (\(Format.count(limit)))",
          file: folder.path(of: name))
      }
      return .content(try source.bytes(at: 0, count: source.byteCount))
    } catch { return .refused(error) }
  }
}
