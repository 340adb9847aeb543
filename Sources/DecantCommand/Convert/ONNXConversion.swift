import ByteParsing
import Checkpoints
import ONNX
import Networks
import ResNets
import Tensors

/// `decant convert IN OUT.onnx`: the network that a state dict is taken for, as a model that runs elsewhere.
struct ONNXConversion {
  let checkpoint: Checkpoint
  let network: NetworkOptions
  let numClasses: Int?
  var foldsNormalization = false
  var hasExternalData = false
  var overwrite = true
  var isDurable = false
  var checks = false
  var sourceDigest = false

  /// Takes the file for a network as `decant run` does, verifies it, and writes it.
  ///
  /// - Throws: ``ExitStatus/no`` when the weights are not the network's.
  func write(to output: String) throws {
    let clock = ContinuousClock()
    let start = clock.now
    try checkpoint.requireIntact()
    let selection = try network.selection(of: checkpoint)
    let stateDict = try selection.stateDict()
    let resolution = try network.resolve(stateDict, selection, in: checkpoint, classes: numClasses)
    for warning in checkpoint.warnings { StandardStreams.note("warning: \(warning)") }
    try checkpoint.verifyChecksums(of: selection.tensors)
    try NetworkOptions.requireMatch(resolution, in: checkpoint)
    var options = ONNXModel.Options()
    options.foldsNormalization = foldsNormalization
    options.name = resolution.architecture ?? "resnet"
    options.metadata = try metadata(resolution, selection)
    var target = ONNXModel.Target()
    target.hasExternalData = hasExternalData
    target.overwrite = overwrite
    target.isDurable = isDurable
    target.checks = checks
    target.source = checkpoint
    let line = ProgressLine()
    target.progress = { try line.watch($0, of: $1) }
    defer { line.clear() }
    let report: ONNXModel.Report
    do {
      let model = try ONNXModel(
        resolution.graph, output: resolution.configuration.classes > 0 ? "logits" : "features", options
      ) { name in
        resolution.naming.tensors[name].map {
          ONNXWeight(name: resolution.naming.spelling(of: name), tensor: $0)
        }
      }
      report = try model.write(to: output, target)
    } catch let error as DecantError { throw error.located(file: checkpoint.path) }
    line.clear()
    print(report, output, clock.now - start)
  }

  /// What the model says of itself.
  private func metadata(
    _ resolution: ResNetResolution, _ selection: Selection
  ) throws -> [(key: String, value: String)] {
    var entries: [(key: String, value: String)] = []
    if let architecture = resolution.architecture { entries.append(("architecture", architecture)) }
    entries.append(("dialect", resolution.naming.dialect.name))
    entries.append(("stride0", "\(resolution.configuration.stride0)"))
    let evidence = ResNetEvidence(
      EvidenceGathering(checkpoint, selection).traces, of: resolution.naming)
    if let preprocessing = evidence.settled("preprocessing") {
      entries.append(("preprocessing", preprocessing.value))
    }
    if !resolution.assumed.isEmpty {
      let facts = resolution.assumed.map { "\($0.name) \($0.value)" }
      entries.append(("decant.assumed", facts.joined(separator: "; ")))
    }
    entries.append(("decant.container", checkpoint.container.rawValue))
    if sourceDigest { entries.append(("decant.source_sha256", try checkpoint.sha256())) }
    let source = try checkpoint.metadata()
    if !source.tooLong.isEmpty {
      StandardStreams.note(
        "note: too long for the model's metadata: "
          + source.tooLong.map(\.escapedForDisplay).joined(separator: ", "))
    }
    let own = Set(entries.map(\.key))
    return source.texts.filter { !own.contains($0.key) } + entries
  }

  private func print(_ report: ONNXModel.Report, _ output: String, _ time: Duration) {
    for (dtype, count) in report.castCounts {
      let how = dtype == .float64 ? "rounded to the nearest" : "exactly"
      StandardStreams.note(
        "note: \(Spelling.count(count, "tensor")) of \(dtype.rawValue) written as float32, \(how)")
    }
    if foldsNormalization {
      StandardStreams.note(
        "note: \(Spelling.count(report.foldedCount, "normalization")) computed into the convolution before \(report.foldedCount == 1 ? "it" : "them")"
      )
    }
    let data = report.dataByteCount.map { " and \(Spelling.count($0, "byte")) of data" } ?? ""
    StandardStreams.line(
      "\(Spelling.count(report.nodeCount, "node")), \(Spelling.count(report.weightCount, "weight")), \(Spelling.count(report.byteCount, "byte"))\(data)\(checks ? ", read again and equal" : ""), \(Spelling.duration(time)): \(output.escapedForDisplay)"
    )
  }
}
