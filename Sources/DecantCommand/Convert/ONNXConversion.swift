import DecantBytes
import DecantCheckpoints
import DecantKit
import DecantONNX
import DecantNetworks
import DecantResNets
import DecantTensors

/// The conversion `decant convert IN OUT.onnx`: writes the network of a state dict as an ONNX model.
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
  var json = false

  /// Identifies the network as `decant run` does, verifies the weights, and writes the model.
  ///
  /// - Throws: ``DecantError``, with the code `mismatch` when the weights do not match the network.
  func write(to output: String) throws {
    let clock = ContinuousClock()
    let start = clock.now
    try checkpoint.requireIntact()
    let selection = try network.selection(of: checkpoint)
    let stateDict = try selection.stateDict()
    let resolution = try network.resolve(stateDict, selection, in: checkpoint, classes: numClasses)
    for warning in checkpoint.warnings { StandardStreams.note("warning: \(warning)") }
    try checkpoint.verifyChecksums(of: selection.tensors)
    let verification = try NetworkOptions.requireMatch(resolution, in: checkpoint) {
      verification throws(DecantError) in
      try network.requireSupportedHead(resolution, verification, in: checkpoint, classes: numClasses)
    }
    NetworkOptions.noteOtherTensors(verification)
    var target = ONNXModel.Target()
    target.hasExternalData = hasExternalData
    target.overwrites = overwrite
    target.isDurable = isDurable
    target.checks = checks
    target.source = checkpoint
    let line = ProgressLine()
    target.progress = { try line.watch($0, of: $1) }
    defer { line.clear() }
    let report: ONNXModel.Report
    do {
      let export = try ONNXExport(
        resolution, CheckpointPart(checkpoint: checkpoint, selection: selection), sourceDigest: sourceDigest)
      if !export.tooLongKeys.isEmpty {
        StandardStreams.note(
          "note: skipped metadata that is too long for ONNX: "
            + export.tooLongKeys.map(\.escapedForDisplay).joined(separator: ", "))
      }
      report = try export.model(foldsNormalization: foldsNormalization).write(to: output, target)
    } catch let error as DecantError { throw error.located(file: checkpoint.path) }
    line.clear()
    print(report, output, clock.now - start)
  }

  private func print(_ report: ONNXModel.Report, _ output: String, _ time: Duration) {
    for (dtype, count) in report.castCounts {
      let how = dtype == .float64 ? "rounded to nearest" : "exactly"
      StandardStreams.note(
        "note: cast \(Format.count(count, "tensor")) of \(dtype.rawValue) to float32, \(how)")
    }
    if foldsNormalization {
      StandardStreams.note(
        "folded \(Format.count(report.foldedCount, "batch norm")) into their convolutions"
      )
    }
    if json {
      return StandardStreams.document(
        ConversionSummary.json(
          output, format: "onnx", tensors: report.weightCount,
          bytes: report.byteCount + (report.dataByteCount ?? 0)))
    }
    let data = report.dataByteCount.map { " and \(Format.count($0, "byte")) of data" } ?? ""
    StandardStreams.line(
      "\(Format.count(report.nodeCount, "node")), \(Format.count(report.weightCount, "weight")), \(Format.count(report.byteCount, "byte"))\(data)\(checks ? ", verified" : ""), \(Format.duration(time)): \(output.escapedForDisplay)"
    )
  }
}
