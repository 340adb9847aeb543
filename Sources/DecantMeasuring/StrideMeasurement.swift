package import DecantInference
package import DecantResNets
package import DecantTensors
internal import DecantGraphs

/// How well either stride of the stem explains a network's running statistics.
///
/// Batch normalization has recorded the mean and variance of every channel while the network was trained. Here images
/// are sent through the stem and the first block with either stride, every layer by the statistics of its own batch so
/// that no deviation reaches the next, and the variances compared with the recorded ones. The smaller the divergence,
/// the better the stride explains them. It is evidence, never a proof (docs/adr/0010).
package struct StrideMeasurement: Sendable {
  /// What one normalization of the first block says.
  package struct Layer: Sendable, Equatable {
    package let name: String
    /// The mean over its channels of |ln(batch variance / running variance)|.
    package let divergence: Double
    /// The batch's mean and variance of each channel.
    package let mean: [Double]
    package let variance: [Double]
  }

  /// One stride, with the images that suit it best.
  package struct Hypothesis: Sendable, Equatable {
    package let stride0: Int
    /// The mean of its layers' divergences.
    package let divergence: Double
    package let layers: [Layer]
    /// The spectrum of the noise; nil when the images were given.
    package let noise: NaturalNoise?
    /// Height and width of the images.
    package let size: [Int]
  }

  /// What the divergences say.
  package enum Verdict: Sendable, Equatable {
    case suggests(stride0: Int)
    /// Neither stride is much better than the other.
    case tooClose
    /// Neither stride explains the statistics.
    case neitherFits
  }

  /// Stride 1 and stride 2.
  package let hypotheses: [Hypothesis]

  /// How many times smaller the divergence of the suggested stride is, at least.
  package static let leastRatio = 1.25
  /// Largest divergence that counts as an explanation; trained networks have had less than 0.3.
  package static let largestDivergence = 0.35
  /// Sizes of the noise under each hypothesis, since the zeros around small maps count too, and how many images: more for
  /// stride 2, whose maps have a sixteenth of the pixels. Too few leave it the larger divergence by chance alone.
  static let trials = [
    (stride0: 1, size: 64, count: 16), (stride0: 1, size: 128, count: 4), (stride0: 2, size: 64, count: 64),
    (stride0: 2, size: 128, count: 16),
  ]
  /// Most weights of the convolutions that run: ResNet-50 has 83,136, the widest ResNeXt (32x48d) 1,180,864.
  static let mostWeights = 1 << 21

  package var verdict: Verdict {
    let ordered = hypotheses.sorted { $0.divergence < $1.divergence }
    guard let best = ordered.first, best.divergence <= Self.largestDivergence else { return .neitherFits }
    guard let second = ordered.dropFirst().first, second.divergence > best.divergence,
      second.divergence >= Self.leastRatio * best.divergence
    else { return .tooClose }
    return .suggests(stride0: best.stride0)
  }

  /// Measures with noise of many spectra, or with images of the kind the network was trained on.
  ///
  /// - Parameters:
  ///   - weights: the tensors under torchvision's names.
  ///   - images: N×C×H×W, normalised as for training.
  /// - Throws: ``MeasurementError`` for networks of a kind that the error rate is not known of, and weights that lack
  ///   running statistics or have useless ones.
  /// - Complexity: with noise, 20 passes of the images of ``trials``.
  package init(
    of configuration: ResNetConfiguration, weights: StateDict, images: Activation<Double>? = nil,
    threads: Int = 1
  ) throws(MeasurementError) {
    let recorded = try RecordedStatistics(configuration, weights)
    let found =
      if let images {
        try Self.measure(configuration, weights, recorded, with: images, threads)
      } else {
        try Self.measureWithNoise(configuration, weights, recorded, threads)
      }
    hypotheses = [1, 2].compactMap { stride0 in
      found.filter { $0.stride0 == stride0 }.min { $0.divergence < $1.divergence }
    }
  }

  private static func measure(
    _ configuration: ResNetConfiguration, _ weights: StateDict, _ recorded: RecordedStatistics,
    with images: Activation<Double>, _ threads: Int
  ) throws(MeasurementError) -> [Hypothesis] {
    var found: [Hypothesis] = []
    for stride0 in [1, 2] {
      var trial = try Trial<Double>(configuration, stride0: stride0, weights, recorded, threads: threads)
      try trial.run(images, noise: nil)
      if let best = trial.best { found.append(best) }
    }
    return found
  }

  /// In float32: what chance does to the variances of noise is a hundred times what rounding does.
  private static func measureWithNoise(
    _ configuration: ResNetConfiguration, _ weights: StateDict, _ recorded: RecordedStatistics,
    _ threads: Int
  ) throws(MeasurementError) -> [Hypothesis] {
    let channels = configuration.inputChannels
    var trials: [Trial<Float>] = []
    for (stride0, _, _) in Self.trials {
      trials.append(try Trial(configuration, stride0: stride0, weights, recorded, threads: threads))
    }
    let source = NoiseSource(images: 4, channels: channels)
    for noise in NaturalNoise.all {
      let fields = source.fields(noise)
      for (place, (_, size, count)) in Self.trials.enumerated() {
        let images: Activation<Float>
        do throws(InferenceError) {
          images = try Activation(
            shape: [count, channels, size, size], values: source.cut(fields, count: count, size: size))
        } catch { throw .engine(error) }
        try trials[place].run(images, noise: noise)
      }
    }
    return trials.compactMap(\.best)
  }
}

/// One stride's network up to the end of the first block, and the best it has done.
private struct Trial<Scalar: ReferenceScalar> {
  let stride0: Int
  private let network: ReferenceNetwork<Scalar>
  private let recorded: RecordedStatistics
  private(set) var best: StrideMeasurement.Hypothesis?

  init(
    _ configuration: ResNetConfiguration, stride0: Int, _ weights: StateDict, _ recorded: RecordedStatistics,
    threads: Int
  ) throws(MeasurementError) {
    self.stride0 = stride0
    self.recorded = recorded
    let graph = try RecordedStatistics.graph(configuration, stride0: stride0)
    do throws(InferenceError) {
      network = try ReferenceNetwork(
        graph: graph, weights: weights, threads: threads, normalizing: .ofTheBatch)
    } catch { throw .engine(error) }
  }

  /// Runs images and keeps what they say if nothing said better.
  mutating func run(_ images: Activation<Scalar>, noise: NaturalNoise?) throws(MeasurementError) {
    var layers: [StrideMeasurement.Layer] = []
    do throws(InferenceError) {
      _ = try network.run(images, stages: Set(recorded.layers.map(\.name))) { name, activation in
        guard let layer = recorded.layers.first(where: { $0.name == name }) else { return }
        layers.append(layer.compare(activation))
      }
    } catch { throw .engine(error) }
    let divergence = layers.reduce(0) { $0 + $1.divergence } / Double(layers.count)
    guard divergence.isFinite else {
      throw .unusable(
        tensor: layers.first { !$0.divergence.isFinite }?.name ?? "conv1",
        reason: "makes numbers that are not finite")
    }
    if let best, best.divergence <= divergence { return }
    best = StrideMeasurement.Hypothesis(
      stride0: stride0, divergence: divergence, layers: layers, noise: noise,
      size: Array(images.shape.suffix(2)))
  }
}
