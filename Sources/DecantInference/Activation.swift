internal import DecantBytes

/// A dense array of numbers that flows through a network: N×C×H×W for maps, N×C for vectors, row-major.
package struct Activation<Scalar: ReferenceScalar>: Sendable, Equatable {
  package let shape: [Int]
  package let values: [Scalar]

  /// Joins a shape and its values.
  ///
  /// - Throws: ``InferenceError/valueCount(shape:count:)`` when they do not agree.
  package init(shape: [Int], values: [Scalar]) throws(InferenceError) {
    guard checkedProduct(shape) == values.count else {
      throw .valueCount(shape: shape, count: values.count)
    }
    self.shape = shape
    self.values = values
  }
}
