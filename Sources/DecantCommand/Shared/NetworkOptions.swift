internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantNetworks
internal import DecantResNets

/// The options of `verify`, `run` and `convert` that choose a state dict and determine its network.
struct NetworkOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Expected architecture, such as resnet50",
      discussion: "By default it is taken from the shapes. decant identify --architectures lists all.",
      valueName: "name"), completion: .architectures, transform: OptionValue.architecture)
  var arch: ResNetArchitecture?
  @Option(
    name: .shortAndLong, parsing: .unconditional,
    help: ArgumentHelp(
      "State dict to use; '.' is the root", discussion: "A path as decant inspect lists it.", valueName: "key"
    ), completion: .keys)
  var key: String?
  @Option(help: ArgumentHelp("Prefix of the names, with several networks", valueName: "prefix"))
  var prefix: String?
  @Flag(
    help: ArgumentHelp(
      "Accept a network by order and shapes alone",
      discussion:
        "Accepts a network that is recognised by the order and shapes of its tensors, where no name is a ResNet's."
    ))
  var byStructure = false
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Stride of the stem's convolution and pooling", valueName: "1|2"),
    completion: .list(["1", "2"]), transform: OptionValue.stride0)
  var stride0: Int?
  @Option(
    help: ArgumentHelp(
      "Convolution of a bottleneck with the stride", discussion: "3x3 is version 1.5, 1x1 is version 1.",
      valueName: "3x3|1x1"), completion: .list(["3x3", "1x1"]), transform: OptionValue.blockStride)
  var blockStride: ResNetBlockStride?
  @Option(
    help: ArgumentHelp(
      "Pooling after the stem, such as max or none",
      discussion: "max, 'max over zeros', 'max over the edge', average or none.", valueName: "kind"),
    completion: .list(["max", "average", "none"]),
    transform: OptionValue.stemPooling)
  var stemPooling: ResNetStemPooling?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Stride of the last stage: 8, 16 or 32",
      discussion: "Smaller strides use dilation in place of strides.", valueName: "n"),
    completion: .list(["8", "16", "32"]), transform: OptionValue.outputStride)
  var outputStride: Int?
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Strides of the stages, such as 1,2,2,2", valueName: "list"),
    transform: OptionValue.stageStrides)
  var stageStrides: [Int]?
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Epsilon of batch norm, usually 1e-5", valueName: "x"),
    transform: OptionValue.epsilon)
  var epsilon: Double?
  @Option(
    help: ArgumentHelp(
      "Layers without statistics: group:32 or batch",
      discussion: "group:32, or as many groups; or batch for each batch's own statistics.", valueName: "kind"),
    transform: OptionValue.normalization)
  var normalization: ResNetNormalizationChoice?
  @Option(
    help: ArgumentHelp(
      "Activations in the head, such as relu,none",
      discussion: "relu, gelu or none; one for each place in a head of several layers.", valueName: "list"),
    completion: .list(["relu", "gelu", "none"]), transform: OptionValue.headActivations)
  var headActivation: [ResNetHeadActivation]?

  /// The options that describe the network, and whether each was given. `--key` and `--prefix` only choose tensors.
  var geometryOptions: [(name: String, isGiven: Bool)] {
    [
      ("--arch", arch != nil), ("--stride0", stride0 != nil), ("--block-stride", blockStride != nil),
      ("--stem-pooling", stemPooling != nil), ("--output-stride", outputStride != nil),
      ("--stage-strides", stageStrides != nil), ("--epsilon", epsilon != nil),
      ("--normalization", normalization != nil), ("--head-activation", headActivation != nil),
    ]
  }

  /// The maximum number of differences of each kind in an error; `decant verify` lists all.
  static let mostListed = 5

  /// Returns the network settings that the options give.
  func overrides(classes: Int?) -> ResNetOverrides {
    var overrides = ResNetOverrides()
    overrides.architecture = arch
    overrides.prefix = prefix
    overrides.allowsStructure = byStructure
    overrides.classes = classes
    overrides.stride0 = stride0
    overrides.blockStride = blockStride
    overrides.stemPooling = stemPooling
    overrides.outputStride = outputStride
    overrides.stageStrides = stageStrides
    overrides.epsilon = epsilon
    overrides.normalization = normalization
    overrides.headActivations = headActivation
    return overrides
  }

  /// Opens a checkpoint, chooses the state dict and identifies its network. Prints notes on what was chosen, recognised
  /// and assumed.
  ///
  /// - Parameters:
  ///   - classes: the number of outputs that the network should have; nil for as many as the file has.
  func network(
    in source: CheckpointSource, _ opening: OpeningOptions, _ leaving: LeaveOutOptions, classes: Int?
  ) throws(DecantError) -> ResolvedNetwork {
    try resolve(file(in: source, opening, leaving), classes: classes)
  }

  /// Opens a checkpoint and chooses the state dict. Prints a note on what was chosen.
  ///
  /// - Parameters:
  ///   - allowsWrongChecksums: true to use a checkpoint whose data is known to be damaged.
  func file(
    in source: CheckpointSource, _ opening: OpeningOptions, _ leaving: LeaveOutOptions,
    allowsWrongChecksums: Bool = false
  ) throws(DecantError) -> NetworkFile {
    let checkpoint = try source.open(opening, leaving)
    let file =
      allowsWrongChecksums
      ? try NetworkFile(verifying: checkpoint, key: key, except: leaving.except)
      : try NetworkFile(checkpoint, key: key, except: leaving.except)
    file.printChoice()
    if key != nil, let warning = file.unreadWarning { StandardStreams.warning(warning) }
    file.printParametrization()
    return file
  }

  /// Identifies the network of a state dict. Prints notes on the settings that were recognised and assumed.
  ///
  /// - Parameters:
  ///   - leavingGeometryOpen: true when only the weights matter, so that geometry may stay undetermined.
  ///   - isForComputing: false when only names and shapes matter.
  func resolve(
    _ file: NetworkFile, classes: Int?, leavingGeometryOpen: Bool = false, isForComputing: Bool = true
  ) throws(DecantError) -> ResolvedNetwork {
    var overrides = overrides(classes: classes)
    overrides.allowsUndeterminedGeometry = leavingGeometryOpen
    let network = try file.resolve(
      overrides, isForComputing: isForComputing, note: StandardStreams.note)
    network.printNotes(listsDefaults: isForComputing)
    return network
  }
}
