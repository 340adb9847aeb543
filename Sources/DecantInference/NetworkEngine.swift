/// An engine that executes a network: the reference, or a faster engine that is tested against it.
package protocol NetworkEngine<Scalar>: Sendable {
  associatedtype Scalar: ReferenceScalar

  /// Computes the output of a network.
  ///
  /// - Parameters:
  ///   - input: N×C×H×W, every size at least 1.
  ///   - stages: the names of the stages to report. Each one is copied, so ask only for those you need.
  ///   - stage: called with the name and values of each of these stages, in the graph's order.
  /// - Returns: the output, N×features for a classifier.
  /// - Throws: ``InferenceError`` when the input does not fit the graph or there is not enough memory.
  func run(
    _ input: Activation<Scalar>, stages: Set<String>,
    stage: (_ name: String, _ value: Activation<Scalar>) -> Void
  ) throws(InferenceError) -> Activation<Scalar>
}
