internal import DecantGraphs

/// The first steps of a network for one image, executed in bands of lines. Each value has memory only for the lines
/// that a later band still reads.
struct OneDNNBands: Sendable {
  /// A value that is complete after the last band.
  struct Result: Sendable {
    let value: Int
    let layout: OneDNNLayout
    /// The value's byte offset in the memory.
    let offset: Int
  }

  /// The number of steps that run in bands.
  let count: Int
  let results: [Result]
  let valueByteCount: Int
  let scratchByteCount: Int
  private let plan: BandPlan
  private let steps: [Step<Float>]
  private let shapes: [ValueShape?]
  /// The byte offset of each value, by value index.
  private let offsets: [Int: Int]
  private let prepared: [OneDNNCompiler.Band: OneDNNPlan]

  /// The number of lines in a band: whole Winograd tiles, and enough work for several threads.
  private static let lines = 8

  /// Prepares the bands. Returns nil when whole values take little memory, or bands would take more than half of that.
  init?(
    _ program: Program<Float>, _ shapes: [ValueShape?], _ numerics: Numerics, _ weights: OneDNNWeights,
    isForced: Bool
  ) throws(InferenceError) {
    let size = MemoryLayout<Float>.stride
    let whole = MemoryPlan(program, shapes).numbers * Double(size)
    guard isForced || whole > BandSettings.harmless, let input = shapes[0] else { return nil }
    let steps = program.bandSteps(shapes) { $1.width * Self.lines }
    guard !steps.isEmpty else { return nil }
    let read = program.valuesRead(after: steps.count)
    plan = BandPlan(steps, input: FeatureMapSize(input), values: shapes.count, whole: read)
    var offsets: [Int: Int] = [:]
    var end = 0
    var results: [Result] = []
    for step in plan.steps {
      guard let shape = shapes[step.output] else { return nil }
      offsets[step.output] = end
      let columns = plan.capacity[step.output] ?? 1
      end += (columns * shape.channels * size + 63) / 64 * 64
      guard read.contains(step.output), let layout = OneDNNLayout.channelsLast(shape) else { continue }
      results.append(Result(value: step.output, layout: layout, offset: offsets[step.output] ?? 0))
    }
    let rest = MemoryPlan(program, shapes, from: steps.count).numbers * Double(size)
    guard isForced || Double(end) + rest <= whole / 2 else { return nil }
    count = steps.count
    self.steps = Array(program.steps.prefix(steps.count))
    self.shapes = shapes
    self.results = results
    self.offsets = offsets
    valueByteCount = end
    var prepared: [OneDNNCompiler.Band: OneDNNPlan] = [:]
    for band in plan.bands {
      let shape = Self.place(of: band, plan, program.steps[band.step]).shape
      if prepared[shape] == nil {
        prepared[shape] = try OneDNNCompiler.plan(program, shapes, shape, numerics, weights)
      }
    }
    self.prepared = prepared
    scratchByteCount = prepared.values.reduce(0) { max($0, $1.memoryByteCount) }
  }

  /// Executes every band.
  ///
  /// - Parameters:
  ///   - input: N×C×H×W with N = 1.
  ///   - memory: ``valueByteCount`` bytes for values, followed by ``scratchByteCount`` bytes of scratch memory.
  func perform(
    _ input: UnsafeMutableRawPointer, _ memory: UnsafeMutableRawPointer, observing: Set<Int>,
    receive: (Int, Activation<Float>) -> Void
  ) throws(InferenceError) {
    var firstLines: [Int: Int] = [0: 0]
    var sums: [Int: [Double]] = [:]
    var parts: [Int: [Float]] = [:]
    func address(_ value: Int, line: Int) -> UnsafeMutableRawPointer {
      guard let shape = shapes[value] else { preconditionFailure("a value of a band has sizes") }
      let distance = (line - (firstLines[value] ?? 0)) * shape.width * MemoryLayout<Float>.stride
      if value == 0 { return unsafe input + distance }
      return unsafe memory + (offsets[value] ?? 0) + distance * shape.channels
    }
    for band in plan.bands {
      let step = steps[band.step]
      let place = Self.place(of: band, plan, step)
      guard let shape = shapes[step.output], let prepared = prepared[place.shape] else { continue }
      if let kept = band.kept {
        let line = kept.lowerBound / shape.width
        let front = unsafe address(step.output, line: firstLines[step.output] ?? 0)
        let bytes = kept.count * shape.channels * MemoryLayout<Float>.stride
        unsafe front.copyMemory(from: address(step.output, line: line), byteCount: bytes)
        firstLines[step.output] = line
      } else if place.line == 0 {
        firstLines[step.output] = 0
      }
      let isSum = !plan.steps[band.step].isStored
      let target = unsafe address(step.output, line: isSum ? 0 : place.line)
      let run = unsafe OneDNNRun(
        plan: prepared, memory: memory + valueByteCount,
        given: [
          address(step.input, line: place.inputLine),
          step.epilogue.residual.map { unsafe address($0, line: place.line) } ?? target, target,
        ])
      try run.perform()
      if isSum {
        try unsafe add(target, lines: place.shape.lines, of: step, to: &sums)
        let isLast = band.columns.upperBound == plan.steps[band.step].map.columns
        if isLast, observing.contains(step.output) {
          let numbers = unsafe UnsafeBufferPointer(
            start: target.assumingMemoryBound(to: Float.self), count: shape.count)
          receive(step.output, try unsafe Activation(shape: shape.sizes, values: Array(numbers)))
        }
      } else if observing.contains(step.output) {
        try unsafe collect(step.output, place, target, &parts, receive)
      }
    }
  }

