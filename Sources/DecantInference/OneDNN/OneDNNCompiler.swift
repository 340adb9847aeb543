internal import DecantGraphs
internal import DecantIO

/// The algorithm by which oneDNN computes convolutions.
public enum Numerics: String, Sendable, CaseIterable {
  /// Direct convolution: each product is computed once.
  case exact
  /// Winograd's minimal filtering (Lavin and Gray 2016) where it is faster: fewer products, more rounding error.
  case fast
}

/// Compiles a program's steps to oneDNN operations, for one input size.
struct OneDNNCompiler {
  /// A value with its shape, layout and location in memory.
  struct Located {
    let shape: ValueShape
    let layout: OneDNNLayout
    let location: Location
  }

  enum Location {
    /// The index of one of the caller's values, and an offset in elements.
    case given(Int, offset: Int = 0)
    /// The index of a piece of the run's memory, and an offset in elements.
    case memory(Int, offset: Int = 0)
    case constant(AlignedBuffer<Float>)

    /// Returns the location `count` elements further.
    func advanced(by count: Int) -> Location {
      switch self {
      case .given(let index, let offset): .given(index, offset: offset + count)
      case .memory(let piece, let offset): .memory(piece, offset: offset + count)
      case .constant: preconditionFailure("weights have no parts")
      }
    }
  }

  /// A memory operand that an operation reads or writes.
  typealias Operand = (role: OneDNNRole, layout: OneDNNLayout, location: Location)

  struct Draft {
    let name: String
    let operation: OneDNNOperation?
    var operands: [Operand]
  }

  let numerics: Numerics
  let weights: OneDNNWeights
  /// The name of the step that is being compiled, for error messages.
  var name = "-"
  /// The lines of padding above the input lines of a band; nil when no band is compiled.
  private var paddingAbove: Int?
  /// The destination of a band's result; nil when no band is compiled.
  private var target: Located?
  private var drafts: [Draft] = []
  private var pieces: [(byteCount: Int, lifetime: ClosedRange<Int>?)] = []
  private var values: [Int: Located] = [:]

  private init(_ numerics: Numerics, _ weights: OneDNNWeights) {
    self.numerics = numerics
    self.weights = weights
  }

  /// Compiles a program's steps from index `first` on, for values of the given shapes.
  ///
  /// - Parameter given: the values that the caller provides before those steps, by value index.
  /// - Throws: ``InferenceError`` when oneDNN lacks an operation.
  static func plan(
    _ program: Program<Float>, _ shapes: [ValueShape?], from first: Int = 0,
    given: [(value: Int, layout: OneDNNLayout)], _ numerics: Numerics, _ weights: OneDNNWeights
  ) throws(InferenceError) -> OneDNNPlan {
    var compiler = OneDNNCompiler(numerics, weights)
    for (place, value) in given.enumerated() {
      guard let shape = shapes[value.value] else { continue }
      compiler.values[value.value] = Located(shape: shape, layout: value.layout, location: .given(place))
    }
    var readers: [Int: Int] = [program.graph.output.index: 1]
    for step in program.steps[first...] { for value in step.reads { readers[value, default: 0] += 1 } }
    var results: [(value: Int, located: Located, count: Int)] = []
    let named = Set(program.graph.stages.map(\.value.index) + [program.graph.output.index])
    if first == 0, named.contains(0), let input = compiler.values[0] { results.append((0, input, 0)) }
    for (index, step) in program.steps.enumerated().dropFirst(first) {
      guard let output = shapes[step.output] else { continue }
      compiler.name = step.name
      for value in step.reads { readers[value, default: 0] -= 1 }
      // A value that the same step also reads as its input must not be overwritten.
      let residual = step.epilogue.residual.map {
        ($0, isOverwritable: readers[$0] == 0 && $0 != step.input)
      }
      let made = try compiler.compile(step, index, output, residual)
      compiler.values[step.output] = made
      if named.contains(step.output) { results.append((step.output, made, compiler.drafts.count)) }
    }
    return compiler.finished(results)
  }

  /// The shape of a band of a step's result: the output lines and the input lines they need.
  struct Band: Hashable {
    let step: Int
    /// The number of input lines. ``paddingAbove`` is the number of window lines in the padding above them.
    let inputLines: Int
    let paddingAbove: Int
    let lines: Int
  }

