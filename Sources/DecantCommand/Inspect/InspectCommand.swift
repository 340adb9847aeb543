internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The command `decant inspect FILE`.
struct InspectCommand: CheckpointCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "List everything in a checkpoint: tensors and other values.", usage: help.usageText,
    aliases: ["ls"])

  enum Order: String, ExpressibleByArgument, CaseIterable {
    case file, name, bytes
  }

  @Argument(help: "The checkpoint.", completion: .file())
  var file: String?
  @OptionGroup var recursion: RecursionOptions
  @OptionGroup var joining: JoinOptions
  @OptionGroup var opening: OpeningOptions
  @Option(
    name: .shortAndLong, parsing: .unconditional,
    help: ArgumentHelp(
      "Only what is under this key; '.' is the root",
      discussion: "A path as decant inspect lists it. The key of a single value prints that value.",
      valueName: "key"), completion: .keys)
  var key: String?
  @Option(help: ArgumentHelp("Only tensors by name, such as '*.bn?.*'", valueName: "glob"))
  var filter: String?
  @Option(help: ArgumentHelp("Order of tensors; bytes: largest first", valueName: "file|name|bytes"))
  var sort = Order.file
  @Flag(help: "Show names as a tree with sizes")
  var tree = false
  @Option(
    help: ArgumentHelp(
      "Show N parts of names, and what is below as one",
      discussion: "Parts are counted below the state dict.",
      valueName: "n"), transform: OptionValue.integer(in: 1..., "--depth is at least 1"))
  var depth: Int?
  @Option(
    help: ArgumentHelp(
      "Print the first N rows of values, as NumPy does",
      discussion: "Of every tensor that --key or --filter chooses.",
      valueName: "n"), transform: OptionValue.integer(in: 1..., "--head is at least 1"))
  var head: Int?
  @Flag(help: "Show totals and what else is in the file")
  var summary = false
  @Flag(help: "Show every tensor, also on a terminal")
  var flat = false
  @Flag(help: "Show ranges and means, and count NaN and Inf")
  var stats =
    false
  @Flag(help: "Show the SHA-256 of each tensor")
  var digest = false
  @Flag(help: "Verify every CRC-32 in the file")
  var checksums = false
  @Flag(help: "Print JSON")
  var json = false
  @OptionGroup var presentation: PresentationOptions
  @Flag(help: "Disassemble the pickle, like pickletools")
  var pickle = false

  func validate() throws {
    let source = try joining.source(file)
    if pickle && (source.isJoined || recursion.recursive) {
      throw ValidationError("Use --pickle with one file.")
    }
    if pickle
      && (json || tree || stats || digest || checksums || key != nil || filter != nil || depth != nil
        || summary || flat || head != nil)
    {
      throw ValidationError("Use --pickle without other options.")
    }
    if json && tree { throw ValidationError("Use --json or --tree, not both.") }
    if [depth != nil, summary, flat].count(where: { $0 }) > 1 {
      throw ValidationError("Use one of --depth, --summary and --flat.")
    }
    if json && (depth != nil || summary || flat) {
      throw ValidationError("--depth, --summary and --flat are for text; --json lists every tensor.")
    }
    if (stats || digest) && (depth != nil || summary) {
      throw ValidationError("--stats and --digest show each tensor: leave out --depth and --summary.")
    }
    if head != nil && (json || tree || stats || digest || checksums || depth != nil || summary || flat) {
      throw ValidationError("Use --head with --key, --filter and --sort only.")
    }
    if tree && (summary || flat) { throw ValidationError("Use --tree without --summary and --flat.") }
    if tree && (stats || digest) {
      throw ValidationError("--tree shows no --stats and no --digest: leave out --tree.")
    }
  }

  func answer(for source: CheckpointSource) throws {
    if pickle { return try disassemble() }
    let checkpoint = try source.open(opening)
    // The process ends with this command. Freeing a large listing first would take a tenth of its time.
    _ = unsafe Unmanaged.passRetained(RetainedCheckpoint(checkpoint))
    var objects = checkpoint.objects
    var rows: [InspectionRow] = []
    var chosen: [PathKey] = []
    if let key, let found = checkpoint.values(key: key) {
      (chosen, objects) = found
    } else {
      rows = try InspectionRow.rows(
        of: checkpoint,
        under: key.map { key throws(DecantError) in try checkpoint.selection(key: key).path } ?? [])
    }
    // The value of the key itself is the whole answer. Values below it are listed with their names.
    if !json, key != nil, rows.isEmpty, objects.count == 1, objects[0].path == chosen,
      let value = objects[0].value
    {
      return StandardStreams.line(value.string?.escapedForDisplay ?? value.text)
    }
    let all = rows.count + objects.count { $0.unreadTensor != nil }
    if let filter {
      rows = rows.filter { $0.entry.name.matches(glob: filter) }
      // JSON has every other value, as in the first versions of the schema.
      objects = objects.filter { json && $0.unreadTensor == nil || $0.name.matches(glob: filter) }
    }
    let matchesNone = filter != nil && rows.isEmpty && objects.allSatisfy { $0.unreadTensor == nil }
    defer {
      if matchesNone {
        StandardStreams.note("no tensor name matches --filter: 0 of \(Format.count(all, "tensor"))")
      }
    }
    switch sort {
    case .file: break
    case .name: rows.sort { NaturalOrder.precedes($0.entry.name, $1.entry.name) }
    case .bytes: rows.sort { ($1.entry.tensor.byteCount, $0.place) < ($0.entry.tensor.byteCount, $1.place) }
    }
    if let head { return try printValues(of: rows, head, in: checkpoint) }
    // An option's value is slow to read.
    let (stats, digest) = (stats, digest)
    let line = ProgressLine()
    defer { line.clear() }
    let size = rows.reduce(0) { $0.checkedAdding($1.entry.tensor.byteCount) ?? .max }
    // Every byte is read once for numbers, and once for checksums.
    let total = stats || digest ? size.checkedMultiplying(by: 2) ?? .max : size
    if stats || digest {
      let tensors = rows.filter { $0.entry.state == .whole }.map(\.entry.tensor).filter(\.isReadable)
      try checkpoint.requireModestSize(tensors.map(\.byteCount).saturatingSum, of: tensors)
    }
    if stats || digest {
      rows = try parallelMap(rows.count) { [rows] index in
        var row = rows[index]
        try row.measure(stats: stats, digest: digest, in: checkpoint)
        line.advance(by: row.entry.tensor.byteCount, of: total)
        return row
      }
    } else {
      // In place: a copy of 100,000 rows takes tens of megabytes.
      for index in rows.indices { try rows[index].measure(stats: false, digest: false, in: checkpoint) }
    }
    let damage =
      checksums || stats || digest
      ? try checkpoint.damagedRecords(
        of: rows.map(\.entry).filter { $0.state == .whole }, progress: { line.advance(by: $0, of: total) })
      : []
    line.clear()
    let losses = [checkpoint.truncation].compactMap { $0 } + checkpoint.damage + damage
    let warnings = checkpoint.warnings + losses.map(\.commandText)
    let parametrized = try Selection.all(of: checkpoint).parametrizedWeights()
    if json {
      InspectionJSON.print(
        checkpoint, rows, objects, warnings, parametrized,
        checksums: checksums || stats || digest ? InspectionJSON.checksums(losses) : nil)
    } else {
      let report = InspectionReport(
        checkpoint: checkpoint, rows: rows, objects: objects, warnings: warnings, parametrized: parametrized,
        allCount: filter == nil ? nil : all, checksums: checksums && damage.isEmpty, form: form)
      report.print()
    }
    if checksums && !losses.isEmpty { throw ExitStatus.wrong }
    if matchesNone { throw ExitStatus.no }
  }

  /// Prints the first rows of tensors: their elements along the first axis. Several tensors have titles.
  private func printValues(of rows: [InspectionRow], _ count: Int, in checkpoint: Checkpoint) throws {
    for (index, row) in rows.enumerated() {
      do {
        let tensor = row.entry.tensor
        try checkpoint.verifyChecksums(of: [row.entry])
        let text = try NumPyText(tensor.prefix(count)).text
        if rows.count > 1 {
          StandardStreams.line(
            (index > 0 ? "\n" : "") + Format.name(row.entry.path).styled(.bold)
              + " \(Format.shape(tensor.shape)) \(tensor.dtype.rawValue)")
        }
        StandardStreams.line(text)
      } catch let error as DecantError {
        throw error.located(file: checkpoint.path, tensor: row.entry.name)
      }
    }
  }

  /// The form of the listing.
  private var form: InspectionReport.Form {
    if summary { return .summary }
    if tree { return .tree(depth: depth) }
    if let depth { return .depth(depth) }
    return flat || stats || digest ? .flat : .folded
  }

  private func disassemble() throws {
    let file = file ?? ""
    let streams = try Checkpoint.pickleStreams(
      path: file, limits: opening.limits, password: try opening.password())
    for (index, stream) in streams.enumerated() {
      // For a file with one pickle, print exactly what pickletools prints.
      if streams.count > 1 {
        let place = stream.offset.map { " at byte \($0)" } ?? ""
        StandardStreams.line("stream \(index + 1)\(place): \(stream.title.escapedForDisplay)")
      }
      if let warning = try stream.frameWarning(limits: opening.limits) {
        StandardStreams.warning(warning)
      }
      do { try stream.disassemble(limits: opening.limits) { StandardStreams.line($0) } } catch let error
        as PickleError
      {
        let refusal = DecantError(error, file: file, at: stream.offset ?? 0)
        // The usual advice would name this very command.
        throw refusal.advice == .disassemble
          ? refusal.advising(.text("The file is damaged or not a checkpoint.")) : refusal
      }
    }
  }
}

