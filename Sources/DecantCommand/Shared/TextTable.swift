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

  /// The lines, indented by two spaces, without columns that are empty in every row.
  var lines: [String] {
    let all = headings.allSatisfy(\.isEmpty) ? rows : [headings] + rows
    let used = headings.indices.filter { column in rows.contains { !$0[column].isEmpty } }
    let widths = used.map { column in all.map { min(Self.width($0[column]), Self.widest) }.max() ?? 0 }
    return all.map { row in
      var line: [UInt8] = []
      for (place, column) in used.enumerated() {
        let padding = repeatElement(UInt8(ascii: " "), count: max(0, widths[place] - Self.width(row[column])))
        line += "  ".utf8
        if alignments[column] == .right { line += padding }
        line += row[column].utf8
        if alignments[column] == .left { line += padding }
      }
      while line.last == UInt8(ascii: " ") { line.removeLast() }
      return String(decoding: line, as: UTF8.self)
    }
  }

  func show() { for line in lines { StandardStreams.line(line) } }
}
