package import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantGraphs
internal import DecantImages
internal import DecantPickle
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// A fuzz target: one case for each format, which runs every operation of its reader.
///
/// `run` returns for any bytes. A refusal is a typed error; a trap, a hang or high memory use is a bug.
package enum FuzzTarget: String, CaseIterable, Sendable {
  case pickle, zip, legacy, tar, safetensors, gguf, npy
  /// A folder's files, such as those of torch.distributed or shards with their index, in a tar archive.
  case folder
  /// An ONNX model, or the specification of a Core ML model.
  case model
  /// The files of one run's ranks in a tar archive, joined in the order of their names.
  case ranks
  /// A scan of any bytes.
  case scan
  /// A text in a file or next to it that may describe its network: code, a configuration or a name.
  case evidence
  /// A PNG or JPEG picture.
  case image

  /// Runs every operation that a user can request on an input.
  package func run(_ bytes: [UInt8], limits: Limits = Limits()) {
    switch self {
    case .pickle: runPickle(bytes, limits)
    case .folder: runFolder(bytes, limits)
    case .ranks: runRanks(bytes, limits)
    case .scan: runScan(bytes)
    case .evidence: runEvidence(bytes)
    case .image: runImage(bytes, limits)
    case .zip, .legacy, .tar, .safetensors, .gguf, .npy, .model:
      // A conversion starts a thread and writes a file, so only one input in sixteen is converted.
      let sum = bytes.reduce(0) { $0 &+ Int($1) }
      let target = sum % 16 == 0 ? Self.converted[sum / 16 % Self.converted.count] : nil
      read(converting: target) { () throws(DecantError) in
        try Checkpoint(BytesInMemory(bytes), named: "input", limits: limits, password: "secret")
      }
    }
  }

  // MARK: - Pickles

  private func runPickle(_ bytes: [UInt8], _ limits: Limits) {
    let (graph, error) = PickleMachine.interpretAsFarAsPossible(bytes.span.bytes, limits: limits)
    precondition(graph.byteCount <= bytes.count, "a stream has no more bytes than there are")
    do throws(PickleError) {
      let whole = try PickleMachine.interpret(bytes.span.bytes, limits: limits)
      precondition(error == nil && whole.byteCount == graph.byteCount, "both ways agree")
    } catch {
      precondition(error.offset <= bytes.count && !error.description.isEmpty, "an error stands in the stream")
    }
    try? PickleDisassembler.disassemble(bytes.span.bytes, limits: limits) { line in
      precondition(!line.isEmpty, "a line says something")
    }
  }

  // MARK: - Checkpoints

  /// The maximum number of tensor bytes read from one input, since a view can expand few bytes to many.
  private static let readBudget = 4 << 20

  private func runFolder(_ bytes: [UInt8], _ limits: Limits) {
    guard let folder = ScratchFolder(tar: bytes) else { return }
    read { () throws(DecantError) in try Checkpoint(path: folder.path, limits: limits) }
  }

  private func runRanks(_ bytes: [UInt8], _ limits: Limits) {
    guard let folder = ScratchFolder(tar: bytes) else { return }
    read { () throws(DecantError) in
      try Checkpoint(joining: folder.paths, limits: limits, password: "secret")
    }
  }

  /// The names of the files that inputs are converted to.
  private static let converted = ["out.safetensors", "out.npz", "out.gguf", "out.pth"]

  private func read(converting target: String? = nil, _ open: () throws(DecantError) -> Checkpoint) {
    do throws(DecantError) {
      let checkpoint = try open()
      list(checkpoint)
      read(checkpoint.tensors)
      _ = try? checkpoint.verifyChecksums(of: checkpoint.tensors)
      if let target { convert(checkpoint, to: target) }
    } catch {
      precondition(!error.description.isEmpty, "an error says something")
    }
  }

  private func list(_ checkpoint: Checkpoint) {
    for entry in checkpoint.tensors { precondition(entry.tensor.elementCount >= 0) }
    let texts =
      checkpoint.tensors.prefix(1_000).map(\.name) + checkpoint.objects.prefix(1_000).map(\.name)
      + checkpoint.warnings + checkpoint.damage.map(\.description) + checkpoint.containerMetadata.map(\.text)
      + checkpoint.moduleSources.map(\.className) + [checkpoint.truncation?.description ?? ""]
    precondition(texts.allSatisfy { $0.escapedForDisplay.utf8.count >= 0 })
    let candidates = checkpoint.stateDictCandidates.prefix(100).map(\.path)
    for (index, key) in checkpoint.keys(of: candidates).enumerated() {
      precondition(checkpoint.path(ofKey: key) == candidates[index])
      precondition(checkpoint.path(ofKey: key.escapedForDisplay) != nil)
      _ = try? checkpoint.selection(key: key).stateDict(in: checkpoint)
    }
    _ = try? Selection.all(of: checkpoint).stateDict(in: checkpoint)
    if let (selection, found) = try? Selection.all(of: checkpoint).resolved(), !found.isEmpty {
      precondition(found.unknown.allSatisfy { !$0.text.isEmpty } && found.note("stored as") != "")
      read(selection.tensors)
    }
    _ = Aliases(checkpoint.tensors.map(\.tensor))
  }

  private func read(_ entries: [CheckpointTensor]) {
    var budget = Self.readBudget
    for tensor in entries.prefix(1_000).lazy.flatMap({ [$0.tensor] + $0.tensor.parts.map(\.tensor) }) {
      guard tensor.isReadable, tensor.byteCount <= budget else { continue }
      budget -= tensor.byteCount
      if let bytes = try? tensor.rowMajorBytes() {
        precondition(bytes.count == tensor.byteCount, "every element is read")
      }
      _ = try? tensor.sha256()
      _ = try? tensor.statistics()
      _ = try? tensor.elements(as: Float.self)
      if let quantization = tensor.quantization { precondition(!quantization.scheme.isEmpty) }
      if let numbers = try? tensor.dequantized(), numbers.byteCount <= budget {
        _ = try? numbers.statistics()
      }
    }
  }

  /// Writes the tensors to a file and reads them again. Their elements must be the same, and `--check` must find
  /// nothing.
  private func convert(_ checkpoint: Checkpoint, to target: String) {
    let byteCount = checkpoint.tensors.reduce(0) { sum, entry in
      sum.addingReportingOverflow(entry.tensor.byteCount).partialValue
    }
    guard checkpoint.tensors.count <= 200,
      checkpoint.tensors.allSatisfy({ $0.tensor.byteCount <= Self.readBudget }),
      0...Self.readBudget ~= byteCount, let folder = ScratchFolder()
    else { return }
    var options = WriteOptions()
    (options.dequantizes, options.makesDense, options.salvages) = (true, true, true)
    (options.dropsObjects, options.checks) = (true, true)
    let path = folder.file(target)
    do { _ = try checkpoint.convert(to: path, options) } catch {
      precondition(!"\(error)".contains("Please report this"), "\(error)")
      return
    }
    do {
      let written = try Checkpoint(path: path)
      for entry in checkpoint.tensors
      where entry.state == .whole && entry.tensor.layout == .strided && entry.tensor.quantization == nil {
        guard let copy = written.tensors.first(where: { $0.name.utf8.elementsEqual(entry.name.utf8) }),
          copy.tensor.dtype == entry.tensor.dtype
        else { continue }
        let (before, after) = (try entry.tensor.sha256(), try copy.tensor.sha256())
        precondition(before == after, "a conversion changes no element")
      }
    } catch { preconditionFailure("what was converted can be read: \(error)") }
  }

  // MARK: - Evidence

  /// Passes the input to every reader of texts, for a network that is already known from its shapes.
  private func runEvidence(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    var traces = ResNetEvidenceInputs()
    if let lines = ResNetEvidenceInputs.settings(inLines: text) {
      traces.configurations.append(("args", lines))
    }
    let content = (try? JSONValue(parsing: bytes.span.bytes, depth: 64)) ?? .object([("repr", .string(text))])
    traces.configurations.append(("config.json", content))
    traces.fileName = text
    let className = "__torch__.Net"
    for path in ["", "conv1", "bn1", "maxpool", "layer1.0", "layer2.0", "layer2.0.conv1", "fc"] {
      traces.modules.classes[path] = className
    }
    for isScript in [true, false] {
      traces.script = isScript ? [className: text] : [:]
      traces.sources = isScript ? [:] : [className: text]
      let evidence = ResNetEvidence(traces, of: Self.network)
      precondition(evidence.items.allSatisfy { !$0.name.isEmpty && !$0.place.isEmpty })
      // An identification compares with every architecture, so only one input in sixteen is identified.
      guard bytes.reduce(0, &+) % 16 == 0 else { continue }
      guard let found = try? ResNetIdentification(Self.network, evidence: evidence) else {
        preconditionFailure("texts take no network away")
      }
      precondition(found.facts.allSatisfy { !$0.name.isEmpty && !$0.source.isEmpty })
    }
  }

  /// The names and shapes of ResNet-18, without data.
  private static let network: ResNetTensorNameMap = {
    do {
      let graph = try ResNetArchitecture.named("resnet18")?.configuration.graph()
      let entries = try (graph?.parameters ?? []).map { parameter in
        let byteCount = parameter.shape.reduce(4, *)
        let storage = Storage(key: "meta", byteCount: byteCount, content: nil)
        let tensor = try Tensor(dtype: .float32, shape: parameter.shape, storage: storage)
        return StateDict.Entry(name: parameter.name, tensor: tensor)
      }
      return try ResNetTensorNameMap.only(in: StateDict(entries))
    } catch { preconditionFailure("a published network is one: \(error)") }
  }()

  // MARK: - Pictures

  private func runImage(_ bytes: [UInt8], _ limits: Limits) {
    // The format's own maximum size is tested elsewhere. Here every pixel costs time.
    var limits = limits
    limits.imagePixels = min(limits.imagePixels, 1 << 18)
    do throws(DecantError) {
      let stored = try DecodedImage(decoding: bytes, turning: false, limits: limits)
      let picture = try DecodedImage(decoding: bytes, limits: limits)
      precondition(picture.pixels.count == picture.height * picture.width * 3, "every pixel is there")
      precondition(stored.pixels.count == picture.pixels.count, "turning adds no pixels")
      precondition(picture.isOrientationApplied || stored == picture, "decoding twice gives the same")
      precondition(
        picture.notes.allSatisfy { $0.escapedForDisplay == $0 }, "nothing of the file is said unescaped")
      for preprocessing in [Preprocessing.imagenetEval, .imagenetRaw] {
        let (height, width) = preprocessing.size(of: picture)
        let values = preprocessing.values(of: picture) ?? []
        precondition(
          values.count == 3 * height * width && values.allSatisfy { abs($0) < 3 }, "numbers are normalised")
      }
    } catch {
      precondition(
        !error.reason.isEmpty && (error.location.offset ?? 0) <= bytes.count, "an error says something")
    }
  }

  // MARK: - Scans

  private func runScan(_ bytes: [UInt8]) {
    let scan = CheckpointScanner().scan(bytes, named: "input")
    precondition(scan.findings.count <= CheckpointScanner.findingLimit, "findings are bounded")
    precondition((scan.verdict == .clean) == scan.findings.isEmpty, "a finding is what stands in the way")
    for finding in scan.findings.prefix(100) {
      precondition(!finding.what.isEmpty && finding.count > 0, "a finding says something")
    }
  }
}