/// An owner of a checkpoint that is never freed.
private final class RetainedCheckpoint {
  let checkpoint: Checkpoint
  init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }
}

/// A tensor of the listing, with its statistics and digests when requested.
struct InspectionRow: Sendable {
  let entry: CheckpointTensor
  /// The index of the tensor in the file's order.
  let place: Int
  /// The name of the first tensor that shares elements with this one.
  let aliasOf: String?
  private(set) var statistics: TensorStatistics?
  /// The numbers of elements in intervals between the least and the greatest; empty when they are not shown.
  private(set) var histogram: [Int] = []
  private(set) var digest: String?
  /// True when a digest was requested. Meta tensors have none even then.
  private(set) var hasDigest = false
  /// The digests of the tensor's parts.
  private(set) var partDigests: [String?]
  /// The quantisation parameters of a quantised tensor, with every number.
  private(set) var quantization: JSONValue?

  /// Returns the tensors at or below a path.
  static func rows(of checkpoint: Checkpoint, under path: [PathKey]) throws(DecantError)
    -> [InspectionRow]
  {
    let aliases = Aliases(checkpoint.tensors.map(\.tensor))
    return checkpoint.tensors.enumerated().compactMap { place, entry in
      guard entry.path.starts(with: path) else { return nil }
      return InspectionRow(
        entry: entry, place: place, aliasOf: aliases.first(of: place).map { checkpoint.tensors[$0].name })
    }
  }

