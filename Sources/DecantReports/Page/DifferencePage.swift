internal import DecantBytes
internal import DecantComparing
internal import DecantTensors

/// The section on the differences of two files.
struct DifferencePage {
  private let result: DiffResult
  /// The most rows of each table.
  private static let mostShown = 400

  init(_ result: DiffResult) { self.result = result }

  var body: Markup {
    let all: [(count: Int, what: String)] = [
      (result.identicalCount, "identical"), (result.tolerated.count, "within tolerance"),
      (result.renamed.count, "renamed"), (result.reshaped.count, "reshaped"),
      (result.changed.count, "changed"), (result.onlyA.count, "only in A"), (result.onlyB.count, "only in B"),
    ]
    let given: [String] = all.filter { $0.count > 0 }.map { Format.count($0.count) + " " + $0.what }
    let counts = given.joined(separator: ", ")
    let verdict: String = result.verdict.map { ": " + $0.text } ?? ""
    let answer: Markup =
      result.isSame
      ? "<p class=\"lead\"><span class=\"badge good\">The same</span> \(counts), every bit.</p>"
      : "<p class=\"lead\"><span class=\"badge warm\">Not the same</span> \(counts)\(verdict).</p>"
    return "\(answer)\n\(changed)\(renamed)\(only("A", result.onlyA))\(only("B", result.onlyB))"
  }

  private var changed: Markup {
    let pairs = result.changedLargestFirst
    guard !pairs.isEmpty else { return "" }
    var table = PageTable(
      caption("Changed tensors, the largest difference first", pairs.count),
      [
        .init("Tensor"), .init("Shape"), .init("Type"), .init("Differ", isNumber: true),
        .init("Largest difference", isNumber: true), .init("Relative", isNumber: true, isOptional: true),
        .init("ULP", isNumber: true, isOptional: true), .init("Cosine", isNumber: true), .init("Remark"),
      ])
    for pair in pairs.prefix(Self.mostShown) {
      let (left, right) = (pair.left.tensor, pair.right.tensor)
      func both(_ one: String, _ other: String) -> Markup { one == other ? "\(one)" : "\(one) → \(other)" }
      let measure = pair.difference
      table.row([
        .head("<code>\(both(pair.left.name, pair.right.name))</code>"),
        .text(both(Format.shape(left.shape), Format.shape(right.shape))),
        .text(both(left.dtype.rawValue, right.dtype.rawValue)),
        .number(
          measure.map { "\(Format.count($0.differingCount)) of \(Format.count($0.elementCount))" } ?? ""),
        .number(measure.map { Format.significant($0.maxAbsolute) } ?? ""),
        .number(measure.map { Format.significant($0.maxRelative) } ?? ""),
        .number(measure?.maxULP.map { Format.count($0) } ?? ""),
        .number(measure?.cosine.map { Format.fixed($0, 6) } ?? ""), .text("\(pair.plainRemark)"),
      ])
    }
    return table.markup
  }

  private var renamed: Markup {
    let pairs = result.renamed + result.reshaped
    guard !pairs.isEmpty else { return "" }
    var table = PageTable(
      caption("Equal data under another name or shape", pairs.count),
      [.init("In A"), .init("In B"), .init("Shape")])
    for pair in pairs.prefix(Self.mostShown) {
      let (left, right) = (Format.shape(pair.left.tensor.shape), Format.shape(pair.right.tensor.shape))
      table.row([
        .head("<code>\(pair.left.name)</code>"), .text("<code>\(pair.right.name)</code>"),
        .text(left == right ? "\(left)" : "\(left) → \(right)"),
      ])
    }
    return table.markup
  }

  private func only(_ letter: String, _ items: [DiffFile.Item]) -> Markup {
    guard !items.isEmpty else { return "" }
    var table = PageTable(
      caption("Only in \(letter)", items.count), [.init("Tensor"), .init("Shape"), .init("Type")])
    for item in items.prefix(Self.mostShown) {
      table.row([
        .head("<code>\(item.name)</code>"), .text("\(Format.shape(item.tensor.shape))"),
        .text("\(item.tensor.dtype.rawValue)"),
      ])
    }
    return table.markup
  }

  private func caption(_ text: String, _ count: Int) -> String {
    count > Self.mostShown
      ? "\(text): the first \(Format.count(Self.mostShown)) of \(Format.count(count))."
      : "\(text): \(Format.count(count))."
  }
}
