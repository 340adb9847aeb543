internal import DecantBytes

/// The keys of a checkpoint as text: what listings and messages print, `--key` accepts.
///
/// A key is one of these, in order of precedence:
///
/// 1. `.`, the root
/// 2. the keys of the path joined with dots: `model.conv1`; of several such paths, the shortest is meant
/// 3. the same with control and invisible characters escaped, as listings print it: `nl\n`
/// 4. the path as an array, which is never ambiguous: `["a", "b"]`
extension Checkpoint {
  /// Returns the text that names a path, in the shortest form that is not ambiguous. O(keys of the checkpoint).
  package func key(of path: [PathKey]) -> String { keys(of: [path])[0] }

  /// Returns the text that names each path. O(keys of the checkpoint).
  package func keys(of paths: [[PathKey]]) -> [String] {
    // The path that each name means; nil while none has it.
    var meant: [ExactText: [PathKey]?] = [:]
    for path in paths { meant[ExactText(path.joinedName)] = .some(nil) }
    for group in keyPaths {
      var found: [ExactText: [PathKey]] = [:]
      for path in group {
        var name = ""
        for (index, key) in path.enumerated() {
          name += (index == 0 ? "" : ".") + key.name
          let text = ExactText(name)
          guard meant[text] == .some(nil), index + 1 < (found[text]?.count ?? .max) else { continue }
          found[text] = Array(path[...index])
        }
      }
      for (name, path) in found { meant[name] = path }
    }
    return paths.map { path in
      if path.isEmpty { return "." }
      let name = path.joinedName
      return name != "." && meant[ExactText(name)] == path ? name : path.asArray
    }
  }

  /// Returns the path of the value with a key; nil when no value has it.
  package func path(ofKey key: String) -> [PathKey]? {
    if key == "." { return [] }
    if let path = shortestPath(named: key, { $0.name }) { return path }
    if let path = shortestPath(named: key, { $0.name.escapedForDisplay }) { return path }
    if key == "\"\"" { return path(ofKey: "") }
    guard key.hasPrefix("[") else { return nil }
    for path in keyPaths.joined() {
      for count in 1...max(1, path.count) {
        let prefix = path.prefix(count)
        if prefix.asArray == key || JSONValue.array(prefix.map(\.json)).text == key { return Array(prefix) }
      }
    }
    return nil
  }

  /// The paths of tensors, then those of other values, which are meant only when no tensor has the key.
  private var keyPaths: [[[PathKey]]] {
    let isTensor = objects.map { $0.unreadTensor != nil }
    let unread = zip(objects, isTensor).filter(\.1).map(\.0.path)
    let others = zip(objects, isTensor).filter { !$1 }.map(\.0.path)
    return [tensors.map(\.path) + unread, others]
  }

  /// Returns the shortest path whose keys, joined with dots, are a text.
  private func shortestPath(named key: String, _ text: (PathKey) -> String) -> [PathKey]? {
    for group in keyPaths {
      var found: [PathKey]?
      for path in group {
        var name = ""
        for (index, step) in path.enumerated() {
          name += (index == 0 ? "" : ".") + text(step)
          if name.utf8.elementsEqual(key.utf8) {
            if index + 1 < (found?.count ?? .max) { found = Array(path[...index]) }
            break
          }
          if name.utf8.count > key.utf8.count { break }
        }
      }
      if let found { return found }
    }
    return nil
  }
}

extension Sequence<PathKey> {
  /// The keys as an array, with texts escaped for display: `["a", 1]`.
  package var asArray: String {
    "["
      + map { key in
        switch key {
        case .text(let text): "\"" + text.escapedForDisplay.replacing("\"", with: "\\\"") + "\""
        case .integer, .position: key.name
        case .bytes: key.json["python"]?.string ?? ""
        case .other: key.name.escapedForDisplay
        }
      }.joined(separator: ", ") + "]"
  }
}
