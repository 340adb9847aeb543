package import DecantBytes
internal import DecantCheckpoints
package import DecantComparing
internal import DecantIO

/// A report as one HTML page that needs no other file, no network and no script.
package struct ReportPage {
  /// The differences of the two files of the report.
  package enum Comparison {
    case differences(DiffResult)
    /// The files cannot be compared: the reason.
    case impossible(DecantError)
  }

  private let files: [FileReport]
  private let comparison: Comparison?
  private let forward: ForwardComparison?
  private let errorText: (DecantError) -> String

  /// Creates a page on one file, or on several: each has its own part, and two are compared.
  ///
  /// - Parameters:
  ///   - comparison: the differences of two files; nil for any other number of files.
  ///   - forward: the comparison of the only file's network with reference outputs; nil when there is none.
  ///   - errorText: returns an error with its remedy, without the file, as the caller words it.
  package init(
    _ files: [FileReport], comparison: Comparison? = nil, forward: ForwardComparison? = nil,
    errorText: @escaping (DecantError) -> String
  ) {
    (self.files, self.comparison, self.forward) = (files, comparison, forward)
    self.errorText = errorText
  }

  /// The page. It is the same for the same files and paths.
  package var html: Markup {
    let title = files.map { Self.fileName($0.checkpoint.path) }.joined(separator: " and ")
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-\(PageScript.digest)'; img-src data:">
      <meta name="referrer" content="no-referrer">
      <meta name="generator" content="decant">
      <link rel="icon" href="data:,">
      <title>\(title) – checkpoint report</title>
      <style>\(PageStyle.colors)\(PageStyle.drawing)\(PageStyle.page)</style>
      </head>
      <body>
      <a class="skip" href="#content">Skip to the report</a>
      \(files.count == 1 ? single(files[0]) : several)
      <footer>Written by decant. Nothing in the checkpoint was executed. This page loads nothing from the network.</footer>
      <script>\(PageScript.text)</script>
      </body>
      </html>

      """
  }

  /// Returns the last component of a path.
  package static func fileName(_ path: String) -> String {
    if path == StandardInput.path { return "standard input" }
    return path.split(separator: "/").last.map(String.init) ?? path
  }

  private func single(_ file: FileReport) -> Markup {
    let part = FilePage(file, prefix: "", level: 2, forward: forward, errorText: errorText)
    let sections = part.sections
    return """
      <header>
      <h1>\(Self.fileName(file.checkpoint.path))</h1>
      \(part.summary)
      \(navigation(sections))</header>
      <main id="content">
      \(sections.map(\.markup))</main>
      """
  }

  private var several: Markup {
    let letters = files.indices.map { Self.letter($0) }
    let parts = files.indices.map { index in
      FilePage(
        files[index], prefix: letters[index].lowercased() + "-", level: 3, forward: nil, errorText: errorText)
    }
    var sections: [PageSection] = [
      PageSection(id: "files", title: "Side by side", level: 2, body: sideBySide)
    ]
    if let comparison {
      let body: Markup =
        switch comparison {
        case .differences(let result): DifferencePage(result).body
        case .impossible(let error): "<p>Not compared: \(escaped: errorText(error))</p>"
        }
      sections.append(PageSection(id: "differences", title: "Differences", level: 2, body: body))
    }
    let articles = files.indices.map { index -> Markup in
      let id = "file-" + letters[index].lowercased()
      return """
        <article aria-labelledby="\(id)">
        <h2 id="\(id)">\(letters[index]): \(Self.fileName(files[index].checkpoint.path))</h2>
        \(parts[index].summary)
        \(navigation(parts[index].sections))\(parts[index].sections.map(\.markup))</article>

        """
    }
    let links =
      sections
      + files.indices.map { index in
        PageSection(
          id: "file-" + letters[index].lowercased(),
          title: letters[index] + ": " + Self.fileName(files[index].checkpoint.path), level: 2, body: "")
      }
    return """
      <header>
      <h1>\(files.count == 2 ? "Two checkpoints" : Format.count(files.count, "checkpoint"))</h1>
      \(navigation(links))</header>
      <main id="content">
      \(sections.map(\.markup))\(articles)</main>
      """
  }

  /// Returns the letter of a file: A, B …, or a number after Z.
  private static func letter(_ index: Int) -> String {
    index < 26 ? String(UnicodeScalar(UInt8(65 + index))) : String(index + 1)
  }

  private func navigation(_ sections: [PageSection]) -> Markup {
    let items = sections.map { "<li><a href=\"#\($0.id)\">\($0.title)</a></li>" as Markup }
    return "<nav aria-label=\"Contents of \(sections.first?.id ?? "")\"><ul>\(items)</ul></nav>\n"
  }

  private var sideBySide: Markup {
    let facts = files.map {
      FilePage($0, prefix: "", level: 3, forward: nil, errorText: errorText).comparableFacts
    }
    let names = facts.first?.map(\.name) ?? []
    var table = PageTable(
      "The files side by side.",
      [.init("")]
        + files.indices.map { .init("\(Self.letter($0)): \(Self.fileName(files[$0].checkpoint.path))") })
    for (index, name) in names.enumerated() {
      table.row([.head("\(name)")] + facts.map { .text($0[index].value) })
    }
    return table.markup
  }
}

/// A part of the page with a heading that links lead to.
struct PageSection {
  let id: String
  let title: String
  /// The level of the heading, 2 to 4.
  let level: Int
  let body: Markup

  var markup: Markup {
    let heading: Markup =
      switch level {
      case 2: "<h2 id=\"\(id)\">\(title)</h2>"
      case 3: "<h3 id=\"\(id)\">\(title)</h3>"
      default: "<h4 id=\"\(id)\">\(title)</h4>"
      }
    return "<section aria-labelledby=\"\(id)\">\n\(heading)\n\(body)\n</section>\n"
  }
}

/// A table of the page, in a frame that scrolls sideways where it is wider than the page.
struct PageTable {
  struct Column {
    let title: String
    var isNumber = false
    /// True for a column that narrow screens leave out.
    var isOptional = false
    /// True for a column that cannot be sorted.
    var isFixed = false

    init(_ title: String, isNumber: Bool = false, isOptional: Bool = false, isFixed: Bool = false) {
      (self.title, self.isNumber, self.isOptional, self.isFixed) = (title, isNumber, isOptional, isFixed)
    }
  }

  enum Cell {
    /// The row's name.
    case head(Markup)
    case text(Markup)
    /// A number, and its value for sorting when the text is not one.
    case number(String, Double? = nil)
  }

  private let caption: String
  private let columns: [Column]
  /// The id of the controls that filter the table; nil for a table that is not sortable.
  private let controls: String?
  private var rows: Markup = ""
  private var foot: Markup = ""
  private(set) var count = 0

  init(_ caption: String, _ columns: [Column], controls: String? = nil) {
    (self.caption, self.columns, self.controls) = (caption, columns, controls)
  }

  mutating func row(_ cells: [Cell]) {
    rows += "<tr>\(zip(columns, cells).map(Self.markup))</tr>\n"
    count += 1
  }

  mutating func total(_ cells: [Cell]) { foot += "<tr>\(zip(columns, cells).map(Self.markup))</tr>\n" }

  private static func markup(_ column: Column, _ cell: Cell) -> Markup {
    let kinds = (column.isNumber ? ["n"] : []) + (column.isOptional ? ["opt"] : [])
    let kind: Markup = kinds.isEmpty ? "" : " class=\"\(kinds.joined(separator: " "))\""
    switch cell {
    case .head(let text): return "<th scope=\"row\"\(kind)>\(text)</th>"
    case .text(let text): return "<td\(kind)>\(text)</td>"
    case .number(let text, let value):
      let sorted: Markup = value.map { " data-v=\"\($0.description)\"" } ?? ""
      return "<td\(kind)\(sorted)>\(text)</td>"
    }
  }

  var markup: Markup {
    let heads = columns.map { column -> Markup in
      let kinds = (column.isNumber ? ["n"] : []) + (column.isOptional ? ["opt"] : [])
      let kind: Markup = kinds.isEmpty ? "" : " class=\"\(kinds.joined(separator: " "))\""
      let fixed: Markup = column.isFixed ? " data-fixed" : ""
      return column.title.isEmpty
        ? "<td\(kind)></td>" : "<th scope=\"col\"\(kind)\(fixed)>\(column.title)</th>"
    }
    let sortable: Markup = controls.map { " class=\"wide\" data-sortable=\"\($0)\"" } ?? ""
    let total: Markup = foot.text.isEmpty ? "" : "<tfoot>\(foot)</tfoot>"
    return """
      <div class="scroll" tabindex="0" role="region" aria-label="\(caption)"><table\(sortable)>
      <caption>\(caption)</caption>
      <thead><tr>\(heads)</tr></thead>
      <tbody>
      \(rows)</tbody>
      \(total)</table></div>
      """
  }
}
