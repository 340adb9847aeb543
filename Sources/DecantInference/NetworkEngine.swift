/// What executes a network: the reference, or a faster engine that is measured against it.
package protocol NetworkEngine<Scalar>: Sendable {
  associatedtype Scalar: ReferenceScalar

  /// Computes the output of a network.
  ///
  /// - Parameters:
  ///   - input: N×C×H×W, every size at least 1.
  ///   - stages: names of the stages to hand over; each is copied, so ask only for those of use.
  ///   - stage: receives those stages' names and values, in the graph's order.
  /// - Returns: the output, N×features for a classifier.
  /// - Throws: ``InferenceError`` when the input does not suit the graph or memory is refused.
  func run(
    _ input: Activation<Scalar>, stages: Set<String>,
    stage: (_ name: String, _ value: Activation<Scalar>) -> Void
  ) throws(InferenceError) -> Activation<Scalar>
}
