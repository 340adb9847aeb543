internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// The small records of text that PyTorch puts beside the data.
extension ZipArchive {
  /// A record's text without the line ends after it; nil when there is no such record.
  func text(_ name: String, _ damage: inout [DecantError]) throws(DecantError) -> String? {
    guard let entry = entry(name) else { return nil }
    guard entry.byteCount <= 4096 else {
      throw DecantError(
        .damaged, "the record has \(entry.byteCount) bytes; PyTorch writes a few", file: file.path,
        entry: name)
    }
    let (bytes, isIntact) = try bytes(of: entry, limit: \.textBytes)
    if !isIntact { damage.append(checksumMismatch(file, entry, found: CRC32.of(bytes))) }
    var text = String(decoding: bytes, as: UTF8.self)[...]
    while let last = text.last, last.isNewline { text.removeLast() }
    return String(text)
  }

  /// The byte order that the record `byteorder` of a folder names; little where there is none.
  func byteOrder(
    _ prefix: String, _ hints: inout [(String, String)], _ damage: inout [DecantError]
  ) throws(DecantError) -> Storage.ByteOrder {
    guard let name = try text(prefix + "byteorder", &damage) else { return .little }
    guard let order = Storage.ByteOrder(rawValue: name) else {
      throw DecantError(
        .damaged, "the byte order is \"\(name.escapedForDisplay)\", neither little nor big",
        file: file.path,
        entry: prefix + "byteorder")
    }
    hints.append(("byte order", name))
    return order
  }

  /// The folder of the only record whose name ends so, with its slash; nil when there is none, or several.
  func folder(of record: String) -> String? {
    let found = entries.filter {
      ($0.name == record || $0.name.hasSuffix("/" + record)) && !ZipContainer.isLitter($0)
    }
    return found.count == 1 ? String(found[0].name.dropLast(record.count)) : nil
  }

  /// A record as a source of bytes of its own.
  func source(of entry: ZipEntry) -> ByteSource {
    ByteSource(ZipRecord(self, entry), path: file.path + "/" + entry.name)
  }
}
