internal import DecantBytes
internal import DecantCheckpoints
internal import DecantComparing
internal import DecantTensors

/// The text output of `decant diff`.
struct DiffReport {
  let result: DiffResult
  /// True when the lists are printed in full.
  let showsAll: Bool

  private static let shown = 16

  func print() {
    StandardStreams.line(answer)
    printChanges("changed", result.changed)
    printWorst()
    printChanges("within tolerance", result.tolerated)
    list("reshaped, bit for bit equal", result.reshaped) {
      [
        names($0), "\(Format.shape($0.left.tensor.shape)) → \(Format.shape($0.right.tensor.shape))",
        axes($0),
      ]
    }
    list("renamed, bit for bit equal", result.renamed) { pair in
      [name(pair.left.name), "→ " + name(pair.right.name), axes(pair)]
    }
    for (letter, items) in [("A", result.onlyA), ("B", result.onlyB)] {
      list("only in \(letter)", items) {
        [name($0.name), Format.shape($0.tensor.shape), $0.tensor.dtype.rawValue]
      }
    }
  }

  /// The first line of the report.
  private var answer: String {
    let all: [(count: Int, what: String)] = [
      (result.identicalCount, "identical"), (result.tolerated.count, "within tolerance"),
      (result.renamed.count, "renamed"), (result.reshaped.count, "reshaped"),
      (result.changed.count, "changed"), (result.onlyA.count, "only in A"), (result.onlyB.count, "only in B"),
    ]
    let counts = all.filter { $0.count > 0 }.map { Format.count($0.count) + " " + $0.what }
      .joined(separator: ", ")
    if result.isSame {
      let total = result.identicalCount + result.tolerated.count + result.renamed.count
      let tensors = "the same: \(Format.count(total, "tensor"))"
      if result.identicalCount == total { return tensors + ", every bit" }
      return tensors + ": " + counts + (result.tolerated.isEmpty ? ", every bit" : "")
    }
    guard result.isSameData else { return "not the same: " + counts }
    let data = result.tolerated.isEmpty ? "all data is the same, every bit" : "all data is within tolerance"
    return "not the same: \(counts); \(data), only names differ (--ignore-names accepts that)"
  }

  private func printChanges(_ title: String, _ pairs: [DiffResult.Compared]) {
    guard !pairs.isEmpty else { return }
    StandardStreams.line()
    var table = TextTable([
      (title, .left), ("dtype", .left), ("shape", .left), ("differ", .right), ("max abs", .right),
      ("max rel", .right), ("ULP", .right), ("cosine", .right), ("remark", .left),
    ])
    for pair in pairs {
      let (left, right) = (pair.left.tensor, pair.right.tensor)
      let measures = pair.difference
      table.row(
        names(pair), both(left.dtype.rawValue, right.dtype.rawValue),
        both(Format.shape(left.shape), Format.shape(right.shape)),
        measures.map { "\(Format.count($0.differingCount)) of \(Format.count($0.elementCount))" } ?? "-",
        measures.map { Format.scientific($0.maxAbsolute) } ?? "-",
        measures.map { Format.scientific($0.maxRelative) } ?? "-",
        measures.map(steps) ?? "-", measures?.cosine.map { Format.fixed($0, 9) } ?? "-", pair.textRemark)
    }
    table.show()
  }

  /// Prints the largest difference when there are several, and the rounding between dtypes.
  private func printWorst() {
    let measured = result.changed.compactMap { pair in pair.difference.map { (pair, $0) } }
    if measured.count > 1, let worst = measured.max(by: { $0.1.maxAbsolute < $1.1.maxAbsolute }) {
      StandardStreams.line(
        "\n  the largest absolute difference, \(Format.scientific(worst.1.maxAbsolute)), is in \(name(worst.0.left.name))"
      )
    }
    var roundings: [(text: String, count: Int)] = []
    for (pair, difference) in measured where difference.isRoundedCopy && difference.differingCount > 0 {
      let text = Self.rounding(pair.left.tensor.dtype, pair.right.tensor.dtype)
      if let known = roundings.firstIndex(where: { $0.text == text }) {
        roundings[known].count += 1
      } else {
        roundings.append((text, 1))
      }
    }
    for (text, count) in roundings {
      StandardStreams.line(
        "  in \(Format.count(count)) of the changed, \(text) (to nearest, ties to even)"
      )
    }
  }

  /// Returns a sentence that says which of two dtypes is the other one rounded.
  private static func rounding(_ left: DType, _ right: DType) -> String {
    let (coarse, fine) = DType.coarser(left, right) == left ? (left, right) : (right, left)
    return "\(coarse.rawValue) is the exact rounding of \(fine.rawValue)"
  }

  private func steps(_ measures: TensorDifference) -> String {
    if measures.nanCount > 0 { return "NaN differs" }
    guard let steps = measures.maxULP else { return "-" }
    return Int(exactly: steps).map { Format.count($0) } ?? String(steps)
  }

  private func list<Element>(_ title: String, _ elements: [Element], _ cells: (Element) -> [String]) {
    guard !elements.isEmpty else { return }
    StandardStreams.line("\n  \(title):")
    var table = TextTable([("", .left), ("", .left), ("", .left)])
    for element in showsAll ? elements[...] : elements.prefix(Self.shown) {
      var cells = cells(element)
      cells += [String](repeating: "", count: 3 - cells.count)
      table.row("  " + cells[0], cells[1], cells[2])
    }
    table.show()
    if !showsAll, elements.count > Self.shown {
      StandardStreams.line(
        "    … and \(Format.count(elements.count - Self.shown)) more; --all lists them")
    }
  }

  private func names(_ pair: DiffResult.Compared) -> String {
    pair.hasOneName ? name(pair.left.name) : name(pair.left.name) + " → " + name(pair.right.name)
  }

  private func axes(_ pair: DiffResult.Compared) -> String {
    pair.axes.map { "axes " + $0.map { $0.map(String.init) ?? "new" }.joined(separator: ", ") } ?? ""
  }

  private func both(_ left: String, _ right: String) -> String { left == right ? left : "\(left) → \(right)" }

  /// Returns a name, escaped, in quotes when it is empty or has spaces at an end.
  private func name(_ name: String) -> String { Format.name([.text(name)]) }
}

extension DiffResult.Compared {
  /// The remark for people; ``commandRemark`` is the one of the JSON.
  var textRemark: String {
    switch remark {
    case "rounded once": "exact \(DType.coarser(left.tensor.dtype, right.tensor.dtype).rawValue) rounding"
    case "the same numbers": "equal values, different dtype"
    default: commandRemark
    }
  }

  /// The remark, with the option for a closer comparison.
  var commandRemark: String {
    switch hint {
    case nil: remark
    case .compareDense: remark + "; --to-dense compares the numbers"
    case .measureDense: remark + "; --to-dense measures it"
    case .measureDequantized: remark + "; --dequantize measures it"
    }
  }
}
