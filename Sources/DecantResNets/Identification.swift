internal import DecantBytes
internal import DecantGraphs
internal import DecantTensors

/// The network that tensors belong to, with the source of each fact and the facts that the file does not hold.
public struct ResNetIdentification: Sendable {
  /// A fact about the network, and its source.
  public struct Fact: Sendable, Equatable {
    /// The name of the fact, such as `layers`.
    public let name: String
    /// The value, such as `3, 4, 6, 3`.
    public let value: String
    /// The tensor with its shape, the name or the count that shows the fact.
    public let source: String
    /// The kind of source: `shape`, `sha256`, or the name of a ``ResNetEvidence/Source``.
    package var kind = "shape"
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

  package let naming: ResNetTensorNameMap
  /// The network's blocks, widths, strides and number of classes, with defaults where the file says nothing.
  public let configuration: ResNetConfiguration
  /// The published name of the network; nil for a custom ResNet.
  public let architecture: String?
  /// Every published network with the same tensor names and shapes, ``architecture`` among them.
  public let sameShapes: [String]
  /// True when the head is of the same kind as that of ``sameShapes``. A backbone has no head that could differ.
  package let hasPublishedHead: Bool
  /// True when the prefix has more convolutions outside the network than in it: it is the beginning of a larger
  /// network.
  package let isPart: Bool
  /// True when every tensor of a ResNet matches, and the ResNet is not the beginning of a larger network.
  public var isResNet: Bool { verification.isMatch && !isPart }
  /// The published network with the fewest differences, and those differences; nil when a published network fits.
  public let nearest: (name: String, differences: [String])?
  /// The facts that the tensors and the file's own evidence show.
  public let facts: [Fact]
  /// The facts that the file does not hold, such as the stem's stride.
  public let undetermined: [OpenQuestion]
  /// The facts on which sources disagree.
  package let contradictions: [ResNetEvidence.Contradiction]
  /// True when the file itself proves the network: its code, the geometry of every layer, names and shapes.
  public let isProven: Bool
  /// The comparison of the tensors with the network's names and shapes.
  public let verification: ResNetVerification

  /// Identifies a network by the names and shapes of its tensors. O(tensors).
  ///
  /// - Parameters:
  ///   - published: the published file that holds these tensors; it settles facts that shapes cannot show.
  ///   - evidence: further evidence in the file and in the files next to it.
  /// - Throws: ``DecantError`` when the tensors do not form a network.
  package init(
    _ naming: ResNetTensorNameMap, published: PublishedFile? = nil, evidence: ResNetEvidence = .none
  )
    throws
  {
    self.naming = naming
    let configuration = try ResNetConfiguration(shapesOf: naming)
    let graph = try configuration.graph()
    let applied = evidence.applied(to: configuration).configuration
    self.configuration = applied
    verification = try ResNetVerification(of: naming, against: graph, checksFiniteness: false)
    isPart = Self.isPart(naming, verification)
    let sharing =
      verification.isMatch && !isPart ? ResNetArchitecture.sharing(configuration, naming.dialect) : []
    let sameShapes = sharing.map(\.name)
    self.sameShapes = sameShapes
    hasPublishedHead = sharing.first.map { configuration.hasHead(of: $0.configuration) } ?? true
    let allowed = sharing.filter { evidence.allows($0) }
    let named = allowed.first { evidence.settled("architecture")?.setting == .architecture($0.name) }
    let fitting = allowed.first { $0.configuration.stride0 == applied.stride0 }
    architecture = sameShapes.first { $0 == published?.architecture } ?? (named ?? fitting)?.name
    nearest = sameShapes.isEmpty ? Self.nearest(to: configuration, verification) : nil
    let questions = Self.openQuestions(naming, configuration, sameShapes)
    let shapeFacts = Self.facts(naming, configuration, verification)
    contradictions = evidence.contradictions(with: shapeFacts, architectures: sameShapes)
    guard let published, sameShapes.contains(published.architecture) else {
      let told = evidence.answers(questions, after: shapeFacts)
      facts = shapeFacts + told.facts
      undetermined = told.open
      isProven =
        evidence.isNetworkProven && verification.isMatch && !isPart && hasPublishedHead
        && architecture.flatMap { ResNetArchitecture.named($0) }?.configuration.isSame(asBody: applied)
          == true
        && told.open.allSatisfy { $0.name == "preprocessing" }
      return
    }
    isProven = false
    facts =
      shapeFacts
      + questions.filter { $0.name != "preprocessing" }.map { question in
        Fact(
          name: question.name, value: question.name == "residual" ? "shortcuts are added" : question.usual,
          source: "torchvision's code, of which this is a published file (SHA-256 \(published.digest)…)",
          kind: "sha256")
      }
    undetermined = questions.filter { $0.name == "preprocessing" }
  }

  private static func isPart(_ naming: ResNetTensorNameMap, _ verification: ResNetVerification) -> Bool {
    let beside = Set(verification.beside)
    let convolutions = naming.entries.filter {
      $0.tensor.shape.count == 4 && $0.name.utf8.starts(with: naming.prefix.utf8)
    }
    let strangers = convolutions.count { beside.contains($0.name) }
    return strangers > convolutions.count - strangers
  }

  /// Returns the published network with the fewest differences; of several, one with the same kind of attention, then
  /// the same stem.
  private static func nearest(
    to configuration: ResNetConfiguration, _ verification: ResNetVerification
  ) -> (name: String, differences: [String])? {
    func rank(_ candidate: (ResNetArchitecture, [String])) -> (Int, Int, Int) {
      let theirs = candidate.0.configuration
      return (
        candidate.1.count, configuration.hasAttention(of: theirs) ? 0 : 1,
        configuration.stem == theirs.stem ? 0 : 1
      )
    }
    let all = ResNetArchitecture.all.map { ($0, configuration.differences(from: $0.configuration)) }
    let strangers = verification.unexpected.count
    return all.min { rank($0) < rank($1) }.map { nearest in
      (
        name: nearest.0.name,
        differences: nearest.1 + (strangers > 0 ? ["\(strangers) tensors that it does not have"] : [])
      )
    }
  }

  private static func openQuestions(
    _ naming: ResNetTensorNameMap, _ configuration: ResNetConfiguration, _ names: [String]
  ) -> [OpenQuestion] {
    var questions = [
      OpenQuestion(
        name: "stride0",
        usual: configuration.stemPooling != .none
          ? "\(configuration.stride0)"
            + (names.contains("resnet50nodown")
              ? " (1 in resnet50nodown, whose names and shapes are the same)" : "")
          : "\(configuration.stride0)", setting: .stride0)
    ]
    for fact in configuration.geometry where fact.name != "stride0" {
      questions.append(
        OpenQuestion(name: fact.name, usual: fact.value, setting: ResNetOverrideKey(fact: fact.name)))
    }
    questions.append(
      OpenQuestion(
        name: "residual", usual: "shortcuts are added; a plain network can have the same names and shapes",
        setting: nil))
    questions.append(
      OpenQuestion(
        name: "preprocessing",
        usual: naming.dialect.preprocessing, setting: nil))
    return questions
  }
}
