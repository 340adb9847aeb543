internal import DecantPickle

/// The number of values in a pickle's containers when a shared container counts each time it is referenced.
enum SharedContainers {
  /// The thresholds, in total and per node. Data has no reason to exceed both.
  private static let least: Float = 1e8
  private static let factor: Float = 100

  /// Returns the number of leaves below the container that has the most, or nil when data can have as many. O(values).
  ///
  /// A reference from a container to itself counts as one leaf.
  static func leaves(of graph: PickleGraph) -> Double? {
    // So few nodes cannot multiply that far: it takes about 60 values to reach 2^30.
    guard graph.nodes.count > 8 else { return nil }
    var counts = [Float](repeating: 0, count: graph.nodes.count)
    var greatest: Float = 0
    // Indices of nodes whose children are being counted. A node is removed when its children are done.
    var stack: [Int] = []
    for root in graph.nodes.indices where counts[root] == 0 {
      stack.append(root)
      while let place = stack.last {
        if counts[place] == 0 {
          counts[place] = -1
          for child in children(of: graph.nodes[place]) where counts[child] == 0 { stack.append(child) }
        } else {
          stack.removeLast()
          guard counts[place] < 0 else { continue }
          var count: Float = 0
          let (values, nodes) = elements(of: graph.nodes[place])
          for child in nodes { count += max(counts[child], 1) }
          counts[place] = max(1, count + Float(values))
          greatest = max(greatest, counts[place])
        }
      }
    }
    return greatest > least && greatest > factor * Float(graph.nodes.count) ? Double(greatest) : nil
  }

  private static func children(of node: PickleNode) -> [Int] { elements(of: node).nodes }

  /// Returns the number of scalars in a container, and the node indices of its other elements.
  private static func elements(of node: PickleNode) -> (values: Int, nodes: [Int]) {
    var nodes: [Int] = []
    var values = 0
    func add(_ value: PickleValue) {
      if case .node(let id) = value { nodes.append(Int(id.index)) } else { values += 1 }
    }
    switch node {
    case .list(let elements), .tuple(let elements), .set(let elements), .frozenSet(let elements):
      elements.forEach(add)
    case .dictionary(let pairs):
      for pair in pairs {
        add(pair.key)
        add(pair.value)
      }
    case .object(let object):
      add(object.arguments)
      object.states.forEach(add)
      object.items.forEach(add)
      for pair in object.pairs {
        add(pair.key)
        add(pair.value)
      }
    case .persistentID(let id): add(id)
    default: return (1, [])
    }
    return (values, nodes)
  }
}
