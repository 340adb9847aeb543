package import DecantBytes
package import DecantPickle

extension PickleGraph {
  /// Returns the qualified name of a callable: a global, or a class stored with its source code; nil for other
  /// values.
  ///
  /// PyTorch's older containers write the class of a module as a persistent ID, at its first occurrence: `('module',
  /// class, file, source)`. PyTorch 0.1's tar files leave out the first text.
  package func callable(_ value: PickleValue) -> PickleGlobal? {
    if let global = global(value) { return global }
    guard case .persistentID(let id) = node(value), let parts = tuple(id) else { return nil }
    if parts.count == 4, isText(parts[0], "module") { return global(parts[1]) }
    return parts.count == 3 ? global(parts[0]) : nil
  }

  /// Returns the source code stored with the classes of modules, in the stream's order. O(nodes).
  ///
  /// - Throws: ``DecantError`` when the names exceed `Limits.allTextBytes`.
  package func moduleSources(limits: Limits) throws(DecantError) -> [ModuleSource] {
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
