import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantInference
import DecantNetworks
import DecantResNets
import DecantTensors
import TestSupport
import Testing

/// From a file to logits, as an application does it.
@Suite(.serialized) struct LoadTests {
  private func file(_ architecture: String, in folder: TemporaryFolder) throws -> String {
    let path = folder.path(architecture + ".pth")
    let configuration = try #require(ResNetArchitecture.named(architecture)).configuration
    try TorchZipWriter.write(
      SyntheticWeights.stateDict(configuration.graph(), seed: 7), under: "model", beside: [("epoch", 3)],
      to: path)
    return path
  }

  private func load(
    _ path: String, _ architecture: ResNetArchitecture? = nil, engine: ResNet.Engine = .fastest(),
    threads: Int = 1
  ) throws(DecantError) -> ResNet {
    try ResNet(architecture, weights: Checkpoint(path: path).stateDict(), engine: engine, threads: threads)
  }

  private func images(_ count: Int, _ size: Int) throws -> ImageTensor {
    try ImageTensor(
      shape: [count, 3, size, size],
      values: SyntheticImage.values(seed: 7, count: count, height: size, width: size))
  }

  @Test(arguments: [ResNet.Engine.reference, .fastest(.exact), .fastest(.fast)])
  func logitsAreThoseOfTheReference(_ engine: ResNet.Engine) throws {
    let folder = try TemporaryFolder()
    let network = try load(file("resnet50nodown", in: folder), .resnet50nodown, engine: engine, threads: 2)
    #expect(network.architecture == "resnet50nodown" && network.assumptions.isEmpty)
    let resolved = network.resolved
    let truth = try ReferenceNetwork<Double>(graph: resolved.graph, weights: resolved.parameters)
    let input = try images(2, 33)
    let expected = try truth.run(Activation(shape: input.shape, values: input.values.map { Double($0) }))
    var features: [Int] = []
    let found = try network(input, stages: ["layer4"]) { features = $1.shape }
    #expect(found.shape == [2, 1] && features[1] == 2048)
    for (value, expected) in zip(found.values, expected.values) {
      #expect((Double(value) - expected).magnitude <= 1e-5 * expected.magnitude)
    }
  }

  @Test func anyTaskMayCall() async throws {
    let folder = try TemporaryFolder()
    let network = try load(file("resnet18", in: folder))
    let input = try images(1, 40)
    let expected = try network(input)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 { group.addTask { (try? network(input)) == expected } }
      for await same in group { #expect(same) }
    }
  }

  @Test func whatNoFileSaysIsAsked() throws {
    let folder = try TemporaryFolder()
    let path = try file("resnet50nodown", in: folder)
    #expect { _ = try load(path) } throws: { ($0 as? DecantError)?.code == .undetermined }
  }

  @Test func weightsOfAnotherNetworkAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = try file("resnet18", in: folder)
    #expect {
      _ = try load(path, .resnet34)
    } throws: {
      let error = $0 as? DecantError
      return error?.code == .mismatch && error?.location.file == path
        && error?.reason.contains("block 2 missing (10 tensors)") == true
    }
  }

  /// Engine errors reach the application as library errors.
  @Test func inputsThatDoNotSuitAreRefused() throws {
    let folder = try TemporaryFolder()
    let network = try load(file("resnet18", in: folder))
    #expect {
      try network(ImageTensor(shape: [1, 4, 32, 32], values: [Float](repeating: 0, count: 4096)))
    } throws: {
      ($0 as? DecantError)?.code == .invalidInput
    }
    #expect {
      try load(file("resnet18", in: folder), threads: 0)
    } throws: {
      ($0 as? DecantError)?.code == .invalidArgument
    }
  }
}
