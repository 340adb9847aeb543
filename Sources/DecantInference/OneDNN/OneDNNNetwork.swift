internal import COneDNN
internal import DecantBytes
package import DecantGraphs
internal import DecantIO
package import DecantTensors
internal import Synchronization

/// A graph with its weights, executed by oneDNN: the fast engine.
///
/// Batch normalizations are folded into the weights, additions and ReLUs into the convolutions before them. oneDNN
/// chooses layouts, weights are packed once, and values share memory. One network serves any number of concurrent
/// calls. The same input gives the same bits every time on the same processor, library and number of threads. oneDNN's
/// ReLU turns NaN into 0. So the reference engine runs weights and inputs that are not all finite, because it keeps
/// NaN.
package final class OneDNNNetwork: NetworkEngine, Sendable {
  /// The number of threads of one run.
  package let threads: Int
  /// The algorithm for convolutions.
  package let numerics: Numerics
  private let program: Program<Float>
  private let weights = OneDNNWeights()
  private let bands: BandSettings.Choice
  private let hasFiniteWeights: Bool
  private let state = Mutex(State())

  private struct State {
    /// The passes for the most recent input sizes, the newest last.
    var passes: [(sizes: [Int], pass: OneDNNPass)] = []
    /// Memory blocks that no run is using.
    var idle: [AlignedBuffer<UInt8>] = []
    /// The engine for inputs or weights that are not finite.
    var reference: ReferenceNetwork<Float>?
  }

  /// The number of input sizes whose passes are kept.
  private static let passCount = 8

  /// Binds a state dict to a graph.
  ///
  /// - Parameters:
  ///   - threads: the number of threads of a run, 1 to 1024.
  ///   - areFinite: true when the caller has read every weight and found no NaN and no infinity, so that they need not
  ///     be read again.
  /// - Throws: ``InferenceError`` when parameters are missing, have another shape or cannot be read, when the graph
  ///   has an operation that this engine lacks, or when oneDNN is not installed.
  package convenience init(
    graph: Graph, weights: StateDict, threads: Int = 1, numerics: Numerics = .exact, areFinite: Bool = false
  ) throws(InferenceError) {
    try self.init(
      graph: graph, weights: weights, threads: threads, numerics: numerics, areFinite: areFinite,
      bands: .automatic)
  }

  /// Binds a state dict to a graph, with an explicit choice of bands.
  package init(
    graph: Graph, weights: StateDict, threads: Int, numerics: Numerics, areFinite: Bool = false,
    bands: BandSettings.Choice
  ) throws(InferenceError) {
    guard 1...1024 ~= threads else { throw .threads(threads) }
    _ = try OneDNNLibrary.version()
    self.threads = threads
    self.numerics = numerics
    self.bands = bands
    program = try Program(graph, ParameterBinding(graph, weights), normalizing: .running)
    // A float64 number can become infinite when it is rounded to float32.
    let areFinite = areFinite && weights.entries.allSatisfy { $0.tensor.dtype != .float64 }
    hasFiniteWeights = program.steps.allSatisfy { $0.hasFiniteAffine && (areFinite || $0.hasFiniteWeights) }
    if let missing = OneDNNCompiler.missing(in: program) {
      throw .unsupportedGraph(node: missing.node, reason: "the engine onednn has no \(missing.reason)")
    }
  }

  /// Computes the graph's output; see ``ReferenceNetwork/run(_:stages:stage:)``.
  ///
  /// The first run with a new input size prepares operations for it. When whole values would take much memory, the
  /// first steps run in bands of lines, image by image.
  package func run(
    _ input: Activation<Float>, stages: Set<String> = [],
    stage: (_ name: String, _ value: Activation<Float>) -> Void = { _, _ in }
  ) throws(InferenceError) -> Activation<Float> {
    guard hasFiniteWeights, unsafe input.values.withUnsafeBufferPointer({ unsafe areFinite($0) }) else {
      return try reference().run(input, stages: stages, stage: stage)
    }
    conednn_set_threads(Int32(threads))
    let pass = try pass(for: input.shape)
    guard input.shape[0] > 1, pass.isSingleImage else { return try run(input, pass, stages, stage) }
    // Bands process one image at a time. The results are concatenated.
    let count = input.values.count / input.shape[0]
    var outputs: [Activation<Float>] = []
    var parts: [(name: String, images: [Activation<Float>])] = []
    for image in 0..<input.shape[0] {
      let one = try Activation(
        shape: [1] + input.shape.dropFirst(), values: Array(input.values[image * count..<(image + 1) * count])
      )
      var place = 0
      outputs.append(
        try run(one, pass, stages) { name, value in
          if image == 0 { parts.append((name, [])) }
          parts[place].images.append(value)
          place += 1
        })
    }
    for part in parts { stage(part.name, try Self.joined(part.images)) }
    return try Self.joined(outputs)
  }

  private func reference() throws(InferenceError) -> ReferenceNetwork<Float> {
    if let found = state.withLock({ $0.reference }) { return found }
    let made = try ReferenceNetwork<Float>(program, threads: threads)
    state.withLock { $0.reference = made }
    return made
  }

  private static func joined(_ images: [Activation<Float>]) throws(InferenceError) -> Activation<Float> {
    try Activation(
      shape: [images.count] + (images.first?.shape.dropFirst() ?? []), values: images.flatMap(\.values))
  }

  private func run(
    _ input: Activation<Float>, _ pass: OneDNNPass, _ stages: Set<String>,
    _ stage: (_ name: String, _ value: Activation<Float>) -> Void
  ) throws(InferenceError) -> Activation<Float> {
    let memory = try takeMemory(pass.memoryByteCount)
    defer { state.withLock { $0.idle.append(memory) } }
    let observed = program.graph.stages.filter { stages.contains($0.name) }
    let output = unsafe input.values.withUnsafeBufferPointer {
      values -> Swift.Result<Activation<Float>, InferenceError> in
      guard let start = values.baseAddress else { return .failure(.inputTooLarge(node: "input")) }
      let base = unsafe UnsafeMutableRawPointer(memory.base)
      do throws(InferenceError) {
        let output = try unsafe pass.perform(
          UnsafeMutableRawPointer(mutating: start), base, observing: Set(observed.map(\.value.index))
        ) { value, activation in
          for found in observed where found.value.index == value { stage(found.name, activation) }
        }
        return .success(output)
      } catch { return .failure(error) }
    }
    return try output.get()
  }

  private func pass(for sizes: [Int]) throws(InferenceError) -> OneDNNPass {
    if let found = state.withLock({ $0.passes.first { $0.sizes == sizes }?.pass }) { return found }
    let pass = try OneDNNPass(program, sizes, numerics, weights, bands: bands)
    state.withLock {
      $0.passes.append((sizes, pass))
      if $0.passes.count > Self.passCount { $0.passes.removeFirst() }
    }
    return pass
  }

  /// Returns memory of an earlier run that is large enough, or new memory.
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
}
