internal import DecantGraphs
package import DecantInference
package import DecantResNets
package import DecantTensors

/// A comparison of stem strides 1 and 2 by how well each explains a network's running statistics.
///
/// During training, batch normalization recorded the mean and variance of every channel. The measurement runs images
/// through the stem and the first block with both strides and compares the variances with the recorded ones. Every
/// layer uses the statistics of its own batch, so that deviations do not propagate. The smaller the divergence, the
/// better the stride explains the statistics. The result is evidence, never proof (docs/adr/0010).
package struct StrideMeasurement: Sendable {
  /// The result for one batch normalization of the first block.
  package struct Layer: Sendable, Equatable {
    package let name: String
    /// The mean over its channels of |ln(batch variance / running variance)|.
    package let divergence: Double
    /// The batch's mean and variance of each channel.
    package let mean: [Double]
    package let variance: [Double]
  }

  /// The result for one stride, with the images that fit it best.
  package struct Hypothesis: Sendable, Equatable {
    package let stride0: Int
    /// The mean of its layers' divergences.
    package let divergence: Double
    package let layers: [Layer]
    /// The spectrum of the noise; nil when the caller gave the images.
    package let noise: NaturalNoise?
    /// The height and width of the images.
    package let size: [Int]
  }

  /// The conclusion from the divergences.
  package enum Verdict: Sendable, Equatable {
    case suggests(stride0: Int)
    /// Neither stride is much better than the other.
    case tooClose
    /// Neither stride explains the statistics.
    case neitherFits
  }

  /// The results for stride 1 and stride 2.
  package let hypotheses: [Hypothesis]

  /// The least ratio of the other divergence to that of the suggested stride.
  package static let leastRatio = 1.25
  /// The largest divergence that counts as an explanation. Trained networks have had less than 0.3.
  package static let largestDivergence = 0.35
  /// The sizes and counts of noise images under each hypothesis. There are two sizes because the zero padding around
  /// small feature maps matters too. Stride 2 gets more images, because its feature maps have a sixteenth of the
  /// pixels. Too few would give it the larger divergence by chance.
  static let trials = [
    (stride0: 1, size: 64, count: 16), (stride0: 1, size: 128, count: 4), (stride0: 2, size: 64, count: 64),
    (stride0: 2, size: 128, count: 16),
  ]
  /// The most weights of the convolutions that run. ResNet-50 has 83,136, the widest ResNeXt (32x48d) 1,180,864.
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
  ///   - images: N×C×H×W, normalised as in training; nil for noise.
  ///   - progress: called with the numbers of passes done and in all.
  /// - Throws: ``MeasurementError`` for kinds of networks whose error rate is not known, and for weights whose running
  ///   statistics are missing or unusable.
  /// - Complexity: with noise, 20 passes over the images of ``trials``.
  package init(
    of configuration: ResNetConfiguration, weights: StateDict, images: Activation<Double>? = nil,
    threads: Int = 1, progress: (Int, Int) -> Void = { _, _ in }
  ) throws(MeasurementError) {
    let recorded = try RecordedStatistics(configuration, weights)
    let found =
      if let images {
        try Self.measure(configuration, weights, recorded, with: images, threads)
      } else {
        try Self.measureWithNoise(configuration, weights, recorded, threads, progress)
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
      var trial = try StrideCandidate<Double>(
        configuration, stride0: stride0, weights, recorded, threads: threads)
      try trial.run(images, noise: nil)
      if let best = trial.best { found.append(best) }
    }
    return found
  }

  /// Measures with noise in float32. The sampling error of the noise's variances is a hundred times the rounding
  /// error.
  private static func measureWithNoise(
    _ configuration: ResNetConfiguration, _ weights: StateDict, _ recorded: RecordedStatistics,
    _ threads: Int, _ progress: (Int, Int) -> Void
  ) throws(MeasurementError) -> [Hypothesis] {
    let channels = configuration.inputChannels
    var trials: [StrideCandidate<Float>] = []
    for (stride0, _, _) in Self.trials {
      trials.append(try StrideCandidate(configuration, stride0: stride0, weights, recorded, threads: threads))
    }
    let source = NoiseSource(images: 4, channels: channels)
    var done = 0
    for noise in NaturalNoise.all {
      let fields = source.fields(noise)
      for (place, (_, size, count)) in Self.trials.enumerated() {
        let images: Activation<Float>
        do throws(InferenceError) {
          images = try Activation(
            shape: [count, channels, size, size], values: source.cut(fields, count: count, size: size))
        } catch { throw .engine(error) }
        try trials[place].run(images, noise: noise)
        done += 1
        progress(done, NaturalNoise.all.count * Self.trials.count)
      }
    }
    return trials.compactMap(\.best)
  }
}

/// One stride's network up to the end of the first block, with its best result.
private struct StrideCandidate<Scalar: ReferenceScalar> {
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
        graph: graph, weights: weights, threads: threads, normalizing: .currentBatch)
    } catch { throw .engine(error) }
  }

  /// Runs images and keeps the result if its divergence is smaller than the best so far.
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
        reason: "produces NaN or infinity")
    }
    if let best, best.divergence <= divergence { return }
    best = StrideMeasurement.Hypothesis(
      stride0: stride0, divergence: divergence, layers: layers, noise: noise,
      size: Array(images.shape.suffix(2)))
  }
}
