internal import DecantBytes
internal import DecantCheckpoints
internal import DecantComparing
internal import DecantTensors

/// The JSON of `decant diff --json`, schema 1.
enum DiffJSON {
  static func print(
    _ result: DiffResult, _ a: (file: String, choice: StateDictChoice),
    _ b: (file: String, choice: StateDictChoice)
  ) {
    StandardStreams.beginDocument()
    StandardStreams.line(
      "{\"schema\": 1, \"same\": \(result.isSame), \"identical\": \(result.identicalCount),")
    for (name, side) in [("a", a), ("b", b)] {
      let value = JSONValue.object([
        (key: "file", value: .string(side.file)), (key: "key", value: .string(side.choice.selection.key)),
        (key: "tensors", value: .exact(Int64(side.choice.selection.tensors.count))),
      ])
      StandardStreams.line(" \"\(name)\": \(value.text),")
    }
    if let verdict = result.verdict {
      StandardStreams.line(" \"verdict\": " + json(verdict).text + ",")
    }
    StandardStreams.line(
      " \"left_out\": "
        + JSONValue.object([(key: "a", value: a.choice.leftOutJSON), (key: "b", value: b.choice.leftOutJSON)])
        .text + ",")
    if !result.prefixes.isEmpty {
      list(
        "prefixes",
        result.prefixes.map {
          .object([
            (key: "a", value: .string($0.left)), (key: "b", value: .string($0.right)),
            (key: "tensors", value: .integer(Int64($0.count))),
          ])
        })
    }
    list("renamed", result.renamed.map(renaming))
    if !result.reshaped.isEmpty { list("reshaped", result.reshaped.map(reshaping)) }
    if !result.tolerated.isEmpty { list("within_tolerance", result.tolerated.map(change)) }
    list("changed", result.changed.map(change))
    list("only_a", result.onlyA.map { .string($0.name) })
    list("only_b", result.onlyB.map { .string($0.name) }, end: "}")
  }

  private static func json(_ verdict: DiffVerdict) -> JSONValue {
    let (kind, dtype): (String, DType?) =
      switch verdict.kind {
      case .equalValues: ("equal_values", nil)
      case .rounding(let dtype): ("rounding", dtype)
      case .drift: ("drift", nil)
      case .related: ("related", nil)
      case .unrelated: ("unrelated", nil)
      }
    return .object(
      [(key: "kind", value: .string(kind))]
        + (dtype.map { [(key: "dtype", value: .string($0.rawValue))] } ?? [])
        + [
          (key: "max_abs", value: .exact(verdict.maxAbsolute)),
          (key: "max_rel", value: .exact(verdict.maxRelative)),
          (key: "mean_cosine", value: verdict.meanCosine.map { .exact($0) } ?? .null),
        ])
  }

  private static func list(_ name: String, _ values: [JSONValue], end: String = ",") {
    StandardStreams.line(" \"\(name)\": [\(values.isEmpty ? "]" + end : "")")
    for (place, value) in values.enumerated() {
      StandardStreams.line("  " + value.text + (place + 1 < values.count ? "," : "]" + end))
    }
  }

  private static func sizes(_ shape: [Int]) -> JSONValue { .array(shape.map { .exact(Int64($0)) }) }

  private static func renaming(_ pair: DiffResult.Compared) -> JSONValue {
    let members: [(key: String, value: JSONValue)] = [
      (key: "a", value: .string(pair.left.name)), (key: "b", value: .string(pair.right.name)),
      (key: "by", value: .string(pair.reason.rawValue)),
    ]
    return .object(members + axes(pair))
  }

  private static func axes(_ pair: DiffResult.Compared) -> [(key: String, value: JSONValue)] {
    guard let axes = pair.axes else { return [] }
    return [(key: "axes", value: .array(axes.map { $0.map { .integer(Int64($0)) } ?? .null }))]
  }

  private static func reshaping(_ pair: DiffResult.Compared) -> JSONValue {
    let members: [(key: String, value: JSONValue)] = [
      (key: "a", value: .string(pair.left.name)), (key: "b", value: .string(pair.right.name)),
      (key: "shape_a", value: sizes(pair.left.tensor.shape)),
      (key: "shape_b", value: sizes(pair.right.tensor.shape)),
    ]
    return .object(members + axes(pair))
  }

  private static func change(_ pair: DiffResult.Compared) -> JSONValue {
    let (left, right) = (pair.left.tensor, pair.right.tensor)
    let measures = pair.difference
    var members: [(key: String, value: JSONValue)] = [(key: "name", value: .string(pair.left.name))]
    if ExactText(pair.left.name) != ExactText(pair.right.name) {
      members.append((key: "name_b", value: .string(pair.right.name)))
    }
    if !pair.hasOneName { members.append((key: "by", value: .string(pair.reason.rawValue))) }
    members += [
      (key: "dtype_a", value: .string(left.dtype.rawValue)),
      (key: "dtype_b", value: .string(right.dtype.rawValue)),
      (key: "shape_a", value: sizes(left.shape)),
      (key: "shape_b", value: sizes(right.shape)),
      (key: "max_abs", value: measures.map { .exact($0.maxAbsolute) } ?? .null),
      (key: "max_rel", value: measures.map { .exact($0.maxRelative) } ?? .null),
      (key: "max_ulp", value: measures.map(steps) ?? .null),
      (key: "cosine", value: measures?.cosine.map { .exact($0) } ?? .null),
    ]
    if let measures {
      members += [
        (key: "elements", value: .exact(Int64(measures.elementCount))),
        (key: "differing", value: .exact(Int64(measures.differingCount))),
        (key: "nan_on_one_side", value: .exact(Int64(measures.nanCount))),
        (key: "rounded", value: .bool(measures.isRoundedCopy && measures.differingCount > 0)),
      ]
    }
    if !pair.commandRemark.isEmpty { members.append((key: "remark", value: .string(pair.commandRemark))) }
    return .object(members)
  }

  /// Returns the ULP distance as JSON. Beyond 2^53 it is a string. Between a NaN and a number it is infinite.
  private static func steps(_ measures: TensorDifference) -> JSONValue {
    if measures.nanCount > 0 { return .string("Infinity") }
    guard let steps = measures.maxULP else { return .null }
    return Int64(exactly: steps).map { .exact($0) } ?? .string(String(steps))
  }
}
