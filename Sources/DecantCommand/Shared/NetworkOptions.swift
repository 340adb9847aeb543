import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantNetworks
import DecantResNets
import DecantTensors

/// The options of `verify`, `run` and `convert` that choose a state dict and determine its network.
struct NetworkOptions: ParsableArguments {
  @Option(help: "The expected architecture, such as resnet50. Default: taken from the shapes.") var arch:
    String?
  @Option(help: "The state dict to use, as inspect lists it; '.' is the root.") var key: String?
  @Option(help: "The prefix of the network's tensor names, when the file holds several networks.")
  var prefix: String?
  @Option(help: "Stride of the stem's convolution and pooling: 1 or 2.") var stride0: Int?
  @Option(help: "The convolution of a bottleneck that has the stride: 3x3 (v1.5) or 1x1 (v1).")
  var blockStride: String?
  @Option(
    help: "Pooling after the stem: max, 'max over zeros', 'max over the edge', average or none.")
  var stemPooling: String?
  @Option(
    help: "Output stride of the last stage, with dilation in place of strides: 8, 16 or 32.")
  var outputStride: Int?
  @Option(help: "Strides of the stages, such as 1,2,2,2.") var stageStrides: String?
  @Option(help: "Epsilon of batch norm; usually 1e-5.") var epsilon: Double?
  @Flag(help: "List every default that is used because the file does not hold the value.") var verbose = false

  func validate() throws {
    if let arch, ResNetArchitecture.named(arch) == nil {
      throw Self.unknownArchitecture(arch)
    }
    if let stride0, !(1...2 ~= stride0) {
      throw ValidationError("--stride0 is 1 or 2, not \(stride0).")
    }
    if let blockStride, Self.blockStrides[blockStride] == nil {
      throw ValidationError("--block-stride is 3x3 or 1x1, not \(blockStride.escapedForDisplay).")
    }
    if let stemPooling, Self.stemPoolings[stemPooling] == nil {
      throw ValidationError(
        "--stem-pooling is max, 'max over zeros', 'max over the edge', average or none, not \(stemPooling.escapedForDisplay)."
      )
    }
    if let outputStride, !ResNetConfiguration.outputStrides.contains(outputStride) {
      throw ValidationError("--output-stride is 1, 2, 4, 8, 16 or 32, not \(outputStride).")
    }
    if let stageStrides, Self.strides(stageStrides) == nil {
      throw ValidationError(
        "--stage-strides is a list of numbers from 1 to 16, such as 1,2,2,2, not \(stageStrides.escapedForDisplay)."
      )
    }
    if let epsilon, !(epsilon >= 0 && epsilon < 1) {
      throw ValidationError("--epsilon is between 0 and 1, not \(epsilon).")
    }
  }

  /// The options that describe the network, and whether each was given. `--key` and `--prefix` only choose tensors.
  var geometryOptions: [(name: String, isGiven: Bool)] {
    [
      ("--arch", arch != nil), ("--stride0", stride0 != nil), ("--block-stride", blockStride != nil),
      ("--stem-pooling", stemPooling != nil), ("--output-stride", outputStride != nil),
      ("--stage-strides", stageStrides != nil), ("--epsilon", epsilon != nil),
    ]
  }

  private static let blockStrides: [String: ResNetBlockStride] = ["3x3": .second, "1x1": .first]
  private static let stemPoolings: [String: ResNetStemPooling] = Dictionary(
    uniqueKeysWithValues: [.max, .maxOverZeros, .maxOverEdge, .average, .none].map { ($0.rawValue, $0) })

  private static func strides(_ text: String) -> [Int]? {
    let strides = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    return strides.allSatisfy { 1...16 ~= $0 } && strides.count <= 16 ? strides : nil
  }

  /// Returns the network settings that the options give.
  private func declaration(classes: Int?) -> ResNetOverrides {
    var said = ResNetOverrides()
    said.architecture = arch.flatMap { ResNetArchitecture.named($0) }
    said.prefix = prefix
    said.classes = classes
    said.stride0 = stride0
    said.blockStride = blockStride.flatMap { Self.blockStrides[$0] }
    said.stemPooling = stemPooling.flatMap { Self.stemPoolings[$0] }
    said.outputStride = outputStride
    said.stageStrides = stageStrides.flatMap { Self.strides($0) }
    said.epsilon = epsilon
    return said
  }

  /// Returns the error for an unknown architecture name.
  static func unknownArchitecture(_ name: String) -> ValidationError {
    ValidationError(
      "Unknown architecture '\(name.escapedForDisplay)'. decant identify --architectures lists all \(ResNetArchitecture.all.count)."
    )
  }

  /// Returns the chosen part of a checkpoint. Prints a note when no key was given and the only state dict is used.
  ///
  /// - Throws: ``DecantError`` when there is none, or when some of its tensors cannot be read or are one rank's part.
  func selection(of checkpoint: Checkpoint) throws(DecantError) -> Selection {
    let selection = try checkpoint.readableStateDict(key: key)
    if key == nil, !selection.path.isEmpty {
      StandardStreams.note("using the only state dict, --key \(selection.key.escapedForDisplay)")
    }
    if let warning = checkpoint.unreadWarning(outside: selection) {
      StandardStreams.note("warning: \(warning)")
    }
    return selection
  }

