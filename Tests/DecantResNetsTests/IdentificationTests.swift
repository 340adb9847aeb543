import DecantBytes
import DecantGraphs
import DecantResNets
import DecantTensors
import Testing

/// Tests with names and shapes only, since no identification depends on the tensors' numbers.
@Suite struct IdentificationTests {
  private func weights(
    _ configuration: ResNetConfiguration, _ name: (String) -> String? = { $0 }
  ) throws -> StateDict {
    try SyntheticWeights.stateDict(configuration.graph(), seed: 1).renamed(name)
  }

  @Test(arguments: ResNetArchitecture.all.map(\.name))
  func everyArchitectureIsFoundAgain(_ name: String) throws {
    let architecture = try #require(ResNetArchitecture.named(name))
    let found = try ResNetIdentification(.only(in: weights(architecture.configuration)))
    #expect(found.verification.isMatch)
    #expect(found.sameShapes.contains(name))
    #expect(found.configuration.hasTrunk(of: architecture.configuration))
    #expect(found.naming.prefix.isEmpty && found.nearest == nil)
  }

  @Test(arguments: ResNetDialect.all, ["", "module.", "model.backbone.0.body."])
  func everyDialectIsRecognised(_ dialect: ResNetDialect, _ prefix: String) throws {
    for architecture in ["resnet50", "resnet50d", "resnet20"] {
      let configuration = try #require(ResNetArchitecture.named(architecture)).configuration
      let parameters = try configuration.graph().parameters.map(\.name)
      var headless = configuration
      headless.classes = 0
      let isNamed = { (name: String) in dialect.spelling(of: name) != nil }
      guard try headless.graph().parameters.map(\.name).allSatisfy(isNamed) else { continue }
      let source = try weights(parameters.allSatisfy(isNamed) ? configuration : headless)
      let renamed = try source.renamed { dialect.spelling(of: $0).map { prefix + $0 } }
      let naming = try ResNetTensorNameMap.only(in: renamed)
      #expect(naming.tensors.names == source.names, "\(dialect.name) \(architecture)")
      #expect(naming.names() == renamed.names)
      let found = try ResNetIdentification(naming)
      #expect(found.sameShapes.contains(architecture) && found.verification.matched == source.count)
    }
  }

  /// Checks that a published file's digest settles the facts that shapes leave open.
  @Test func publishedFilesAreKnownByTheirDigest() throws {
    for file in PublishedFile.all {
      #expect(ResNetArchitecture.named(file.architecture) != nil)
      #expect(PublishedFile.of(sha256: file.digest + String(repeating: "0", count: 56)) == file)
    }
    #expect(PublishedFile.of(sha256: String(repeating: "0", count: 64)) == nil)
    let published = try #require(PublishedFile.all.first { $0.architecture == "resnet50" })
    let naming = try ResNetTensorNameMap.only(
      in: weights(ResNetArchitecture.named("resnet50")!.configuration))
    let found = try ResNetIdentification(naming, published: published)
    #expect(found.architecture == "resnet50" && found.undetermined.map(\.name) == ["preprocessing"])
    #expect(found.facts.contains { $0.name == "stride0" && $0.source.contains(published.digest) })
    // The digest of another network's file settles nothing.
    let other = try #require(PublishedFile.all.first { $0.architecture == "resnet18" })
    #expect(try ResNetIdentification(naming, published: other).undetermined.count > 5)
  }

  @Test(arguments: [
    ("resnet50-0676ba61.pth", "0676ba61"), ("/a-b/resnet20-12fca82f.th", "12fca82f"),
    ("x-0123456789abcdef.safetensors", "0123456789abcdef"), ("resnet50.pth", nil), ("a-b.pth", nil),
    ("a-0676BA61.pth", nil), ("a-0676ba6.pth", nil), ("a-0676ba6g.pth", nil), ("", nil), ("-", nil),
  ])
  func namesClaimDigests(_ name: String, _ digits: String?) {
    #expect(PublishedFile.claimedDigest(inFileName: name) == digits)
  }

