package import DecantBytes
package import DecantCheckpoints
package import DecantGraphs
internal import DecantIO
package import DecantNetworks
package import DecantResNets
package import DecantScanning
internal import DecantTensors

/// Everything that a report says about one checkpoint.
package struct FileReport: Sendable {
  /// The choices of the caller.
  package struct Options: Sendable {
    /// The key of the state dict; nil for the only one.
    package var key: String?
    package var except: [String] = []
    /// The facts of the network that the caller declares.
    package var overrides = ResNetOverrides()
    /// The height and width of the image that shapes and costs are for; nil for the usual one.
    package var inputSize: Int?
    /// False to leave out ranges, histograms and checks that read every weight.
    package var readsValues = true
    package var scanner = CheckpointScanner()
    package var threads = 1

    package init() {}
  }

  /// The network in the file.
  package struct Network: Sendable {
    package let file: NetworkFile
    package let identification: ResNetIdentification
    package let graph: Graph
    /// The height and width of the image that the costs are for.
    package let inputSize: Int
    /// The costs of the nodes; nil when the image is too small for the network.
    package let costs: [NodeCost]?
    package fileprivate(set) var verification: ResNetVerification

    /// The drawing; nil when the image is too small for the network.
    package var diagram: NetworkDiagram? {
      costs.flatMap { NetworkDiagram(graph, costs: $0, height: inputSize, width: inputSize) }
    }
  }

  /// The result of looking for a network.
  package enum Finding: Sendable {
    case network(Network)
    /// No network, or several: the reason.
    case none(DecantError, family: String?)
  }

  /// A row of the table of tensors.
  package struct Row: Sendable {
    package let entry: CheckpointTensor
    /// Nil when the values were not read.
    package let survey: TensorSurvey?
    /// The name of the first tensor that shares elements with this one.
    package let aliasOf: String?
    /// The index of the tensor's group in ``ByteMap/groups``.
    package let group: Int
  }

  package let checkpoint: Checkpoint
  /// The scans of the checkpoint's files.
  package let scans: [FileScan]
  package let finding: Finding
  package let rows: [Row]
  package let map: ByteMap
  /// The errors of data that differs from its checksum, is cut off, or cannot be read.
  package let damage: [DecantError]
  /// Notes of the identification, such as files that were not read.
  package let notes: [String]

  /// Surveys an open checkpoint. O(bytes), or O(tensors) when no values are read.
  ///
  /// Damage and unknown networks are part of the report.
  ///
  /// - Throws: ``DecantError`` when a file cannot be opened, and for an option that does not fit the file.
  package init(_ checkpoint: Checkpoint, _ options: Options) throws {
    self.checkpoint = checkpoint
    var notes: [String] = []
    scans = try Self.files(of: checkpoint).map { try options.scanner.scan($0) }
    var damage = [checkpoint.truncation].compactMap(\.self) + checkpoint.damage
    var finding = try Self.finding(checkpoint, options) { notes.append($0) }
    let (groups, groupOf) = Self.groups(checkpoint, finding)
    let aliases = Aliases(checkpoint.tensors.map(\.tensor))
    let surveys: [Result<TensorSurvey?, DecantError>] = try parallelMap(
      checkpoint.tensors.count, threads: options.readsValues ? options.threads : 1
    ) { index in
      let entry = checkpoint.tensors[index]
      guard options.readsValues, entry.state == .whole, entry.tensor.isReadable else { return .success(nil) }
      do { return .success(try TensorSurvey(entry.tensor)) } catch {
        return .failure(DecantError(reading: error).located(file: checkpoint.path, tensor: entry.name))
      }
    }
    if options.readsValues {
      for case .failure(let error) in surveys { damage.append(error) }
      do {
        damage += try checkpoint.damagedRecords(of: checkpoint.tensors.filter { $0.state == .whole })
      } catch {
        damage.append(DecantError(reading: error))
      }
    }
    rows = checkpoint.tensors.enumerated().map { index, entry in
      Row(
        entry: entry, survey: try? surveys[index].get(),
        aliasOf: aliases.first(of: index).map { checkpoint.tensors[$0].name }, group: groupOf[index])
    }
    finding.addNonFinite(rows)
    self.finding = finding
    map = ByteMap(checkpoint, groups: groups) { groupOf[$0] }
    self.damage = damage
    self.notes = notes
  }

  /// The network; nil when there is none.
  package var network: Network? { if case .network(let network) = finding { network } else { nil } }

  /// The worst verdict of the files.
  package var verdict: ScanVerdict {
    scans.filter(\.isCheckpoint).map(\.verdict).max { $0.severity < $1.severity }
      ?? scans.first?.verdict ?? .unreadable
  }

  /// Returns the files to scan: all of a folder, else the checkpoint's own.
  private static func files(of checkpoint: Checkpoint) throws(DecantError) -> [FilePath] {
    let tree = FileTree([checkpoint.path])
    if let error = tree.errors.first { throw error }
    var paths = tree.files.map(\.path)
    let known = Set(paths.map(\.text))
    paths += checkpoint.files.filter { !known.contains($0.path) }.map { FilePath($0.path) }
    return paths
  }

  private static func finding(
    _ checkpoint: Checkpoint, _ options: Options, note: (String) -> Void
  ) throws -> Finding {
    var weights: NetworkFile?
    do throws(DecantError) {
      let file = try NetworkFile(identifying: checkpoint, key: options.key, except: options.except)
      weights = file
      let overrides = options.overrides
      let identification =
        overrides.architecture == nil && !overrides.declaresGeometry
        ? try file.identify(prefix: overrides.prefix, note: note)
        : try file.resolve(overrides, isForComputing: false, note: note).identification
      let graph = try identification.shapeGraph()
      let size = options.inputSize ?? (identification.isForSmallImages ? 32 : 224)
      return .network(
        Network(
          file: file, identification: identification, graph: graph, inputSize: size,
          costs: graph.costs(height: size, width: size),
          verification: ResNetVerification(of: identification.naming, against: graph)))
    } catch {
      // A key that does not exist is the caller's mistake; all else is an answer.
      guard ![.keyNotFound, .tensorNotFound, .invalidArgument].contains(error.code) else { throw error }
      return .none(error, family: weights.flatMap { NetworkFamily(of: $0.weights)?.description })
    }
  }

  /// Returns the groups that tensors are coloured by, and each tensor's.
  ///
  /// They are the stages of a network, or the first parts of names below the state dict; all others are the last group.
  private static func groups(_ checkpoint: Checkpoint, _ finding: Finding) -> ([String], [Int]) {
    var stages: [ExactText: String] = [:]
    var base: [PathKey] = []
    if case .network(let network) = finding {
      base = network.file.part?.selection.path ?? []
      for entry in network.identification.naming.entries {
        if let canonical = entry.canonical { stages[ExactText(entry.name)] = stage(of: canonical) }
      }
    } else if checkpoint.stateDictCandidates.count == 1 {
      base = checkpoint.stateDictCandidates[0].path
    }
    let names = checkpoint.tensors.map { entry -> String? in
      guard entry.path.starts(with: base) else { return nil }
      let name = entry.path.dropFirst(base.count).joinedName
      if !stages.isEmpty { return stages[ExactText(name)] }
      return String(name.prefix { $0 != "." })
    }
    var order: [String] = stages.isEmpty ? [] : ["stem"]
    for name in names { if let name, !order.contains(name), order.count < 7 { order.append(name) } }
    // Tensors of the head may come before the stages in a file.
    if let head = order.firstIndex(of: "head"), !stages.isEmpty {
      order.remove(at: head)
      order.append("head")
    }
    let other = order.count
    let indices = names.map { name in name.flatMap { order.firstIndex(of: $0) } ?? other }
    return (indices.contains(other) ? order + ["other tensors"] : order, indices)
  }

  /// Returns the stage of a canonical name: `layer1` of `layer1.0.conv1.weight`.
  private static func stage(of canonical: String) -> String {
    let first = String(canonical.prefix { $0 != "." })
    if first.hasPrefix("layer") { return first }
    return ["conv1", "bn1", "maxpool", "quant"].contains(first) ? "stem" : "head"
  }
}

