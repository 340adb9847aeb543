package import DecantBytes
package import DecantGraphs
internal import DecantTensors

/// The network that tensors belong to, with the source of each fact and the facts that the file does not hold.
public struct ResNetIdentification: Sendable {
  /// A fact about the network, and its source.
  public struct Fact: Sendable, Equatable {
    /// The kind of source of a fact.
    package enum Origin: Sendable, Equatable {
      /// The names and shapes of tensors.
      case shape
      /// The SHA-256 of a published file.
      case sha256
      /// Evidence. `place` is its location as text, and `isUsed` is true when the configuration relies on it.
      case evidence(ResNetEvidence.Source, place: String, isUsed: Bool)
      /// The caller's ``ResNetOverrides``.
      case declared
      /// The default, because nothing else shows the fact.
      case assumed
      /// The default of a fact that the configuration does not have.
      case unknown
    }
    /// The name of the fact, such as `layers`.
    public let name: String
    /// The value, such as `3, 4, 6, 3`.
    public let value: String
    /// The tensor with its shape, the name or the count that shows the fact.
    public let source: String
    /// The kind of source.
    package var origin = Origin.shape

    /// The kind of source in machine-readable output: `shape`, `sha256`, or the name of a ``ResNetEvidence/Source``.
    package var kind: String {
      switch origin {
      case .shape: "shape"
      case .sha256: "sha256"
      case .evidence(let source, _, _): source.name
      case .declared: "declared"
      case .assumed, .unknown: "assumed"
      }
    }
  }

  /// A fact that the file does not hold.
  public struct OpenQuestion: Sendable, Equatable {
    /// The name of the fact, such as `stride0`.
    public let name: String
    /// The usual value for networks with these names.
    public let usual: String
    /// The setting that declares the fact; nil when there is none.
    package let setting: ResNetOverrideKey?
  }

  /// The network's tensors, the dialect of their names, and the other tensors of the state dict.
  package let naming: ResNetTensorNameMap
  /// The settings of the caller.
  package let overrides: ResNetOverrides
  /// The evidence in the file and in the files next to it.
  package let evidence: ResNetEvidence
  /// The configuration that the shapes show, before evidence and the geometry that the caller set.
  private let shapes: ResNetConfiguration
  private let applied: ResNetEvidence.AppliedEvidence
  /// The published file that holds these tensors; nil for other files, and for a digest of another network.
  private var published: PublishedFile?
  /// The comparison of the tensors with the network's names and shapes.
  public let verification: ResNetVerification
  /// Every fact, those from shapes first.
  private var allFacts: [Fact] = []

