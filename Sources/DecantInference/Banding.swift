internal import DecantGraphs

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
  /// Tiles of a band for each thread, so that none waits for long.
  package var tiles = 2
  /// See ``ConvolutionTiling/widestTile``.
  package var widestTile = ConvolutionTiling.widestTile
  /// Values of so many bytes are no trouble to anybody.
  static let harmless = 256_000_000.0
  /// So many threads at least have a tile each.
  static let fewestTiles = 8

  package init() {}

  /// The plan of a run, and nil where values had better be whole.
  ///
  /// Late stages have few lines and many channels, so it is their tiles that make a band large: first as many as keep the
  /// threads well busy, then as few as keep them busy at all.
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

  /// A plan for bands of so many tiles, and how many numbers all values take.
  private func plan<Scalar>(
    _ program: Program<Scalar>, _ shapes: [ValueShape?], tiles: Int
  ) -> (BandPlan, numbers: Double)? {
    let steps = program.bandSteps(shapes) { unit($0, $1, tiles: tiles) }
    guard let input = shapes[0], !steps.isEmpty else { return nil }
    let plan = BandPlan(
      steps, input: BandMap(input), values: shapes.count, whole: program.valuesRead(after: steps.count))
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
