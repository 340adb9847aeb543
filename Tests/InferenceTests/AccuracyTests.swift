import Checkpoints
import Inference
import ResNets
import Tensors
import TestSupport
import Testing

/// The logits of sixteen images, against those PyTorch computed in float64 and in float32.
///
/// One logit of one image is chance; the root mean square over sixteen images is not.
@Suite struct AccuracyTests {
  static let size = 96

  /// PyTorch's logits of the images, row-major.
  private func golden(_ name: String) throws -> [Double] {
    let file = try Checkpoint(path: Fixtures.path("goldens/logits16.safetensors"))
    let entry = try #require(file.tensors.first { $0.name == name })
    return try entry.tensor.elements(as: Double.self)
  }

  private func logits<T: ReferenceScalar>(_ scalar: T.Type, _ architecture: String) throws -> [Double] {
    let graph = try #require(ResNet.Architecture.named(architecture)).configuration.graph()
    let network = try ReferenceNetwork<T>(
      graph: graph, weights: SyntheticWeights.stateDict(graph, seed: 7), threads: 2)
    let pixels = try SyntheticImage.values(seed: 7, count: 16, height: Self.size, width: Self.size)
    let images = try Activation(shape: [16, 3, Self.size, Self.size], values: pixels.map { T($0) })
    return try network.run(images).values.map { Double($0) }
  }

  private func rootMeanSquare(_ left: [Double], _ right: [Double]) -> Double {
    let sum = zip(left, right).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (sum / Double(left.count)).squareRoot()
  }

  @Test(arguments: ["resnet18", "resnet50", "resnet50nodown"])
  func float32AtMostTwiceAsFarAsPyTorch(_ architecture: String) throws {
    let truth = try golden(architecture + ".float64")
    let ours = rootMeanSquare(try logits(Float.self, architecture), truth)
    let pytorch = rootMeanSquare(try golden(architecture + ".float32"), truth)
    print(
      "accuracy of \(architecture), RMS over 16 images: reference float32 \(ours), PyTorch float32 \(pytorch)"
    )
    #expect(ours <= 2 * pytorch && ours > 0)
  }

  @Test(arguments: ["resnet18", "resnet50", "resnet50nodown"])
  func float64WithinRounding(_ architecture: String) throws {
    let truth = try golden(architecture + ".float64")
    let ours = try logits(Double.self, architecture)
    let largest = truth.reduce(0) { max($0, $1.magnitude) }
    let difference = zip(ours, truth).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
    print(
      "accuracy of \(architecture): reference float64 differs by \(difference / largest) of the largest logit"
    )
    #expect(ours.count == truth.count && difference < 1e-12 * largest)
  }
}