  /// Identifies a network by the names and shapes of its tensors. O(tensors).
  ///
  /// - Parameters:
  ///   - overrides: the facts that the caller declares, which come before evidence.
  ///   - published: the published file that holds these tensors; it settles facts that shapes cannot show.
  ///   - evidence: further evidence in the file and in the files next to it; evaluated when the shapes are a network's.
  /// - Throws: ``DecantError`` when the tensors do not form a network, or when the overrides do not fit it.
  package init(
    _ naming: ResNetTensorNameMap, _ overrides: ResNetOverrides = ResNetOverrides(),
    published: PublishedFile? = nil, evidence: @autoclosure () -> ResNetEvidence = .none
  ) throws(DecantError) {
    (self.naming, self.overrides) = (naming, overrides)
    var shapes: ResNetConfiguration
    if let architecture = overrides.architecture {
      shapes = architecture.configuration
      // If the file has no head, the architecture's head stays, so that it is reported as missing.
      if let found = try? ResNetConfiguration(shapesOf: naming) {
        if found.classes > 0 { shapes.classes = found.classes }
        // The architecture's name covers the backbone only; a head of several layers comes from the file.
        if case .layers = found.head, found.head.shapes != shapes.head.shapes { shapes.head = found.head }
        if found.isQuantized { shapes.quantize() }
      }
    } else {
      shapes = try ResNetConfiguration(shapesOf: naming)
    }
    if let classes = overrides.classes {
      shapes.classes = classes
      if classes > 0, case .layers(let layers) = shapes.head {
        shapes.head = .layers(layers.returning(classes))
      }
    }
    self.shapes = shapes
    self.evidence = evidence()
    applied = try self.evidence.taken(for: shapes, overrides)
    let graph = try shapes.graph()
    verification = ResNetVerification(
      of: naming, against: graph,
      ignoresHead: overrides.architecture == nil && overrides.classes == nil
        && !naming.head.unresolved.isEmpty)
    if let published, sameShapes.contains(published.architecture) { self.published = published }
    allFacts = Self.facts(naming, shapes, verification)
    allFacts += furtherFacts
    if naming.hasModulesBeforeHead, configuration.classes > 0, self.evidence.settled("head_input") == nil {
      allFacts.append(Fact(name: "head_input", value: "none", source: "the default", origin: .assumed))
    }
    if self.evidence.isOutputOpen, configuration.classes > 0, configuration.outputFunctions.isEmpty {
      allFacts.append(
        Fact(name: "output_activation", value: "none", source: "the default", origin: .assumed))
    }
    if naming.alternatives?.hasOpenShortcut == true {
      allFacts.append(
        Fact(
          name: "shortcut_pooling", value: shapes.shortcut == .pooledProjection ? "2×2 average pool" : "none",
          source: "the default", origin: .unknown))
    }
  }

  /// The names of the network's convolution weights in the file, for ``DecantConversion/WriteOptions/layoutOnly``; empty
  /// when the file has them in another library's layout.
  public var convolutionNames: [String] {
    guard naming.dialect.kernelLayout == .oihw else { return [] }
    return naming.entries.filter { $0.canonical != nil && 3...5 ~= $0.tensor.shape.count }.map(\.name)
  }

  // MARK: The network to compute with

  /// The network's blocks, widths, strides and number of classes, with defaults where the file says nothing.
  public var configuration: ResNetConfiguration { applied.configuration }
  /// The number that each normalization layer adds to the variance, by canonical name; empty when they are all equal.
  var epsilons: [String: Double] { applied.epsilons }
  /// The settings that contradict strong evidence, and the evidence that was not used.
  package var warnings: [ResNetWarning] { applied.warnings }
  /// The facts that the caller declared, one by one or by naming an architecture.
  package var declared: [Fact] { allFacts.filter { $0.origin == .declared } }
  /// The facts of the configuration that the caller did not declare and the file does not hold.
  package var assumed: [Fact] { allFacts.filter { $0.origin == .assumed } }
  /// The facts from evidence that the configuration relies on.
  package var read: [Fact] {
    allFacts.filter { if case .evidence(_, _, isUsed: true) = $0.origin { true } else { false } }
  }

  /// The published name of the network to compute with, also when tensors are missing or unexpected; nil for a custom
  /// ResNet, and when only names could tell which of several it is.
  package var expectedArchitecture: String? {
    if let named = overrides.architecture?.name { return named }
    if naming.alternatives?.architectures.isEmpty == false { return nil }
    return
      ResNetArchitecture.sharing(configuration, naming.dialect).first {
        $0.configuration.stride0 == configuration.stride0
      }?.name
  }

