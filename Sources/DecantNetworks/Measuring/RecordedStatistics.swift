internal import CStandard
internal import DecantBytes
internal import DecantGraphs
internal import DecantInference
internal import DecantResNets
internal import DecantTensors

/// The validated running variances of a network's first block.
struct RecordedStatistics: Sendable {
  /// The running variances of one batch normalization.
  struct Layer: Sendable {
    let name: String
    let variance: [Double]
    /// The indices of live channels. A dead channel's variance contains no information about the images.
    let channels: [Int]

    /// Added to both variances, so that nearly dead channels have little weight. The value is PyTorch's default
    /// epsilon.
    static let epsilon = 1e-5
    /// The fraction of the median variance below which a channel counts as dead.
    static let dead = 1e-3
  }

  let layers: [Layer]

  /// Reads and checks the statistics.
  ///
  /// - Throws: ``MeasurementError`` when the network is of a kind that was not measured, a tensor is missing, or the
  ///   values cannot come from training.
  init(_ configuration: ResNetConfiguration, _ weights: StateDict) throws(MeasurementError) {
    try Self.requireMeasuredKind(configuration)
    let graph = try Self.graph(configuration, stride0: 2)
    let missing = graph.parameters.filter { !$0.isOptional && weights[$0.name] == nil }
    guard missing.isEmpty else {
      let statistics = missing.filter { $0.role == .runningMean || $0.role == .runningVariance }
      throw .missing((statistics.isEmpty ? missing : statistics).map(\.name))
    }
    let convolutions = graph.parameters.filter { $0.role == .convolutionWeight }
    let count = convolutions.reduce(0) { $0 &+ (checkedProduct($1.shape) ?? Int.max / 64) }
    guard 0...StrideMeasurement.mostWeights ~= count else { throw .tooLarge(weights: count) }

    var layers: [Layer] = []
    var isUntouched = true
    for node in graph.nodes {
      guard case .batchNormalization = node.operation else { continue }
      let mean = try Self.numbers(node, .runningMean, weights)
      let variance = try Self.numbers(node, .runningVariance, weights)
      if let negative = variance.firstIndex(where: { $0 < 0 }) {
        throw .unusable(tensor: "\(node.name).running_var", reason: "is negative in channel \(negative)")
      }
      isUntouched = isUntouched && mean.allSatisfy { $0 == 0 } && variance.allSatisfy { $0 == 1 }
      // The stem's input does not depend on the stride.
      if node.name == Self.stem { continue }
      let middle = variance.sorted()[variance.count / 2]
      let alive = variance.indices.filter { variance[$0] > Layer.dead * middle }
      guard !alive.isEmpty, middle > 0 else {
        throw .unusable(tensor: "\(node.name).running_var", reason: "is 0 in most channels")
      }
      layers.append(Layer(name: node.name, variance: variance, channels: alive))
    }
    if isUntouched { throw .untrained }
    self.layers = layers
  }

  private static let stem = "bn1"

  /// Returns the graph of the stem and the first block. Each normalization's input is a stage with its name.
  static func graph(_ configuration: ResNetConfiguration, stride0: Int) throws(MeasurementError) -> Graph {
    var first = configuration
    first.stages = configuration.stages.prefix(1).map { stage in
      var stage = stage
      stage.blocks = Array(stage.blocks.prefix(1))
      return stage
    }
    first.lastConvolution = nil
    first.classes = 0
    first.stride0 = stride0
    var graph: Graph
    do throws(DecantError) { graph = try first.graph() } catch {
      throw .otherKind(error.reason)
    }
    for node in graph.nodes {
      if case .batchNormalization = node.operation, let input = node.inputs.first {
        graph.nameStage(node.name, input)
      }
    }
    return graph
  }

  /// Throws unless the network is of the only kind whose error rate was measured.
  private static func requireMeasuredKind(_ configuration: ResNetConfiguration) throws(MeasurementError) {
    // A normalization without running statistics has been identified as group normalization.
    guard configuration.normalization == .batch else {
      throw .otherKind("its normalization layers have no running statistics")
    }
    guard case .single(kernel: 7, _) = configuration.stem, configuration.stemPooling == .max,
      configuration.order == .post, !configuration.isQuantized,
      configuration.stages.first?.attention == nil, configuration.inputChannels == 3
    else {
      throw .otherKind(
        "only networks with batch norm after each convolution, a 7×7 stem with 3 channels, a max pool and no attention are supported"
      )
    }
  }

  private static func numbers(
    _ node: Node, _ role: Parameter.Role, _ weights: StateDict
  ) throws(MeasurementError) -> [Double] {
    guard let parameter = node.parameters.first(where: { $0.role == role }),
      let tensor = weights[parameter.name]
    else { throw .missing([node.name]) }
    guard tensor.shape == parameter.shape, tensor.dtype.kind == .floatingPoint else {
      throw .unusable(
        tensor: parameter.name,
        reason: "is \(tensor.dtype.rawValue) of shape \(tensor.shape), not \(parameter.shape)")
    }
    let numbers: [Double]
    do { numbers = try tensor.elements(as: Double.self) } catch {
      throw .unreadable(tensor: parameter.name, cause: DecantError(reading: error))
    }
    guard numbers.allSatisfy(\.isFinite) else {
      throw .unusable(tensor: parameter.name, reason: "has NaN or infinity")
    }
    return numbers
  }
}

extension RecordedStatistics.Layer {
  /// Returns the divergence of the channels of an N×C×H×W activation from the recorded variances.
  func compare<Scalar: ReferenceScalar>(_ activation: Activation<Scalar>) -> StrideMeasurement.Layer {
    let statistics = ChannelStatistics(activation)
    let differences = channels.map { channel in
      cstandard_log((statistics.variance[channel] + Self.epsilon) / (variance[channel] + Self.epsilon))
        .magnitude
    }
    return StrideMeasurement.Layer(
      name: name, divergence: differences.reduce(0, +) / Double(differences.count), mean: statistics.mean,
      variance: statistics.variance)
  }
}
