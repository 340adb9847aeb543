internal import DecantBytes
internal import DecantCheckpoints
internal import DecantComparing
internal import DecantTensors

/// The text output of `decant diff`.
struct DiffReport {
  let result: DiffResult
  /// The number of changed tensors to print, one a line; nil to fold those that differ only in their numbers.
  let top: Int?
  /// True when the lists are printed in full.
  let showsAll: Bool

  private static let shown = 16

  func print() {
    StandardStreams.answer(answer, isYes: result.isSame)
    printChanged()
    printRoundings()
    printTable("within tolerance", result.tolerated.map { row($0) })
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
      let groups = groups(items.map { name($0.name) }) {
        [Format.shape(items[$0].tensor.shape), items[$0].tensor.dtype.rawValue]
      }
      list("only in \(letter)", groups, of: items.count) { group in
        let item = items[group.indices[0]]
        return [named(group), Format.shape(item.tensor.shape), item.tensor.dtype.rawValue]
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
    let given = all.filter { $0.count > 0 }
    let counts = given.map { Format.count($0.count) + " " + $0.what }.joined(separator: ", ")
    if result.isSame {
      let total = result.identicalCount + result.tolerated.count + result.renamed.count
      let tensors = "the same: \(Format.count(total, "tensor"))"
      if result.identicalCount == total { return tensors + ", every bit" }
      return tensors + ": " + counts + (result.tolerated.isEmpty ? ", every bit" : "")
    }
    guard result.isSameData else {
      let differ =
        given.count == 1 && result.changed.count > 1
        ? "all \(Format.count(result.changed.count, "tensor")) differ" : counts
      guard let verdict = result.verdict else { return "not the same: " + differ }
      let isSimilarity = [.related, .unrelated].contains(verdict.kind)
      return "not the same: \(differ)\(isSimilarity ? "," : ":") \(verdict.text)"
    }
    let data = result.tolerated.isEmpty ? "all data is the same, every bit" : "all data is within tolerance"
    return "not the same: \(counts); \(data), only names differ (--ignore-names accepts that)"
  }

  // MARK: The changed tensors

  /// Prints the changed tensors, the largest difference first.
  private func printChanged() {
    let pairs = result.changedLargestFirst
    let title = pairs.count > 1 ? "changed, largest first" : "changed"
    let limit = showsAll ? pairs.count : top ?? Self.shown
    guard top == nil, pairs.count > limit else {
      printTable(title, pairs.prefix(limit).map { row($0) })
      let left = pairs.count - min(limit, pairs.count)
      if left > 0 { StandardStreams.line("  … and \(Format.count(left)) more; --all lists them") }
      return
    }
    let groups = groups(pairs.map(names)) { index in
      let pair = pairs[index]
      return [
        pair.left.tensor.dtype.rawValue, pair.right.tensor.dtype.rawValue, pair.textRemark,
        pair.difference == nil ? "not measured" : "",
      ]
    }
    printTable(title, groups.prefix(limit).map { row($0, of: pairs) })
    let left = groups.dropFirst(limit).reduce(0) { $0 + $1.indices.count }
    if left > 0 {
      StandardStreams.line(
        "  … and \(Format.count(left)) more; --all lists every tensor, --top N the N that differ most")
    } else {
      StandardStreams.line("  --all lists every tensor, --top N the N that differ most")
    }
  }

  private func printTable(_ title: String, _ rows: [[String]]) {
    guard !rows.isEmpty else { return }
    StandardStreams.line()
    var table = TextTable([
      (title, .left), ("dtype", .left), ("shape", .left), ("differ", .right), ("max abs", .right),
      ("max rel", .right), ("ULP", .right), ("cosine", .right), ("remark", .left),
    ])
    table.optionalColumns = [7, 6, 1, 2, 5, 8]
    for row in rows { table.row(row) }
    table.show()
  }

  /// Returns the cells of one pair.
  private func row(_ pair: DiffResult.Compared) -> [String] {
    row(FoldedNames(text: names(pair), indices: [0]), of: [pair])
  }

  /// Returns the cells of pairs that are folded: the largest differences, and the least similarity.
  private func row(_ group: FoldedNames, of pairs: [DiffResult.Compared]) -> [String] {
    let members = group.indices.map { pairs[$0] }
    let shapes = members.map { both(Format.shape($0.left.tensor.shape), Format.shape($0.right.tensor.shape)) }
    let measures = members.compactMap(\.difference)
    let isMeasured = !measures.isEmpty
    let (differing, elements) = (
      measures.reduce(0) { $0 + $1.differingCount }, measures.reduce(0) { $0 + $1.elementCount }
    )
    let cosines = measures.compactMap(\.cosine)
    return [
      named(group), both(members[0].left.tensor.dtype.rawValue, members[0].right.tensor.dtype.rawValue),
      Set(shapes).count == 1 ? shapes[0] : "several",
      isMeasured ? "\(Format.count(differing)) of \(Format.count(elements))" : "-",
      measures.map(\.maxAbsolute).max().map(Format.scientific) ?? "-",
      measures.map(\.maxRelative).max().map(Format.scientific) ?? "-",
      isMeasured ? steps(measures) : "-", cosines.min().map { Format.fixed($0, 9) } ?? "-",
      members[0].textRemark,
    ]
  }

  /// Folds names that have the same class and differ only in their numbers; every name by itself with `--all`.
  private func groups(_ names: [String], class: (Int) -> [String]) -> [FoldedNames] {
    guard !showsAll, names.count > Self.shown else {
      return names.indices.map { FoldedNames(text: names[$0], indices: [$0]) }
    }
    return FoldedNames.fold(names, classes: names.indices.map(`class`))
  }

  private func named(_ group: FoldedNames) -> String {
    group.indices.count == 1 ? group.text : "\(group.text)  (\(Format.count(group.indices.count, "tensor")))"
  }

  /// Says which tensors are roundings of the other file's, when these are not all.
  private func printRoundings() {
    if case .rounding? = result.verdict?.kind { return }
    var roundings: [(text: String, count: Int)] = []
    for pair in result.changed {
      guard let difference = pair.difference, difference.isRoundedCopy, difference.differingCount > 0 else {
        continue
      }
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

  private func steps(_ measures: [TensorDifference]) -> String {
    if measures.contains(where: { $0.nanCount > 0 }) { return "NaN differs" }
    guard let steps = measures.compactMap(\.maxULP).max() else { return "-" }
    return Int(exactly: steps).map { Format.count($0) } ?? String(steps)
  }

  private func list<Element>(_ title: String, _ elements: [Element], _ cells: (Element) -> [String]) {
    list(title, elements.indices.map { FoldedNames(text: "", indices: [$0]) }, of: elements.count) {
      cells(elements[$0.indices[0]])
    }
  }

  /// Prints the first lines of a list, or all of them with `--all`.
  ///
  /// - Parameter count: the number of tensors in the lines together.
  private func list(
    _ title: String, _ elements: [FoldedNames], of count: Int, _ cells: (FoldedNames) -> [String]
  ) {
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
      let shown = elements.prefix(Self.shown).reduce(0) { $0 + $1.indices.count }
      StandardStreams.line("    … and \(Format.count(count - shown)) more; --all lists them")
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
  var textRemark: String { hint == nil ? plainRemark : commandRemark }

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
