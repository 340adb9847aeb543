internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

/// The table of tensors: shapes, types, ranges, histograms and remarks.
struct ParameterTable {
  private let file: FileReport
  private let prefix: String
  /// The roles of the network's parameters, by the name below the state dict.
  private let roles: [ExactText: Parameter.Role]
  /// The number of keys above the names in `roles`.
  private let depth: Int
  /// The most rows of a page.
  private static let mostShown = 4_000

  init(_ file: FileReport, prefix: String) {
    (self.file, self.prefix) = (file, prefix)
    guard let network = file.network else {
      (roles, depth) = ([:], 0)
      return
    }
    let canonical = Dictionary(
      network.graph.parameters.map { (ExactText($0.name), $0.role) }, uniquingKeysWith: { first, _ in first })
    var roles: [ExactText: Parameter.Role] = [:]
    for entry in network.identification.naming.entries {
      if let name = entry.canonical, let role = canonical[ExactText(name)] {
        roles[ExactText(entry.name)] = role
      }
    }
    self.roles = roles
    depth = network.file.part?.selection.path.count ?? 0
  }

  var markup: Markup {
    guard !file.rows.isEmpty else { return "<p>The file holds no tensors.</p>" }
    let hasValues = file.hasValues
    let controls = prefix + "tensor-controls"
    var columns: [PageTable.Column] = [
      .init("Name"), .init("Shape"), .init("Type"), .init("Bytes", isNumber: true, isOptional: true),
    ]
    if hasValues {
      columns += [
        .init("Least", isNumber: true), .init("Greatest", isNumber: true),
        .init("Mean", isNumber: true, isOptional: true), .init("Deviation", isNumber: true, isOptional: true),
        .init("Histogram", isFixed: true),
      ]
    }
    columns.append(.init("Remarks"))
    let count = Format.count(file.rows.count, "tensor")
    var table = PageTable(
      file.rows.count > Self.mostShown
        ? "The first \(Format.count(Self.mostShown)) of \(count), in the file’s order."
        : "\(count), in the file’s order.", columns, controls: controls)
    for row in file.rows.prefix(Self.mostShown) { table.row(cells(row, hasValues: hasValues)) }
    return """
      \(overview)
      <div class="controls" id="\(controls)" hidden><label>Filter<input type="search" placeholder="layer3 conv2" autocomplete="off" spellcheck="false"></label><output aria-live="polite"></output></div>
      \(table.markup)
      """
  }

  private func cells(_ row: FileReport.Row, hasValues: Bool) -> [PageTable.Cell] {
    let tensor = row.entry.tensor
    var cells: [PageTable.Cell] = [
      .head("<code>\(Self.breakable(FilePage.name(row.entry.path)))</code>"),
      .text("<span class=\"nowrap\">\(Format.shape(tensor.shape))</span>"), .text("\(tensor.dtype.rawValue)"),
      .number(Format.size(tensor.byteCount), Double(tensor.byteCount)),
    ]
    if hasValues {
      func number(_ value: Double?) -> PageTable.Cell {
        value.map { .number(Format.significant($0), $0) } ?? .number("")
      }
      // The values of integers are exact up to 2^53.
      let isWhole = ![DType.Kind.floatingPoint, .complex].contains(tensor.dtype.kind)
      func element(_ value: Double?) -> PageTable.Cell {
        guard isWhole, let value, let whole = Int(exactly: value) else { return number(value) }
        return .number(Format.count(whole).replacing("-", with: "−"), value)
      }
      let survey = row.survey
      cells += [
        element(survey?.least), element(survey?.greatest), number(survey?.mean), number(survey?.deviation),
        .text(survey.map(Self.histogram) ?? ""),
      ]
    }
    cells.append(.text(remarks(row)))
    return cells
  }

  /// Returns a name that breaks after its dots where it does not fit into a line.
  private static func breakable(_ name: String) -> Markup {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.dropFirst().reduce("\(parts[0])") { "\($0).<wbr>\($1)" }
  }

  /// Draws a histogram: a column for each interval, and a line at zero.
  private static func histogram(_ survey: TensorSurvey) -> Markup {
    guard let least = survey.least, let greatest = survey.greatest, let most = survey.histogram.max(),
      most > 0
    else { return "" }
    var path: Markup = "M0 18"
    var last = 0
    for count in survey.histogram {
      // At least one pixel, so that outliers are seen.
      let height = count == 0 ? 0 : max(1, Int((18 * Double(count) / Double(most)).rounded()))
      if height != last { path += "v\(last - height)" }
      path += "h3"
      last = height
    }
    let zero: Markup =
      least < 0 && greatest > 0
      ? "<line x1=\"\(72 * least / (least - greatest))\" x2=\"\(72 * least / (least - greatest))\" y2=\"18\"/>"
      : ""
    return
      "<svg class=\"h\" viewBox=\"0 0 72 18\" aria-hidden=\"true\"><path d=\"\(path)V18Z\"/>\(zero)</svg>"
  }

