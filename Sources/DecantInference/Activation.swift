internal import DecantBytes

/// A dense tensor that flows through a network: N×C×H×W for feature maps, N×C for vectors, row-major.
package struct Activation<Scalar: ReferenceScalar>: Sendable, Equatable {
  package let shape: [Int]
  package let values: [Scalar]

  /// Creates the activation of a run's value. The shape must have as many elements as there are values.
  init(_ shape: ValueShape, _ values: [Scalar]) { (self.shape, self.values) = (shape.sizes, values) }

  /// Creates an activation from a shape and its row-major values.
  ///
  /// - Throws: ``InferenceError/valueCount(shape:count:)`` when the shape's element count differs from the number of
  ///   values.
  package init(shape: [Int], values: [Scalar]) throws(InferenceError) {
    guard checkedProduct(shape) == values.count else {
      throw .valueCount(shape: shape, count: values.count)
    }
    self.shape = shape
    self.values = values
  }
}
