internal import DecantGraphs

/// The settings of the `reference` engine for running the first steps in bands, and for the size of a band.
package struct BandSettings: Sendable {
  package enum Choice: Sendable {
    /// Bands are used when whole values would take much memory and bands at most half of that.
    case automatic
    case always
    case never
  }

  package var choice = Choice.automatic
  /// The least number of lines in a band. About as many lines are kept for the next band.
  package var lines = 4
  /// The number of tiles per thread in a band, so that no thread waits for long.
  package var tiles = 2
  /// See ``ConvolutionTiling/widestTile``.
  package var widestTile = ConvolutionTiling.widestTile
  /// Below this number of bytes, whole values are cheap enough and bands are not worth it.
  static let harmless = 256_000_000.0
  /// A band with at most this many tiles, or one per thread, is not made smaller: its threads would have no work.
  static let fewestTiles = 8

  package init() {}

  /// Returns the band plan of a run; nil when whole values are better.
  ///
  /// Late stages have few lines and many channels, so their tiles determine how large a band is. The first attempt
  /// uses enough tiles to keep all threads busy. Each further attempt halves them, as far as ``fewestTiles`` allows.
  func plan<Scalar>(_ program: Program<Scalar>, _ shapes: [ValueShape?], threads: Int) -> BandPlan? {
    if choice == .never { return nil }
    let size = Double(MemoryLayout<Scalar>.stride)
    let whole = MemoryPlan(program, shapes).numbers
    if choice == .automatic, whole * size <= Self.harmless { return nil }
    var tiles = tiles * threads
    while true {
      guard let (plan, numbers) = plan(program, shapes, tiles: tiles) else { return nil }
      if choice == .always || numbers <= whole / 2 { return plan }
      if tiles <= min(threads, Self.fewestTiles) { return nil }
      tiles /= 2
    }
  }

  /// Returns a plan for bands of at least `tiles` tiles, and the number of elements of memory for all values.
  private func plan<Scalar>(
    _ program: Program<Scalar>, _ shapes: [ValueShape?], tiles: Int
  ) -> (BandPlan, numbers: Double)? {
    let steps = program.bandSteps(shapes) { unit($0, $1, tiles: tiles) }
    guard let input = shapes[0], !steps.isEmpty else { return nil }
    let plan = BandPlan(
      steps, input: FeatureMapSize(input), values: shapes.count, whole: program.valuesRead(after: steps.count)
    )
    let rest = MemoryPlan(program, shapes, from: steps.count).numbers
    return (
      plan,
      zip(plan.capacity, shapes).reduce(rest) { $0 + Double($1.0 ?? 0) * Double($1.1?.channels ?? 0) }
    )
  }

  private func unit<Scalar>(_ step: Step<Scalar>, _ map: ValueShape, tiles: Int) -> Int {
    guard case .convolution(let convolution, _) = step.kernel else { return map.width * lines }
    let tiling = ConvolutionTiling(convolution, output: map, widestTile: widestTile)
    if tiling.splitsChannels { return map.columns }
    return max((lines * map.width - 1) / tiling.tileWidth + 1, tiles) * tiling.tileWidth
  }
}
