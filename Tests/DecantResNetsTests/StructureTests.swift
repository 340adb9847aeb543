import DecantGraphs
import DecantResNets
import DecantTensors
import Testing

/// Networks in names that no table has, and networks without any.
@Suite struct StructureTests {
  private func weights(_ name: String, _ rename: (String) -> String? = { $0 }) throws -> StateDict {
    let architecture = try #require(ResNetArchitecture.named(name))
    return try SyntheticWeights.stateDict(architecture.configuration.graph(), seed: 1).renamed(rename)
  }

  /// The same tensors in the same order under names that say nothing.
  private func anonymous(_ stateDict: StateDict) throws -> StateDict {
    try StateDict(
      stateDict.entries.enumerated().map { index, entry in
        (name: "t\(index * 7919 % 100_003)", tensor: entry.tensor)
      })
  }

  // MARK: Parts of names

  @Test(arguments: [
    ("conv1.", "layer0.0.", "bn1.", "layer0.1.", "layer", "layer"),
    ("conv1.", "pre.0.", "bn1.", "pre.1.", "layer", "stage"),
    ("conv1.", "0.", "bn1.", "1.", "layer", "resnet_block"),
    ("conv1.", "conv.", "bn1.", "bn.", "layer", "group"),
  ])
  func partsOfNames(
    _ stem: String, _ ownStem: String, _ norm: String, _ ownNorm: String, _ layer: String, _ ownLayer: String
  ) throws {
    let source = try weights("resnet50") { name in
      for (from, into) in [(stem, ownStem), (norm, ownNorm), (layer, ownLayer)] where name.hasPrefix(from) {
        return "net." + into + name.dropFirst(from.count).replacing(".downsample.", with: ".skip.")
      }
      return "net." + name
    }
    let naming = try ResNetTensorNameMap.only(in: source)
    #expect(naming.prefix == "net." && naming.dialect.name.hasPrefix("stem \(ownStem.dropLast()), blocks "))
    let found = try ResNetIdentification(naming)
    #expect(found.isResNet && found.sameShapes.contains("resnet50") && found.verification.beside.isEmpty)
    #expect(naming.spelling(of: "layer2.0.downsample.0.weight") == "net.\(ownLayer)2.0.skip.0.weight")
  }

  @Test func convolutionsLeftOverRefuseTheParts() throws {
    let source = try weights("resnet18") { $0.hasPrefix("conv1.") ? "conv." + $0.dropFirst(6) : $0 }
    let stem = try #require(source["conv.weight"])
    let more = try StateDict(
      source.entries.map { (name: $0.name, tensor: $0.tensor) } + [(name: "decoder.weight", tensor: stem)])
    #expect(try ResNetTensorNameMap.onlyIfAny(in: source) != nil)
    #expect(try ResNetTensorNameMap.onlyIfAny(in: more) == nil)
  }

  // MARK: Order and shapes

