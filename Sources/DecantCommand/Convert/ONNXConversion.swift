internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantKit
internal import DecantNetworks
internal import DecantONNX
internal import DecantResNets
internal import DecantTensors

/// The conversion `decant convert IN OUT.onnx`: writes the network of a state dict as an ONNX model.
struct ONNXConversion {
  let input: CheckpointSource
  let opening: OpeningOptions
  let leaving: LeaveOutOptions
  let network: NetworkOptions
  let numClasses: Int?
  /// Patterns of the tensor names to leave out.
  var except: [String] = []
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
    let found = try network.network(in: input, opening, leaving, classes: numClasses)
    found.printWarnings()
    try found.requireMatch(
      classes: numClasses, checksFiniteness: true, mostListed: NetworkOptions.mostListed
    ).noteOtherTensors()
    var target = ONNXModel.Target()
    target.hasExternalData = hasExternalData
    target.overwrites = overwrite
    target.isDurable = isDurable
    target.checks = checks
    target.source = found.file.part?.checkpoint
    let line = ProgressLine()
    target.progress = { try line.watch($0, of: $1) }
    defer { line.clear() }
    let report: ONNXModel.Report
    do {
      let export = try ONNXExport(found, sourceDigest: sourceDigest)
      if !export.tooLongKeys.isEmpty {
        StandardStreams.note(
          "note: skipped metadata that is too long for ONNX: "
            + export.tooLongKeys.map(\.escapedForDisplay).joined(separator: ", "))
      }
      report = try export.model(foldsNormalization: foldsNormalization).write(to: output, target)
    } catch let error as DecantError { throw error.located(file: input.path) }
    line.clear()
    if !hasExternalData, let (folder, name) = try? CheckpointFolder.containing(output),
      (try? folder.find(name + ".data")) != nil
    {
      StandardStreams.warning(
        "\(output.escapedForDisplay).data is of an earlier model; the new one does not use it")
    }
    print(report, found.file, output, clock.now - start)
  }

  private func print(
    _ report: ONNXModel.Report, _ file: NetworkFile, _ output: String, _ time: Duration
  ) {
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
          output, from: input.path, format: "onnx", tensors: report.weightCount,
          bytes: report.byteCount + (report.dataByteCount ?? 0), choice: file.choice,
          others: file.parametrized.json(isResolved: true)))
    }
    let data = report.dataByteCount.map { " and \(Format.count($0, "byte")) of data" } ?? ""
    StandardStreams.line(
      "\(Format.count(report.nodeCount, "node")), \(Format.count(report.weightCount, "weight")), \(Format.count(report.byteCount, "byte"))\(data)\(checks ? ", verified" : ""), \(Format.duration(time)): \(output.escapedForDisplay)"
    )
  }
}
