internal import DecantBytes

/// The map of a checkpoint's files: which bytes belong to which storage.
struct ByteMapFigure {
  private let map: ByteMap
  private let prefix: String
  /// The most files that are drawn, and the most rows of each table.
  private static let mostFiles = 8
  private static let mostShown = 60
  /// The size of the drawing in cells. A file fills rows from left to right, as text does.
  private static let columns = 240.0

  init(_ map: ByteMap, prefix: String) { (self.map, self.prefix) = (map, prefix) }

  /// The figures and tables; nil for files without data.
  var markup: Markup? {
    let drawn = map.files.filter { $0.byteCount > 0 }
    guard drawn.contains(where: { $0.parts.contains { $0.use != .structure } }) else { return nil }
    let figures = drawn.prefix(Self.mostFiles).enumerated().map { figure($1, index: $0) }
    let more: Markup =
      drawn.count > Self.mostFiles ? "<p>\(Format.count(drawn.count - Self.mostFiles, "more file")).</p>" : ""
    let unplaced: Markup =
      map.unplacedCount > 0
      ? "<p>\(Format.count(map.unplacedCount, "tensor")) consist of several ranges, or are computed, and are not on the map.</p>"
      : ""
    return "\(figures)\(more)\(unplaced)\(totals)\n\(waste)\n\(aliases)"
  }

  // MARK: The figure

  private func figure(_ file: ByteMap.File, index: Int) -> Markup {
    let rows = map.files.count == 1 ? 16.0 : 6.0
    let perCell = Double(file.byteCount) / (rows * Self.columns)
    let id = "\(prefix)map-\(index)"
    var cells: Markup = ""
    // Parts smaller than a cell are collected until they fill one.
    var pending: [ByteMap.Part] = []
    func flush() {
      guard let first = pending.first, let last = pending.last else { return }
      let range = first.range.lowerBound..<last.range.upperBound
      var sizes: [(use: ByteMap.Use, count: Int)] = []
      for part in pending {
        if let known = sizes.firstIndex(where: { $0.use == part.use }) {
          sizes[known].count += part.range.count
        } else {
          sizes.append((part.use, part.range.count))
        }
      }
      let use = sizes.max { $0.count < $1.count }?.use ?? .structure
      let name =
        pending.count == 1 ? first.name : "\(Format.count(pending.count, "part")), the first \(first.name)"
      cells += rectangles(
        range, use, "\(name): \(Format.size(range.count)) at byte \(Format.count(range.lowerBound))",
        perCell: perCell)
      pending = []
    }
    for part in file.parts {
      if Double(part.range.count) >= 1.5 * perCell { flush() }
      pending.append(part)
      let start = pending.first?.range.lowerBound ?? 0
      if Double(part.range.upperBound - start) >= 1.5 * perCell { flush() }
    }
    flush()
    let title = "Bytes of \(ReportPage.fileName(file.path))"
    let caption: Markup =
      map.files.count > 1
      ? "<h4>\(ReportPage.fileName(file.path)), \(Format.size(file.byteCount))</h4>\n" : ""
    return """
      \(level4(caption))<svg class="map" preserveAspectRatio="none" viewBox="0 0 \(Self.columns * 4) \(rows * 14 - 2)" role="img" aria-labelledby="\(id)-title \(id)-text"><title id="\(id)-title">\(title)</title><desc id="\(id)-text">\(description(file))</desc>\(cells)</svg>

      """
  }

  /// A page of one file has sections at level 2, where a heading of level 4 would skip one.
  private func level4(_ heading: Markup) -> Markup {
    prefix.isEmpty && !heading.text.isEmpty ? "" : heading
  }

  private func description(_ file: ByteMap.File) -> String {
    "\(Format.size(file.byteCount)) in \(Format.count(file.parts.count, "part")), drawn in rows from left to right. The table below has the totals."
  }

  /// Returns the rectangles of a range, one for each row that it touches.
  private func rectangles(_ range: Range<Int>, _ use: ByteMap.Use, _ title: String, perCell: Double) -> Markup
  {
    var result: Markup = ""
    var start = Double(range.lowerBound) / perCell
    let end = Double(range.upperBound) / perCell
    while start < end - 0.01 {
      let row = (start / Self.columns).rounded(.down)
      let stop = min(end, (row + 1) * Self.columns)
      let x = (start - row * Self.columns) * 4
      // A gap separates neighbours.
      let width = max(0.6, (stop - start) * 4 - 0.8)
      result +=
        "<rect class=\"\(Self.kind(use))\" x=\"\(x)\" y=\"\(row * 14)\" width=\"\(width)\" height=\"12\"><title>\(title)</title></rect>"
      start = stop
      // A boundary that rounding puts back into the same row would never end.
      if stop >= end { break }
    }
    return "\(result)\n"
  }

  private static func kind(_ use: ByteMap.Use) -> String {
    switch use {
    case .tensors(let group): "g\(min(group, 7))"
    case .unused: "gu"
    case .structure: "gs"
    }
  }

  // MARK: The tables

  private var totals: Markup {
    let total = map.files.reduce(0) { $0 + $1.byteCount }
    var table = PageTable(
      "What the bytes are for.",
      [
        .init("Bytes of"), .init("Size", isNumber: true), .init("Share", isNumber: true),
        .init("Parts", isNumber: true),
      ])
    let uses =
      map.groups.indices.map { (ByteMap.Use.tensors(group: $0), map.groups[$0]) }
      + [
        (.structure, "names, values and structure"), (.unused, "no tensor"),
      ]
    for (use, name) in uses {
      let count = map.byteCount(use)
      guard count > 0 else { continue }
      let parts = map.files.reduce(0) { $0 + $1.parts.count { $0.use == use } }
      table.row([
        .head("<span class=\"key\">\(FilePage.swatch(Self.kind(use)))\(name)</span>"),
        .number(Format.size(count)), .number(Format.percent(count, of: total)), .number(Format.count(parts)),
      ])
    }
    table.total([.head("Total"), .number(Format.size(total)), .number(""), .number("")])
    return table.markup
  }

  private var waste: Markup {
    guard !map.waste.isEmpty else { return "<p>Every byte of every storage belongs to a tensor.</p>" }
    let unused = map.waste.reduce(0) { $0 + $1.unusedByteCount }
    var table = PageTable(
      "Storages with bytes that no tensor uses: \(Format.size(unused)) in \(Format.count(map.waste.count, "storage")).",
      [.init("Storage"), .init("Size", isNumber: true), .init("Unused", isNumber: true), .init("Used by")])
    for item in map.waste.prefix(Self.mostShown) {
      table.row([
        .head("<code>\(item.storage)</code>"), .number(Format.size(item.byteCount)),
        .number(Format.size(item.unusedByteCount)),
        .text(item.tensor.map { "<code>\($0)</code>" } ?? "nothing"),
      ])
    }
    return table.markup
  }

  private var aliases: Markup {
    guard !map.aliases.isEmpty else { return "" }
    var table = PageTable(
      "Tensors that share bytes: \(Format.count(map.aliases.count, "group")).",
      [.init("First"), .init("Share its bytes")])
    for group in map.aliases.prefix(Self.mostShown) {
      let names = group.others.prefix(8).enumerated().map { index, name in
        "\(index == 0 ? "" : ", ")<code>\(name)</code>" as Markup
      }
      let more = group.others.count > 8 ? " and \(Format.count(group.others.count - 8)) more" : ""
      table.row([.head("<code>\(group.first)</code>"), .text("\(names)\(more)")])
    }
    return table.markup
  }
}
