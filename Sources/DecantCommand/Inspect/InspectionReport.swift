internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The text output of `decant inspect`.
struct InspectionReport {
  let checkpoint: Checkpoint
  let rows: [InspectionRow]
  /// The values to list that are not tensors.
  let objects: [CheckpointObject]
  let warnings: [String]
  /// The weights that PyTorch computes from several tensors.
  let parametrized: ParametrizedWeights
  /// The number of tensors before a filter; nil without one.
  let allCount: Int?
  /// True when every checksum was compared and matched.
  let checksums: Bool
  let form: Form

  /// The form of the listing of tensors.
  enum Form: Equatable {
    /// Each tensor; on a terminal, many in fewer lines by structure.
    case folded
    case flat
    /// One line for all tensors whose names begin alike.
    case depth(Int)
    case tree(depth: Int?)
    case summary
  }

  /// The tensors of kinds that are not read.
  private var unread: [CheckpointObject] { objects.filter { $0.unreadTensor != nil } }

  /// True when tensors and values outside the state dicts are one line for each key.
  private var foldsOthers: Bool {
    switch form {
    case .summary, .depth: true
    case .folded, .tree:
      Presentation.current.terminal != nil && rows.count + objects.count > FoldedListing.mostUnfolded
    case .flat: false
    }
  }

  func print() {
    printHead()
    let hasStateDict = rows.contains { $0.entry.stateDict != nil }
    let listed = foldsOthers && hasStateDict ? rows.filter { $0.entry.stateDict != nil } : rows
    if case .tree(let depth) = form {
      StandardStreams.line()
      let tree = TensorTree(listed.map(\.entry), unread: foldsOthers ? [] : unread, maxDepth: depth)
      for line in tree.lines { StandardStreams.line(line) }
      if foldsOthers { printOthers() }
      return printNotes()
    }
    let shown = form == .summary ? [] : listed
    let others = shown.filter(\.entry.isAttribute)
    let own = others.isEmpty ? shown : shown.filter { !$0.entry.isAttribute }
    if !own.isEmpty {
      StandardStreams.line()
      printTensors(own)
    }
    if !others.isEmpty {
      StandardStreams.line()
      StandardStreams.line("  not in state_dict() (attributes and non-persistent buffers):")
      printTensors(others)
    }
    if foldsOthers { printOthers() } else { printObjects() }
    printNotes()
  }

  private func printHead() {
    StandardStreams.line(checkpoint.path.escapedForDisplay.styled(.bold))
    printTotals()
    StandardStreams.line("  container: \(checkpoint.container.rawValue)")
    let turned = checkpoint.tensors.count { $0.turned != nil }
    if turned > 0 { StandardStreams.line("  channels last: \(Format.count(turned, "convolution weight"))") }
    for hint in checkpoint.containerMetadata where turned == 0 || hint.label != ConvolutionRecord.key {
      guard Presentation.current.showsDetails || !Self.isUsual(hint) else { continue }
      StandardStreams.line("  \(hint.label.escapedForDisplay): \(hint.text.escapedForDisplay)")
    }
    printSources()
    if let note = parametrized.note("stored as") { StandardStreams.line("  parametrised: \(note)") }
    let candidates = checkpoint.stateDictCandidates
    if candidates.count == 1, let only = candidates.first {
      StandardStreams.line("  state dict: \(place(only)) (\(Format.count(only.tensorCount, "tensor")))")
    } else if candidates.count > 1 {
      StandardStreams.line("  state dicts (choose one with --key):")
      let shown = candidates.prefix(32)
      for (candidate, key) in zip(shown, checkpoint.keys(of: shown.map(\.path))) {
        StandardStreams.line(
          "    --key \(key.escapedForDisplay.shellWord)  (\(Format.count(candidate.tensorCount, "tensor")))")
      }
      if candidates.count > 32 { StandardStreams.line("    … \(candidates.count - 32) more") }
    }
  }

