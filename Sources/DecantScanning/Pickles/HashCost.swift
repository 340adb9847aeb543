internal import DecantPickle

/// The steps that hashing the keys of a pickle takes. Python hashes a tuple anew each time, and every tuple in it.
enum HashCost {
  /// Returns the steps for all keys of dictionaries and elements of sets, and the greatest depth of a key. O(values).
  static func total(of graph: PickleGraph) -> (steps: Double, depth: Int) {
    var costs: [Int32: (steps: Double, depth: Int)] = [:]
    var steps = 0.0
    var depth = 0
    func add(_ key: PickleValue) {
      guard case .node(let id) = key, isTuple(graph[id]) else { return }
      let cost = cost(of: id, in: graph, &costs)
      steps += cost.steps
      depth = max(depth, cost.depth)
    }
    for node in graph.nodes {
      switch node {
      case .dictionary(let pairs): for pair in pairs { add(pair.key) }
      case .set(let elements), .frozenSet(let elements): elements.forEach(add)
      case .object(let object):
        for pair in object.pairs { add(pair.key) }
        object.items.forEach(add)
      default: break
      }
    }
    return (steps, depth)
  }

  private static func isTuple(_ node: PickleNode) -> Bool {
    if case .tuple = node { true } else { false }
  }

  private static func cost(
    of root: PickleNodeID, in graph: PickleGraph, _ costs: inout [Int32: (steps: Double, depth: Int)]
  ) -> (steps: Double, depth: Int) {
    var stack = [root]
    while let id = stack.last {
      guard costs[id.index] == nil, case .tuple(let parts) = graph[id] else {
        stack.removeLast()
        continue
      }
      var cost = (steps: 1.0 + Double(parts.count), depth: 1)
      var isComplete = true
      for case .node(let part) in parts where isTuple(graph[part]) {
        if let inner = costs[part.index] {
          cost.steps += inner.steps
          cost.depth = max(cost.depth, inner.depth + 1)
        } else {
          stack.append(part)
          isComplete = false
        }
      }
      if isComplete {
        costs[id.index] = cost
        stack.removeLast()
      }
    }
    return costs[root.index] ?? (1, 1)
  }
}
