internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The tensor names as a tree that branches at every dot.
struct TensorTree {
  private struct Branch {
    let name: String
    let depth: Int
    var tensors = 0
    var bytes = 0
    /// The shape and dtype of a leaf; empty for other branches.
    var leaf = ""
  }

  private struct BranchData: Hashable {
    let branch: Int
    let data: TensorIdentity
  }

  /// The maximum number of dots per name that start branches, since a hostile name could cause endless indentation.
  private static let maxDepth = 63

  private var branches: [Branch] = []

  /// Builds the tree. Branches are in the order of their first tensor; those that are not read come last.
  init(_ entries: [CheckpointTensor], unread: [CheckpointObject]) {
    var children: [Int: [Int]] = [:]
    var places: [ExactText: Int] = [:]
    var all: [Branch] = []
    /// The data that each branch holds already.
    var seen: Set<BranchData> = []
    func add(_ keys: [PathKey], _ data: TensorIdentity?, byteCount: Int, leaf: String) {
      var path = ""
      var parent = -1
      let steps = keys.flatMap {
        $0.name.split(separator: ".", maxSplits: Self.maxDepth, omittingEmptySubsequences: false).map(
          String.init)
      }
      for (depth, step) in steps.enumerated() {
        path += "\u{0}" + step
        let place: Int
        if let known = places[ExactText(path)] {
          place = known
        } else {
          place = all.count
          all.append(Branch(name: step, depth: depth))
          places[ExactText(path)] = place
          children[parent, default: []].append(place)
        }
        all[place].tensors += 1
        if data.map({ seen.insert(BranchData(branch: place, data: $0)).inserted }) ?? true {
          all[place].bytes = all[place].bytes.checkedAdding(byteCount) ?? .max
        }
        parent = place
      }
      if parent >= 0 { all[parent].leaf = leaf }
    }
    for entry in entries {
      let tensor = entry.tensor
      add(
        entry.path, tensor.identity, byteCount: tensor.storedByteCount,
        leaf: "\(Format.shape(tensor.shape)) \(tensor.dtype.rawValue)")
    }
    for object in unread {
      let shape = object.shape.map { Format.shape($0) + " " } ?? ""
      add(
        object.path, nil, byteCount: object.byteCount ?? 0,
        leaf: "\(shape)unsupported tensor: \(object.unreadTensor ?? "")")
    }
    var pending = Array((children[-1] ?? []).reversed())
    while let place = pending.popLast() {
      branches.append(all[place])
      pending += (children[place] ?? []).reversed()
    }
  }

  /// The lines, one per branch: its name, then the tensor count and bytes, or the shape and dtype.
  var lines: [String] {
    var table = TextTable([("", .left), ("", .right), ("", .right), ("", .left)])
    for branch in branches {
      let name = String(repeating: "  ", count: branch.depth) + branch.name.escapedForDisplay
      let count = branch.leaf.isEmpty ? Format.count(branch.tensors, "tensor") : ""
      table.row(name, count, Format.count(branch.bytes), branch.leaf)
    }
    return table.lines
  }
}
