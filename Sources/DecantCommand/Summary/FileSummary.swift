internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantNetworks
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The facts about a checkpoint that `decant FILE` shows.
struct FileSummary {
  let checkpoint: Checkpoint
  /// The dtypes with the number of tensors of each, the most frequent first.
  let dtypes: [(dtype: DType, count: Int)]
  /// The number of elements and bytes of all tensors. Shared data counts once.
  let elementCount: Int
  let byteCount: Int
  let split: ParameterSplit?
  /// The state dicts and their values for `--key`.
  let stateDicts: [(key: String, tensorCount: Int)]
  let others: [OtherValue]
  let network: NetworkSummary
  let safety: LoadingSafety

  /// Opens a checkpoint, identifies its network and judges what loading it would do. Reads no weights.
  init(path: String, _ opening: OpeningOptions) throws(DecantError) {
    let password = try opening.password()
    let safety = LoadingSafety(path: path, opening, password: password)
    do throws(DecantError) {
      checkpoint = try Checkpoint(path: path, limits: opening.limits, password: password)
    } catch {
      if safety.verdict == .dangerous { StandardStreams.warning("\(path.escapedForDisplay): \(safety.text)") }
      throw error
    }
    self.safety = safety
    var counts: [DType: Int] = [:]
    for entry in checkpoint.tensors { counts[entry.tensor.dtype, default: 0] += 1 }
    dtypes = counts.map { (dtype: $0.key, count: $0.value) }
      .sorted { ($1.count, $0.dtype.rawValue) < ($0.count, $1.dtype.rawValue) }
    (elementCount, byteCount) = Aliases.distinctSize(checkpoint.tensors.map(\.tensor))
    split = ParameterSplit(checkpoint.tensors, elementCount: elementCount)
    let candidates = checkpoint.stateDictCandidates
    let shown = Array(candidates.prefix(Self.mostStateDicts))
    stateDicts = zip(checkpoint.keys(of: shown.map(\.path)), candidates.map(\.tensorCount))
      .map { (key: $0, tensorCount: $1) }
    others = OtherValue.list(checkpoint.tensors, checkpoint.objects, stateDicts: candidates.map(\.path))
    network = NetworkSummary(checkpoint, key: candidates.count > 1 ? stateDicts.first?.key : nil)
  }

  /// The largest number of state dicts that are named.
  private static let mostStateDicts = 32

  /// The bytes of the files on disk.
  var fileByteCount: Int { checkpoint.files.reduce(0) { $0 + $1.byteCount } }

  /// The warnings of the checkpoint, and its damage.
  var warnings: [String] {
    let losses = [checkpoint.truncation].compactMap { $0 } + checkpoint.damage
    return checkpoint.warnings + losses.map(\.commandText)
  }

  /// The command to type next. It ends with exit code 0, except for one that repeats a bad verdict.
  var nextCommand: String {
    let file = checkpoint.path.shellWord
    switch safety.verdict {
    case .dangerous, .unknown: return "decant scan \(file)"
    case .clean, .unreadable: break
    }
    guard checkpoint.truncation == nil, checkpoint.damage.isEmpty else { return "decant inspect \(file)" }
    let key = stateDicts.count > 1 ? " --key \(stateDicts[0].key.escapedForDisplay.shellWord)" : ""
    if network.identification?.isResNet == true { return "decant identify \(file)\(key)" }
    return "decant inspect \(file)"
  }
}

/// The network of a checkpoint in one line.
struct NetworkSummary {
  /// The network, if it was recognised.
  private(set) var identification: ResNetIdentification?
  /// A family of other networks that the names are like.
  private(set) var family: String?

  /// - Parameter key: the key of the state dict; nil for the only one.
  init(_ checkpoint: Checkpoint, key: String?) {
    guard let file = try? NetworkFile(identifying: checkpoint, key: key) else { return }
    identification = try? file.identify(prefix: nil)
    if identification == nil { family = NetworkFamily(of: file.weights)?.description }
  }

