internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// The JSON of `decant inspect --json`, schema 1.
///
/// Prints each tensor on its own line as soon as it is formatted, so a listing of 100,000 tensors is not in memory
/// twice.
enum InspectionJSON {
  static func print(
    _ checkpoint: Checkpoint, _ rows: [InspectionRow], _ objects: [CheckpointObject], _ warnings: [String],
    _ parametrized: ParametrizedWeights, checksums: JSONValue?
  ) {
    StandardStreams.beginDocument()
    StandardStreams.line("{\"schema\": 1, \"file\": \(JSONValue.string(checkpoint.path).text),")
    StandardStreams.line(" \"container\": \(JSONValue.string(checkpoint.container.rawValue).text),")
    list("tensors", rows.map(tensor), ",")
    list("objects", objects.map(object), ",")
    if !checkpoint.moduleSources.isEmpty { list("sources", checkpoint.moduleSources.map(source), ",") }
    if !checkpoint.containerMetadata.isEmpty { list("facts", checkpoint.containerMetadata.map(fact), ",") }
    for member in parametrized.json(isResolved: false) {
      guard case .array(let values) = member.value else { continue }
      list(member.key, values, ",")
    }
    let members: [(key: String, value: JSONValue)] = [
      (key: "totals", value: totals(rows)), (key: "state_dicts", value: stateDicts(checkpoint)),
      (key: "properties", value: properties(checkpoint)),
    ]
    for member in members {
      StandardStreams.line(" \(JSONValue.string(member.key).text): \(member.value.text),")
    }
    if let checksums { StandardStreams.line(" \"checksums\": \(checksums.text),") }
    list("warnings", warnings.map { .string($0) }, "}")
  }

  /// Returns the facts about the whole file by their names. Of two with one name the first counts; `facts` has both.
  private static func properties(_ checkpoint: Checkpoint) -> JSONValue {
    var names: Set<ExactText> = []
    return .object(
      checkpoint.containerMetadata.filter { names.insert(ExactText($0.label)).inserted }
        .map { (key: $0.label, value: .string($0.text)) })
  }

  /// Returns the size of the listed tensors, in which shared data counts once, and how much of it is parameters and
  /// buffers, where names or modules tell.
  private static func totals(_ rows: [InspectionRow]) -> JSONValue {
    let size = Aliases.distinctSize(rows.map(\.entry.tensor))
    let split = ParameterSplit(rows.map(\.entry), elementCount: size.elementCount)
    func number(_ value: Int) -> JSONValue { .exact(Int64(value)) }
    return .object([
      (key: "tensors", value: number(rows.count)), (key: "elements", value: number(size.elementCount)),
      (key: "bytes", value: number(size.byteCount)),
      (key: "parameters", value: split.map { number($0.parameters) } ?? .null),
      (key: "buffers", value: split.map { number($0.buffers) } ?? .null),
    ])
  }

  /// Returns the keys to choose from, with the number of tensors of each.
  private static func stateDicts(_ checkpoint: Checkpoint) -> JSONValue {
    let candidates = checkpoint.stateDictCandidates
    return .array(
      zip(candidates, checkpoint.keys(of: candidates.map(\.path))).map { candidate, key in
        .object([
          (key: "key", value: .string(key)), (key: "tensors", value: .exact(Int64(candidate.tensorCount))),
        ])
      })
  }

  /// Returns the result of comparing checksums: what is damaged, with the reasons.
  static func checksums(_ losses: [DecantError]) -> JSONValue {
    .object([
      (key: "ok", value: .bool(losses.isEmpty)),
      (
        key: "damaged",
        value: .array(
          losses.map { loss in
            .object([
              (
                key: "name", value: (loss.location.tensor ?? loss.location.entry).map { .string($0) } ?? .null
              ),
              (key: "message", value: .string(loss.reason)),
            ])
          })
      ),
    ])
  }

  /// Returns a fact about the whole file, such as its writer or a metadata entry.
  private static func fact(_ hint: (label: String, text: String)) -> JSONValue {
    .object([(key: "name", value: .string(hint.label)), (key: "value", value: .string(hint.text))])
  }

