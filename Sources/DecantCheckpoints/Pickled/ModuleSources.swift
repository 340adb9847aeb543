internal import DecantBytes
internal import DecantPickle

extension PickleGraph {
  /// The name a value stands for when it is called: a name itself, or a class with its source beside it.
  ///
  /// PyTorch's older containers write the class of a module as a persistent id, the first time it is met:
  /// `('module', class, file, source)`, in PyTorch 0.1's tar files without the first text.
  func callable(_ value: PickleValue) -> PickleGlobal? {
    if let global = global(value) { return global }
    guard case .persistentID(let id) = node(value), let parts = tuple(id) else { return nil }
    if parts.count == 4, isText(parts[0], "module") { return global(parts[1]) }
    return parts.count == 3 ? global(parts[0]) : nil
  }

  /// The sources that stand beside the classes of modules, in the stream's order. O(nodes).
  ///
  /// - Throws: ``DecantError`` when they are more than a listing may hold.
  func moduleSources(limits: Limits) throws(DecantError) -> [ModuleSource] {
    var sources: [ModuleSource] = []
    var nameBytes = 0
    var textBytes = 0
    for node in nodes {
      guard case .persistentID(let id) = node, let parts = tuple(id), 3...4 ~= parts.count,
        parts.count == 3 || isText(parts[0], "module"), let name = global(parts[parts.count - 3])
      else { continue }
      let file = parts[parts.count - 2]
      let byteCount = textByteCount(parts[parts.count - 1])
      guard byteCount > 0 else { continue }
      nameBytes += name.module.utf8.count + name.name.utf8.count + textByteCount(file)
      guard nameBytes <= limits.allTextBytes else {
        throw DecantError(
          limits.exceeded(\.allTextBytes),
          "the names of classes and files of modules take at least \(nameBytes) bytes")
      }
      let isListed = byteCount <= limits.textBytes && textBytes + byteCount <= limits.allTextBytes
      if isListed { textBytes += byteCount }
      sources.append(
        ModuleSource(
          className: name.qualifiedName, file: text(file),
          text: isListed ? text(parts[parts.count - 1]) : nil, byteCount: byteCount))
    }
    return sources
  }
}