  private init(entry: CheckpointTensor, place: Int, aliasOf: String?) {
    self.entry = entry
    self.place = place
    self.aliasOf = aliasOf
    partDigests = entry.tensor.parts.map { _ in nil }
  }

  /// The number of characters of a histogram.
  private static let intervalCount = 12

  /// The histogram as blocks of different heights, the highest for the most elements. An interval with few elements is
  /// not empty.
  var sparkline: String {
    guard let most = histogram.max(), most > 0 else { return "" }
    let blocks: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    return String(
      histogram.map { count in
        count == 0 ? " " : blocks[min(7, Int(Double(count) / Double(most) * 8))]
      })
  }

  /// Computes the requested statistics and digests from the tensor's data.
  mutating func measure(stats: Bool, digest: Bool, in checkpoint: Checkpoint) throws {
    hasDigest = digest
    guard entry.state == .whole else { return }
    do {
      quantization = try entry.tensor.quantization.map(InspectionJSON.quantization)
      if digest {
        for (place, part) in entry.tensor.parts.enumerated() where part.tensor.isReadable {
          partDigests[place] = try part.tensor.sha256()
        }
      }
      // A tensor without data, or a sparse one too large to be made dense, cannot be measured.
      guard entry.tensor.isReadable else { return }
      if stats {
        statistics = try entry.tensor.statistics()
        // Reading everything once more is for people who see it.
        if Presentation.current.terminal != nil, !Presentation.current.isJSON, let least = statistics?.least,
          let greatest = statistics?.greatest
        {
          histogram = try entry.tensor.histogram(Self.intervalCount, over: least...greatest)
        }
      }
      if digest { self.digest = try entry.tensor.sha256() }
    } catch let error as DecantError {
      throw error.located(file: checkpoint.path, tensor: entry.name)
    }
  }
}