  /// Adds a band's means to the running sums. After the last band, replaces `means` by the means over all lines.
  private func add(
    _ means: UnsafeMutableRawPointer, lines: Int, of step: Step<Float>, to sums: inout [Int: [Double]]
  ) throws(InferenceError) {
    guard let shape = shapes[step.output], let height = shapes[step.input]?.height else { return }
    let numbers = unsafe means.assumingMemoryBound(to: Float.self)
    var sum = sums[step.output] ?? [Double](repeating: 0, count: shape.channels + 1)
    for channel in 0..<shape.channels { unsafe sum[channel] += Double(numbers[channel]) * Double(lines) }
    // The last element counts the lines added so far.
    sum[shape.channels] += Double(lines)
    if sum[shape.channels] == Double(height) {
      for channel in 0..<shape.channels { unsafe numbers[channel] = Float(sum[channel] / Double(height)) }
    }
    sums[step.output] = sum
  }

  /// Copies the lines of a band into the whole value, and reports it when it is complete.
  private func collect(
    _ value: Int, _ place: Place, _ lines: UnsafeMutableRawPointer, _ parts: inout [Int: [Float]],
    _ receive: (Int, Activation<Float>) -> Void
  ) throws(InferenceError) {
    guard var shape = shapes[value], let target = OneDNNLayout.lines(of: shape, count: place.shape.lines)
    else {
      return
    }
    let whole = shape
    shape.height = place.shape.lines
    // Removed from the dictionary while it is written, to avoid a copy-on-write copy.
    var numbers = parts.removeValue(forKey: value) ?? [Float](repeating: 0, count: whole.count)
    var outcome = Swift.Result<Bool, InferenceError>.success(false)
    unsafe numbers.withUnsafeMutableBufferPointer {
      guard let base = $0.baseAddress, let source = OneDNNLayout.channelsLast(shape) else { return }
      do throws(InferenceError) {
        outcome = .success(try unsafe source.copy(lines, to: base + place.line * whole.width, as: target))
      } catch { outcome = .failure(error) }
    }
    guard try outcome.get() else { throw OneDNNRun.failure("output") }
    if place.line + place.shape.lines < whole.height {
      parts[value] = numbers
    } else {
      receive(value, try Activation(shape: whole.sizes, values: numbers))
    }
  }

  /// The first output line of a band, the first input line it reads, and the band's shape.
  private struct Place {
    let line: Int
    let inputLine: Int
    let shape: OneDNNCompiler.Band
  }

  private static func place(of band: Band, _ plan: BandPlan, _ step: Step<Float>) -> Place {
    let planned = plan.steps[band.step]
    let lines = band.columns.lowerBound / planned.map.width..<band.columns.upperBound / planned.map.width
    let reach = planned.reads[0].reach
    // The height of the value that is read: the network's input or the result of an earlier step.
    let height = plan.map(of: planned.reads[0].value)?.height ?? planned.map.height
    let above = reach.lines(under: lines.lowerBound, height: height)
    let below = reach.lines(under: lines.upperBound - 1, height: height)
    var padding = 0
    if case .window(_, let stride, let before, _) = reach {
      padding = max(0, before - lines.lowerBound * stride)
    }
    return Place(
      line: lines.lowerBound, inputLine: above.lowerBound,
      shape: .init(
        step: band.step, inputLines: below.upperBound - above.lowerBound, paddingAbove: padding,
        lines: lines.count))
  }
}
