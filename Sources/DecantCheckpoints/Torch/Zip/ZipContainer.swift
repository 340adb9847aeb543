internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A reader of zip files of any content: a PyTorch checkpoint, or an archive that contains one.
enum ZipContainer {
  /// Reads the directory and the structure of the contents; no weights.
  static func open(
    _ file: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    let archive: ZipArchive
    do throws(DecantError) { archive = try ZipArchive(file, limits: limits) } catch {
      let salvage = try ZipSalvage.required(for: file, after: error, limits: limits)
      return try TorchZip.open(salvage.archive, salvage: salvage, limits: limits, nesting: nesting)
    }
    var parts = try open(archive, limits: limits, nesting: nesting)
    parts.warnings += archive.warnings
    return parts
  }

  /// Reads an archive that other bytes precede, such as the header of a download.
  ///
  /// - Returns: nil when the file does not end with an archive.
  /// - Throws: ``DecantError`` when the archive's offsets do not count the bytes before it.
  static func openIfAny(
    behindOtherBytes file: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts? {
    if let archive = try? ZipArchive(file, limits: limits),
      let first = archive.entries.map(\.headerOffset).min()
    {
      var parts = try open(archive, limits: limits, nesting: nesting)
      parts.warnings += archive.warnings
      parts.warnings.append(
        "the archive begins at byte \(first); torch.load refuses a file with other bytes before the archive")
      return parts
    }
    guard let count = try ZipArchive.byteCountBefore(archiveIn: file) else { return nil }
    throw DecantError(
      .damaged,
      "other bytes precede the zip archive, which begins at byte \(count), so PyTorch cannot read it",
      file: file.path,
      remedy: "Remove these bytes: tail -c +\(count + 1) \(file.path.shellWord) > OUT.pth")
  }

  /// Reads the structure of an archive's contents.
  static func open(
    _ archive: ZipArchive, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    let file = archive.file
    if try NpzReader.recognises(archive) {
      return try NpzReader.open(archive, limits: limits, nesting: nesting)
    }
    if try TorchZip.holdsCheckpoint(archive) {
      return try TorchZip.open(archive, limits: limits, nesting: nesting)
    }
    if let renamed = archive.replacingBackslashes(), try TorchZip.holdsCheckpoint(renamed) {
      var parts = try TorchZip.open(renamed, limits: limits, nesting: nesting)
      parts.warnings.append("the entries' names have backslashes, which were read as slashes")
      return parts
    }
    if let parts = try ExportArchive.open(archive, limits: limits, nesting: nesting) { return parts }
    if let parts = try PackageArchive.open(archive, limits: limits, nesting: nesting) { return parts }
    guard let entry = try onlyCheckpoint(in: archive, limits) else { throw TorchZip.notTorch(archive) }
    guard nesting < NestedFiles.maxDepth else {
      throw DecantError(
        .limitExceeded, "files contain each other more than \(NestedFiles.maxDepth) deep", file: file.path)
    }
    let (inner, damage) = try source(of: entry, in: archive)
    var parts = try Checkpoint.parts(of: inner, limits: limits, nesting: nesting + 1)
    parts.containerMetadata.insert(("inside a zip file, as", entry.name), at: 0)
    if let damage { parts.damage.append(damage) }
    let litter = archive.entries.count { isPackagerFile($0) }
    if litter > 0 { parts.warnings.append(ZipContainer.note(litter)) }
    return parts
  }

  /// Returns true for a folder, and for a file that macOS adds when it packs an archive.
  static func isPackagerFile(_ entry: ZipEntry) -> Bool {
    let name = entry.rawName
    if name.last == UInt8(ascii: "/") { return entry.byteCount == 0 }
    if name.starts(with: "__MACOSX/".utf8) { return true }
    let last = name[((name.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
    return last.starts(with: "._".utf8) || last.elementsEqual(".DS_Store".utf8)
  }

  /// Returns the warning about entries that are not read.
  static func note(_ count: Int) -> String {
    "\(count) \(count == 1 ? "entry" : "entries") of the archiving program (folders, ._ files, .DS_Store) \(count == 1 ? "was" : "were") skipped"
  }

  /// Returns the only entry that begins like a checkpoint; nil when there is none, or several, or the archive has
  /// more than 16 files.
  private static func onlyCheckpoint(
    in archive: ZipArchive, _ limits: Limits
  ) throws(DecantError) -> ZipEntry? {
    let files = archive.entries.filter { !isPackagerFile($0) && $0.byteCount > 0 }
    guard files.count <= 16 else { return nil }
    var found: [ZipEntry] = []
    for entry in files
    where files.count == 1 || entry.byteCount <= 256 << 20 || entry.isStored {
      let (source, _) = try source(of: entry, in: archive)
      switch FileKind(try source.head(), fileByteCount: source.byteCount) {
      case .unsupported, .unknown: continue
      default: found.append(entry)
      }
    }
    return found.count == 1 ? found[0] : nil
  }

  /// Returns an entry's bytes, a part of the file or inflated. Inflated bytes come with an error if their checksum is
  /// wrong.
  private static func source(
    of entry: ZipEntry, in archive: ZipArchive
  ) throws(DecantError) -> (ByteSource, DecantError?) {
    let path = archive.file.path + "/" + entry.name
    if entry.isStored {
      return (
        ByteSource(try archive.storedContent(of: entry), path: path, password: archive.file.password), nil
      )
    }
    let content = try archive.inflate(entry)
    var crc = CRC32()
    unsafe crc.update(content.mappedBytes() ?? UnsafeRawBufferPointer(start: nil, count: 0))
    return (
      ByteSource(content, path: path, password: archive.file.password),
      archive.accepts(crc.value, of: entry)
        ? nil : checksumMismatch(archive.file, entry, found: crc.value)
    )
  }
}
