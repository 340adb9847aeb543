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
          forEachElement(of: graph.nodes[place]) { element in
            if case .node(let id) = element, counts[Int(id.index)] == 0 { stack.append(Int(id.index)) }
          }
        } else {
          stack.removeLast()
          guard counts[place] < 0 else { continue }
          var count: Float = 0
          forEachElement(of: graph.nodes[place]) { element in
            // A scalar is one leaf.
            let leaves: Float = if case .node(let id) = element { counts[Int(id.index)] } else { 1 }
            count += max(leaves, 1)
          }
          counts[place] = max(1, count)
          greatest = max(greatest, counts[place])
        }
      }
    }
    return greatest > least && greatest > factor * Float(graph.nodes.count) ? Double(greatest) : nil
  }

  /// Calls a closure with each element of a container, and with the parts of an object.
  private static func forEachElement(of node: PickleNode, _ body: (PickleValue) -> Void) {
    switch node {
    case .list(let elements), .tuple(let elements), .set(let elements), .frozenSet(let elements):
      elements.forEach(body)
    case .dictionary(let pairs):
      for pair in pairs {
        body(pair.key)
        body(pair.value)
      }
    case .object(let object):
      body(object.arguments)
      object.states.forEach(body)
      object.items.forEach(body)
      for pair in object.pairs {
        body(pair.key)
        body(pair.value)
      }
    case .persistentID(let id): body(id)
    default: break
    }
  }
}