  /// The network's name, and how sure it is; without its sizes.
  var name: String {
    guard let found = identification else {
      return family.map { "not a ResNet; it looks like \($0.escapedForDisplay)" } ?? "not recognised"
    }
    guard found.isResNet else {
      return found.isPart ? "another network that begins like a ResNet" : "partly a ResNet"
    }
    if found.isProven, let architecture = found.architecture { return architecture }
    let names = found.sameShapes.isEmpty ? [found.architecture].compactMap { $0 } : found.sameShapes
    guard let first = names.first else { return "custom ResNet" }
    return names.count > 2 ? "\(first) or \(names.count - 1) others" : names.joined(separator: " or ")
  }

  /// The name, the sizes and the naming.
  var clauses: [String] {
    guard let found = identification, found.isResNet else { return [name] }
    let configuration = found.configuration
    return [
      name,
      "\(configuration.block.rawValue) [\(configuration.layers.map(String.init).joined(separator: ", "))]",
      configuration.classes == 0
        ? "no head" : Format.count(configuration.classes, "class", plural: "classes"),
      found.naming.isByStructure ? "by order and shapes" : "\(found.naming.dialect.name) names",
    ] + (found.naming.prefix.isEmpty ? [] : ["prefix \(found.naming.prefix.quoted)"])
  }
}

/// The effects of loading a checkpoint in Python, from a scan of its files.
struct LoadingSafety {
  /// The worst verdict; `unreadable` when a file cannot be scanned.
  let verdict: ScanVerdict
  /// The worst finding; nil when there is none.
  private let finding: ScanFinding?

  init(path: String, _ opening: OpeningOptions, password: String?) {
    let scanner = CheckpointScanner(
      limits: opening.changing(CheckpointScanner.defaultLimits), password: password)
    let order: [ScanVerdict] = [.clean, .unreadable, .unknown, .dangerous]
    var (verdict, finding) = (ScanVerdict.clean, ScanFinding?.none)
    for file in FileTree([path]).files {
      let scan = try? scanner.scan(file.path)
      if let scan, !scan.isCheckpoint, !file.isNamed { continue }
      let found = scan?.verdict ?? .unreadable
      guard let rank = order.firstIndex(of: found), let worst = order.firstIndex(of: verdict), rank > worst
      else { continue }
      (verdict, finding) = (found, scan?.findings.first)
    }
    (self.verdict, self.finding) = (verdict, finding)
  }

  /// The verdict as a clause.
  var text: String {
    let detail = finding.map { ": \($0.what)" } ?? ""
    switch verdict {
    case .clean: return "runs nothing: it only builds tensors"
    case .unknown: return "not only tensors\(detail)"
    case .dangerous: return "can execute code\(detail)"
    case .unreadable: return "not known\(detail)"
    }
  }
}

extension Checkpoint.Container {
  /// The container for people, such as "PyTorch checkpoint".
  var title: String {
    switch self {
    case .torchZip: "PyTorch checkpoint"
    case .torchLegacy: "PyTorch checkpoint (before 1.6)"
    case .torchTar: "PyTorch checkpoint (0.1)"
    case .torchscript: "TorchScript module"
    case .torchExport: "torch.export program"
    case .torchPackage: "torch.package archive"
    case .pickle: "pickle"
    case .safetensors: "safetensors file"
    case .npz: "NumPy archive"
    case .npy: "NumPy array"
    case .npyFolder: "folder of NumPy arrays"
    case .gguf: "GGUF file"
    case .onnx: "ONNX model"
    case .mlpackage: "Core ML model"
    case .dcp: "distributed checkpoint (DCP)"
    case .shards: "sharded checkpoint"
    case .ranks: "checkpoint of several ranks"
    case .deepspeed: "DeepSpeed ZeRO checkpoint"
    }
  }
}