  /// Builds the graph of the network to compute with.
  ///
  /// - Throws: ``DecantError`` when the file describes a geometry that cannot be built. It also throws when the head has
  ///   one output, so that the file may be a detector with stem stride 1 or 2, and nothing shows which: a plausible but
  ///   wrong logit would be the worst answer.
  package func graph() throws(DecantError) -> Graph {
    if let refusal = applied.refusal { throw refusal }
    try requireShownShortcuts()
    try requireReadOperators()
    if configuration.classes > 0, let item = applied.unsupportedHead {
      throw DecantError(
        .unsupportedNetwork,
        "\(item.value), which is not supported; the head has the \(headTensorText)".escapedForDisplay,
        advice: .leaveOutHead)
    }
    if configuration.classes > 0, configuration.head.isOpen { throw openHead }
    if configuration.classes == 1, configuration.stemPooling != .none,
      assumed.contains(where: { $0.name == "stride0" })
    {
      let isNodown = ResNetArchitecture.sharing(configuration, naming.dialect).contains {
        $0.name == ResNetArchitecture.resnet50nodown.name
      }
      throw DecantError(
        .undetermined, "the head has one output: is the stem's stride 1 or 2?",
        advice: .chooseStride(isNamed: isNodown))
    }
    let graph = try applied.graph()
    try requireShownNormalization(graph)
    return graph
  }

  /// Checks that nothing is assumed that the file's own operators settle.
  ///
  /// - Throws: ``DecantError`` of code `undetermined` for a file with operators that are not read, when neither its
  ///   metadata nor the caller shows every fact.
  private func requireReadOperators() throws(DecantError) {
    let open = assumed.map(\.name)
    guard evidence.hasUnreadOperators, !open.isEmpty else { return }
    let names = sameShapes
    throw DecantError(
      .undetermined,
      "Decant does not read this file's operators, so these are unknown: \(open.joined(separator: ", ")); "
        + (names.isEmpty
          ? "use the checkpoint that the model was made from"
          : "the shapes fit \(names.joined(separator: ", "))"),
      advice: names.isEmpty ? nil : .nameArchitecture)
  }

  /// Checks that something shows whether shortcuts pool before they project.
  ///
  /// - Throws: ``DecantError`` of code `undetermined` for a network that was recognised by its structure, when shapes
  ///   leave it open and the caller names no architecture.
  package func requireShownShortcuts() throws(DecantError) {
    guard naming.alternatives?.hasOpenShortcut == true, overrides.architecture == nil else { return }
    throw DecantError(
      .undetermined,
      "without names, nothing shows whether shortcuts pool before they project: the shapes fit \(sameShapes.isEmpty ? "both" : sameShapes.joined(separator: ", "))",
      advice: .nameArchitecture)
  }

  /// Checks that something shows how layers without running statistics normalise, and that their channels divide into
  /// the groups.
  ///
  /// - Throws: ``DecantError`` of code `undetermined` for a network that is no published one, and `unsupportedNetwork`.
  private func requireShownNormalization(_ graph: Graph) throws(DecantError) {
    var most = 32
    var odd: (name: String, channels: Int, groups: Int)?
    for node in graph.nodes {
      guard case .groupNormalization(let channels, let groups, _) = node.operation else { continue }
      while channels % most != 0 { most /= 2 }
      if odd == nil, channels % groups != 0 { odd = (node.name, channels, groups) }
    }
    if configuration.normalization == .group, overrides.architecture == nil,
      assumed.contains(where: { $0.name == "normalization" }),
      ResNetArchitecture.sharing(configuration, naming.dialect).isEmpty
    {
      throw DecantError(
        .undetermined,
        "its normalization layers have no running statistics: are they group norms, or batch norms with track_running_stats=False?",
        advice: .chooseNormalization(groups: most))
    }
    if let odd {
      throw DecantError(
        .unsupportedNetwork,
        "\(naming.spelling(of: odd.name + ".weight").escapedForDisplay) has \(Format.count(odd.channels, "channel")), which do not divide into \(odd.groups) groups of group normalization",
        advice: .chooseNormalization(groups: most))
    }
  }

  /// The error for a head with activations that nothing shows.
  private var openHead: DecantError {
    let members = naming.head.members
    var places: [String] = []
    if case .layers(let layers) = configuration.head {
      for index in layers.indices where index > 0 && layers[index].gap == .open && index < members.count {
        places.append("\(members[index - 1].path) and \(members[index].path)".escapedForDisplay)
      }
    }
    return DecantError(
      .unsupportedNetwork,
      "the head has the \(headTensorText), and nothing shows the activation between "
        + places.joined(separator: ", between "), advice: .chooseHeadActivation(placeCount: places.count))
  }