  private static func list(_ name: String, _ values: [JSONValue], _ end: String) {
    StandardStreams.line(" \"\(name)\": [\(values.isEmpty ? "]" + end : "")")
    for (place, value) in values.enumerated() {
      StandardStreams.line("  " + value.text + (place + 1 < values.count ? "," : "]" + end))
    }
  }

  private static func tensor(_ row: InspectionRow) -> JSONValue {
    let tensor = row.entry.tensor
    func sizes(_ values: [Int]) -> JSONValue { .array(values.map { .exact(Int64($0)) }) }
    var members: [(key: String, value: JSONValue)] = [
      (key: "name", value: .string(row.entry.name)),
      (key: "dtype", value: .string(tensor.dtype.rawValue)),
      (key: "shape", value: sizes(tensor.shape)),
      (key: "strides", value: sizes(tensor.strides)),
      (key: "path", value: .array(row.entry.path.map(\.json))),
      (key: "bytes", value: .exact(Int64(tensor.byteCount))),
      (key: "storage", value: .string(tensor.storage.key)),
      (key: "storage_offset", value: .exact(Int64(tensor.storageOffset))),
      (key: "location", value: .string(tensor.storage.location)),
    ]
    if tensor.layout != .strided { members.append((key: "layout", value: .string(tensor.layout.rawValue))) }
    if let count = tensor.nonZeroCount {
      members.append((key: "nnz", value: .exact(Int64(count))))
      members.append((key: "stored_bytes", value: .exact(Int64(tensor.storedByteCount))))
    }
    if let quantization = row.quantization { members.append((key: "quantization", value: quantization)) }
    if !tensor.parts.isEmpty {
      let parts = zip(tensor.parts, row.partDigests).map { part, digest in
        InspectionJSON.part(part, row.hasDigest ? .some(digest) : nil, sizes)
      }
      members.append((key: "parts", value: .array(parts)))
    }
    if let subclass = row.entry.subclass { members.append((key: "subclass", value: .string(subclass))) }
    if row.entry.isRankPart, let part = row.entry.rankPart {
      members.append((key: "rank_part", value: .string(part.description)))
    }
    if row.entry.state != .whole { members.append((key: "state", value: .string(row.entry.state.rawValue))) }
    if tensor.requiresGrad { members.append((key: "requires_grad", value: true)) }
    if let role = row.entry.role { members.append((key: "role", value: .string(role.rawValue))) }
    if let alias = row.aliasOf { members.append((key: "alias_of", value: .string(alias))) }
    if let statistics = row.statistics {
      members.append((key: "non_finite", value: .integer(Int64(statistics.nonFiniteCount))))
      for (name, value) in [
        ("min", statistics.least), ("max", statistics.greatest), ("mean", statistics.mean),
      ] {
        members.append((key: name, value: value.map { .exact($0) } ?? .null))
      }
      members.append((key: "std", value: statistics.standardDeviation.map { .exact($0) } ?? .null))
      for (name, count) in [
        ("zeros", statistics.zeroCount), ("nan", statistics.nanCount), ("infinite", statistics.infiniteCount),
      ] { members.append((key: name, value: count.map { .exact(Int64($0)) } ?? .null)) }
    }
    if row.hasDigest { members.append((key: "sha256", value: row.digest.map { .string($0) } ?? .null)) }
    return .object(members)
  }

  /// Returns the scheme of a quantised tensor and its parameters. Reads the scales.
  static func quantization(_ quantization: Quantization) throws -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [(key: "scheme", value: .string(quantization.scheme))]
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      members.append((key: "scale", value: .exact(scale)))
      members.append((key: "zero_point", value: .exact(zeroPoint)))
    case .perChannel(let scales, let zeroPoints, let axis, let hasFloatZeroPoints):
      members.append((key: "axis", value: .exact(Int64(axis))))
      // A meta tensor has neither scales nor zero points.
      guard scales.isReadable, zeroPoints.isReadable else { break }
      let numbers = try zeroPoints.elements(as: Double.self)
      members.append((key: "scales", value: .array(try scales.elements(as: Double.self).map { .exact($0) })))
      members.append(
        (
          key: "zero_points",
          value: .array(
            numbers.map { number in
              hasFloatZeroPoints
                ? .exact(number) : Int64(exactly: number).map { .exact($0) } ?? .exact(number)
            })
        ))
    }
    return .object(members)
  }

  private static func part(
    _ part: TensorPart, _ digest: String??, _ sizes: ([Int]) -> JSONValue
  ) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "name", value: .string(part.name)), (key: "dtype", value: .string(part.tensor.dtype.rawValue)),
      (key: "shape", value: sizes(part.tensor.shape)), (key: "strides", value: sizes(part.tensor.strides)),
      (key: "bytes", value: .exact(Int64(part.tensor.byteCount))),
      (key: "storage", value: .string(part.tensor.storage.key)),
      (key: "storage_offset", value: .exact(Int64(part.tensor.storageOffset))),
    ]
    if let digest { members.append((key: "sha256", value: digest.map { .string($0) } ?? .null)) }
    return .object(members)
  }

  private static func object(_ object: CheckpointObject) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "path", value: .string(object.name)), (key: "type", value: .string(object.type)),
    ]
    if let value = object.value { members.append((key: "value", value: value)) }
    if let count = object.count { members.append((key: "count", value: .integer(Int64(count)))) }
    if let kind = object.unreadTensor { members.append((key: "unread_tensor", value: .string(kind))) }
    if let shape = object.shape {
      members.append((key: "shape", value: .array(shape.map { .exact(Int64($0)) })))
    }
    if let bytes = object.byteCount { members.append((key: "bytes", value: .exact(Int64(bytes)))) }
    if let versions = object.moduleVersions {
      let modules: [JSONValue] = versions.map {
        .object([
          (key: "path", value: .string($0.path)),
          (key: "version", value: $0.version.map { .exact($0) } ?? .null),
        ])
      }
      members.append((key: "modules", value: .array(modules)))
    }
    return .object(members)
  }

  private static func source(_ source: ModuleSource) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "class", value: .string(source.className)),
      (key: "file", value: source.file.map { .string($0) } ?? .null),
      (key: "bytes", value: .integer(Int64(source.byteCount))),
    ]
    if let text = source.text { members.append((key: "text", value: .string(text))) }
    return .object(members)
  }
}
