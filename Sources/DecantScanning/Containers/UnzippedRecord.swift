internal import DecantBytes
internal import DecantIO

/// The files of a PyTorch zip archive that was unzipped into a folder.
enum UnzippedRecord {
  /// The largest number of folders between `data.pkl` and a record.
  private static let maxDepth = 3

  /// Returns true for a file next to a `data.pkl`, or in a folder next to it, that has the name of a record of PyTorch,
  /// such as `data/0`. Loaders read such a file as bytes or as text. Backslashes in a name are read as slashes.
  static func recognises(_ path: String) -> Bool {
    guard let folder = TorchFolder([Array("archive/data.pkl".utf8)]) else { return false }
    let path = Array(path.utf8)
    let parents = path.indices.filter { path[$0] == 0x2F || path[$0] == 0x5C }.map { $0 + 1 }
    for parent in ([0] + parents).suffix(maxDepth) {
      let name = path[parent...].map { $0 == 0x5C ? 0x2F : $0 }
      guard folder.isUsual(Array("archive/".utf8) + name) else { continue }
      let pickle = try? InputFile(String(decoding: path[..<parent], as: UTF8.self) + "data.pkl")
      if let pickle, (try? ByteSource(pickle).head(1)) == [0x80] { return true }
    }
    return false
  }
}
