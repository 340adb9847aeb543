internal import COpenBLAS
package import DecantGraphs
package import DecantTensors
internal import Synchronization

/// The statistics that batch normalization uses.
package enum NormalizationStatistics: Sendable {
  /// `running_mean` and `running_var` from the weights, as PyTorch's `eval()` mode does.
  case running
  /// The mean and variance of the current batch over all its images, as PyTorch's `train()` mode does.
  case currentBatch
}

/// A graph with its weights, executed with OpenBLAS matrix products. Other engines are tested against it.
///
/// Convolutions are im2col and gemm. Batch normalization, addition and ReLU are applied to each product while it is in
/// the cache. The same input gives the same bits every time, with any number of threads.
package final class ReferenceNetwork<Scalar: ReferenceScalar>: NetworkEngine, Sendable {
  /// The number of threads of one run.
  package let threads: Int
  private let program: Program<Scalar>
  private let banding: BandSettings
  /// The workspace of the last run, for the next run with the same input size.
  private let idle = Mutex<Workspace<Scalar>?>(nil)

  /// Binds a state dict to a graph.
  ///
  /// When `Scalar` is `Float`, float32 weights of a memory-mapped file are used without a copy. Other weights are
  /// converted to `Scalar`. This loads OpenBLAS and sets it to one thread per call for the whole process.
  ///
  /// - Parameters:
  ///   - threads: the number of threads of a run, 1 to 1024.
  ///   - normalizing: the statistics that batch normalizations use.
  /// - Throws: ``InferenceError`` when parameters are missing, have another shape or cannot be read, when the graph
  ///   contradicts itself, or when OpenBLAS is not installed.
  package convenience init(
    graph: Graph, weights: StateDict, threads: Int = 1, normalizing: NormalizationStatistics = .running
  ) throws(InferenceError) {
    try self.init(
      graph: graph, weights: weights, threads: threads, normalizing: normalizing, banding: BandSettings())
  }

  /// Binds a state dict to a graph, with explicit settings for bands.
  package convenience init(
    graph: Graph, weights: StateDict, threads: Int = 1, normalizing: NormalizationStatistics = .running,
    banding: BandSettings
  ) throws(InferenceError) {
    try self.init(
      Program(graph, ParameterBinding(graph, weights), normalizing: normalizing), threads: threads,
      banding: banding)
  }

  /// Creates a network from a program.
  init(_ program: Program<Scalar>, threads: Int, banding: BandSettings = BandSettings())
    throws(InferenceError)
  {
    guard 1...1024 ~= threads else { throw .threads(threads) }
    _ = try Self.library()
    self.threads = threads
    self.banding = banding
    self.program = program
  }

  /// Computes the graph's output.
  ///
  /// - Parameters:
  ///   - input: N×C×H×W, every size at least 1.
  ///   - stages: the names of the stages to report. Each one is copied, so ask only for those you need.
  ///   - stage: called with the name and values of each of these stages, in the graph's order.
  /// - Returns: the output, N×features for a classifier.
  /// - Throws: ``InferenceError`` when the input does not fit the graph or there is not enough memory.
  /// - Complexity: two operations per weight and position. Memory is about that of the three largest values. When that
  ///   is much, values up to global average pooling are computed in bands, and memory grows with the input's width
  ///   only.
  package func run(
    _ input: Activation<Scalar>, stages: Set<String> = [],
    stage: (_ name: String, _ value: Activation<Scalar>) -> Void = { _, _ in }
  ) throws(InferenceError) -> Activation<Scalar> {
    let workspace = try takeWorkspace(inputSizes: input.shape)
    let observed = program.graph.stages.filter { stages.contains($0.name) }.map { ($0.name, $0.value.index) }
    withoutActuallyEscaping(stage) { stage in
      let collector = StageCollector(observed, workspace, stage)
      workspace.withInput(input.values) {
        collector.take(program.graph.input.index, 0..<(workspace.shapes[0]?.columns ?? 0))
        Scalar.execute(ReferenceRun(program: program, workspace: workspace, finished: collector.take))
      }
    }
    guard let output = workspace.activation(program.graph.output.index) else {
      throw .unsupportedGraph(node: "-", reason: "the graph makes no output")
    }
    idle.withLock { $0 = workspace }
    return output
  }

  /// Returns OpenBLAS's description of its build.
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package to install.
  package static func library() throws(InferenceError) -> String {
    if let problem = unsafe copenblas_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: copenblas_config())
  }

  /// True when OpenBLAS can be loaded.
  package static var isInstalled: Bool { (try? library()) != nil }

  /// Returns the band plan of a run with this input size; nil when all values are whole.
  package func bandPlan(inputSizes: [Int]) throws(InferenceError) -> BandPlan? {
    banding.plan(program, try program.shapes(input: inputSizes), threads: threads)
  }

  private func takeWorkspace(inputSizes: [Int]) throws(InferenceError) -> Workspace<Scalar> {
    let found = idle.withLock { idle -> Workspace<Scalar>? in
      defer { idle = nil }
      return idle
    }
    if let found, found.inputSizes == inputSizes { return found }
    return try Workspace(program, inputSizes: inputSizes, threads: threads, banding: banding)
  }
}
