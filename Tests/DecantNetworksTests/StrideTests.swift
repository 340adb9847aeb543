import DecantBytes
import DecantGraphs
import DecantIO
import DecantInference
import DecantNetworks
import DecantResNets
import DecantTensors
import TestSupport
import Testing

@Suite struct StrideTests {
  private var small: ResNetConfiguration {
    var configuration = ResNetConfiguration(block: .basic, layers: [2, 1], planes: [8, 16])
    configuration.stem = .single(kernel: 7, channels: 8)
    configuration.classes = 2
    return configuration
  }

  private func images(_ count: Int, _ size: Int) throws -> Activation<Double> {
    let values = try SyntheticImage.values(seed: 3, count: count, height: size, width: size)
    return try Activation(shape: [count, 3, size, size], values: values.map { Double($0) })
  }

  /// Returns weights whose running statistics are those of the images with one stride.
  private func settled(_ stride0: Int, on images: Activation<Double>) throws -> StateDict {
    var weights = try SyntheticWeights.stateDict(small.graph(), seed: 5)
    let measured = try StrideMeasurement(of: small, weights: weights, images: images)
    let layers = try #require(measured.hypotheses.first { $0.stride0 == stride0 }).layers
    for layer in layers {
      weights = try replacing(weights, layer.name + ".running_mean", layer.mean.map { Float($0) })
      weights = try replacing(weights, layer.name + ".running_var", layer.variance.map { Float($0) })
    }
    return weights
  }

  private func replacing(_ weights: StateDict, _ name: String, _ values: [Float]) throws -> StateDict {
    try StateDict(
      weights.entries.map { entry in
        entry.name == name
          ? .init(name: name, tensor: try Tensor(values, shape: [values.count])) : entry
      })
  }

  @Test(arguments: [1, 2])
  func theStrideOfTheStatisticsIsFound(_ stride0: Int) throws {
    let images = try images(4, 64)
    let found = try StrideMeasurement(
      of: small, weights: settled(stride0, on: images), images: images, threads: 2)
    #expect(found.hypotheses.map(\.stride0) == [1, 2])
    #expect(found.hypotheses[stride0 - 1].divergence < 1e-5)
    #expect(found.hypotheses[2 - stride0].divergence > 0.05)
    #expect(found.hypotheses.allSatisfy { $0.noise == nil && $0.size == [64, 64] })
    #expect(found.verdict == .suggests(stride0: stride0))
    #expect(found.hypotheses[0].layers.map(\.name) == ["layer1.0.bn1", "layer1.0.bn2"])
  }

  /// Computed by hand: one layer, two channels whose variances are e times and 1/e² times the recorded ones.
  @Test func divergenceIsTheMeanLogarithm() throws {
    let images = try images(2, 32)
    let weights = try settled(1, on: images)
    let exact = try StrideMeasurement(of: small, weights: weights, images: images).hypotheses[0]
    let scaled = exact.layers[0].variance.enumerated().map {
      Float($1 * ($0 == 0 ? 2.718281828 : $0 == 1 ? 0.135335283 : 1))
    }
    let found = try StrideMeasurement(
      of: small, weights: replacing(weights, "layer1.0.bn1.running_var", scaled), images: images
    ).hypotheses[0]
    #expect(abs(found.layers[0].divergence - 3.0 / 8) < 0.01)
    #expect(abs(found.divergence - 3.0 / 16) < 0.01)
  }

  /// Values that no images explain are not evidence for either stride.
  @Test func nonsenseFitsNeither() throws {
    let images = try images(2, 32)
    let weights = try replacing(
      settled(2, on: images), "layer1.0.bn1.running_var", [1e3, 1e4, 1e5, 1e3, 1e4, 1e5, 1e3, 1e4])
    #expect(try StrideMeasurement(of: small, weights: weights, images: images).verdict == .neitherFits)
  }

  @Test func noiseIsTheSameEveryTime() throws {
    let weights = try SyntheticWeights.stateDict(small.graph(), seed: 5)
    let once = try StrideMeasurement(of: small, weights: weights, threads: 1)
    let again = try StrideMeasurement(of: small, weights: weights, threads: 2)
    #expect(once.hypotheses == again.hypotheses)
    #expect(
      once.hypotheses.allSatisfy { $0.noise != nil && ($0.size == [64, 64] || $0.size == [128, 128]) })
  }

  @Test func whatCannotBeMeasuredSaysWhy() throws {
    let images = try images(1, 32)
    let weights = try SyntheticWeights.stateDict(small.graph(), seed: 5)
    func refusal(_ configuration: ResNetConfiguration, _ weights: StateDict) -> MeasurementError? {
      do throws(MeasurementError) {
        _ = try StrideMeasurement(of: configuration, weights: weights, images: images)
        return nil
      } catch { return error }
    }
    let bare = try StateDict(weights.entries.filter { !$0.name.contains("running") })
    let missing = try #require(refusal(small, bare))
    guard case .missing(let names) = missing else { throw missing }
    #expect(names.count == 6 && names[0] == "bn1.running_mean")
    #expect(DecantError(missing, file: "a.pth").code == .notMeasurable)
    #expect(DecantError(MeasurementError.engine(.threads(0))).code == .invalidArgument)
    let broken = MeasurementError.unreadable(
      tensor: "a", cause: DecantError(.checksumMismatch, "CRC-32 mismatch"))
    #expect(DecantError(broken).code == .checksumMismatch && DecantError(broken).location.tensor == "a")
    var grouped = small
    grouped.normalization = .group
    #expect(refusal(grouped, bare) == .otherKind("its normalization layers have no running statistics"))
    var cifar = small
    cifar.stemPooling = .none
    #expect(
      refusal(cifar, weights)?.description.hasPrefix(
        "only networks with batch norm after each convolution, a 7×7 stem") == true)
    var untouched = weights
    for name in ["bn1", "layer1.0.bn1", "layer1.0.bn2"] {
      untouched = try replacing(untouched, name + ".running_mean", .init(repeating: 0, count: 8))
      untouched = try replacing(untouched, name + ".running_var", .init(repeating: 1, count: 8))
    }
    #expect(refusal(small, untouched) == .untrained)
    for (values, reason) in [
      ([Float](repeating: -1, count: 8), "is negative in channel 0"),
      (.init(repeating: 0, count: 8), "is 0 in most channels"),
      (.init(repeating: .nan, count: 8), "has NaN or infinity"),
    ] {
      let bad = try replacing(weights, "layer1.0.bn1.running_var", values)
      #expect(refusal(small, bad) == .unusable(tensor: "layer1.0.bn1.running_var", reason: reason))
    }
    let infinite = try replacing(weights, "layer1.0.bn1.bias", .init(repeating: .infinity, count: 8))
    #expect(
      refusal(small, infinite)
        == .unusable(tensor: "layer1.0.bn2", reason: "produces NaN or infinity"))
    var huge = ResNetConfiguration(block: .basic, layers: [1], planes: [512])
    huge.stem = .single(kernel: 7, channels: 8)
    let wide = try SyntheticWeights.stateDict(huge.graph(), seed: 5)
    #expect(refusal(huge, wide)?.description.contains("weights, more than any published ResNet") == true)
  }
}
