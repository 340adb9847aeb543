/// How many images of how many lines and columns a value has.
///
/// A band is a range of the value's columns: its pixels line by line, image after image. So a batch is one stream of
/// lines too.
package struct BandMap: Equatable, Sendable {
  package var images: Int
  package var height: Int
  package var width: Int
  package var columns: Int { images * height * width }

  package init(images: Int, height: Int, width: Int) {
    (self.images, self.height, self.width) = (images, height, width)
  }
}

/// A step as planning sees it: what it reads of its inputs for a range of its columns.
package struct BandStep: Equatable, Sendable {
  /// The pixels of an input under one pixel of the result.
  package enum Reach: Equatable, Sendable {
    /// The same pixel, or the same column of a map of the same sizes.
    case pixel
    /// Lines from `line × stride − padding` on, `dilation` apart; those outside the image do not exist.
    case window(kernel: Int, stride: Int, padding: Int, dilation: Int)
  }

  package struct Read: Equatable, Sendable {
    package var value: Int
    package var reach: Reach

    package init(_ value: Int, _ reach: Reach) { (self.value, self.reach) = (value, reach) }
  }

  package var reads: [Read]
  package var output: Int
  /// The map whose columns it makes, or takes in when nothing is stored.
  package var map: BandMap
  /// Columns of one band; only the last band may be shorter.
  package var unit: Int
  /// Whether the columns it makes are stored; a sum over all of them is not.
  package var isStored = true

  package init(reads: [Read], output: Int, map: BandMap, unit: Int, isStored: Bool = true) {
    (self.reads, self.output, self.map, self.unit) = (reads, output, map, unit)
    self.isStored = isStored
  }
}

/// One band to make: some columns of one step's value.
package struct Band: Equatable, Sendable {
  /// Its place in ``BandPlan/steps``.
  package var step: Int
  package var columns: Range<Int>
  /// The columns of the step's value that must first move to the front of its memory, over those that nobody reads
  /// any more; nil when there is room behind them.
  package var kept: Range<Int>?

  package init(step: Int, columns: Range<Int>, kept: Range<Int>? = nil) {
    (self.step, self.columns, self.kept) = (step, columns, kept)
  }
}

