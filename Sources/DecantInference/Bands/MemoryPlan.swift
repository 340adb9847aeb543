internal import DecantGraphs

/// The assignment of values to memory buffers. A buffer is reused as soon as no step reads the earlier value.
struct MemoryPlan: Equatable {
  /// The buffer of each value by value index; nil for the input, for values inside a step and for values of steps
  /// before the first planned one.
  private(set) var place: [Int?]
  /// The number of elements of each buffer.
  private(set) var capacity: [Int] = []

  /// Plans a run.
  ///
  /// A step may overwrite an operand of its epilogue that no later step reads, element by element. It never overwrites
  /// the input of a convolution or pool.
  ///
  /// - Parameter first: the index of the first step to plan. Values of earlier steps have other memory.
  init<Scalar>(_ program: Program<Scalar>, _ shapes: [ValueShape?], from first: Int = 0) {
    place = Array(repeating: nil, count: shapes.count)
    var lastReader = [Int](repeating: -1, count: shapes.count)
    for (index, step) in program.steps.enumerated() {
      for value in step.reads { lastReader[value] = index }
    }
    lastReader[program.graph.output.index] = program.steps.count
    var free: [Int] = []
    for (index, step) in program.steps.enumerated().dropFirst(first) {
      let needed = shapes[step.output]?.count ?? 0
      var dying = Set(step.reads.filter { lastReader[$0] == index }.compactMap { place[$0] })
      let overwritable = step.isPointwise ? step.reads : step.reads.filter { $0 != step.input }
      if let buffer = overwritable.compactMap({ place[$0] }).first(where: dying.contains) {
        place[step.output] = buffer
        dying.remove(buffer)
      } else {
        place[step.output] = take(needed, from: &free)
      }
      free.append(contentsOf: dying)
      if lastReader[step.output] < index, let buffer = place[step.output] { free.append(buffer) }
    }
  }

  /// The number of elements of all buffers together.
  var numbers: Double { capacity.reduce(0) { $0 + Double($1) } }

  /// Returns the smallest free buffer that is large enough, else enlarges the largest free one, else adds a buffer.
  private mutating func take(_ count: Int, from free: inout [Int]) -> Int {
    let fitting = free.filter { capacity[$0] >= count }.min { capacity[$0] < capacity[$1] }
    guard let buffer = fitting ?? free.max(by: { capacity[$0] < capacity[$1] }) else {
      capacity.append(count)
      return capacity.count - 1
    }
    free.removeAll { $0 == buffer }
    capacity[buffer] = max(capacity[buffer], count)
    return buffer
  }
}