  // MARK: Remarks

  private func remarks(_ row: FileReport.Row) -> Markup {
    var remarks: [Markup] = []
    if let survey = row.survey {
      if survey.nanCount > 0 {
        remarks.append(
          "<strong class=\"bad\">\(Format.count(survey.nanCount)) \(row.entry.tensor.isReal ? "NaN" : "NaN or infinite")</strong>"
        )
      }
      if survey.infinityCount > 0 {
        remarks.append("<strong class=\"bad\">\(Format.count(survey.infinityCount)) infinite</strong>")
      }
      if let text = deadText(row) { remarks.append("<span class=\"warm\">\(text)</span>") }
    }
    switch row.entry.state {
    case .whole: break
    case .truncated: remarks.append("<strong class=\"bad\">cut off</strong>")
    case .missing: remarks.append("<strong class=\"bad\">missing</strong>")
    }
    if let alias = row.aliasOf { remarks.append("same bytes as <code>\(alias)</code>") }
    let tensor = row.entry.tensor
    if !tensor.isContiguous { remarks.append("not contiguous") }
    if tensor.layout != .strided { remarks.append("\(tensor.layout.rawValue)") }
    if tensor.quantization != nil { remarks.append("quantised") }
    if tensor.storage.content == nil { remarks.append("no data") }
    return remarks.enumerated().reduce(into: "" as Markup) { text, remark in
      text += remark.offset == 0 ? remark.element : ", \(remark.element)"
    }
  }

  /// Returns a text on channels that can have no effect; nil when there are none.
  private func deadText(_ row: FileReport.Row) -> String? {
    guard let survey = row.survey else { return nil }
    let shape = row.entry.tensor.shape
    if !survey.zeroChannels.isEmpty, survey.zeroChannels.count < shape[0] || shape[0] > 1 {
      let list = survey.zeroChannels.prefix(6).map(String.init).joined(separator: ", ")
      let more = survey.zeroChannels.count > 6 ? ", …" : ""
      return survey.zeroChannels.count == shape[0]
        ? "all \(Format.count(shape[0])) channels are zero"
        : "\(survey.zeroChannels.count) of \(Format.count(shape[0])) channels are zero: \(list)\(more)"
    }
    guard survey.zeroCount > 0, let role = role(of: row) else { return nil }
    let name: String
    switch role {
    case .normalizationScale: name = "scales"
    case .runningVariance: name = "variances"
    default: return nil
    }
    let count = row.entry.tensor.elementCount
    return survey.zeroCount == count
      ? "all \(Format.count(count)) \(name) are zero"
      : "\(Format.count(survey.zeroCount)) of \(Format.count(count)) \(name) are zero"
  }

  private func role(of row: FileReport.Row) -> Parameter.Role? {
    roles[ExactText(row.entry.path.dropFirst(depth).joinedName)]
  }

  /// A sentence that names the most important finding.
  private var overview: Markup {
    guard file.hasValues else { return "<p>Values were not read.</p>" }
    let surveys = file.rows.compactMap(\.survey)
    let nonFinite = surveys.count { $0.nanCount + $0.infinityCount > 0 }
    let dead = file.rows.count { deadText($0) != nil }
    let unread = file.rows.count { $0.survey == nil }
    let first: Markup =
      nonFinite == 0
      ? "Every value is finite."
      : "<strong class=\"bad\">\(Format.count(nonFinite, "tensor", ("holds", "hold"))) NaN or infinity.</strong>"
    let second: Markup =
      dead == 0
      ? " No channel is dead: none has only zeros as weights, scale or variance."
      : " <strong class=\"warm\">\(Format.count(dead, "tensor", ("has", "have"))) dead channels</strong>, whose weights, scale or variance are zero."
    let third: Markup =
      unread == 0 ? "" : " The values of \(Format.count(unread, "tensor")) were not read."
    return
      "<p>\(first)\(second)\(third) Histograms have \(TensorSurvey.binCount) intervals from the least to the greatest value; the line marks zero.</p>"
  }
}
