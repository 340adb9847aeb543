internal import DecantGraphs

/// A forward pass for inputs of one size, with whole values, or with the first steps in bands of lines.
struct OneDNNPass: Sendable {
  /// True when the images of a batch must run one by one.
  let isSingleImage: Bool
  /// The number of bytes of memory that ``perform(_:_:observing:receive:)`` needs.
  let memoryByteCount: Int
  private let input: ValueShape
  private let output: Int
  private let bands: OneDNNBands?
  /// The plan of all steps, or of the steps after the bands.
  private let rest: OneDNNPlan

  /// Prepares a pass.
  ///
  /// - Throws: ``InferenceError`` when the sizes do not fit the network, or oneDNN lacks an operation.
  init(
    _ program: Program<Float>, _ sizes: [Int], _ numerics: Numerics, _ weights: OneDNNWeights,
    bands choice: BandSettings.Choice
  ) throws(InferenceError) {
    _ = try program.shapes(input: sizes)
    let shapes = try program.shapes(input: [1] + sizes.dropFirst())
    output = program.graph.output.index
    if choice != .never, let first = shapes[0] {
      let bands = try OneDNNBands(program, shapes, numerics, weights, isForced: choice == .always)
      if let bands {
        input = first
        isSingleImage = true
        rest = try OneDNNCompiler.plan(
          program, shapes, from: bands.count, given: bands.results.map { ($0.value, $0.layout) }, numerics,
          weights)
        memoryByteCount = bands.valueByteCount + max(bands.scratchByteCount, rest.memoryByteCount)
        self.bands = bands
        return
      }
    }
    let whole = try program.shapes(input: sizes)
    guard let first = whole[0], let layout = OneDNNLayout.rowMajor(first.mapSizes) else {
      throw .inputTooLarge(node: "input")
    }
    input = first
    isSingleImage = false
    bands = nil
    rest = try OneDNNCompiler.plan(program, whole, given: [(0, layout)], numerics, weights)
    memoryByteCount = rest.memoryByteCount
  }

  /// Executes the pass.
  ///
  /// - Parameters:
  ///   - observing: the indices of the values to pass to `receive` when they are complete.
  /// - Returns: the network's output.
  func perform(
    _ input: UnsafeMutableRawPointer, _ memory: UnsafeMutableRawPointer, observing: Set<Int>,
    receive: (Int, Activation<Float>) -> Void
  ) throws(InferenceError) -> Activation<Float> {
    var given = unsafe [input]
    var free = unsafe memory
    var last: Activation<Float>?
    if let bands {
      if observing.contains(0) {
        let numbers = unsafe UnsafeBufferPointer(
          start: input.assumingMemoryBound(to: Float.self), count: self.input.count)
        receive(0, try unsafe Activation(shape: self.input.sizes, values: Array(numbers)))
      }
      try unsafe bands.perform(input, memory, observing: observing, receive: receive)
      unsafe given = bands.results.map { unsafe memory + $0.offset }
      unsafe free = memory + bands.valueByteCount
    }
    let run = unsafe OneDNNRun(plan: rest, memory: free, given: given)
    try run.perform { result throws(InferenceError) in
      guard result.value == output || observing.contains(result.value) else { return }
      let activation = try run.activation(result)
      if observing.contains(result.value) { receive(result.value, activation) }
      if result.value == output { last = activation }
    }
    guard let last else { throw OneDNNRun.failure("output") }
    return last
  }
}
