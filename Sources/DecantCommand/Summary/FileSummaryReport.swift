internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantScanning
internal import DecantTensors

/// The text of `decant FILE`: at most 20 lines on one file, or one line on each of several.
struct FileSummaryReport {
  let summary: FileSummary

  private static let labelWidth = 13
  /// The largest number of items in a line.
  private static let mostItems = 12

  func print() {
    let files = summary.checkpoint.files.count
    let kind =
      ": \(summary.checkpoint.container.title), \(Format.size(summary.fileByteCount))"
      + (files > 1 ? " in \(Format.count(files)) files" : "")
    let columns = Presentation.current.terminal?.columns ?? .max
    let path = summary.checkpoint.path.escapedForDisplay.elided(to: max(12, columns - kind.columnCount))
    StandardStreams.line(path.styled(.bold) + kind)
    line("network", summary.network.clauses)
    line("parameters", [parameters])
    line("dtypes", summary.dtypes.map { "\(Format.count($0.count)) \($0.dtype.rawValue)" })
    line(
      summary.stateDicts.count > 1 ? "state dicts" : "state dict",
      summary.stateDicts.map { dict in
        let key = dict.key == "." ? "the whole file" : dict.key.escapedForDisplay
        return "\(key) (\(Format.count(dict.tensorCount, "tensor")))"
      })
    line("also in it", summary.others.map(\.clause))
    for fact in summary.checkpoint.containerMetadata.filter({ Self.facts.contains($0.label) }).prefix(4) {
      line(fact.label, [fact.text.escapedForDisplay])
    }
    line("loading it", [summary.safety.text], summary.safety.verdict.style)
    line("next", [summary.nextCommand], .cyan)
  }

  /// The labels of facts that are shown.
  private static let facts = ["written by", "producer", "general.architecture", "general.name"]

  private var parameters: String {
    let bytes = Format.size(summary.byteCount)
    guard let split = summary.split else {
      return
        "\(Format.count(summary.elementCount)) in \(Format.count(summary.checkpoint.tensors.count, "tensor")), \(bytes)"
    }
    let buffers = split.buffers == 0 ? "" : " and \(Format.count(split.buffers)) in buffers"
    return Format.count(split.parameters) + buffers + ", \(bytes) of tensors"
  }

  /// Prints a line of a label and items, as many as fit the terminal; nothing without items.
  private func line(_ label: String, _ items: [String], _ style: TextStyle? = nil) {
    guard !items.isEmpty else { return }
    let room = (Presentation.current.terminal?.columns).map { max(20, $0 - Self.labelWidth - 2) } ?? .max
    var shown = min(items.count, Self.mostItems)
    var text: String {
      items.prefix(shown).joined(separator: ", ")
        + (shown < items.count ? ", … \(items.count - shown) more" : "")
    }
    while text.columnCount > room, shown > 1 { shown -= 1 }
    // A command is not cut, since it is to be pasted.
    let fitted = label == "next" ? text : text.truncated(to: room)
    let padding = String(repeating: " ", count: max(1, Self.labelWidth - label.columnCount))
    StandardStreams.line("  " + label.styled(.dim) + padding + fitted.styled(style))
  }

  /// Prints a line on each of several files.
  static func print(_ summaries: [FileSummary]) {
    var table = TextTable([
      ("file", .left), ("size", .right), ("tensors", .right), ("parameters", .right), ("network", .left),
      ("loading", .left),
    ])
    table.optionalColumns = [2, 3, 1]
    for verdict in ScanVerdict.allCases { table.cellStyles[verdict.rawValue] = verdict.style }
    for summary in summaries {
      table.row(
        summary.checkpoint.path.escapedForDisplay, Format.size(summary.fileByteCount),
        Format.count(summary.checkpoint.tensors.count),
        Format.count(summary.split?.parameters ?? summary.elementCount), summary.network.name,
        summary.safety.verdict.rawValue)
    }
    table.show()
  }
}

extension ScanVerdict {
  /// The colour of the verdict.
  var style: TextStyle {
    switch self {
    case .clean: .green
    case .unknown, .unreadable: .yellow
    case .dangerous: .red
    }
  }
}
