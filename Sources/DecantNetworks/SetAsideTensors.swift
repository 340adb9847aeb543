internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
package import DecantResNets
internal import DecantTensors

/// The tensors of a state dict that are known and not part of a network, such as a profiler's counters.
package struct SetAsideTensors: Sendable {
  /// The names of known extras by kind, in the file's order; no kind is empty.
  package private(set) var auxiliary: [(kind: AuxiliaryTensor, names: [String])] = []

  /// Splits a state dict into the tensors to use and those set aside. O(tensors).
  ///
  /// The tensors to use keep their checkpoint, with a selection of these tensors alone.
  static func split(_ all: StateDict) -> (weights: StateDict, setAside: SetAsideTensors) {
    var setAside = SetAsideTensors()
    var removed: Set<ExactText> = []
    for entry in all.entries {
      guard let kind = AuxiliaryTensor(name: entry.name, elementCount: entry.tensor.elementCount) else {
        continue
      }
      if let index = setAside.auxiliary.firstIndex(where: { $0.kind == kind }) {
        setAside.auxiliary[index].names.append(entry.name)
      } else {
        setAside.auxiliary.append((kind, [entry.name]))
      }
      removed.insert(ExactText(entry.name))
    }
    guard !removed.isEmpty,
      // A subset has no duplicate names.
      let kept = try? StateDict(all.entries.filter { !removed.contains(ExactText($0.name)) })
    else { return (all, setAside) }
    guard let part = all.part else { return (kept, setAside) }
    let selection = part.selection
    let tensors = selection.tensors.filter { !removed.contains(ExactText(selection.name(of: $0))) }
    return (
      kept.belonging(
        to: CheckpointPart(
          checkpoint: part.checkpoint,
          selection: Selection(path: selection.path, tensors: tensors, unread: selection.unread))), setAside
    )
  }

  /// A note on what was set aside; nil when nothing was.
  package var text: String? {
    guard !auxiliary.isEmpty else { return nil }
    let clauses = auxiliary.map { kind, names in
      "\(Format.count(names.count, kind.rawValue)), such as \(names[0].escapedForDisplay)"
    }
    return "set aside " + clauses.joined(separator: "; ") + "; inference does not use them"
  }
}