  /// Compiles one band. The caller provides three values with channels last: the input lines, the lines of the
  /// residual, and the lines of the result.
  static func plan(
    _ program: Program<Float>, _ shapes: [ValueShape?], _ band: Band, _ numerics: Numerics,
    _ weights: OneDNNWeights
  ) throws(InferenceError) -> OneDNNPlan {
    let step = program.steps[band.step]
    var compiler = OneDNNCompiler(numerics, weights)
    compiler.name = step.name
    guard var input = shapes[step.input], var output = shapes[step.output] else {
      throw .unsupportedGraph(node: step.name, reason: "its values have no sizes")
    }
    input.height = band.inputLines
    if !output.isVector { output.height = band.lines }
    func given(_ place: Int, _ shape: ValueShape, _ layout: OneDNNLayout?) throws(InferenceError) -> Located {
      guard let layout else { throw .inputTooLarge(node: step.name) }
      return Located(shape: shape, layout: layout, location: .given(place))
    }
    let target = try given(2, output, .channelsLast(output))
    // The network's own input is row-major (N×C×H×W), with the channel stride of all its lines.
    let lines =
      step.input == 0 ? OneDNNLayout.lines(of: shapes[0], count: band.inputLines) : .channelsLast(input)
    compiler.values[step.input] = try given(0, input, lines)
    compiler.paddingAbove = band.paddingAbove
    compiler.target = target
    var residual: (value: Int, isOverwritable: Bool)?
    if let value = step.epilogue.residual {
      compiler.values[value] = try given(1, output, .channelsLast(output))
      residual = (value, false)
    }
    let made = try compiler.compile(step, band.step, output, residual)
    if case .given(2, _) = made.location {} else { try compiler.move(made, to: target) }
    return compiler.finished([])
  }

  /// Returns the first operator in a program that this engine does not have; nil when it has all of them.
  static func missing(in program: Program<Float>) -> (node: String, reason: String)? {
    for step in program.steps {
      let reason: String? =
        switch step.kernel {
        case .blurPool: "blur pooling"
        case .groupNormalization: "group normalization"
        case .attentionPool: "attention pooling"
        case .layerNormalization: "layer normalization"
        case .vectorFunction(let function) where OneDNNEpilogue.Activation(function) == nil: function.text
        case .batchNormalization: "normalization by the batch's own statistics"
        case .maxPool(let pooling) where pooling.hasZeroPadding && pooling.padding > 0:
          program.steps.contains { $0.output == step.input && $0.epilogue.relu }
            ? nil : "max pooling padded with zeros"
        default: nil
        }
      if let reason { return (step.name, reason) }
    }
    return nil
  }

  // MARK: values

  private func located(_ value: Int) throws(InferenceError) -> Located {
    guard let found = values[value] else {
      throw .unsupportedGraph(node: name, reason: "it reads a value that is not there")
    }
    return found
  }

  func unsupported(_ what: String) -> InferenceError {
    .unsupportedGraph(node: name, reason: "oneDNN has no \(what) for these sizes")
  }

  mutating func newValue(_ shape: ValueShape, _ layout: OneDNNLayout) -> Located {
    pieces.append((layout.byteCount, nil))
    return Located(shape: shape, layout: layout, location: .memory(pieces.count - 1))
  }

  /// Returns the destination of a step's result: the caller's memory when the layout matches, else new memory.
  mutating func newResult(_ shape: ValueShape, _ layout: OneDNNLayout) -> Located {
    if let target, target.layout == layout { return target }
    return newValue(shape, layout)
  }

  /// Returns the window with the padding of the lines in memory. Lines above and below a band may exist in the whole
  /// map.
  func fitted(_ window: OneDNNWindow, _ input: ValueShape, _ output: ValueShape) -> OneDNNWindow {
    guard let paddingAbove else { return window }
    var window = window
    let span = (output.height - 1) * window.stride.0 + (window.kernel.0 - 1) * window.dilation.0 + 1
    window.before.0 = paddingAbove
    window.after.0 = span - input.height - paddingAbove
    return window
  }

  mutating func emit(_ operation: OneDNNOperation?, _ operands: [Operand]) {
    var draft = Draft(name: name, operation: operation, operands: operands)
    if let scratch = operation?.layout(.scratch), scratch.byteCount > 0 {
      pieces.append((scratch.byteCount, nil))
      draft.operands.append((.scratch, scratch, .memory(pieces.count - 1)))
    }
    for operand in draft.operands {
      guard case .memory(let piece, _) = operand.location else { continue }
      let first = pieces[piece].lifetime?.lowerBound ?? drafts.count
      pieces[piece].lifetime = first...drafts.count
    }
    drafts.append(draft)
  }

  /// Returns a value in the given layout: the value itself, or a copy.
  ///
  /// - Parameter isCopy: true when it must be a copy, because it will be overwritten.
  mutating func permuted(_ value: Located, as layout: OneDNNLayout, isCopy: Bool = false)
    throws(InferenceError)
    -> Located
  {
    if !isCopy, value.layout == layout { return value }
    guard let reorder = OneDNNOperation.reorder(from: value.layout, to: layout) else {
      throw unsupported("rearrangement")
    }
    let copy = newValue(value.shape, layout)
    emit(reorder, [(.input, value.layout, value.location), (.output, layout, copy.location)])
    return copy
  }