  /// The tensors of the head's layers as text, such as "2 tensors fc.weight, fc.bias".
  private var headTensorText: String {
    let modules = Set(naming.headPaths)
    return Self.text(
      ofTensors: naming.entries.map(\.name).filter { modules.contains(HeadChain.container($0)) })
  }

  /// Returns a head's tensors as text, such as "2 tensors fc.weight, fc.bias".
  package static func text(ofTensors names: [String]) -> String {
    let most = 8
    let list = names.prefix(most).map(\.escapedForDisplay).joined(separator: ", ")
    let more = names.count > most ? " and \(names.count - most) more" : ""
    return "\(names.count == 1 ? "tensor" : Format.count(names.count, "tensor")) \(list)\(more)"
  }

  /// Builds a graph with the network's names and shapes, which do not depend on what the file leaves open.
  ///
  /// - Throws: ``DecantError`` when the file describes a geometry that cannot be built.
  package func shapeGraph() throws(DecantError) -> Graph { try applied.graph() }

  // MARK: The network that the file holds

  /// The published name of the network; nil for a custom ResNet.
  public var architecture: String? {
    if let published { return published.architecture }
    let allowed = sharing.filter { evidence.allows($0) }
    let named = allowed.first { evidence.settled("architecture")?.setting == .architecture($0.name) }
    if named == nil, naming.alternatives?.architectures.isEmpty == false { return nil }
    return (named ?? allowed.first { $0.configuration.stride0 == configuration.stride0 })?.name
  }

  /// Every published network with the same tensor names and shapes, ``architecture`` among them.
  public var sameShapes: [String] { sharing.map(\.name) }
  private var sharing: [ResNetArchitecture] {
    isResNet
      ? ResNetArchitecture.sharing(shapes, naming.dialect) + (naming.alternatives?.architectures ?? []) : []
  }

  /// True when the head is of the same kind as that of ``sameShapes``. A backbone has no head that could differ.
  package var hasPublishedHead: Bool {
    sharing.first.map { shapes.hasHead(of: $0.configuration) } ?? true
  }

  /// True when the prefix has more convolutions outside the network than in it: it is the beginning of a larger
  /// network.
  package var isPart: Bool {
    let beside = Set(verification.beside)
    let convolutions = naming.entries.filter {
      $0.tensor.shape.count == 4 && $0.name.utf8.starts(with: naming.prefix.utf8)
    }
    let strangers = convolutions.count { beside.contains($0.name) }
    return strangers > convolutions.count - strangers
  }

  /// True when every tensor of a ResNet matches, and the ResNet is not the beginning of a larger network.
  public var isResNet: Bool { verification.isMatch && !isPart }

  /// The published network with the fewest differences, and those differences; nil when a published network fits.
  ///
  /// Of several, it is one with the same kind of attention, then the same stem.
  public var nearest: (name: String, differences: [String])? {
    guard sharing.isEmpty else { return nil }
    func rank(_ candidate: (ResNetArchitecture, [String])) -> (Int, Int, Int) {
      let theirs = candidate.0.configuration
      return (
        candidate.1.count, shapes.hasAttention(of: theirs) ? 0 : 1, shapes.stem == theirs.stem ? 0 : 1
      )
    }
    let all = ResNetArchitecture.all.map { ($0, shapes.differences(from: $0.configuration)) }
    let strangers = verification.unexpected.count
    return all.min { rank($0) < rank($1) }.map { nearest in
      (
        name: nearest.0.name,
        differences: nearest.1 + (strangers > 0 ? ["\(strangers) tensors that it does not have"] : [])
      )
    }
  }

  /// The facts that the tensors and the file's own evidence show.
  public var facts: [Fact] { allFacts.filter { ![.declared, .assumed, .unknown].contains($0.origin) } }

