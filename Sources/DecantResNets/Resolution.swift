package import DecantBytes
package import DecantGraphs
package import DecantTensors

/// The network of a state dict, with the facts that had to be assumed.
package struct ResNetResolution: Sendable {
  /// A fact that inference depends on and no shape shows.
  package struct Fact: Sendable, Equatable {
    package let name: String
    package let value: String

    /// Creates a fact.
    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  package let configuration: ResNetConfiguration
  /// The graph of ``configuration``.
  package let graph: Graph
  /// The published name; nil when the configuration has none and the caller named none.
  package let architecture: String?
  /// The network's tensors, the dialect of their names, and the other tensors of the state dict.
  package let naming: ResNetTensorNameMap
  /// The facts that the caller declared, one by one or by naming an architecture.
  package let declared: [Fact]
  /// The facts that the caller did not declare and the file does not hold.
  package let assumed: [Fact]
  /// The evidence from the file, or from a file next to it, that inference relies on.
  package let read: [ResNetEvidence.Item]
  /// The settings that contradict strong evidence, and the evidence that was not used.
  package let warnings: [ResNetWarning]

  /// Identifies the network of a state dict.
  ///
  /// - Parameter evidence: returns the evidence beyond names and shapes, for the names found.
  /// - Throws: ``DecantError`` when the names are not those of exactly one ResNet. It also throws when the head has one
  ///   output, so that the file may be a detector with stem stride 1 or 2, and the caller declared neither: a plausible
  ///   but wrong logit would be the worst answer.
  package init(
    of stateDict: StateDict, _ said: ResNetOverrides = ResNetOverrides(),
    evidence: (ResNetTensorNameMap) -> ResNetEvidence = { _ in .none }
  ) throws(DecantError) {
    if let found = try ResNetTensorNameMap.onlyIfAny(in: stateDict, prefix: said.prefix) {
      naming = found
    } else {
      // The first dialect's names are used to report the missing tensors.
      guard said.prefix == nil else { throw DecantError.noResNet() }
      naming = try ResNetTensorNameMap(stateDict, ResNetDialect.all[0], prefix: "")
    }
    var configuration: ResNetConfiguration
    if let architecture = said.architecture {
      configuration = architecture.configuration
      // If the file has no head, the architecture's head stays, so that it is reported as missing.
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
    if said.stride0 == nil, said.architecture == nil, !said.allowsUndeterminedGeometry,
      !known.contains("stride0"), configuration.classes == 1, configuration.stemPooling != .none
    {
      let isNodown = ResNetArchitecture.sharing(configuration, naming.dialect).contains {
        $0.name == ResNetArchitecture.resnet50nodown.name
      }
      throw DecantError(
        .undetermined,
        "the head has one output: is the stem's stride 1 or 2?", advice: .chooseStride(isNamed: isNodown))
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
    // Naming an architecture declares all of its facts.
    declared = facts.filter { said.architecture != nil || options[$0.name] != nil }
    assumed = facts.filter {
      said.architecture == nil && options[$0.name] == nil && !known.contains($0.name)
        && (!said.allowsUndeterminedGeometry || $0.name == "epsilon")
    }
  }
}

extension ResNetConfiguration {
  /// The value of the fact `output_stride` when no stride is replaced by dilation.
  package static let undilatedOutputStride = "as the strides make it"

  /// The facts that inference depends on and no shape shows, as text.
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
    facts.append(("output_stride", outputStride.map { "\($0), by dilation" } ?? Self.undilatedOutputStride))
    if normalization == .group {
      facts.append(("normalization", "group normalization of \(normalizationGroups) groups"))
      facts.append(("weight_standardization", hasStandardizedWeights ? "yes" : "no"))
    }
    return facts.map { ResNetResolution.Fact(name: $0.0, value: $0.1) }
  }
}