  /// Copies a value to another location.
  mutating func move(_ value: Located, to target: Located) throws(InferenceError) {
    guard let reorder = OneDNNOperation.reorder(from: value.layout, to: target.layout) else {
      throw unsupported("rearrangement")
    }
    emit(reorder, [(.input, value.layout, value.location), (.output, target.layout, target.location)])
  }

  // MARK: steps

  private mutating func compile(
    _ step: Step<Float>, _ index: Int, _ output: ValueShape, _ residual: (value: Int, isOverwritable: Bool)?
  ) throws(InferenceError) -> Located {
    let input = try located(step.input)
    let added: Addend? = try residual.map { residual throws(InferenceError) in
      Addend(value: try located(residual.value), isOverwritable: residual.isOverwritable)
    }
    let activation: OneDNNEpilogue.Activation = step.epilogue.relu ? .relu : .identity
    switch step.kernel {
    case .convolution(let convolution, let weights):
      return try convolve(
        input, output, ConvolutionWeights(index, convolution, weights, step.epilogue.affine),
        .init(
          kernel: (convolution.kernel, convolution.kernel), stride: (convolution.stride, convolution.stride),
          dilation: (convolution.dilation, convolution.dilation),
          before: (convolution.padding, convolution.padding),
          after: (convolution.padding, convolution.padding)),
        activation, adding: added)
    case .linear(let inputs, let outputs, let weights, let bias):
      let factors = ConvolutionWeights(
        key: index, part: 0, sizes: [outputs, inputs, 1, 1], groups: 1, values: weights, factors: nil,
        bias: bias)
      return try convolve(input, output, factors, .init(kernel: (1, 1)), activation, adding: added)
    case .maxPool(let pooling):
      return try pool(
        input, output, maximum: true, kernel: pooling.kernel, stride: pooling.stride, pooling.padding)
    case .averagePool(let size, _):
      return try pool(input, output, maximum: false, kernel: size, stride: size, 0)
    case .globalAveragePool:
      return try globalAverage(input, output)
    case .padChannels(let each, let stride):
      return try padChannels(input, output, each: each, stride: stride)
    case .channelGate(let gate):
      return try self.gate(input, gate, index)
    case .silu:
      guard let operation = OneDNNOperation.activation(input.layout, .silu) else { throw unsupported("SiLU") }
      return apply(operation, to: input)
    case .vectorFunction(let function):
      guard let activation = OneDNNEpilogue.Activation(function),
        let operation = OneDNNOperation.activation(input.layout, activation)
      else { throw unsupported(function.text) }
      return apply(operation, to: input)
    case .vectorAffine(let affine):
      return try pointwise(input, output, affine, index, .identity, adding: nil)
    case .pointwise:
      return try pointwise(input, output, step.epilogue.affine, index, activation, adding: added)
    case .blurPool, .groupNormalization, .attentionPool, .batchNormalization, .layerNormalization:
      throw unsupported("such operation")
    }
  }

  /// The residual that a step adds to its result.
  struct Addend {
    let value: Located
    let isOverwritable: Bool
  }

  private mutating func apply(_ operation: OneDNNOperation, to input: Located) -> Located {
    let output = newResult(input.shape, input.layout)
    emit(operation, [(.input, input.layout, input.location), (.output, output.layout, output.location)])
    return output
  }

  // MARK: the finished plan

  private func finished(_ results: [(value: Int, located: Located, count: Int)]) -> OneDNNPlan {
    let memory = OneDNNMemoryPlan(pieces.map { ($0.byteCount, $0.lifetime ?? 0...0) })
    func place(_ location: Location) -> OneDNNPlan.Place {
      switch location {
      case .given(let index, let offset): .given(index, offset * MemoryLayout<Float>.stride)
      case .memory(let piece, let offset):
        .memory(memory.offsets[piece] + offset * MemoryLayout<Float>.stride)
      case .constant(let buffer): .constant(buffer)
      }
    }
    return OneDNNPlan(
      instructions: drafts.map { draft in
        let operands = draft.operands.map {
          OneDNNPlan.Operand(role: $0.role, layout: $0.layout, place: place($0.location))
        }
        guard let operation = draft.operation else {
          return .init(
            name: draft.name, work: .zero(operands[0].place, byteCount: operands[0].layout.byteCount))
        }
        return .init(name: draft.name, work: .execute(operation, operands))
      },
      results: results.map {
        .init(
          value: $0.value, shape: $0.located.shape, layout: $0.located.layout,
          place: place($0.located.location),
          instructionCount: $0.count)
      },
      memoryByteCount: memory.byteCount)
  }
}
