internal import Graphs

/// Whether the `reference` engine executes the first steps in bands, and how large those are.
package struct Banding: Sendable {
  package enum Choice: Sendable {
    /// Where whole values would take much memory and bands at most half of that.
    case automatic
    case always
    case never
  }

  package var choice = Choice.automatic
  /// Least lines of a band: what is kept for the next one is about as many.
  package var lines = 4
  /// Least tiles of a band for each thread, so that none waits for long.
  package var tiles = 2
  /// See ``ConvolutionTiling/widestTile``.
  package var widestTile = ConvolutionTiling.widestTile
  /// Values of so many bytes are no trouble to anybody.
  static let harmless = 256_000_000.0

  package init() {}

  /// The plan of a run, and nil where values had better be whole.
  func plan<Scalar>(_ program: Program<Scalar>, _ shapes: [ValueShape?], threads: Int) -> BandPlan? {
    guard choice != .never, let input = shapes[0] else { return nil }
    let size = Double(MemoryLayout<Scalar>.stride)
    let whole = MemoryPlan(program, shapes).numbers
    if choice == .automatic, whole * size <= Self.harmless { return nil }
    let steps = program.bandSteps(shapes) { unit($0, $1, threads: threads) }
    guard !steps.isEmpty else { return nil }
    let plan = BandPlan(
      steps, input: BandMap(input), values: shapes.count, whole: program.valuesRead(after: steps.count))
    let banded = zip(plan.capacity, shapes).reduce(MemoryPlan(program, shapes, from: steps.count).numbers) {
      $0 + Double($1.0 ?? 0) * Double($1.1?.channels ?? 0)
    }
    return choice == .always || banded <= whole / 2 ? plan : nil
  }

  private func unit<Scalar>(_ step: Step<Scalar>, _ map: ValueShape, threads: Int) -> Int {
    guard case .convolution(let convolution, _) = step.kernel else { return map.width * lines }
    let tiling = ConvolutionTiling(convolution, output: map, widestTile: widestTile)
    if tiling.splitsChannels { return map.columns }
    return max((lines * map.width - 1) / tiling.tileWidth + 1, tiles * threads) * tiling.tileWidth
  }
}
