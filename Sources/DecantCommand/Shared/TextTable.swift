internal import DecantIO

/// A table of text in aligned columns. On a terminal it is as wide as the terminal at most.
struct TextTable {
  enum Alignment { case left, right }

  /// The maximum width of a column where there is no terminal. A longer cell shifts the rest of its own row only.
  private static let widest = 72
  /// The width that a column keeps on a narrow terminal. The first column, which has the names, keeps half of it.
  private static let narrowest = 12

  private struct Row {
    var cells: [String]
    let style: TextStyle?
  }

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [Row] = []
  /// The indices of columns to leave out on a narrow terminal, in this order.
  var optionalColumns: [Int] = []
  /// The styles of cells by their text, such as verdicts.
  var cellStyles: [String: TextStyle] = [:]

  /// Creates a table. A heading may be empty.
  init(_ columns: [(heading: String, alignment: Alignment)]) {
    headings = columns.map(\.heading)
    alignments = columns.map(\.alignment)
  }

  mutating func row(_ cells: String...) { row(cells) }
  mutating func row(_ cells: [String], _ style: TextStyle? = nil) {
    rows.append(Row(cells: cells, style: style))
  }

  /// The lines, indented by two spaces, without columns that are empty in every row.
  ///
  /// On a terminal, cells are shortened and columns left out until a line fits, unless everything is to be shown.
  var lines: [String] {
    var lines: [String] = []
    forEachLine { lines.append($0) }
    return lines
  }

  /// Prints the lines one by one, so that those of a long table are never all in memory.
  func show() { forEachLine { StandardStreams.line($0) } }

  private func forEachLine(_ body: (String) -> Void) {
    let presentation = Presentation.current
    let columns = presentation.isVerbose ? nil : presentation.terminal?.columns
    let heading = Row(cells: headings, style: .dim)
    let all = headings.allSatisfy(\.isEmpty) ? rows : [heading] + rows
    var used = headings.indices.filter { column in rows.contains { !$0.cells[column].isEmpty } }
    var widths = headings.indices.map { column in
      used.contains(column)
        ? all.map { min($0.cells[column].columnCount, columns == nil ? Self.widest : .max) }.max() ?? 0 : 0
    }
    if let columns { (used, widths) = fitted(used, widths, columns) }
    for row in all { body(line(row, used, widths, isFitted: columns != nil)) }
  }

  /// Returns the columns to show and their widths, so that a line has a number of terminal columns at most.
  private func fitted(_ all: [Int], _ natural: [Int], _ room: Int) -> (used: [Int], widths: [Int]) {
    var (used, widths) = (all, natural)
    func total(_ widths: [Int]) -> Int { used.reduce(0) { $0 + widths[$1] + 2 } }
    func least(_ column: Int) -> Int {
      // A number that is cut is wrong.
      guard alignments[column] == .left else { return natural[column] }
      return min(
        natural[column], column == all.first ? max(2 * Self.narrowest, room * 2 / 5) : Self.narrowest)
    }
    let floors = natural.indices.map(least)
    for column in optionalColumns where total(floors) > room { used.removeAll { $0 == column } }
    // The widest column that can be narrower becomes so, one character at a time.
    while total(widths) > room,
      let column = used.filter({ widths[$0] > floors[$0] }).max(by: { widths[$0] < widths[$1] })
    {
      widths[column] -= 1
    }
    return (used, widths)
  }

  private func line(_ row: Row, _ used: [Int], _ widths: [Int], isFitted: Bool) -> String {
    var line = ""
    var padding = 0
    for column in used {
      var cell = row.cells[column]
      if isFitted, cell.columnCount > widths[column] {
        // The ends of a name matter, and the beginning of a sentence.
        cell =
          column == used.first || !cell.contains(" ")
          ? cell.elided(to: widths[column]) : cell.truncated(to: widths[column])
      }
      let missing = max(0, widths[column] - cell.columnCount)
      padding += 2
      if alignments[column] == .right { padding += missing }
      if !cell.isEmpty {
        line +=
          String(repeating: " ", count: padding)
          + cell.styled(row.style ?? (cellStyles.isEmpty ? nil : cellStyles[cell]))
        padding = 0
      }
      if alignments[column] == .left { padding += missing }
    }
    while line.last == " " { line.removeLast() }
    return line
  }
}
