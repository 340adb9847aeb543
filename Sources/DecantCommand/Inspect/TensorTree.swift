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

  /// Builds the tree. Branches are in the order of their first tensor, but those that differ only in a number are in the
  /// order of the numbers. Those that are not read come last.
  ///
  /// - Parameter maxDepth: the number of levels to show; nil for all.
  init(_ entries: [CheckpointTensor], unread: [CheckpointObject], maxDepth: Int? = nil) {
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
    func ordered(_ parent: Int) -> [Int] {
      let places = children[parent] ?? []
      guard places.count > 1 else { return places }
      var families: [[UInt8]: [Int]] = [:]
      let skeletons = places.map { place in all[place].name.utf8.filter { !(0x30...0x39 ~= $0) } }
      for (index, skeleton) in skeletons.enumerated() {
        families[skeleton, default: []].append(places[index])
      }
      for (skeleton, members) in families {
        families[skeleton] = members.sorted { NaturalOrder.precedes(all[$1].name, all[$0].name) }
      }
      return skeletons.map { families[$0]?.popLast() ?? -1 }
    }
    var pending = Array(ordered(-1).reversed())
    while let place = pending.popLast() {
      branches.append(all[place])
      guard maxDepth.map({ all[place].depth + 1 < $0 }) ?? true else { continue }
      pending += ordered(place).reversed()
    }
  }

  /// The lines, one per branch: its name, then the tensor count and bytes, or the shape and dtype.
  var lines: [String] {
    var table = TextTable([("", .left), ("", .right), ("", .right), ("", .left)])
    for branch in branches {
      let name = String(repeating: "  ", count: branch.depth) + branch.name.escapedForDisplay
      let count = branch.leaf.isEmpty ? Format.count(branch.tensors, "tensor") : ""
      table.row(name, count, Format.bytes(branch.bytes), branch.leaf)
    }
    return table.lines
  }
}
