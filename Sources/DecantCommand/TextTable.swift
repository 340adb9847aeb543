/// Rows of text set in columns.
struct TextTable {
  enum Alignment { case left, right }

  /// A cell longer than this pushes its own row's next cells aside, not the whole column.
  private static let widest = 72

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// Begins a table; a heading may be empty.
  init(_ columns: [(heading: String, alignment: Alignment)]) {
    headings = columns.map(\.heading)
    alignments = columns.map(\.alignment)
  }

  mutating func row(_ cells: String...) { rows.append(cells) }

  /// Columns a text takes: counting characters is slow, and names are ASCII as a rule.
  private static func width(_ text: String) -> Int {
    text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
  }

  /// The lines, indented by two spaces; columns that are empty in every row are left out.
  var lines: [String] {
    let all = headings.allSatisfy(\.isEmpty) ? rows : [headings] + rows
    let used = headings.indices.filter { column in rows.contains { !$0[column].isEmpty } }
    let widths = used.map { column in all.map { min(Self.width($0[column]), Self.widest) }.max() ?? 0 }
    return all.map { row in
      var line = " "
      for (place, column) in used.enumerated() {
        let padding = String(repeating: " ", count: max(0, widths[place] - Self.width(row[column])))
        line +=
          (place == 0 ? " " : "  ")
          + (alignments[column] == .right ? padding + row[column] : row[column] + padding)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  func show() { for line in lines { StandardStreams.line(line) } }
}
