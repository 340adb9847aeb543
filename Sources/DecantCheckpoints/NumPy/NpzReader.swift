internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A reader of `.npz` files: zips in which every entry is a `.npy` file.
///
/// Source: NumPy `numpy/lib/_npyio_impl.py`; docs/formats/npz.md.
enum NpzReader {
  private static let suffix = ".npy"

  /// Returns true when an archive contains only arrays.
  ///
  /// - Throws: ``DecantError`` when it contains arrays and other files that are not a checkpoint.
  static func recognises(_ archive: ZipArchive) throws(DecantError) -> Bool {
    let other = archive.entries.first { !$0.name.hasSuffix(suffix) }
    guard let array = archive.entries.first(where: { $0.name.hasSuffix(suffix) }) else { return false }
    guard let other else { return true }
    // Arrays inside a PyTorch checkpoint's own folder belong to the checkpoint.
    let pickle = archive.entries.first { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }
    if let pickle {
      let folder = pickle.name.dropLast("data.pkl".count)
      if archive.entries.allSatisfy({ !$0.name.hasSuffix(suffix) || $0.name.hasPrefix(folder) }) {
        return false
      }
    }
    throw DecantError(
      .notACheckpoint,
      "is a zip archive with both NumPy arrays (\(array.name.escapedForDisplay)) and something else "
        + "(\((pickle ?? other).name.escapedForDisplay)), so it is neither an .npz file nor a checkpoint",
      file: archive.file.path,
      remedy: "Unzip it and pass one of the files inside.")
  }

  /// Returns the pickles of the arrays of Python objects; nil when the archive is not an `.npz` file.
  static func pickles(_ file: ByteSource, limits: Limits) throws(DecantError) -> [PickleStream]? {
    guard let archive = try? ZipArchive(file, limits: limits), (try? recognises(archive)) == true else {
      return nil
    }
    var streams: [PickleStream] = []
    for entry in archive.entries {
      let array = ByteSource(ZipRecord(archive, entry), path: file.path)
      do throws(DecantError) {
        guard let pickle = try NpyReader.pickle(array, limits: limits) else { continue }
        streams.append(PickleStream(title: entry.name, bytes: pickle))
      } catch { throw error.located(file: file.path, entry: entry.name) }
    }
    guard !streams.isEmpty else {
      throw DecantError(
        .invalidArgument, "holds arrays of numbers only, so it has no pickle", file: file.path,
        advice: .inspect)
    }
    return streams
  }

  /// Reads the header of every array, in the directory's order.
  ///
  /// A stored array's data stays in the file. A deflated array is inflated for its header, and again when its
  /// elements are read.
  static func open(
    _ archive: ZipArchive, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    var parts = Checkpoint.Parts(container: .npz, contents: CheckpointContents())
    if !archive.recordsChecksums {
      parts.warnings.append("the archive has no CRC-32, so damaged data cannot be detected")
    }
    if let record = ConvolutionRecord.text(inComment: archive.comment) {
      parts.containerMetadata.append((ConvolutionRecord.key, record))
    }
    for entry in archive.entries {
      let record = ZipRecord(archive, entry)
      let file = ByteSource(record, path: archive.file.path)
      do throws(DecantError) {
        try NpyReader.read(
          file, key: entry.name, at: [.text(String(entry.name.dropLast(suffix.count)))], into: &parts,
          stateDict: [], limits: limits, nesting: nesting
        ) { (offset, count) throws(DecantError) in
          ZipRecordPart(record, offset: offset, byteCount: count)
        }
      } catch { throw error.located(file: archive.file.path, entry: entry.name) }
    }
    return parts
  }
}
