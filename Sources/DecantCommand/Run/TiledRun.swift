import Images
import Inference

/// The logits of a batch by whichever engine: of the whole images, or the mean of their tiles'.
enum TiledRun {
  static func logits<T: ReferenceScalar>(
    _ input: Activation<T>, tiles isTiled: Bool,
    _ run: (Activation<T>) throws(InferenceError) -> Activation<T>
  ) throws(InferenceError) -> Activation<T> {
    let (height, width) = (input.shape[2], input.shape[3])
    let tiling = Tiling(height: height, width: width)
    guard isTiled, tiling.tiles.count > 1 else { return try run(input) }
    var parts: [[Double]] = []
    var shape: [Int] = []
    for tile in tiling.tiles {
      let part = try run(
        Activation(
          shape: [input.shape[0], input.shape[1], tile.rows.count, tile.columns.count],
          values: tile.values(of: input.values, height: height, width: width)))
      shape = part.shape
      parts.append(part.values.map { Double($0) })
    }
    // Summed in float64: the mean rounds once.
    return try Activation(shape: shape, values: tiling.mean(of: parts).map { T($0) })
  }
}