  /// Refuses a head that Decant does not compute, and notes what else the file contains.
  func requireSupportedHead(
    _ resolution: ResNetResolution, _ verification: ResNetVerification, in checkpoint: Checkpoint,
    classes: Int?
  ) throws(DecantError) {
    try resolution.requireSupportedHead(
      verification, of: checkpoint.path, classes: classes, isNamed: arch != nil)
  }

  /// Prints a note on the tensors of the file that are not part of the network.
  static func noteOtherTensors(_ verification: ResNetVerification) {
    guard let first = verification.beside.first else { return }
    StandardStreams.note(
      "note: \(Format.count(verification.beside.count, "other tensor")), such as \(first.escapedForDisplay), \(verification.beside.count == 1 ? "is" : "are") not part of the network"
    )
  }

  /// The maximum number of differences of each kind in an error; `decant verify` lists all.
  static let mostListed = 5

  /// Throws an error that lists differences between the weights and the network, if there are any; `decant verify`
  /// lists all of them.
  ///
  /// - Parameter check: Called with the comparison before its differences are reported.
  @discardableResult
  static func requireMatch(
    _ resolution: ResNetResolution, in checkpoint: Checkpoint,
    check: (ResNetVerification) throws(DecantError) -> Void = { _ throws(DecantError) in }
  ) throws -> ResNetVerification {
    let verification = try ResNetVerification(of: resolution.naming, against: resolution.graph)
    try check(verification)
    try verification.requireMatch(resolution.architecture, file: checkpoint.path, mostListed: Self.mostListed)
    return verification
  }

  /// Returns the network of the chosen state dict. Prints notes on the settings that were recognised and assumed.
  func resolve(
    _ stateDict: StateDict, _ selection: Selection, in checkpoint: Checkpoint, classes: Int? = nil,
    leavingGeometryOpen: Bool = false
  ) throws(DecantError) -> ResNetResolution {
    var said = declaration(classes: classes)
    said.allowsUndeterminedGeometry = leavingGeometryOpen
    let resolution: ResNetResolution
    do throws(DecantError) {
      resolution = try ResNetResolution(
        of: stateDict, said,
        evidence: {
          EvidenceCollector.evidence(in: checkpoint, selection, of: $0, note: StandardStreams.note)
        })
    } catch {
      throw error.located(file: checkpoint.path)
    }
    let naming = resolution.naming
    if naming.dialect != ResNetDialect.all[0] {
      StandardStreams.note("naming: \(naming.dialect.name)")
    }
    if !naming.prefix.isEmpty {
      StandardStreams.note("ignoring the prefix \(naming.prefix.quoted)")
    }
    for warning in resolution.warnings {
      StandardStreams.note("warning: \(warning.commandText.escapedForDisplay)")
    }
    for (place, items) in resolution.read.byPlace {
      let facts = items.map { "\($0.name) \($0.value)" }.joined(separator: "; ")
      StandardStreams.note("read from \(place): \(facts)".escapedForDisplay)
    }
    if !resolution.assumed.isEmpty {
      let facts = resolution.assumed.map { $0.text(of: resolution.configuration) }
      let shown =
        verbose || facts.count == 1
        ? facts.map { "\($0.name) \($0.value)" }.joined(separator: "; ")
        : "\(facts[0].name) \(facts[0].value), … (--verbose lists all \(facts.count))"
      StandardStreams.note("not stored in the file, using defaults: \(shown)")
    }
    return resolution
  }
}

extension ResNetConfiguration {
  /// Returns a fact's value for people: the number of an output stride that is not set, else the same text.
  func text(_ value: String) -> String {
    guard value == Self.undilatedOutputStride, let stride = totalStride else { return value }
    return "\(stride) (no dilation)"
  }
}

extension ResNetResolution.Fact {
  /// The name and value for people, such as "stem stride" and "2".
  func text(of configuration: ResNetConfiguration) -> (name: String, value: String) {
    (name == "stride0" ? "stem stride" : name.replacing("_", with: " "), configuration.text(value))
  }
}

extension ResNetWarning {
  /// The warning as a clause that names settings by their options.
  var commandText: String {
    if case .contradicted(let setting, let value, _) = self {
      text(naming: "\(setting.option) \(value)")
    } else {
      description
    }
  }
}

extension [ResNetResolution.Fact] {
  /// The facts as a JSON object, with whole numbers as JSON numbers.
  var json: JSONValue {
    .object(map { (key: $0.name, value: Int64($0.value).map { .integer($0) } ?? .string($0.value)) })
  }
}

extension [ResNetEvidence.Item] {
  /// The items grouped by source, the strongest source first.
  var byPlace: [(place: String, items: [ResNetEvidence.Item])] {
    var found: [(place: String, items: [ResNetEvidence.Item])] = []
    for item in self {
      if let known = found.firstIndex(where: { $0.place == item.place }) {
        found[known].items.append(item)
      } else {
        found.append((item.place, [item]))
      }
    }
    return found
  }

  /// The items as a JSON object, with whole numbers as JSON numbers.
  var json: JSONValue { map { ResNetResolution.Fact(name: $0.name, value: $0.value) }.json }
}
