import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantGraphs
import DecantNetworks
import DecantResNets
import DecantTensors
import TestSupport
import Testing

/// The steps from a file to a network: open, identify, verify. Each step has its own error.
@Suite struct NetworkFileTests {
  private let folder: TemporaryFolder
  /// A ResNet-20 under the key `model`, next to the number `epoch`.
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path("resnet20.pth")
    try TorchZipWriter.write(Self.weights("resnet20"), under: "model", beside: [("epoch", 3)], to: path)
  }

  private static func weights(_ architecture: String, classes: Int? = nil) throws -> StateDict {
    var configuration = try #require(ResNetArchitecture.named(architecture)).configuration
    if let classes { configuration.classes = classes }
    return try SyntheticWeights.stateDict(configuration.graph(), seed: 7)
  }

  private func overrides(_ change: (inout ResNetOverrides) -> Void) -> ResNetOverrides {
    var overrides = ResNetOverrides()
    change(&overrides)
    return overrides
  }

  private func code(_ step: () throws(DecantError) -> Void) -> DecantError.Code? {
    do throws(DecantError) { try step() } catch { return error.code }
    return nil
  }

  @Test func aFileBecomesANetwork() throws {
    let file = try NetworkFile(path: path)
    #expect(file.part?.selection.key == "model" && file.unreadWarning == nil)
    let network = try file.resolve(ResNetOverrides())
    #expect(network.architecture == "resnet20" && network.identification.architecture == "resnet20")
    #expect(Set(network.parameters.names) == Set(network.graph.parameters.map(\.name)))
    #expect(network.identification.assumed.first?.name == "stride0")
    let verification = try network.requireMatch(classes: nil, checksFiniteness: true)
    #expect(verification.isMatch && verification.matched == network.parameters.count)
  }

  @Test func keysAreChosen() throws {
    #expect(try NetworkFile(path: path, key: "model").weights.names == NetworkFile(path: path).weights.names)
    #expect(code { () throws(DecantError) in _ = try NetworkFile(path: path, key: "epoch") } == .keyNotFound)
    #expect(code { () throws(DecantError) in _ = try NetworkFile(path: path, key: "none") } == .keyNotFound)
    #expect(
      code { () throws(DecantError) in _ = try NetworkFile(identifying: Checkpoint(path: path), key: "none") }
        == .keyNotFound)
  }

  @Test func aFileThatIsNoCheckpointIsNotOpened() throws {
    let path = try folder.write("text.pth", Array("not a checkpoint".utf8))
    #expect {
      try NetworkFile(path: path)
    } throws: {
      ($0 as? DecantError)?.location.file == path
    }
  }

  @Test func tensorsOfNoResNetAreNotIdentified() throws {
    let file = try NetworkFile(StateDict([.init(name: "a", tensor: Tensor([Float](), shape: [0]))]))
    #expect(file.part == nil)
    #expect(code { () throws(DecantError) in _ = try file.resolve(ResNetOverrides()) } == .notAResNet)
    #expect(code { () throws(DecantError) in _ = try file.identify(prefix: nil) } == .notAResNet)
    #expect(code { () throws(DecantError) in _ = try file.nameMap(prefix: nil) } == .notAResNet)
    // A named architecture reports its tensors as missing.
    let named = try file.resolve(overrides { $0.architecture = .named("resnet20") })
    #expect(try named.verification().missing.count > 90)
  }

  @Test func oneOutputNeedsAStride() throws {
    let file = try NetworkFile(Self.weights("resnet50", classes: 1))
    #expect(code { () throws(DecantError) in _ = try file.resolve(ResNetOverrides()) } == .undetermined)
    for stride in 1...2 {
      let network = try file.resolve(overrides { $0.stride0 = stride })
      #expect(network.architecture == (stride == 1 ? "resnet50nodown" : "resnet50"))
      #expect(network.identification.declared.map(\.name) == ["stride0"])
    }
    // Identification asks for nothing, and neither does folding, which needs no strides.
    #expect(try file.identify(prefix: nil).undetermined.first?.name == "stride0")
    let folding = try file.resolve(overrides { $0.allowsUndeterminedGeometry = true })
    #expect(folding.identification.assumed.map(\.name) == ["epsilon"])
  }

  @Test func settingsHaveToFit() throws {
    let file = try NetworkFile(path: path)
    #expect {
      try file.resolve(overrides { $0.stageStrides = [1, 2, 2, 2] })
    } throws: {
      let error = $0 as? DecantError
      return error?.code == .invalidArgument && error?.location.file == path
    }
    #expect(
      code { () throws(DecantError) in _ = try file.resolve(overrides { $0.outputStride = 3 }) }
        == .unsupportedNetwork)
  }

  @Test func otherWeightsDoNotMatch() throws {
    let network = try NetworkFile(path: path).resolve(overrides { $0.architecture = .named("resnet32") })
    #expect {
      try network.requireMatch(classes: nil, checksFiniteness: false, mostListed: 1)
    } throws: {
      let error = $0 as? DecantError
      return error?.code == .mismatch && error?.location.file == path
        && error?.reason.contains("do not match resnet32") == true
    }
  }

  @Test func headsThatAreNotComputedAreRefused() throws {
    let own = try Self.weights("resnet20")
    let second = try Tensor([Float](repeating: 0, count: 20), shape: [2, 10])
    let file = try NetworkFile(StateDict(own.entries + [.init(name: "fc2.weight", tensor: second)]))
    #expect {
      _ = try file.resolve(ResNetOverrides())
    } throws: {
      let error = $0 as? DecantError
      return error?.code == .unsupportedNetwork && error?.reason.contains("fc2.weight") == true
    }
    // The caller says what is between the layers.
    let whole = try file.resolve(overrides { $0.headActivations = [.gelu] })
    #expect(whole.identification.configuration.classes == 2)
    #expect(whole.identification.declared.map(\.name) == ["head_activation"])
    // The caller wants no head.
    let headless = try file.resolve(overrides { $0.classes = 0 })
    #expect(
      code { () throws(DecantError) in
        try headless.requireMatch(classes: 0, checksFiniteness: false)
      } == nil)
  }

  @Test func evidenceComesFromNeighbours() throws {
    _ = try folder.write("config.json", Array(#"{"stride0": 2}"#.utf8))
    _ = try folder.write("args.yaml", Array("epochs: 3\n".utf8))
    _ = try folder.write("preprocessor_config.json", Array("no JSON".utf8))
    var notes: [String] = []
    let network = try NetworkFile(path: path).resolve(ResNetOverrides()) { notes.append($0) }
    #expect(notes == ["ignoring preprocessor_config.json next to the checkpoint: not JSON"])
    #expect(network.identification.read.map(\.name) == ["stride0"])
    #expect(network.identification.configuration.stride0 == 2)
    #expect(!network.identification.assumed.contains { $0.name == "stride0" })
  }
}
