package import DecantBytes
package import DecantGraphs
package import DecantTensors

/// Which network a state dict is taken for, and what had to be assumed to say so.
package struct ResNetResolution: Sendable {
  /// A fact that no shape tells and that a run depends on.
  package struct Fact: Sendable, Equatable {
    package let name: String
    package let value: String

    /// Notes a fact.
    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  package let configuration: ResNetConfiguration
  /// The network of the configuration.
  package let graph: Graph
  /// The published name, when the configuration has one or the caller gave it.
  package let architecture: String?
  /// The network's tensors, whose names they have, and what else the state dict holds.
  package let naming: ResNetNaming
  /// Facts the caller declared, by naming an architecture or by themselves.
  package let declared: [Fact]
  /// Facts nobody declared and the file cannot tell.
  package let assumed: [Fact]
  /// What the file or one beside it says, and a run relies on.
  package let read: [ResNetEvidence.Item]
  /// Settings that contradict strong evidence, and evidence that was not used.
  package let warnings: [ResNetWarning]

  /// Takes a state dict for a network.
  ///
  /// - Parameter evidence: what the file and those beside it say beyond names and shapes, once the names are known.
  /// - Throws: ``DecantError`` when the names are not those of one ResNet, or when a file with one output could be a
  ///   detector of either stride and none was declared: a plausible wrong logit is the worst answer.
  package init(
    of stateDict: StateDict, _ said: ResNetOverrides = ResNetOverrides(),
    evidence: (ResNetNaming) -> ResNetEvidence = { _ in .none }
  ) throws(DecantError) {
    if let found = try ResNetNaming.onlyIfAny(in: stateDict, prefix: said.prefix) {
      naming = found
    } else {
      // What is missing of the network it should be is told by the first dialect's names.
      guard said.prefix == nil else { throw DecantError.noResNet() }
      naming = try ResNetNaming(stateDict, ResNetDialect.all[0], prefix: "")
    }
    var configuration: ResNetConfiguration
    if let architecture = said.architecture {
      configuration = architecture.configuration
      // A head that is missing is missed.
      if let found = try? ResNetConfiguration(shapesOf: naming) {
        if found.classes > 0 { configuration.classes = found.classes }
        if found.isQuantized { configuration.quantize() }
      }
    } else {
      configuration = try ResNetConfiguration(shapesOf: naming)
    }
    if let classes = said.classes { configuration.classes = classes }
    let told = try evidence(naming).taken(for: configuration, said)
    if let refusal = told.refusal { throw refusal }
    configuration = told.configuration
    (read, warnings) = (told.read, told.warnings)
    let known = Set(told.read.map(\.name))
    if said.stride0 == nil, said.architecture == nil, !said.leavesGeometryOpen,
      !known.contains("stride0"), configuration.classes == 1, configuration.stemPooling != .none
    {
      let isNodown = ResNetArchitecture.sharing(configuration, naming.dialect).contains {
        $0.name == ResNetArchitecture.resnet50nodown.name
      }
      throw DecantError(
        .undetermined,
        "the head has one output, and the file does not hold the stem's stride, which may be 1 or 2"
          + (isNodown
            ? ": 1 in resnet50nodown and 2 in resnet50, whose names and shapes are equal" : ""),
        advice: .declare(
          (isNodown ? [ResNetSetting.architecture.rawValue] : []) + [ResNetSetting.stride0.rawValue]))
    }
    graph = try told.graph()
    self.configuration = configuration
    architecture =
      said.architecture?.name
      ?? ResNetArchitecture.sharing(configuration, naming.dialect).first {
        $0.configuration.stride0 == configuration.stride0
      }?.name
    let facts = configuration.geometry
    let options = said.said
    // Who names an architecture declares all of it.
    declared = facts.filter { said.architecture != nil || options[$0.name] != nil }
    assumed = facts.filter {
      said.architecture == nil && options[$0.name] == nil && !known.contains($0.name)
        && (!said.leavesGeometryOpen || $0.name == "epsilon")
    }
  }
}

extension ResNetConfiguration {
  /// What no shape tells and a run depends on, in words.
  var geometry: [ResNetResolution.Fact] {
    let addition =
      order == .post ? "added before the last \(nonlinearity.rawValue)" : "added, and nothing after it"
    let shortcuts =
      switch shortcut {
      case .projection: addition
      case .pooledProjection: "2×2 average pool, projection; \(addition)"
      case .padding: "every second pixel between channels of zeros; \(addition)"
      }
    let pool =
      switch stemPooling {
      case .none: "none"
      case .max: "3×3, padding 1"
      case .maxOverZeros: "3×3, over a border of zeros"
      case .maxOverEdge: "3×3, no padding, a last window over the edge"
      case .average: "none; a 2×2 average pool"
      case .convolution: "a 3×3 convolution in its place"
      case .lastConvolution: "none; the stem's last convolution has the stride"
      }
    var facts = [
      ("stride0", String(stride0)),
      (
        "block_stride",
        block == .basic || block == .edge
          ? "on the first convolution"
          : blockStride == .second ? "on the 3×3 convolution (v1.5)" : "on the first 1×1 convolution (v1)"
      ), ("max_pool", pool), ("epsilon", "\(epsilon)"), ("shortcut", shortcuts),
      ("activation", nonlinearity.rawValue),
      (
        "antialiasing",
        antialiasing == .none ? "none" : antialiasing == .average ? "average pools" : "binomial filters"
      ),
    ]
    facts.append(("stage_strides", stages.map { String($0.stride) }.joined(separator: ", ")))
    facts.append(("output_stride", outputStride.map { "\($0), by dilation" } ?? "as the strides make it"))
    if normalization == .group {
      facts.append(("normalization", "group normalization of \(normalizationGroups) groups"))
      facts.append(("weight_standardization", standardizesWeights ? "yes" : "no"))
    }
    return facts.map { ResNetResolution.Fact(name: $0.0, value: $0.1) }
  }
}