  /// The facts that the file does not hold, such as the stem's stride.
  public var undetermined: [OpenQuestion] {
    allFacts.filter { $0.origin == .assumed || $0.origin == .unknown }.map {
      OpenQuestion(
        name: $0.name, usual: usual($0.name, $0.value), setting: ResNetOverrideKey(fact: $0.name))
    }
  }

  /// Returns a default as text, with the stem stride of the detector that has the same names and shapes.
  private func usual(_ name: String, _ value: String) -> String {
    guard name == "stride0", shapes.stemPooling != .none, sameShapes.contains("resnet50nodown") else {
      return value
    }
    return "\(value) (1 in resnet50nodown, whose names and shapes are the same)"
  }

  /// The facts on which sources disagree.
  package var contradictions: [ResNetEvidence.Contradiction] {
    evidence.contradictions(with: allFacts.filter { $0.origin == .shape }, architectures: sameShapes)
  }

  /// True when the file itself proves the network: its code, the geometry of every layer, names and shapes.
  public var isProven: Bool {
    guard evidence.isNetworkProven, hasPublishedHead,
      let architecture = architecture.flatMap({ ResNetArchitecture.named($0) })
    else { return false }
    return architecture.configuration.isSame(asBody: configuration)
      && allFacts.allSatisfy {
        ![.sha256, .assumed, .unknown].contains($0.origin) || $0.name == "preprocessing"
      }
  }

  // MARK: Facts that shapes do not show

  /// True when the stem is one for images of 32 pixels: one convolution of less than 7×7.
  package var isForSmallImages: Bool {
    if case .single(let kernel, _) = shapes.stem { kernel < 7 } else { false }
  }

  /// The usual preprocessing of images for a network with these names and this stem.
  private var preprocessing: String {
    guard isForSmallImages || shapes.inputChannels != 3 else { return naming.dialect.preprocessing }
    let channels = shapes.inputChannels == 3 ? "RGB" : Format.count(shapes.inputChannels, "channel")
    let size = isForSmallImages ? "32×32" : "224×224"
    return "\(channels), \(size), scaled to 0…1; mean and deviation depend on the training"
  }

  /// The facts that evidence, a published file or the caller settles, and the defaults of the others.
  private var furtherFacts: [Fact] {
    var found: [Fact] = []
    func add(_ name: String, _ value: String, _ source: String, _ origin: Fact.Origin) {
      found.append(Fact(name: name, value: value, source: source, origin: origin))
    }
    if let published {
      let source = "torchvision's code, of which this is a published file (SHA-256 \(published.digest)…)"
      for (name, value) in shapes.geometry { add(name, usual(name, value), source, .sha256) }
      add("residual", "shortcuts are added", source, .sha256)
      add("preprocessing", preprocessing, "the default", .unknown)
      return found
    }
    // A fact that shapes already show is not repeated.
    for item in evidence.items
    where !allFacts.contains(where: { $0.name == item.name && $0.value == item.value }) {
      let isUsed = applied.read.contains(item)
      add(item.name, item.value, item.words, .evidence(item.source, place: item.place, isUsed: isUsed))
    }
    let options = overrides.said
    for (name, value) in configuration.geometry {
      // Naming an architecture declares all of its facts, but not those of a head of the file's own.
      if overrides.architecture != nil && !name.hasPrefix("head_") || options[name] != nil {
        add(name, value, "the caller", .declared)
      } else if evidence.settled(name) == nil, !overrides.allowsUndeterminedGeometry || name == "epsilon" {
        add(name, value, "the default", .assumed)
      }
    }
    for (name, value) in [
      ("residual", "shortcuts are added; a plain network can have the same names and shapes"),
      ("preprocessing", preprocessing),
    ] where evidence.settled(name) == nil {
      add(name, value, "the default", .unknown)
    }
    return found
  }
}
