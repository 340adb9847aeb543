internal import COpenBLAS
package import DecantGraphs
import Synchronization
package import DecantTensors

/// By which mean and variance a batch normalization divides.
package enum NormalizationStatistics: Sendable {
  /// Those of the weights, `running_mean` and `running_var`: how a trained network is used.
  case running
  /// Those of the batch that runs, over all its images: how a network is trained.
  case ofTheBatch
}

/// A graph with its weights, executed by matrix products of OpenBLAS: the engine others are measured against.
///
/// Convolutions are im2col and gemm; batch normalization, addition and ReLU are applied to each product while
/// it is in the cache. The same input gives the same bits every time, on any count of threads.
package final class ReferenceNetwork<Scalar: ReferenceScalar>: NetworkEngine, Sendable {
  /// The threads one run works with.
  package let threads: Int
  private let program: Program<Scalar>
  private let banding: Banding
  /// The memory and threads of the last run, for the next of the same size.
  private let idle = Mutex<Workspace<Scalar>?>(nil)

  /// Binds a state dict to a graph.
  ///
  /// float32 weights of a mapped file are used where they lie when `Scalar` is `Float`; other types are
  /// converted to `Scalar`.
  /// OpenBLAS is loaded, and for the whole process told to use one thread per call.
  ///
  /// - Parameters:
  ///   - threads: how many cores share a run, 1 to 1024.
  ///   - normalizing: by which statistics batch normalizations divide.
  /// - Throws: ``InferenceError`` when parameters are missing, have another shape or cannot be read, when the
  ///   graph contradicts itself, or when OpenBLAS is not installed.
  package convenience init(
    graph: Graph, weights: StateDict, threads: Int = 1, normalizing: NormalizationStatistics = .running
  ) throws(InferenceError) {
    try self.init(
      graph: graph, weights: weights, threads: threads, normalizing: normalizing, banding: Banding())
  }

  /// Binds a state dict to a graph, with bands as they are told.
  package convenience init(
    graph: Graph, weights: StateDict, threads: Int = 1, normalizing: NormalizationStatistics = .running,
    banding: Banding
  ) throws(InferenceError) {
    try self.init(
      Program(graph, ParameterBinding(graph, weights), normalizing: normalizing), threads: threads,
      banding: banding)
  }

  /// Executes a program.
  init(_ program: Program<Scalar>, threads: Int, banding: Banding = Banding()) throws(InferenceError) {
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
  ///   - stages: names of the stages to hand over; each is copied, so ask only for those of use.
  ///   - stage: receives those stages' names and values, in the graph's order.
  /// - Returns: the output, N×features for a classifier.
  /// - Throws: ``InferenceError`` when the input does not suit the graph or memory is refused.
  /// - Complexity: two operations per weight and position; memory for the largest three values or so, or, where that
  ///   is much, for bands of all values up to the mean over all pixels, which grows with the input's width only.
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

  /// What computes the products: OpenBLAS's own description of its build.
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package that brings it.
  package static func library() throws(InferenceError) -> String {
    if let problem = unsafe copenblas_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: copenblas_config())
  }

  /// OpenBLAS can be loaded.
  package static var isInstalled: Bool { (try? library()) != nil }

  /// How the first steps of a run on such an input are executed in bands; nil when all values are whole.
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
