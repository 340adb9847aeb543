/// The size of a feature map: images, height (lines) and width.
///
/// A column is one pixel position of one image, with all its channels. Columns are numbered line by line, then image
/// by image, so a batch is one continuous sequence of lines. A band is a range of columns.
package struct FeatureMapSize: Equatable, Sendable {
  package var images: Int
  package var height: Int
  package var width: Int
  package var columns: Int { images * height * width }

  package init(images: Int, height: Int, width: Int) {
    (self.images, self.height, self.width) = (images, height, width)
  }
}

/// A step as the band planner sees it: the inputs it reads for a range of its output columns.
package struct BandStep: Equatable, Sendable {
  /// The input pixels that one output pixel depends on.
  package enum Reach: Equatable, Sendable {
    /// The same pixel: the same column of a feature map of the same size.
    case pixel
    /// The input lines `line × stride − padding + k × dilation` for `k` in 0..<`kernel`, without those outside the
    /// image.
    case window(kernel: Int, stride: Int, padding: Int, dilation: Int)
  }

  package struct Read: Equatable, Sendable {
    package var value: Int
    package var reach: Reach

    package init(_ value: Int, _ reach: Reach) { (self.value, self.reach) = (value, reach) }
  }

  package var reads: [Read]
  package var output: Int
  /// The feature map whose columns the step computes. When nothing is stored, the input map whose columns it sums.
  package var map: FeatureMapSize
  /// The number of columns of one band. Only the last band may be shorter.
  package var unit: Int
  /// True when the computed columns are stored; false for a sum over all of them.
  package var isStored = true

  package init(reads: [Read], output: Int, map: FeatureMapSize, unit: Int, isStored: Bool = true) {
    (self.reads, self.output, self.map, self.unit) = (reads, output, map, unit)
    self.isStored = isStored
  }
}

/// One unit of work: the columns of one step's value to compute next.
package struct Band: Equatable, Sendable {
  /// The step's index in ``BandPlan/steps``.
  package var step: Int
  package var columns: Range<Int>
  /// The columns to move to the front of the value's memory before the band is computed, over columns that no step
  /// reads any more. Nil when there is room after them.
  package var kept: Range<Int>?

  package init(step: Int, columns: Range<Int>, kept: Range<Int>? = nil) {
    (self.step, self.columns, self.kept) = (step, columns, kept)
  }
}

/// The order in which steps compute bands of their values, and the number of columns of each value in memory at once.
///
/// The plan does not depend on an engine. Steps have an order, a reach and a band size, values have sizes, and
/// everything is counted in columns. Each band is computed as late as possible: the last step whose inputs are ready
/// goes next. So no value runs further ahead of its readers than their band size and reach require. Nothing is
/// computed twice, because columns that a later band needs are kept.
package struct BandPlan: Equatable, Sendable {
  package let steps: [BandStep]
  /// The number of columns of memory for each value, by value index; nil for values that no step computes or stores.
  package private(set) var capacity: [Int?]
  /// The size of each value by value index.
  fileprivate let maps: [FeatureMapSize?]
  /// The values that are kept complete.
  fileprivate let whole: Set<Int>

  /// Plans the bands of the given steps. The input, value 0, is complete from the start.
  ///
  /// - Parameters:
  ///   - steps: the steps in order. Each reads only the input and values of earlier steps.
  ///   - input: the size of value 0.
  ///   - values: the number of values.
  ///   - whole: the values that are read after the last band, and so are kept complete.
  package init(_ steps: [BandStep], input: FeatureMapSize, values: Int, whole: Set<Int>) {
    self.steps = steps
    self.whole = whole
    var maps = [FeatureMapSize?](repeating: nil, count: values)
    maps[0] = input
    for step in steps { maps[step.output] = step.map }
    self.maps = maps
    capacity = Array(repeating: nil, count: values)
    for step in steps where step.isStored { capacity[step.output] = 0 }
    // A capacity of 0 makes every band move the columns that are kept, so what remains is the least memory a value
    // needs.
    var greatest = capacity
    for band in bands {
      let output = steps[band.step].output
      guard let most = greatest[output] else { continue }
      let first = band.kept?.lowerBound ?? band.columns.lowerBound
      greatest[output] = max(most, band.columns.upperBound - first)
    }
    capacity = greatest
  }

  /// Returns the size of a value, by value index.
  package func map(of value: Int) -> FeatureMapSize? { maps[value] }

  /// Every band, in the order of computation.
  package var bands: Bands { Bands(self) }

  /// An iterator over the bands of a plan.
  package struct Bands: Sequence, IteratorProtocol {
    private let plan: BandPlan
    /// The number of columns computed so far, by step.
    private var made: [Int]
    /// The number of columns, from the first, that each step's next band needs of each of its inputs.
    private var needed: [[Int]] = []
    /// The step that computes each value, by value index.
    private var maker: [Int?]
    /// The steps that read each value, with their reach.
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

    /// Returns the first column of a value that an unfinished step still reads.
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
  /// Returns the input lines of an image of `height` lines that one output line reads, clipped to the image. The range
  /// is empty when the window lies entirely in the padding.
  package func lines(under line: Int, height: Int) -> Range<Int> {
    guard case .window(let kernel, let stride, let padding, let dilation) = self else {
      return line..<line + 1
    }
    let first = line * stride - padding
    let last = first + dilation * (kernel - 1) + 1
    let start = min(max(first, 0), height)
    return start..<max(min(last, height), start)
  }

  /// Returns the first input column that output columns from `column` on read.
  fileprivate func start(of column: Int, of map: FeatureMapSize, in input: FeatureMapSize) -> Int {
    if case .pixel = self { return column }
    let (image, line) = (column / map.width).quotientAndRemainder(dividingBy: map.height)
    return (image * input.height + lines(under: line, height: input.height).lowerBound) * input.width
  }

  /// Returns the end of the input columns that output columns before `end` read.
  fileprivate func end(of end: Int, of map: FeatureMapSize, in input: FeatureMapSize) -> Int {
    guard end > 0 else { return 0 }
    if case .pixel = self { return end }
    let (image, line) = ((end - 1) / map.width).quotientAndRemainder(dividingBy: map.height)
    return (image * input.height + lines(under: line, height: input.height).upperBound) * input.width
  }
}
