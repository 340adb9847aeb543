internal import DecantBytes
internal import DecantPickle

/// The size of a storage according to torch's persistent ids, such as
/// `('storage', torch.FloatStorage, '0', 'cpu', 1000)`.
struct StatedStorage {
  /// The number of bytes; nil when the storage's class is unknown.
  let byteCount: Int?
  /// The number of elements.
  let elementCount: Int
  /// True when two persistent ids give the storage different sizes, so that loaders may differ in what they read.
  var isContradicted = false

  /// Returns the storages in the persistent ids of a pickle, by key. O(nodes).
  static func all(in graph: PickleGraph) -> [ExactText: StatedStorage] {
    var storages: [ExactText: StatedStorage] = [:]
    for case .persistentID(let id) in graph.nodes {
      if let parts = graph.tuple(id), let kind = parts.first, graph.text(kind) == "storage" {
        add(parts, in: graph, to: &storages)
      }
    }
    return storages
  }

  /// Adds the storage of a persistent id to the storages by key. Ignores persistent ids of other forms.
  private static func add(
    _ parts: [PickleValue], in graph: PickleGraph, to storages: inout [ExactText: StatedStorage]
  ) {
    guard parts.count >= 5, let storageClass = graph.global(parts[1]), let key = key(parts[2], in: graph),
      case .int(let number) = parts[4], let count = Int(exactly: number), count >= 0
    else { return }
    let size = TensorFileNames.elementByteCount(storageClass.name)
    let stated = StatedStorage(byteCount: size.flatMap(count.checkedMultiplying), elementCount: count)
    if let known = storages[key] {
      if known.byteCount != stated.byteCount || stated.byteCount == nil && known.elementCount != count {
        storages[key]?.isContradicted = true
      }
    } else {
      storages[key] = stated
    }
  }

  /// Returns a storage's key, which torch.package writes as a number.
  private static func key(_ value: PickleValue, in graph: PickleGraph) -> ExactText? {
    if case .int(let number) = value { return ExactText(String(number)) }
    return graph.text(value).map { ExactText($0) }
  }
}
