internal import DecantGraphs

/// Which buffer each value lives in: buffers are taken over by later values as soon as nobody reads the
/// earlier.
struct MemoryPlan: Equatable {
  /// The buffer of each value by value index; nil for the input, for values inside a step and for those of earlier
  /// steps than were planned.
  private(set) var place: [Int?]
  /// Numbers each buffer must hold.
  private(set) var capacity: [Int] = []

  /// Plans a run. A step may write over an operand of its epilogue that nobody reads later, number by number;
  /// never over a convolution's or pool's input.
  ///
  /// - Parameter first: the first of the steps that are planned; what those before it made lies elsewhere.
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

  /// All numbers of all buffers.
  var numbers: Double { capacity.reduce(0) { $0 + Double($1) } }

  /// The smallest free buffer that is large enough, else the largest, grown, else a new one.
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
