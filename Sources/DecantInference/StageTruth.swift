/// A stage's values as a more exact computation has them, to say how far others are from them.
package struct StageTruth: Sendable {
  package let stage: String
  /// The largest magnitude.
  package let largest: Double
  /// Every so many values are compared, so that a large stage takes little memory.
  private let step: Int
  let count: Int
  private let values: [Double]

  /// Values that are compared at most.
  private static let compared = 1 << 20

  /// Takes a stage's values; O(elements).
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

  /// How far a stage is from it; nil when it has another size. O(elements compared).
  package func error<T: ReferenceScalar>(of activation: Activation<T>) -> StageError? {
    guard activation.values.count == count else { return nil }
    let places = Array(stride(from: 0, to: count, by: step))
    return error(of: places.map { Double(activation.values[$0]) }, at: places)
  }

  /// How far some of a stage's values are from it; those are left out whose truth was not kept.
  func error(of found: [Double], at places: [Int]) -> StageError {
    let kept = places.indices.filter { places[$0] % step == 0 && values.indices.contains(places[$0] / step) }
    return StageError(
      stage: stage, found: kept.map { found[$0] }, truth: kept.map { values[places[$0] / step] },
      largest: largest)
  }
}

/// How far a stage's values are from the truth.
package struct StageError: Sendable {
  package let stage: String
  /// How many values were compared.
  package let count: Int
  /// The largest difference.
  package let maxAbsolute: Double
  /// The largest difference as a part of the stage's largest value.
  package let maxRelative: Double
  /// The root of the mean square of the differences, as a part of the stage's largest value.
  package let rmsRelative: Double
  /// The largest difference in units of the last place of the stage's largest value, in float32.
  package let ulpOfLargest: Double
  /// The median of the differences, each in units of the last place of its own true value, in float32.
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