  /// Returns true for a fact that says nothing in an ordinary file.
  private static func isUsual(_ fact: (label: String, text: String)) -> Bool {
    ["archive version", "format version", "storage alignment"].contains(fact.label)
      || fact == ("byte order", "little")
  }

  /// Prints the classes whose source code is in the file.
  private func printSources() {
    let sources = checkpoint.moduleSources
    guard !sources.isEmpty else { return }
    let names = sources.prefix(8).map(\.className.escapedForDisplay).joined(separator: ", ")
    StandardStreams.line(
      "  source text of \(Format.count(sources.count)) \(sources.count == 1 ? "class" : "classes"): \(names)\(sources.count > 8 ? ", …" : "")"
    )
  }

  private func place(_ candidate: StateDictCandidate) -> String {
    candidate.path.isEmpty ? "the whole file" : Format.name(candidate.path)
  }

  private func printTensors(_ rows: [InspectionRow]) {
    let isOnTerminal = Presentation.current.terminal != nil
    if case .depth(let depth) = form {
      return printLines(FoldedListing(rows.map(\.entry), depth: depth).lines)
    }
    if form == .folded, isOnTerminal, rows.count > FoldedListing.mostUnfolded {
      return printLines(FoldedListing(rows.map(\.entry)).lines)
    }
    let hasStatistics = rows.contains { $0.statistics != nil }
    var table = TextTable([
      ("tensor", .left), ("shape", .left), ("dtype", .left), (Self.sizeHeading, .right), ("least", .right),
      ("mean", .right), ("greatest", .right), ("std", .right), ("zeros", .right),
      ("histogram", .left),
      ("flags", .left), ("sha256", .left),
    ])
    table.optionalColumns = [3, 2, 1, 8, 5]
    let norms = Presentation.current.hasColor ? NormModules(rows.map(\.entry)) : nil
    for row in rows {
      let statistics = row.statistics
      func number(_ value: Double?) -> String { hasStatistics ? value.map(Format.scientific) ?? "-" : "" }
      let name = Format.name(row.entry.path)
      let isMinor = norms.map { $0.module(of: name) != nil || $0.isBuffer(row.entry, name) } ?? false
      table.row(
        [
          name, Format.shape(row.entry.tensor.shape), row.entry.tensor.dtype.rawValue,
          Format.bytes(row.entry.tensor.storedByteCount), number(statistics?.least), number(statistics?.mean),
          number(statistics?.greatest), number(statistics?.standardDeviation),
          hasStatistics ? statistics?.zeroCount.map { Format.count($0) } ?? "-" : "", row.sparkline,
          flags(row), row.hasDigest ? row.digest ?? "no data" : "",
        ], isMinor ? .dim : nil)
    }
    table.show()
  }

  private static var sizeHeading: String { Presentation.current.terminal == nil ? "bytes" : "size" }

  private func printLines(_ lines: [FoldedListing.Line]) {
    var table = TextTable([
      ("tensor", .left), ("shape", .left), ("dtype", .left), (Self.sizeHeading, .right), ("", .right),
    ])
    table.optionalColumns = [2, 1]
    for line in lines {
      table.row(
        [
          line.name, line.shape, line.dtype, Format.bytes(line.byteCount),
          line.tensorCount == 1 ? "" : Format.count(line.tensorCount, "tensor"),
        ], line.isMinor ? .dim : nil)
    }
    table.show()
  }

