/// A stage's values from a more exact computation, to measure the error of other computations against.
package struct ReferenceStage: Sendable {
  package let stage: String
  /// The stage's largest magnitude.
  package let largest: Double
  /// The interval between the values that are kept, so that a large stage takes little memory.
  private let step: Int
  let count: Int
  private let values: [Double]

  /// The largest number of values to keep.
  private static let compared = 1 << 20

  /// Samples a stage's values. O(elements).
  package init<T: ReferenceScalar>(_ stage: String, _ activation: Activation<T>) {
    self.stage = stage
    count = activation.values.count
    step = max(1, (count + Self.compared - 1) / Self.compared)
    var (largest, values): (Double, [Double]) = (0, [])
    for (place, value) in activation.values.enumerated() {
      let value = Double(value)
      largest = max(largest, value.magnitude)
      if place % step == 0 { values.append(value) }
    }
    self.largest = largest
    self.values = values
  }

  /// Returns the error of another computation of the stage; nil when it has another size. O(elements compared).
  package func error<T: ReferenceScalar>(of activation: Activation<T>) -> ReferenceStageError? {
    guard activation.values.count == count else { return nil }
    let places = Array(stride(from: 0, to: count, by: step))
    return error(of: places.map { Double(activation.values[$0]) }, at: places)
  }

  /// Returns the error of some of a stage's values, given by their indices. Indices that were not sampled are skipped.
  func error(of found: [Double], at places: [Int]) -> ReferenceStageError {
    let kept = places.indices.filter { places[$0] % step == 0 && values.indices.contains(places[$0] / step) }
    return ReferenceStageError(
      stage: stage, found: kept.map { found[$0] }, truth: kept.map { values[places[$0] / step] },
      largest: largest)
  }
}

/// The error of a stage's values against a more exact computation.
package struct ReferenceStageError: Sendable {
  package let stage: String
  /// The number of values compared.
  package let count: Int
  /// The largest absolute difference.
  package let maxAbsolute: Double
  /// The largest absolute difference as a fraction of the stage's largest magnitude.
  package let maxRelative: Double
  /// The root mean square of the differences as a fraction of the stage's largest magnitude.
  package let rmsRelative: Double
  /// The largest absolute difference in float32 ULPs of the stage's largest magnitude.
  package let ulpOfLargest: Double
  /// The median of the differences, each in float32 ULPs of its own exact value.
  package let medianULP: Double

  init(stage: String, found: [Double], truth: [Double], largest: Double) {
    self.stage = stage
    count = truth.count
    let differences = zip(found, truth).map { ($0 - $1).magnitude }
    let isFinite = largest.isFinite && differences.allSatisfy(\.isFinite)
    let greatest = isFinite ? differences.max() ?? 0 : .nan
    let scale = largest > 0 ? largest : 1
    maxAbsolute = greatest
    maxRelative = greatest / scale
    let squares = differences.reduce(0) { $0 + $1 * $1 }
    rmsRelative = isFinite ? (squares / Double(max(count, 1))).squareRoot() / scale : .nan
    ulpOfLargest = greatest / Double(Float(scale).ulp)
    let units = zip(differences, truth).map { $0 / Double(Float($1).ulp) }.sorted()
    medianULP = units.isEmpty ? 0 : isFinite ? units[units.count / 2] : .nan
  }
}