  @Test(arguments: [
    "resnet18", "resnet50", "resnext50_32x4d", "seresnet50", "ecaresnet26t", "resnetv2_50", "resnet50_gn",
  ])
  func orderAndShapes(_ name: String) throws {
    let source = try anonymous(weights(name))
    #expect(try ResNetTensorNameMap.onlyIfAny(in: source) == nil)
    guard case .network(let naming) = ResNetTensorNameMap.byStructure(in: source) else {
      Issue.record("\(name) is not recognised")
      return
    }
    let found = try ResNetIdentification(naming)
    #expect(found.isResNet && found.sameShapes.contains(name) && naming.isByStructure)
    #expect(
      found.facts.contains { $0.name == "recognition" && $0.value == "by order and shapes, not by names" })
  }

  @Test func noNetworkWhereATensorIsMissingOrElsewhere() throws {
    let entries = try anonymous(weights("resnet18")).entries.map { (name: $0.name, tensor: $0.tensor) }
    func isRefused(_ entries: [(name: String, tensor: Tensor)]) throws -> Bool {
      if case .none = ResNetTensorNameMap.byStructure(in: try StateDict(entries)) { true } else { false }
    }
    #expect(try !isRefused(entries))
    for index in stride(from: 0, to: entries.count, by: 7) {
      var missing = entries
      missing.remove(at: index)
      #expect(try isRefused(missing), "without tensor \(index)")
      let other = (index + 31) % entries.count
      guard entries[index].tensor.shape != entries[other].tensor.shape else { continue }
      var swapped = entries
      swapped.swapAt(index, other)
      #expect(try isRefused(swapped), "tensors \(index) and \(other) swapped")
    }
  }

  @Test func plainShapesAreNoNetwork() throws {
    // A ResNet-20 without projections has the shapes of a plain network.
    let source = try anonymous(weights("resnet20"))
    if case .none = ResNetTensorNameMap.byStructure(in: source) { return }
    Issue.record("resnet20 is recognised without a name or a projection")
  }

  @Test func pooledShortcutsStayOpen() throws {
    guard case .network(let naming) = ResNetTensorNameMap.byStructure(in: try anonymous(weights("resnet50d")))
    else {
      Issue.record("resnet50d is not recognised")
      return
    }
    let found = try ResNetIdentification(naming)
    #expect(found.architecture == nil && Set(found.sameShapes).isSuperset(of: ["resnet50c", "resnet50d"]))
    #expect(throws: (any Error).self) { try found.graph() }
  }

  // MARK: Other families

  @Test(
    arguments: [
      (
        ["patch_embed.proj.weight": [768, 3, 16, 16]], ["blocks.{n}.attn.qkv.weight": [2304, 768]], 12,
        "a ViT-B/16"
      ),
      (
        ["base.model.layers.0.self_attn.q_proj.lora_A.weight": [8, 64]],
        ["base.model.layers.{n}.self_attn.v_proj.lora_A.weight": [8, 64]], 2,
        "a LoRA adapter of rank 8 for q_proj, v_proj"
      ),
      (
        ["model.layers.0.mlp.gate_proj.weight": [64, 32]],
        ["model.layers.{n}.self_attn.q_proj.weight": [32, 32]], 3,
        "a transformer like Llama with 3 layers of width 32"
      ),
      (
        [:], ["bert.encoder.layer.{n}.attention.self.query.weight": [16, 16]], 2,
        "a transformer like BERT with 2 layers of width 16"
      ), ([:], ["state.{n}.exp_avg": [3, 3]], 4, "optimizer state, not a network's weights"),
      (["embeddings.weight": [30_000, 8]], [:], 0, "a vocabulary: 30000 embeddings of width 8"),
      (
        ["model.0.conv.weight": [8, 3, 3, 3], "model.2.cv1.conv.weight": [8, 8, 1, 1]], [:], 0,
        "a YOLO detector"
      ),
      (["something.weight": [3, 3]], [:], 0, nil),
    ] as [([String: [Int]], [String: [Int]], Int, String?)])
  func families(_ single: [String: [Int]], _ repeated: [String: [Int]], _ count: Int, _ expected: String?)
    throws
  {
    func tensor(_ shape: [Int]) throws -> Tensor {
      let values = Array(repeating: Float(0), count: shape.reduce(1, *))
      return try Tensor(values, shape: shape)
    }
    var entries: [(name: String, tensor: Tensor)] = []
    for (name, shape) in single { entries.append((name, try tensor(shape))) }
    for (pattern, shape) in repeated {
      for number in 0..<count {
        entries.append((pattern.replacing("{n}", with: "\(number)"), try tensor(shape)))
      }
    }
    #expect(NetworkFamily(of: try StateDict(entries))?.description == expected)
  }

  @Test func onlySizesOfPublishedFilesAreHashed() {
    #expect(PublishedFile.architectures(ofByteCount: 46_827_520) == ["resnet18"])
    #expect(PublishedFile.architectures(ofByteCount: 102_502_400) == ["resnet50"])
    #expect(PublishedFile.architectures(ofByteCount: 46_900_000).isEmpty)
  }
}
