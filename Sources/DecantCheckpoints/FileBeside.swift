package import DecantBytes
internal import DecantIO

/// A file that lies beside a checkpoint, such as its configuration.
package enum FileBeside: Sendable {
  case absent
  /// There is one, and it is not read, for this reason.
  case refused(DecantError)
  case content([UInt8])
}

extension Checkpoint {
  /// Reads a file in the folder of the checkpoint, or in the folder that it is.
  ///
  /// What leads out of the folder is not followed (docs/adr/0007), and what is larger than `limit` is not read.
  package func fileBeside(named name: String, limit: Int = 1 << 20) -> FileBeside {
    // What is in memory has a name and lies nowhere.
    guard !files.isEmpty else { return .absent }
    do throws(DecantError) {
      var found = try CheckpointFolder(path)
      if found == nil { found = try CheckpointFolder.containing(path)?.folder }
      guard let folder = found, let file = try folder.find(name) else { return .absent }
      let source = ByteSource(file)
      guard source.byteCount <= limit else {
        throw DecantError(
          .limitExceeded, "has \(source.byteCount) bytes, more than a configuration needs (\(limit))",
          file: folder.path(of: name))
      }
      return .content(try source.bytes(at: 0, count: source.byteCount))
    } catch { return .refused(error) }
  }
}
