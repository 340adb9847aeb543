public import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
public import DecantInference
public import DecantResNets
public import DecantTensors

/// A residual network with its weights, ready to run.
///
///     let network = try ResNet(.resnet50nodown, weights: weights)
///     let logits = try network(ImageTensor(path: "photo.jpg", preprocessing: .imagenetEval))
///
/// Weights are packed once. Any number of tasks may call one network at the same time.
/// Source: torchvision 0.28 `models/resnet.py`; timm 1.0 `models/{resnet,resnetv2,byobnet}.py`.
public final class ResNet: Sendable {
  /// The inference engine.
  public enum Engine: Sendable {
    /// oneDNN when it is installed and has the network's operators, else the reference.
    case fastest(Numerics = .exact)
    /// OpenBLAS matrix products: slower, and the engine that others are tested against.
    case reference
  }

  /// The network's published name, such as `resnet50`; nil for a custom ResNet.
  public var architecture: String? { resolved.architecture }
  /// The network's blocks, widths, strides and number of classes.
  public var configuration: ResNetConfiguration { resolved.identification.configuration }
  /// The facts that neither the caller nor the file gave, such as the stem's stride, with the default that is used.
  public var assumptions: [(name: String, value: String)] {
    resolved.identification.assumed.map { ($0.name, $0.value) }
  }
  /// The names of the stages that ``callAsFunction(_:stages:stage:)`` can report, in order: `stem`, `maxpool`,
  /// `layer1` … `logits`.
  public var stages: [String] { resolved.graph.stages.map(\.name) }
  /// Messages for the user: files next to the checkpoint that were not read, or the reason for using the reference
  /// engine.
  public let notes: [String]

  /// The network that was identified in the weights.
  package let resolved: ResolvedNetwork
  private let network: any NetworkEngine<Float>

  /// Creates a network from its weights. O(bytes of weights).
  ///
  /// Tensor names of timm, transformers and other libraries are recognised, and prefixes such as `module.`.
  ///
  /// - Parameters:
  ///   - architecture: the network; nil to identify it from names, shapes and other evidence in the file.
  ///   - weights: the network's parameters. Other tensors in the state dict are ignored.
  ///   - overrides: facts that weights do not contain, such as the stem's stride.
  ///   - engine: by default the fastest one that is installed.
  ///   - threads: the number of threads of one call, 1 to 1024.
  /// - Throws: ``DecantError``: `mismatch` with every missing, unexpected and misshapen tensor; `notAResNet`;
  ///   `undetermined` when the weights fit several networks and no architecture is given; `checksumMismatch`;
  ///   `libraryMissing` when no engine is installed; `unsupportedNetwork`; `invalidArgument` for an invalid number of
  ///   threads or strides.
  public init(
    _ architecture: ResNetArchitecture? = nil, weights: StateDict,
    overrides: ResNetOverrides = ResNetOverrides(),
    engine: Engine = .fastest(), threads: Int = 1
  ) throws(DecantError) {
    var overrides = overrides
    if let architecture { overrides.architecture = architecture }
    var notes: [String] = []
    let file = try NetworkFile(weights)
    if let note = file.parametrizationNote { notes.append(note) }
    if let warning = file.unreadWarning { notes.append(warning) }
    resolved = try file.resolve(overrides) { notes.append($0) }
    try resolved.requireMatch(classes: overrides.classes, checksFiniteness: false)
    let choice =
      switch engine {
      case .fastest(let numerics): EngineChoice(.fastest, numerics: numerics, threads: threads)
      case .reference: EngineChoice(.reference, threads: threads)
      }
    do throws(DecantError) {
      network = try choice.float(resolved.graph, resolved.parameters) { notes.append($0) }[0].network
    } catch { throw error.located(file: file.path) }
    self.notes = notes
  }

  /// Computes the logits, or the features of a network without a head. Where the file shows an activation after the
  /// logits, the output is its result, and the stage `logits` its input. O(operations of the network).
  ///
  /// - Parameters:
  ///   - images: N×C×H×W, prepared as the network was trained.
  ///   - stages: the names of stages to report too; see ``stages``.
  ///   - stage: called with the name and values of each of these stages, N×C×H×W, in the network's order.
  /// - Returns: N×classes.
  /// - Throws: ``DecantError``: `invalidInput` when the images do not fit the network, `invalidArgument` for an
  ///   unknown stage, `outOfMemory`.
  public func callAsFunction(
    _ images: ImageTensor, stages: Set<String> = [],
    stage: (_ name: String, _ output: NetworkOutput) -> Void = { _, _ in }
  ) throws(DecantError) -> NetworkOutput {
    if let unknown = stages.subtracting(self.stages).min() {
      throw DecantError(
        .invalidArgument, "the network has no stage \(unknown.escapedForDisplay)",
        remedy: "The stages are \(self.stages.joined(separator: ", ")).")
    }
    do throws(InferenceError) {
      let input = try Activation(shape: images.shape, values: images.values)
      let output = try network.run(input, stages: stages) { stage($0, NetworkOutput($1)) }
      return NetworkOutput(output)
    } catch { throw DecantError(error) }
  }
}

/// The output of a network or of one of its stages.
public struct NetworkOutput: Sendable, Equatable {
  /// The shape: N×classes for logits, N×features without a head, N×C×H×W for a stage's feature maps.
  public let shape: [Int]
  /// The values in row-major order.
  public let values: [Float]

  init(_ activation: Activation<Float>) { (shape, values) = (activation.shape, activation.values) }

  /// Returns the largest values of one image with their indices (the predicted classes), largest first. O(classes log
  /// classes).
  ///
  /// - Parameter image: the image's index in the batch.
  public func top(_ count: Int, ofImage image: Int = 0) -> [(index: Int, value: Float)] {
    let width = shape.dropFirst().reduce(1, *)
    guard image >= 0, image < shape.first ?? 0, count > 0 else { return [] }
    let row = values[image * width..<(image + 1) * width]
    return zip(0..., row).sorted { $0.1 > $1.1 }.prefix(count).map { (index: $0.0, value: $0.1) }
  }
}