  private func flags(_ row: InspectionRow) -> String {
    var flags: [String] = []
    if row.entry.tensor.layout != .strided { flags.append(row.entry.tensor.layout.rawValue) }
    if let count = row.entry.tensor.nonZeroCount { flags.append("nnz \(Format.count(count))") }
    if let quantization = row.entry.tensor.quantization { flags.append(Format.quantization(quantization)) }
    if row.entry.turned != nil { flags.append("channels last") }
    if let subclass = row.entry.subclass { flags.append(subclass.escapedForDisplay) }
    if !row.entry.tensor.isContiguous { flags.append("non-contiguous") }
    if let alias = row.aliasOf { flags.append("alias of \(alias.escapedForDisplay)") }
    if row.entry.tensor.isConjugated { flags.append("conj") }
    if row.entry.tensor.isNegated { flags.append("neg") }
    if row.entry.isRankPart {
      flags.append("one rank's part")
    } else if row.entry.tensor.storage.content == nil {
      flags.append("no data")
    }
    if row.entry.state != .whole { flags.append(row.entry.state.rawValue) }
    if let statistics = row.statistics, statistics.nonFiniteCount > 0 {
      let kinds = statistics.nanCount.flatMap { nan in
        statistics.infiniteCount.map { " (\(Format.count(nan)) NaN, \(Format.count($0)) Inf)" }
      }
      flags.append("\(Format.count(statistics.nonFiniteCount)) non-finite\(kinds ?? "")")
    }
    return flags.joined(separator: ", ")
  }

  private func printTotals() {
    let size = Aliases.distinctSize(rows.map(\.entry.tensor))
    let count =
      allCount.map { "\(Format.count(rows.count)) of \(Format.count($0, "tensor"))" }
      ?? Format.count(rows.count, "tensor")
    let bytes =
      Presentation.current.terminal == nil
      ? Format.count(size.byteCount, "byte") : Format.size(size.byteCount)
    StandardStreams.line(
      "  \(count), \(Format.count(size.elementCount, "element")), \(bytes)"
        + (unread.isEmpty ? "" : ", and \(Format.count(unread.count, "unsupported tensor"))")
    )
    if let split = ParameterSplit(rows.map(\.entry), elementCount: size.elementCount) {
      let place = split.owner.isEmpty ? "" : "in \(split.owner.joinedName.escapedForDisplay): "
      StandardStreams.line(
        "  \(place)\(Format.count(split.parameters, "parameter")), \(Format.count(split.buffers)) in buffers"
      )
    }
  }

  private func printObjects() {
    guard !objects.isEmpty else { return }
    StandardStreams.line()
    StandardStreams.line("  not tensors:")
    var table = TextTable([("", .left), ("", .left), ("", .left)])
    for object in objects.prefix(40) {
      var value = object.value.map { $0.string?.escapedForDisplay ?? $0.text } ?? ""
      if let count = object.count { value = Format.count(count, "element") }
      if value.count > 60 { value = value.prefix(57) + "…" }
      if let kind = object.unreadTensor {
        value = "unsupported tensor: \(kind)"
        if let shape = object.shape { value += ", shape \(Format.shape(shape))" }
        if let bytes = object.byteCount { value += ", " + Format.count(bytes, "byte") }
      }
      table.row("  " + Format.name(object.path), object.type.escapedForDisplay, value)
    }
    table.show()
    if objects.count > 40 {
      StandardStreams.line("    … \(Format.count(objects.count - 40)) more; --json lists all")
    }
  }

  /// Prints a line for each key outside the state dicts.
  private func printOthers() {
    let others = OtherValue.list(
      rows.map(\.entry), objects, stateDicts: checkpoint.stateDictCandidates.map(\.path))
    guard !others.isEmpty else { return }
    StandardStreams.line()
    StandardStreams.line("  also in the file:")
    var table = TextTable([("", .left), ("", .left)])
    for other in others { table.row("  " + other.key, other.text) }
    table.show()
  }

  private func printNotes() {
    if form == .folded, Presentation.current.terminal != nil, rows.count > FoldedListing.mostUnfolded {
      StandardStreams.note("--flat lists every tensor, --tree shows the branches")
    }
    if checksums { StandardStreams.line("\n  every CRC-32 in the file matches") }
    for warning in warnings {
      StandardStreams.warning(warning)
    }
  }
}
