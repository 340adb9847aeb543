/// A table of text in aligned columns.
struct TextTable {
  enum Alignment { case left, right }

  /// The maximum width of a column. A longer cell shifts the rest of its own row only.
  private static let widest = 72

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// Creates a table. A heading may be empty.
  init(_ columns: [(heading: String, alignment: Alignment)]) {
    headings = columns.map(\.heading)
    alignments = columns.map(\.alignment)
  }

  mutating func row(_ cells: String...) { row(cells) }
  mutating func row(_ cells: [String]) { rows.append(cells) }

  /// Returns the number of columns a text takes. Counting characters is slow, and most names are ASCII.
  private static func width(_ text: String) -> Int {
    text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
  }

  /// As many spaces as a column has at most.
  private static let blanks = String(repeating: " ", count: widest)

  /// The lines, indented by two spaces, without columns that are empty in every row.
  var lines: [String] {
    let all = headings.allSatisfy(\.isEmpty) ? rows : [headings] + rows
    let used = headings.indices.filter { column in rows.contains { !$0[column].isEmpty } }
    let widths = used.map { column in all.map { min(Self.width($0[column]), Self.widest) }.max() ?? 0 }
    return all.map { row in
      var line = " "
      for (place, column) in used.enumerated() {
        let padding = Self.blanks.utf8.prefix(max(0, widths[place] - Self.width(row[column])))
        line += place == 0 ? " " : "  "
        if alignments[column] == .right { line += Substring(padding) }
        line += row[column]
        if alignments[column] == .left { line += Substring(padding) }
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  func show() { for line in lines { StandardStreams.line(line) } }
}