extension FileReport.Finding {
  /// Adds the network's tensors that hold NaN or infinity to its verification.
  fileprivate mutating func addNonFinite(_ rows: [FileReport.Row]) {
    guard case .network(var network) = self else { return }
    let base = network.file.part?.selection.path ?? []
    let known = Set(network.identification.naming.entries.map { ExactText($0.name) })
    let found = rows.compactMap { row -> ResNetVerification.NonFinite? in
      guard row.entry.path.starts(with: base), let survey = row.survey else { return nil }
      let name = row.entry.path.dropFirst(base.count).joinedName
      let count = survey.nanCount + survey.infinityCount
      return count > 0 && known.contains(ExactText(name)) ? .init(name: name, count: count) : nil
    }
    network.verification = ResNetVerification(
      of: network.identification.naming, against: network.graph, nonFinite: found)
    self = .network(network)
  }
}

extension ScanVerdict {
  /// The order of the verdicts, the worst last.
  fileprivate var severity: Int {
    switch self {
    case .clean: 0
    case .unknown: 1
    case .unreadable: 2
    case .dangerous: 3
    }
  }
}

extension ResNetOverrides {
  /// True when a setting of the network's geometry or head is declared.
  fileprivate var declaresGeometry: Bool { !said.isEmpty }
}

extension FileReport {
  /// True when the values of any tensor were read.
  package var hasValues: Bool { rows.contains { $0.survey != nil } }
}
