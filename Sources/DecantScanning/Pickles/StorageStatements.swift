internal import DecantBytes
internal import DecantPickle

/// The facts in the pickles of an entry or file that are needed to judge other entries and files.
final class StorageStatements {
  /// The sizes of the storages in persistent ids, by key.
  private(set) var storages: [ExactText: StatedStorage] = [:]
  /// True when a pickle imports a name.
  private(set) var importsNames = false

  /// The items of a distributed checkpoint, when the content is its metadata.
  private(set) var distributed: DistributedItems?

  /// Adds the facts of a pickle.
  func add(_ pickle: PickleAudit) {
    if distributed == nil { distributed = DistributedItems(pickle.graph) }
    importsNames = importsNames || !pickle.graph.imports.isEmpty
    add(pickle.storages)
  }

  /// Adds the storages of another pickle, which must agree with those known.
  func add(_ others: [ExactText: StatedStorage]) {
    storages.merge(others) { known, other in
      var known = known
      if known.byteCount != other.byteCount || other.isContradicted { known.isContradicted = true }
      return known
    }
  }
}
