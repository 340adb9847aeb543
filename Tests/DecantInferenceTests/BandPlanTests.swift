import DecantInference
import Testing

/// Tests of band plans without an engine: a model of the memory follows each band, and every pixel that a band reads
/// must be in memory.
@Suite struct BandPlanTests {
  /// The columns of each value that are in memory, according to the bands.
  private struct Memory {
    let plan: BandPlan
    let maps: [Int: FeatureMapSize]
    var held: [Int: Range<Int>]
    var made: [Int: Int] = [:]

    init(_ plan: BandPlan, input: FeatureMapSize) {
      self.plan = plan
      maps = Dictionary(uniqueKeysWithValues: [(0, input)] + plan.steps.map { ($0.output, $0.map) })
      held = [0: 0..<input.columns]
    }

    /// Returns true when all input pixels of an output pixel are in memory, checked one by one.
    func holds(_ read: BandStep.Read, under column: Int, of map: FeatureMapSize) -> Bool {
      guard let input = maps[read.value] else { return false }
      // A window that lies entirely in the padding reads nothing.
      let held = held[read.value] ?? 0..<0
      guard case .window(let kernel, let stride, let padding, let dilation) = read.reach else {
        return held.contains(column)
      }
      let (image, line) = (column / map.width).quotientAndRemainder(dividingBy: map.height)
      for place in 0..<kernel {
        let y = line * stride - padding + place * dilation
        guard 0..<input.height ~= y else { continue }
        let first = (image * input.height + y) * input.width
        if !held.contains(first) || !held.contains(first + input.width - 1) { return false }
      }
      return true
    }

    mutating func take(_ band: Band) {
      let step = plan.steps[band.step]
      #expect(band.columns.lowerBound == made[step.output, default: 0] && !band.columns.isEmpty)
      #expect(
        band.columns.count == step.unit
          || band.columns.count < step.unit && band.columns.upperBound == step.map.columns)
      made[step.output] = band.columns.upperBound
      for read in step.reads {
        #expect(band.columns.allSatisfy { holds(read, under: $0, of: step.map) }, "\(band) of \(step)")
      }
      guard step.isStored else { return #expect(band.kept == nil) }
      let before = held[step.output] ?? 0..<0
      if let kept = band.kept {
        #expect(kept.upperBound == before.upperBound && kept.lowerBound >= before.lowerBound)
        held[step.output] = kept.lowerBound..<band.columns.upperBound
      } else {
        held[step.output] = before.lowerBound..<band.columns.upperBound
      }
      #expect((held[step.output]?.count ?? 0) <= (plan.capacity[step.output] ?? -1))
    }
  }

  private func check(_ plan: BandPlan, input: FeatureMapSize, whole: Set<Int> = []) {
    var memory = Memory(plan, input: input)
    for band in plan.bands { memory.take(band) }
    for step in plan.steps {
      #expect(memory.made[step.output] == step.map.columns)
      #expect((plan.capacity[step.output] != nil) == step.isStored)
      if step.isStored, whole.contains(step.output) {
        #expect(memory.held[step.output] == 0..<step.map.columns)
      }
    }
  }

  @Test func aChainByHand() {
    // A 3×3 window over 6 lines of 2, then every second line. A line needs one line above and one below.
    let map = FeatureMapSize(images: 1, height: 6, width: 2)
    let half = FeatureMapSize(images: 1, height: 3, width: 1)
    let steps = [
      BandStep(
        reads: [.init(0, .window(kernel: 3, stride: 1, padding: 1, dilation: 1))], output: 1, map: map,
        unit: 4),
      BandStep(
        reads: [.init(1, .window(kernel: 3, stride: 2, padding: 1, dilation: 1))], output: 2, map: half,
        unit: 1),
    ]
    let plan = BandPlan(steps, input: map, values: 3, whole: [2])
    #expect(plan.capacity == [nil, 6, 3])
    #expect(
      Array(plan.bands) == [
        Band(step: 0, columns: 0..<4), Band(step: 1, columns: 0..<1),
        // Line 1 is kept, line 0 not.
        Band(step: 0, columns: 4..<8, kept: 2..<4), Band(step: 1, columns: 1..<2),
        Band(step: 0, columns: 8..<12, kept: 6..<8), Band(step: 1, columns: 2..<3),
      ])
    check(plan, input: map, whole: [2])
  }

  @Test func linesUnderALine() {
    let reach = BandStep.Reach.window(kernel: 3, stride: 2, padding: 5, dilation: 2)
    // −5, −3, −1: all in the padding; then 1, 3, 5 and so on.
    #expect(
      [0, 1, 2, 3, 5, 6, 7].map { reach.lines(under: $0, height: 7) } == [
        0..<0, 0..<2, 0..<4, 1..<6, 5..<7, 7..<7, 7..<7,
      ])
    #expect(BandStep.Reach.pixel.lines(under: 3, height: 7) == 3..<4)
  }

  @Test(arguments: 0..<200)
  func everythingReadIsThere(_ seed: Int) {
    var random = Seeded(UInt64(seed))
    let input = FeatureMapSize(
      images: random.number(1...3), height: random.number(1...30), width: random.number(1...9))
    var maps = [input]
    var steps: [BandStep] = []
    while steps.count < 8 {
      // Mostly chains, so that windows follow windows.
      let source = random.number(0...3) == 0 ? random.number(0...maps.count - 1) : maps.count - 1
      let from = maps[source]
      let (kernel, stride, dilation) = (random.number(1...5), random.number(1...3), random.number(1...3))
      let padding = random.number(0...kernel)
      func size(_ size: Int) -> Int {
        let span = size + 2 * padding - dilation * (kernel - 1) - 1
        return span < 0 ? 0 : span / stride + 1
      }
      var map = FeatureMapSize(images: from.images, height: size(from.height), width: size(from.width))
      var reads = [
        BandStep.Read(source, .window(kernel: kernel, stride: stride, padding: padding, dilation: dilation))
      ]
      if random.number(0...2) == 0 {
        map = from
        reads = [.init(source, .pixel)]
      }
      if map.columns == 0 { continue }
      if let other = maps.indices.filter({ maps[$0] == map }).last { reads.append(.init(other, .pixel)) }
      maps.append(map)
      let unit = random.number(0...9) == 0 ? map.columns : random.number(1...3 * map.width)
      steps.append(BandStep(reads: reads, output: maps.count - 1, map: map, unit: unit))
    }
    if random.number(0...1) == 0, let last = maps.last {
      steps.append(
        BandStep(
          reads: [.init(maps.count - 1, .pixel)], output: maps.count, map: last,
          unit: random.number(1...last.columns), isStored: false))
    }
    let whole = Set((0...maps.count).filter { _ in random.number(0...4) == 0 })
    check(BandPlan(steps, input: input, values: maps.count + 1, whole: whole), input: input, whole: whole)
  }
}

/// A seeded random number generator (SplitMix64).
struct Seeded {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func number(_ range: ClosedRange<Int>) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return range.lowerBound + Int((mixed ^ (mixed >> 31)) % UInt64(range.count))
  }
}
