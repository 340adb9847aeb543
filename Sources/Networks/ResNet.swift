internal import ByteParsing
internal import Checkpoints
internal import Graphs
package import Inference
package import ResNets
internal import Tensors

/// The weights of a file are not those of the network that it is taken for.
package struct NetworkMismatch: Error, Sendable {
  /// What is missing, unexpected or of another shape.
  package let verification: ResNetVerification
}

/// A network with its weights: call it with images.
///
/// Weights are packed once; any number of tasks may call it at the same time.
package final class ResNet: Sendable {
  /// Opens a checkpoint and makes the network that its weights are, ready to run.
  ///
  /// - Parameters:
  ///   - path: any container that Decant reads.
  ///   - key: the state dict to use, as its name is printed; by default the only one.
  ///   - declaring: what no file can say, such as the architecture or `stride0`.
  ///   - engine: by default the fastest that can execute it.
  ///   - threads: how many cores share a call.
  /// - Throws: ``DecantError`` or ``DecantError`` when the file cannot be read, is damaged or is no ResNet,
  ///   ``NetworkMismatch`` when its weights are not those of the network, ``InferenceError`` when no engine executes it.
  package static func load(
    from path: String, key: String? = nil, declaring: ResNetOverrides = ResNetOverrides(),
    engine: Engine = .fastest(.exact),
    threads: Int = 1
  ) throws -> ResNet {
    let checkpoint = try Checkpoint(path: path)
    try checkpoint.requireIntact()
    let selection =
      try key.map { key throws(DecantError) in try checkpoint.selection(key: key) }
      ?? checkpoint.onlyStateDict()
    var notes: [String] = []
    let resolution = try ResNetResolution(
      of: selection.stateDict(), declaring,
      evidence: { EvidenceGathering.evidence(in: checkpoint, selection, of: $0) { notes.append($0) } })
    try checkpoint.verifyChecksums(of: selection.tensors)
    let verification = try ResNetVerification(
      of: resolution.naming, against: resolution.graph, readsNumbers: false)
    guard verification.isMatch else { throw NetworkMismatch(verification: verification) }
    return try ResNet(resolution, notes, engine, threads: threads)
  }

  /// What executes a network.
  package enum Engine: Sendable {
    /// oneDNN where it is installed and has the network's operators, else the reference.
    case fastest(Numerics)
    /// Matrix products of OpenBLAS: the engine that others are measured against.
    case reference
  }

  /// What the file was taken for, and what was declared, read and assumed to say so.
  package let resolution: ResNetResolution
  /// Files beside the checkpoint that were not read, and why not the fastest engine where the reference took its place.
  package let notes: [String]
  private let network: any NetworkEngine<Float>

  init(
    _ resolution: ResNetResolution, _ notes: [String], _ engine: ResNet.Engine, threads: Int
  ) throws(InferenceError) {
    self.resolution = resolution
    let (graph, weights) = (resolution.graph, resolution.naming.tensors)
    var notes = notes
    if case .fastest(let numerics) = engine {
      do throws(InferenceError) {
        network = try OneDNNNetwork(graph: graph, weights: weights, threads: threads, numerics: numerics)
        self.notes = notes
        return
      } catch { notes.append("the reference engine is used: \(error)") }
    }
    network = try ReferenceNetwork<Float>(graph: graph, weights: weights, threads: threads)
    self.notes = notes
  }

  /// The stages that ``callAsFunction(_:stages:stage:)`` can hand over, in order: `stem`, `maxpool`, `layer1` … `logits`.
  package var stages: [String] { resolution.graph.stages.map(\.name) }

  /// Computes the logits, or the features of a network without a head.
  ///
  /// - Parameters:
  ///   - images: N×C×H×W, prepared as the network was trained.
  ///   - stages: names of stages to hand over too.
  ///   - stage: receives them.
  /// - Returns: N×classes.
  /// - Throws: ``InferenceError`` when the images do not suit the network or memory is refused.
  package func callAsFunction(
    _ images: Activation<Float>, stages: Set<String> = [],
    stage: (_ name: String, _ value: Activation<Float>) -> Void = { _, _ in }
  ) throws(InferenceError) -> Activation<Float> {
    try network.run(images, stages: stages, stage: stage)
  }
}
