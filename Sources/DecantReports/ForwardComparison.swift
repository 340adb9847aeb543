package import DecantInference

/// A network's stages on one input beside those that another implementation computed.
package struct ForwardComparison: Sendable {
  /// The engine that computed the stages, such as "onednn engine 2.6.3, exact".
  package let engine: String
  package let input: String
  package let reference: String
  package let stages: [StageComparison]

  package init(engine: String, input: String, reference: String, stages: [StageComparison]) {
    (self.engine, self.input, self.reference, self.stages) = (engine, input, reference, stages)
  }

  /// True when every stage is within the tolerance.
  package var passes: Bool { stages.allSatisfy(\.passes) }
}
