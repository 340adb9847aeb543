internal import DecantBytes
internal import Synchronization

/// The files that an archive's entries became when it was unzipped. Each is opened when it is first read.
final class UnzippedFiles: Sendable {
  private let folder: CheckpointFolder
  /// The files' names, relative to the folder, by the index of their entry.
  private let names: [String]
  private let opened: Mutex<[InputFile?]>

  init(_ folder: CheckpointFolder, _ names: [String]) {
    self.folder = folder
    self.names = names
    opened = Mutex([InputFile?](repeating: nil, count: names.count))
  }

  /// Returns an entry's file.
  ///
  /// - Throws: ``DecantError`` when it cannot be opened, or its size is another than at the opening of the archive.
  func file(of entry: ZipEntry) throws(DecantError) -> InputFile {
    if let file = opened.withLock({ $0[entry.index] }) { return file }
    let file = try folder.file(names[entry.index])
    guard file.byteCount == entry.byteCount else {
      throw DecantError(
        .readFailed, "changed its size while the checkpoint was read", file: file.path,
        remedy: "Wait until it is completely written.")
    }
    opened.withLock { $0[entry.index] = file }
    return file
  }
}

extension String {
  /// The text with slashes in place of backslashes.
  var replacingBackslashes: String {
    utf8.contains(UInt8(ascii: "\\"))
      ? String(decoding: utf8.map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 }, as: UTF8.self) : self
  }
}
