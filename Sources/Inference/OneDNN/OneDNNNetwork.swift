internal import COneDNN
public import Graphs
import Synchronization
public import Tensors

/// A graph with its weights, executed by oneDNN: the fast engine.
///
/// Batch normalizations are computed into the weights, additions and ReLUs into the convolutions before them; the
/// library chooses layouts, weights are packed once, and values share memory. One network serves any number of
/// concurrent calls. The same input gives the same bits every time on the same processor, library and count of threads.
public final class OneDNNNetwork: NetworkEngine, Sendable {
  /// The threads one run works with.
  public let threads: Int
  /// How convolutions are computed.
  public let numerics: Numerics
  private let program: Program<Float>
  private let weights = OneDNNWeights()
  private let state = Mutex(State())

  private struct State {
    /// The plans of the last sizes, the newest last.
    var plans: [(sizes: [Int], plan: OneDNNPlan)] = []
    /// Memory that no run uses.
    var idle: [AlignedBuffer<UInt8>] = []
  }

  /// Sizes of input whose plans are kept.
  private static let planCount = 8

  /// Binds a state dict to a graph.
  ///
  /// - Parameters:
  ///   - threads: how many cores share a run, 1 to 1024.
  /// - Throws: ``InferenceError`` when parameters are missing, have another shape or cannot be read, when the graph
  ///   holds what this engine does not compute, or oneDNN is not installed.
  public init(
    graph: Graph, weights: StateDict, threads: Int = 1, numerics: Numerics = .exact
  ) throws(InferenceError) {
    guard 1...1024 ~= threads else { throw .threads(threads) }
    _ = try OneDNNLibrary.version()
    self.threads = threads
    self.numerics = numerics
    program = try Program(graph, ParameterBinding(graph, weights), normalizing: .running)
    if let missing = OneDNNCompiler.missing(in: program) {
      throw .unsupportedGraph(node: missing.node, reason: "the engine onednn has no \(missing.reason)")
    }
  }

  /// Computes the graph's output; see ``ReferenceNetwork/run(_:stages:stage:)``.
  ///
  /// The first run with an input of new sizes prepares operations for them.
  public func run(
    _ input: Activation<Float>, stages: Set<String> = [],
    stage: (_ name: String, _ value: Activation<Float>) -> Void = { _, _ in }
  ) throws(InferenceError) -> Activation<Float> {
    conednn_set_threads(Int32(threads))
    let plan = try plan(for: input.shape)
    let memory = try takeMemory(plan.memoryByteCount)
    defer { state.withLock { $0.idle.append(memory) } }
    let base = unsafe UnsafeMutableRawPointer(memory.base)
    let observed = program.graph.stages.filter { stages.contains($0.name) }
    let output = unsafe input.values.withUnsafeBufferPointer {
      values -> Swift.Result<Activation<Float>, InferenceError> in
      guard let start = values.baseAddress else { return .failure(.inputTooLarge(node: "input")) }
      let run = unsafe Run(plan: plan, memory: base, input: UnsafeMutableRawPointer(mutating: start))
      do throws(InferenceError) {
        let output = try run.perform(output: program.graph.output.index) { result throws(InferenceError) in
          for found in observed where found.value.index == result.value {
            stage(found.name, try run.activation(result))
          }
        }
        return .success(output)
      } catch { return .failure(error) }
    }
    return try output.get()
  }

  private func plan(for sizes: [Int]) throws(InferenceError) -> OneDNNPlan {
    if let found = state.withLock({ $0.plans.first { $0.sizes == sizes }?.plan }) { return found }
    let plan = try OneDNNCompiler.plan(program, sizes, numerics, weights)
    state.withLock {
      $0.plans.append((sizes, plan))
      if $0.plans.count > Self.planCount { $0.plans.removeFirst() }
    }
    return plan
  }

  /// Memory of an earlier run that is large enough, or new.
  private func takeMemory(_ byteCount: Int) throws(InferenceError) -> AlignedBuffer<UInt8> {
    let found = state.withLock { state -> AlignedBuffer<UInt8>? in
      let fitting = state.idle.firstIndex { $0.count >= byteCount && $0.count / 2 <= byteCount }
      if let fitting { return state.idle.remove(at: fitting) }
      state.idle = []
      return nil
    }
    if let found { return found }
    return try AlignedBuffer(count: byteCount)
  }

  /// One pass through the network.
  @safe private struct Run {
    let plan: OneDNNPlan
    let memory: UnsafeMutableRawPointer
    let input: UnsafeMutableRawPointer

    /// Executes everything in order.
    ///
    /// - Parameter finished: told of each value with a name once it is there.
    func perform(
      output: Int, finished: (OneDNNPlan.Result) throws(InferenceError) -> Void
    ) throws(InferenceError) -> Activation<Float> {
      var results = plan.results[...]
      var last: Activation<Float>?
      for done in 0...plan.instructions.count {
        while let result = results.first, result.instructionCount == done {
          results.removeFirst()
          try finished(result)
          if result.value == output { last = try activation(result) }
        }
        guard done < plan.instructions.count else { break }
        let instruction = plan.instructions[done]
        switch instruction.work {
        case .zero(let place, let byteCount):
          unsafe address(place).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        case .execute(let operation, let operands):
          let arguments = unsafe operands.map {
            unsafe conednn_argument(
              what: $0.role.rawValue, layout: $0.layout.handle, memory: address($0.place))
          }
          guard unsafe operation.execute(arguments) else { throw failure(instruction.name) }
        }
      }
      guard let last else { throw failure("output") }
      return last
    }

    /// A value in PyTorch's order.
    func activation(_ result: OneDNNPlan.Result) throws(InferenceError) -> Activation<Float> {
      let plain = OneDNNLayout.rowMajor(result.shape.mapSizes)
      var outcome = Swift.Result<Bool, InferenceError>.success(false)
      let values = unsafe [Float](unsafeUninitializedCapacity: result.shape.count) { target, count in
        guard let base = target.baseAddress, let plain else { return }
        do throws(InferenceError) {
          outcome = .success(try unsafe result.layout.copy(address(result.place), to: base, as: plain))
        } catch { outcome = .failure(error) }
        count = result.shape.count
      }
      guard try outcome.get() else { throw failure("output") }
      return try Activation(shape: result.shape.sizes, values: values)
    }

    private func address(_ place: OneDNNPlan.Place) -> UnsafeMutableRawPointer {
      switch place {
      case .input: unsafe input
      case .memory(let offset): unsafe memory + offset
      case .constant(let buffer): unsafe UnsafeMutableRawPointer(buffer.base)
      }
    }

    private func failure(_ node: String) -> InferenceError {
      .unsupportedGraph(node: node, reason: "oneDNN failed to execute it")
    }
  }
}
