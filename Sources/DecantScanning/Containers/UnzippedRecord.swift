internal import DecantBytes
internal import DecantIO
internal import DecantPickle

/// The files of a PyTorch zip archive that was unzipped into a folder.
enum UnzippedRecord {
  /// The largest number of folders between `data.pkl` and a record.
  private static let maxDepth = 3

  /// The relation of a file to the `data.pkl` in its folder.
  enum Standing {
    /// A text that PyTorch writes, or the data of a storage with the size that the pickle states.
    case known
    /// A file with the name of a storage, which no tensor of the pickle refers to or which has another size.
    case misfit
    /// Another file.
    case other
  }

  /// Returns what a file is that has the name of a record of PyTorch, such as `data/0`, next to a `data.pkl` or in a
  /// folder next to it. Backslashes in a name are read as slashes.
  static func standing(_ path: String, _ file: InputFile, limits: Limits) -> Standing {
    guard let folder = TorchFolder([Array("archive/data.pkl".utf8)]) else { return .other }
    let path = Array(path.utf8)
    let parents = path.indices.filter { path[$0] == 0x2F || path[$0] == 0x5C }.map { $0 + 1 }
    for parent in ([0] + parents).suffix(maxDepth) {
      let name = Array("archive/".utf8) + path[parent...].map { $0 == 0x5C ? 0x2F : $0 }
      let record = folder.record(name)
      if record == .unexpected { continue }
      let pickle = try? InputFile(String(decoding: path[..<parent], as: UTF8.self) + "data.pkl")
      guard let pickle, (try? ByteSource(pickle).head(1)) == [0x80] else { continue }
      switch record {
      case .text(let form):
        guard let content = try? ByteSource(file).head(1 << 16), content.count == file.byteCount else {
          return .misfit
        }
        return unsafe form.fits(content.span.bytes) ? .known : .misfit
      case .storage(let storage):
        let stated = storages(of: pickle, limits)[storage.key]
        return storage.pickle == "data" && stated?.byteCount == file.byteCount
          && stated?.isContradicted == false
          ? .known : .misfit
      default: return .misfit
      }
    }
    return .other
  }

  /// Returns the storages that a pickle states; none when it cannot be read.
  private static func storages(of file: InputFile, _ limits: Limits) -> [ExactText: StatedStorage] {
    guard file.byteCount <= limits.headerBytes, let bytes = try? file.contents() else { return [:] }
    let (graph, _) = unsafe PickleMachine.interpretAsFarAsPossible(bytes.span.bytes, limits: limits)
    return StatedStorage.all(in: graph)
  }
}
