internal import DecantImages
internal import DecantInference

/// Runs batches on an engine, whole or as the mean of their tiles' logits.
struct BatchRun<T: ReferenceScalar> {
  typealias Stage = (name: String, activation: Activation<T>)
  /// Runs an input, calls `stage` with each requested stage, and returns the logits.
  typealias Engine = (
    _ input: Activation<T>, _ stages: Set<String>, _ stage: (String, Activation<T>) -> Void
  ) throws(InferenceError) -> Activation<T>

  /// True when large images are split into tiles.
  let tiles: Bool
  /// The names of the stages to keep.
  let stages: Set<String>
  /// The duration of each round, summed over all batches.
  private(set) var times: [Duration]

  init(tiles: Bool, stages: [String], rounds: Int) {
    (self.tiles, self.stages) = (tiles, Set(stages))
    times = Array(repeating: .zero, count: rounds)
  }

  /// Returns the logits, and the stages of the first round.
  mutating func run(_ input: Activation<T>, _ engine: Engine) throws(InferenceError)
    -> (logits: Activation<T>, stages: [Stage])
  {
    let tiling = tiles ? Tiling(height: input.shape[2], width: input.shape[3]) : nil
    var kept: [Stage] = []
    var logits = input
    let clock = ContinuousClock()
    for round in times.indices {
      let start = clock.now
      if let tiling, tiling.tiles.count > 1 {
        logits = try Self.mean(tiling, input, engine)
      } else {
        logits = try engine(input, round == 0 ? stages : []) { kept.append(($0, $1)) }
      }
      times[round] += clock.now - start
    }
    return (logits, kept)
  }

  /// Returns the mean of the tiles' logits.
  private static func mean(_ tiling: Tiling, _ input: Activation<T>, _ engine: Engine) throws(InferenceError)
    -> Activation<T>
  {
    var parts: [[Double]] = []
    var shape: [Int] = []
    for tile in tiling.tiles {
      let part = try engine(
        Activation(
          shape: [input.shape[0], input.shape[1], tile.rows.count, tile.columns.count],
          values: tile.values(of: input.values, height: input.shape[2], width: input.shape[3])), []
      ) { _, _ in }
      shape = part.shape
      parts.append(part.values.map { Double($0) })
    }
    // Summed in float64, so that the mean is rounded once.
    return try Activation(shape: shape, values: tiling.mean(of: parts).map { T($0) })
  }
}
