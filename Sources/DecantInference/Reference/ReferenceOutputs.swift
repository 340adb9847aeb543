internal import DecantBytes
package import DecantTensors

/// Reference outputs of stages that another implementation computed, to compare with.
///
/// A stage is stored either whole, as a tensor of its name, or as a sample: `STAGE.index` (positions in row-major
/// order, int64), `STAGE.value` (float64) and `STAGE.max_abs`.
package struct ReferenceOutputs: Sendable {
  private let tensors: StateDict

  /// Creates reference outputs from the tensors of a file; reads no data yet.
  package init(_ tensors: StateDict) { self.tensors = tensors }

  /// Returns true when the stage is present, whole or as a sample.
  package func holds(_ stage: String) -> Bool { tensors[stage] != nil || tensors[stage + ".value"] != nil }

  /// Compares a stage's values with the reference output. O(elements compared).
  ///
  /// - Parameters:
  ///   - tolerance: the largest allowed difference, as a fraction of the stage's largest magnitude.
  /// - Throws: ``DecantError`` when the reference output is malformed or has another size.
  package func compare<T: ReferenceScalar>(
    _ stage: String, _ activation: Activation<T>, tolerance: Double
  ) throws -> StageComparison {
    let count = activation.values.count
    let held = try values(of: stage, count: count, shape: activation.shape)
    let found = held.places.map { places in places.map { Double(activation.values[$0]) } }
    return StageComparison(
      stage: stage, found: found ?? activation.values.map { Double($0) }, reference: held.values,
      largest: held.largest, tolerance: tolerance)
  }

  /// Returns the error of the reference output against a more exact computation of the same stage.
  ///
  /// - Throws: ``DecantError`` when the reference output is malformed or has another size.
  package func error(against truth: ReferenceStage) throws -> ReferenceStageError {
    let held = try values(of: truth.stage, count: truth.count, shape: nil)
    return truth.error(of: held.values, at: held.places ?? Array(held.values.indices))
  }

  /// Returns a stage's values, their positions when it is a sample (nil for all values), and the stage's largest
  /// magnitude.
  private func values(
    of stage: String, count: Int, shape: [Int]?
  ) throws -> (values: [Double], places: [Int]?, largest: Double) {
    if let whole = tensors[stage] {
      guard whole.elementCount == count else {
        throw DecantError(
          .invalidInput,
          "stage \(stage) has \(shape.map { "shape \($0)" } ?? "\(Format.count(count, "value"))"), and its reference output has \(whole.shape)"
        )
      }
      let values = try whole.elements(as: Double.self)
      return (values, nil, values.reduce(0) { max($0, $1.magnitude) })
    }
    guard let indices = tensors[stage + ".index"], let values = tensors[stage + ".value"],
      let maximum = tensors[stage + ".max_abs"], indices.dtype == .int64, maximum.elementCount == 1,
      indices.elementCount == values.elementCount, indices.elementCount > 0
    else {
      throw DecantError(
        .invalidInput, "the reference output of stage \(stage) lacks its index, value or max_abs")
    }
    let places = try indices.integers()
    guard places.allSatisfy({ 0..<count ~= $0 }) else {
      throw DecantError(
        .invalidInput,
        "the reference output of stage \(stage) has positions beyond its \(Format.count(count, "element"))")
    }
    return (try values.elements(as: Double.self), places, try maximum.elements(as: Double.self)[0])
  }
}

/// The differences between a stage's values and the reference output.
package struct StageComparison: Sendable {
  package let stage: String
  /// The number of elements compared.
  package let count: Int
  /// The reference output's largest magnitude, over all elements of the stage.
  package let largest: Double
  /// The largest absolute difference.
  package let maxAbsolute: Double
  /// The mean absolute difference.
  package let meanAbsolute: Double
  /// The largest allowed difference, as a fraction of ``largest``.
  package let tolerance: Double
  /// True when every compared pair is finite and within the tolerance.
  package let passes: Bool

  /// The largest absolute difference as a fraction of the stage's largest magnitude.
  package var maxRelative: Double { largest > 0 ? maxAbsolute / largest : maxAbsolute }

  init(stage: String, found: [Double], reference: [Double], largest: Double, tolerance: Double) {
    self.stage = stage
    self.largest = largest
    self.tolerance = tolerance
    count = reference.count
    var greatest = 0.0
    var sum = 0.0
    var isFinite = largest.isFinite
    for (value, expected) in zip(found, reference) {
      let difference = (value - expected).magnitude
      isFinite = isFinite && difference.isFinite
      greatest = max(greatest, difference)
      sum += difference
    }
    maxAbsolute = isFinite ? greatest : .nan
    meanAbsolute = reference.isEmpty ? 0 : sum / Double(reference.count)
    passes = isFinite && greatest <= tolerance * largest
  }
}