/// In which order steps make bands of their values, and how many columns of each value are in memory at once.
///
/// Knows no engine: steps have an order, reach and portions, values have sizes, everything is counted in columns. A
/// band is made as late as possible: always by the last step that has what it needs for one. So no value runs further
/// ahead of its readers than their portions and reach ask for. Nothing is computed twice: what a later band needs of
/// earlier columns is kept.
package struct BandPlan: Equatable, Sendable {
  package let steps: [BandStep]
  /// Columns of memory for each value by value index; nil for those that no step makes or stores.
  package private(set) var capacity: [Int?]
  /// The map of each value by value index.
  fileprivate let maps: [BandMap?]
  /// The values that stay whole.
  fileprivate let whole: Set<Int>

  /// Plans the steps; the input, value 0, is whole from the beginning.
  ///
  /// - Parameters:
  ///   - steps: each reads only the input and values of steps before it.
  ///   - input: the sizes of value 0.
  ///   - values: the count of values.
  ///   - whole: the values that somebody reads after the last band.
  package init(_ steps: [BandStep], input: BandMap, values: Int, whole: Set<Int>) {
    self.steps = steps
    self.whole = whole
    var maps = [BandMap?](repeating: nil, count: values)
    maps[0] = input
    for step in steps { maps[step.output] = step.map }
    self.maps = maps
    capacity = Array(repeating: nil, count: values)
    for step in steps where step.isStored { capacity[step.output] = 0 }
    // With no room at all every band moves what is kept of its value: what is left then is the least.
    var greatest = capacity
    for band in bands {
      let output = steps[band.step].output
      guard let most = greatest[output] else { continue }
      let first = band.kept?.lowerBound ?? band.columns.lowerBound
      greatest[output] = max(most, band.columns.upperBound - first)
    }
    capacity = greatest
  }

  /// The sizes of a value, by value index.
  package func map(of value: Int) -> BandMap? { maps[value] }

  /// Every band in the order in which they are made.
  package var bands: Bands { Bands(self) }

  /// The bands of a plan, one after another.
  package struct Bands: Sequence, IteratorProtocol {
    private let plan: BandPlan
    /// Columns made so far, by step.
    private var made: [Int]
    /// For each step the columns that its next band needs of what it reads, as counts from the first.
    private var needed: [[Int]] = []
    /// The step that makes a value.
    private var maker: [Int?]
    /// The steps and their reads of each value.
    private var readers: [[(step: Int, read: BandStep.Read)]]
    /// The first column of each value that is in memory.
    private var origin: [Int]

    fileprivate init(_ plan: BandPlan) {
      self.plan = plan
      made = Array(repeating: 0, count: plan.steps.count)
      maker = Array(repeating: nil, count: plan.maps.count)
      readers = Array(repeating: [], count: plan.maps.count)
      origin = Array(repeating: 0, count: plan.maps.count)
      for (index, step) in plan.steps.enumerated() {
        maker[step.output] = index
        for read in step.reads { readers[read.value].append((index, read)) }
      }
      needed = plan.steps.indices.map { needs($0) }
    }

    package mutating func next() -> Band? {
      guard let step = plan.steps.indices.last(where: isReady) else { return nil }
      let value = plan.steps[step].output
      let columns = made[step]..<end(step)
      made[step] = columns.upperBound
      needed[step] = needs(step)
      var kept: Range<Int>?
      if let capacity = plan.capacity[value], columns.upperBound - origin[value] > capacity {
        let first = Swift.min(firstNeeded(of: value), columns.lowerBound)
        kept = first..<columns.lowerBound
        origin[value] = first
      }
      return Band(step: step, columns: columns, kept: kept)
    }

    private func end(_ step: Int) -> Int {
      Swift.min(made[step] + plan.steps[step].unit, plan.steps[step].map.columns)
    }

    private func needs(_ index: Int) -> [Int] {
      let step = plan.steps[index]
      return step.reads.map { read in
        guard let map = plan.maps[read.value] else { return 0 }
        return read.reach.end(of: end(index), of: step.map, in: map)
      }
    }

    private func isReady(_ index: Int) -> Bool {
      let step = plan.steps[index]
      guard made[index] < step.map.columns else { return false }
      for (read, needed) in zip(step.reads, needed[index]) {
        if let maker = maker[read.value], made[maker] < needed { return false }
      }
      return true
    }

    /// The first column that somebody still reads.
    private func firstNeeded(of value: Int) -> Int {
      guard let map = plan.maps[value] else { return 0 }
      if plan.whole.contains(value) { return 0 }
      var first = map.columns
      for (index, read) in readers[value] where made[index] < plan.steps[index].map.columns {
        first = Swift.min(first, read.reach.start(of: made[index], of: plan.steps[index].map, in: map))
      }
      return first
    }
  }
}

extension BandStep.Reach {
  /// The lines of an image of `height` lines under one line of the result, clipped to the image; empty where the
  /// window lies in the padding alone.
  package func lines(under line: Int, height: Int) -> Range<Int> {
    guard case .window(let kernel, let stride, let padding, let dilation) = self else {
      return line..<line + 1
    }
    let first = line * stride - padding
    let last = first + dilation * (kernel - 1) + 1
    let start = min(max(first, 0), height)
    return start..<max(min(last, height), start)
  }

  /// The first column that the result's columns from `column` on read.
  fileprivate func start(of column: Int, of map: BandMap, in input: BandMap) -> Int {
    if case .pixel = self { return column }
    let (image, line) = (column / map.width).quotientAndRemainder(dividingBy: map.height)
    return (image * input.height + lines(under: line, height: input.height).lowerBound) * input.width
  }

  /// The end of the columns that the result's columns before `end` read.
  fileprivate func end(of end: Int, of map: BandMap, in input: BandMap) -> Int {
    guard end > 0 else { return 0 }
    if case .pixel = self { return end }
    let (image, line) = ((end - 1) / map.width).quotientAndRemainder(dividingBy: map.height)
    return (image * input.height + lines(under: line, height: input.height).upperBound) * input.width
  }
}
