internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// A reader of `torch.package` archives: pickles that share storages, and the Python sources they need. The sources
/// are not run.
///
/// Source: PyTorch 2.13 `torch/package/package_exporter.py`, `package_importer.py`; docs/formats/torch-package.md.
enum PackageArchive {
  private static let mark = ".data/extern_modules"

  /// Reads every pickle; nil when the archive is not a package.
  static func open(
    _ archive: ZipArchive, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts? {
    guard let prefix = archive.folder(of: mark) else { return nil }
    var parts = Checkpoint.Parts(container: .torchPackage, contents: CheckpointContents())
    let byteOrder = try archive.byteOrder(prefix, &parts.containerMetadata, &parts.damage)
    for (record, label) in [
      (".data/version", "archive version"), (".data/python_version", "Python version"),
    ] {
      if let value = try archive.text(prefix + record, &parts.damage) {
        parts.containerMetadata.append((label, value))
      }
    }
    if !archive.recordsChecksums {
      parts.warnings.append("the archive has no CRC-32, so damaged data cannot be detected")
    }
    let own = archive.entries.filter {
      $0.name.hasPrefix(prefix) && !$0.name.hasSuffix("/") && !$0.name.hasPrefix(prefix + ".data/")
        && $0.name != prefix + "byteorder"
    }
    let sources = own.count { $0.name.hasSuffix(".py") }
    if sources > 0 {
      parts.containerMetadata.append(
        ("code", "\(sources) source \(sources == 1 ? "file" : "files"), not run"))
    }
    let pickles = own.filter { $0.name.hasSuffix(".pkl") || $0.name.hasSuffix(".pickle") }
    let storages = ZipStorages(
      archive: archive, folder: prefix + ".data/", byteOrder: byteOrder, suffix: ".storage")
    var budget = ListingBudget(limits, values: limits.paths)
    for entry in pickles {
      let name = String(entry.name.dropFirst(prefix.count))
      let graph = try TorchZip.interpret(entry, in: archive, &parts.warnings, &parts.damage)
      let contents: CheckpointContents
      do throws(DecantError) {
        contents = try PickledContents.list(
          graph, path: archive.file.path, nesting: nesting, limits: limits
        ) { reference throws(DecantError) in try storages.storage(reference) }
      } catch { throw error.located(file: archive.file.path, entry: entry.name) }
      // Each pickle is within the limits by itself. All of them together must be, too.
      _ = budget.admit(visits: contents.tensors.count + contents.objects.count)
      for path in contents.tensors.map(\.path) + contents.objects.map(\.path) where budget.refusal == nil {
        _ = budget.admit(steps: path.count + 1, textBytes: path.reduce(0) { $0 + $1.name.utf8.count })
      }
      if let refusal = budget.refusal { throw refusal.located(file: archive.file.path) }
      // The values of several pickles are listed below the names of the pickles.
      let root: [PathKey] = pickles.count > 1 ? [.text(name)] : []
      if pickles.count == 1 { parts.containerMetadata.append(("pickle", name)) }
      parts.contents.tensors += contents.tensors.map { $0.moved(below: root) }
      parts.contents.objects += contents.objects.map { $0.moved(below: root) }
    }
    for entry in own
    where !entry.name.hasSuffix(".py") && !pickles.contains(where: { $0.index == entry.index }) {
      parts.contents.objects.append(
        CheckpointObject(
          path: [.text(String(entry.name.dropFirst(prefix.count)))], type: "bytes", value: nil,
          count: entry.byteCount, unreadTensor: nil))
    }
    return parts
  }
}
