package import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantGraphs
package import DecantNetworks
package import DecantONNX
internal import DecantResNets
internal import DecantTensors

/// The options of writing a network as an ONNX model.
public struct ONNXOptions: Sendable {
  /// True to fold batch normalizations into the convolutions before them.
  public var foldsNormalization = false
  /// True to write the weights to a second file, `PATH.data`, which models beyond 2 GB need.
  public var hasExternalData = false
  /// True to replace an existing file; otherwise `outputExists` is thrown.
  public var overwrites = true
  /// True to read the written files back and compare them with the source.
  public var checks = false

  /// Creates options for one file that replaces an existing one.
  public init() {}
}

extension ResNet {
  /// Writes the network as an ONNX model of opset 17 that any ONNX runtime executes: completely, or not at all.
  ///
  ///     try network.writeONNX(to: "nodown.onnx")
  ///
  /// The input is `input`, N×C×H×W with dynamic N, H and W. The output is `logits`, `features`
  /// without a head, or `probabilities`, `log_probabilities` or `output` of a file with an activation after the logits.
  /// Weights are float32. docs/formats/onnx.md describes the file.
  ///
  /// - Throws: ``DecantError``: `notRepresentable` for a value that float32 cannot hold or a model beyond 2 GB without
  ///   external data, `diskFull`, `outputExists`. O(bytes), in a few megabytes of memory.
  public func writeONNX(to path: String, _ options: ONNXOptions = ONNXOptions()) throws(DecantError) {
    var target = ONNXModel.Target()
    target.hasExternalData = options.hasExternalData
    target.overwrites = options.overwrites
    target.checks = options.checks
    let part = resolved.file.part
    target.source = part?.checkpoint
    do throws(DecantError) {
      let export = try ONNXExport(resolved)
      try DecantError.mapping {
        _ = try export.model(foldsNormalization: options.foldsNormalization).write(to: path, target)
      }
    } catch { throw error.located(file: part?.checkpoint.path) }
  }
}

/// An identified network with the metadata for its ONNX model.
package struct ONNXExport {
  private let network: ResolvedNetwork
  private var metadata: [(key: String, value: String)]
  /// The keys of the source's metadata whose values are too long for a model.
  package let tooLongKeys: [String]

  /// Collects the metadata: the source's own, then the facts about the network.
  ///
  /// - Parameter sourceDigest: true to record the SHA-256 of the checkpoint.
  /// - Throws: ``DecantError`` when metadata that is still in the file cannot be read.
  package init(
    _ network: ResolvedNetwork, sourceDigest: Bool = false
  ) throws(DecantError) {
    self.network = network
    let identification = network.identification
    var entries: [(key: String, value: String)] = []
    if let architecture = network.architecture { entries.append(("architecture", architecture)) }
    entries.append(("dialect", identification.naming.dialect.name))
    entries.append(("stride0", "\(identification.configuration.stride0)"))
    if let geometry = identification.geometryRecord { entries.append((GeometryRecord.key, geometry)) }
    if let preprocessing = identification.evidence.settled("preprocessing") {
      entries.append(("preprocessing", preprocessing.value))
    }
    let assumed = identification.assumed.map { "\($0.name) \($0.value)" }
    if !assumed.isEmpty {
      entries.append(("decant.assumed", assumed.joined(separator: "; ")))
    }
    guard let checkpoint = network.file.part?.checkpoint else {
      (metadata, tooLongKeys) = (entries, [])
      return
    }
    entries.append(("decant.container", checkpoint.container.rawValue))
    if sourceDigest {
      entries.append(("decant.source_sha256", try DecantError.mapping { try checkpoint.sha256() }))
    }
    let source = try checkpoint.metadata()
    let own = Set(entries.map(\.key))
    metadata = source.texts.filter { !own.contains($0.key) } + entries
    tooLongKeys = source.tooLongKeys
  }

  /// Plans the model; reads few weights.
  ///
  /// - Throws: ``DecantError`` for an operator that cannot be exported and a parameter that cannot be read.
  package func model(foldsNormalization: Bool) throws(DecantError) -> ONNXModel {
    var options = ONNXModel.Options()
    options.foldsNormalization = foldsNormalization
    options.name = network.architecture ?? "resnet"
    options.metadata = metadata
    return try ONNXModel(
      network.graph, output: network.identification.configuration.output.rawValue, options
    ) { name in
      network.parameters[name].map {
        ONNXWeight(name: network.identification.naming.spelling(of: name), tensor: $0)
      }
    }
  }
}