  @Test func severalNetworksAreAskedFor() throws {
    let one = try weights(ResNetArchitecture.named("resnet18")!.configuration)
    let both = try StateDict(
      ["encoder_q.", "encoder_k."].flatMap { prefix in
        one.entries.map { StateDict.Entry(name: "module." + prefix + $0.name, tensor: $0.tensor) }
      })
    #expect(ResNetTensorNameMap.all(in: both).map(\.prefix) == ["module.encoder_q.", "module.encoder_k."])
    #expect { try ResNetTensorNameMap.only(in: both) } throws: { error in
      let error = error as? DecantError
      return error?.code == .ambiguousStateDict
        && error?.advice == .choosePrefix(["module.encoder_q.", "module.encoder_k."])
        && error?.reason.contains("'module.encoder_q.' (122 tensors, torchvision)") == true
    }
    #expect {
      try ResNetTensorNameMap.only(in: both, prefix: "encoder.")
    } throws: {
      ($0 as? DecantError)?.code == .keyNotFound
    }
    let chosen = try ResNetTensorNameMap.only(in: both, prefix: "module.encoder_k.")
    #expect(chosen.tensors.count == 122 && chosen.entries.count == 244)
  }

  @Test func whatIsNoResNetIsNone() throws {
    for names in [[], ["fc.weight"], ["conv1.weight"], ["layer1.0.conv1.weight", "a.conv1.weight"]] {
      let stateDict = try StateDict(
        names.map {
          .init(name: $0, tensor: try Tensor([Float](repeating: 0, count: 1), shape: [1, 1, 1, 1]))
        })
      #expect(ResNetTensorNameMap.all(in: stateDict).isEmpty)
      #expect { try ResNetTensorNameMap.only(in: stateDict) } throws: {
        ($0 as? DecantError)?.code == .notAResNet
      }
    }
  }

  @Test func whatHasNoNameSaysWhatIsNearest() throws {
    var configuration = try #require(ResNetArchitecture.named("resnet50")).configuration
    configuration.stages[2].blocks = Array(repeating: [256, 256, 1024], count: 9)
    let found = try ResNetIdentification(.only(in: weights(configuration)))
    #expect(found.architecture == nil && found.sameShapes.isEmpty)
    #expect(found.nearest?.name == "resnet50")
    #expect(found.nearest?.differences == ["layers [3, 4, 9, 3] instead of [3, 4, 6, 3]"])
  }

  /// Checks that the stem's stride stays open: the detector and the classifier have the same names and shapes.
  @Test func nodownIsNeverGuessed() throws {
    let nodown = try #require(ResNetArchitecture.named("resnet50nodown"))
    let found = try ResNetIdentification(.only(in: weights(nodown.configuration)))
    #expect(Set(["resnet50", "resnet50nodown"]).isSubset(of: found.sameShapes))
    #expect(found.undetermined.first?.name == "stride0" && found.undetermined.first?.setting == .stride0)
    #expect {
      try found.graph()
    } throws: {
      let error = $0 as? DecantError
      return error?.code == .undetermined && error?.advice == .chooseStride(isNamed: true)
    }
  }

  /// The usual preprocessing follows the stem and the number of channels.
  @Test(arguments: [
    (7, 3, "RGB, 224×224, scaled to 0…1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"),
    (3, 3, "RGB, 32×32, scaled to 0…1; mean and deviation depend on the training"),
    (7, 1, "1 channel, 224×224, scaled to 0…1; mean and deviation depend on the training"),
  ])
  func preprocessingFollowsTheStem(kernel: Int, channels: Int, expected: String) throws {
    var configuration = try #require(ResNetArchitecture.named("resnet18")).configuration
    configuration.stem = .single(kernel: kernel, channels: 64)
    configuration.inputChannels = channels
    if kernel == 3 { (configuration.stride0, configuration.stemPooling) = (1, .none) }
    let found = try ResNetIdentification(.only(in: weights(configuration)))
    #expect(found.undetermined.first { $0.name == "preprocessing" }?.usual == expected)
  }

  /// Where the first stage or the stem is missing, what is left is no smaller network with other names.
  @Test(arguments: ["layer1.", "layer1.0.", "conv1."])
  func aMissingBeginningIsNoOtherNaming(missing: String) throws {
    let whole = try weights(try #require(ResNetArchitecture.named("resnet18")).configuration)
    let rest = try StateDict(whole.entries.filter { !$0.name.hasPrefix(missing) })
    #expect(try ResNetTensorNameMap.onlyIfAny(in: rest) == nil)
    #expect(ResNetNoMatch.reason(rest).contains("names of torchvision, but "))
    let expected = try #require(ResNetArchitecture.named("resnet18"))
    let map = try #require(try ResNetTensorNameMap.nearest(to: expected, in: rest))
    let verification = ResNetVerification(of: map, against: try expected.configuration.graph())
    #expect(verification.unexpected.isEmpty && verification.mismatched.isEmpty)
    #expect(verification.missing.allSatisfy { $0.name.hasPrefix(missing) })
  }

  /// A block or a convolution that is missing between others is reported as missing.
  @Test(arguments: ["layer3.2.", "layer2.1.conv2."])
  func aGapIsReported(missing: String) throws {
    let whole = try weights(try #require(ResNetArchitecture.named("resnet34")).configuration)
    let rest = try StateDict(whole.entries.filter { !$0.name.hasPrefix(missing) })
    let found = try ResNetIdentification(.only(in: rest))
    #expect(!found.isResNet && found.verification.unexpected.isEmpty)
    #expect(found.verification.missing.allSatisfy { $0.name.hasPrefix(missing) })
    #expect(found.configuration.layers == [3, 4, 6, 3])
  }

  /// Blocks that are numbered through the network begin at the first number.
  @Test(arguments: ["layer", "res_block"])
  func numberedBlocksBeginWithTheFirst(name: String) throws {
    let whole = try weights(try #require(ResNetArchitecture.named("resnet18")).configuration)
    let renamed = try whole.renamed { old in
      let steps = old.split(separator: ".")
      guard steps[0].hasPrefix("layer"), let stage = Int(steps[0].dropFirst(5)), let block = Int(steps[1])
      else {
        return old
      }
      let rest = steps.dropFirst(2).joined(separator: ".")
      return "\(name)\(2 * (stage - 1) + block + 1)." + rest.replacing("downsample", with: "skipper")
    }
    let found = try ResNetIdentification(.only(in: renamed))
    #expect(found.isResNet && found.configuration.layers == [2, 2, 2, 2])
  }
}

extension ResNetTensorNameMap {
  /// Returns the names in the file, derived again from the canonical names.
  fileprivate func names() -> [String] { tensors.names.map { spelling(of: $0) } }
}
