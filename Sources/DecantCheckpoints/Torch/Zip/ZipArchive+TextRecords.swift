package import DecantBytes
package import DecantIO
package import DecantTensors

/// The small text records that PyTorch writes next to the data.
extension ZipArchive {
  /// Returns a record's text without trailing line breaks; nil when there is no such record.
  package func text(_ name: String, _ damage: inout [DecantError]) throws(DecantError) -> String? {
    guard let entry = entry(name) else { return nil }
    guard entry.byteCount <= 4096 else {
      throw DecantError(
        .damaged, "the record has \(Format.count(entry.byteCount, "byte")); PyTorch writes a few",
        file: file.path,
        entry: name)
    }
    let (bytes, isIntact) = try bytes(of: entry, limit: \.textBytes)
    if !isIntact { damage.append(checksumMismatch(file, entry, found: CRC32.of(bytes))) }
    var text = String(decoding: bytes, as: UTF8.self)[...]
    while let last = text.last, last.isNewline { text.removeLast() }
    return String(text)
  }

  /// Returns the byte order that a folder's `byteorder` record names; little-endian without that record.
  package func byteOrder(
    _ prefix: String, _ containerMetadata: inout [(String, String)], _ damage: inout [DecantError]
  ) throws(DecantError) -> Storage.ByteOrder {
    guard let name = try text(prefix + "byteorder", &damage) else { return .little }
    guard let order = Storage.ByteOrder(rawValue: name) else {
      throw DecantError(
        .damaged, "the byte order is \"\(name.escapedForDisplay)\", neither little nor big",
        file: file.path,
        entry: prefix + "byteorder")
    }
    containerMetadata.append(("byte order", name))
    return order
  }

  /// Returns the folder, with its slash, of the only record with this file name; nil when there is none, or several.
  package func folder(of record: String) -> String? {
    let found = entries.filter {
      ($0.name == record || $0.name.hasSuffix("/" + record)) && !ZipContainer.isPackagerFile($0)
    }
    return found.count == 1 ? String(found[0].name.dropLast(record.count)) : nil
  }

  /// Returns a record's data as a byte source.
  package func source(of entry: ZipEntry) -> ByteSource {
    ByteSource(ZipRecord(self, entry), path: file.path + "/" + entry.name, password: file.password)
  }
}
