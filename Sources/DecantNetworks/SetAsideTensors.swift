internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
package import DecantResNets
package import DecantTensors

/// The tensors of a state dict that are not compared with a network: known extras, and what the caller leaves out.
package struct SetAsideTensors: Sendable {
  /// The names of known extras by kind, in the file's order; no kind is empty.
  package private(set) var auxiliary: [(kind: AuxiliaryTensor, names: [String])] = []
  /// The number of tensors that the caller's patterns leave out.
  package private(set) var exceptedCount = 0

  /// Splits a state dict into the tensors to use and those set aside. O(tensors × patterns).
  ///
  /// The tensors to use keep their checkpoint, with a selection of these tensors alone.
  static func split(_ all: StateDict, except: [String] = []) -> (
    weights: StateDict, setAside: SetAsideTensors
  ) {
    var setAside = SetAsideTensors()
    var removed: Set<ExactText> = []
    for entry in all.entries {
      if except.contains(where: { entry.name.matches(glob: $0) }) {
        setAside.exceptedCount += 1
      } else if let kind = AuxiliaryTensor(name: entry.name, elementCount: entry.tensor.elementCount) {
        if let index = setAside.auxiliary.firstIndex(where: { $0.kind == kind }) {
          setAside.auxiliary[index].names.append(entry.name)
        } else {
          setAside.auxiliary.append((kind, [entry.name]))
        }
      } else {
        continue
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
    var clauses = auxiliary.map { kind, names in
      "\(Format.count(names.count, kind.rawValue)), such as \(names[0].escapedForDisplay)"
    }
    guard exceptedCount > 0 || !clauses.isEmpty else { return nil }
    if exceptedCount > 0 {
      clauses.append("\(Format.count(exceptedCount, "tensor")) that match the patterns to leave out")
    }
    return "set aside " + clauses.joined(separator: "; ")
      + (auxiliary.isEmpty ? "" : "; inference does not use them")
  }
}
