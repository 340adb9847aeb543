internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A checkpoint in several files, with an index that names the file of each tensor.
///
/// The index is `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
///
/// Source: Hugging Face `transformers` and `huggingface_hub`; docs/formats/shards.md.
struct ShardedCheckpoint {
  /// The contents of an index.
  package struct Index {
    /// The name and file of each tensor, in the index's order.
    package let weights: [(name: String, file: String)]
    package let totalByteCount: Int?
    package let containerMetadata: [(String, String)]

    /// Creates the index of shards that have none.
    fileprivate init(weights: [(name: String, file: String)]) {
      (self.weights, totalByteCount, containerMetadata) = (weights, nil, [])
    }

    /// Reads an index; nil when the file is not JSON, or is JSON without a `weight_map`.
    ///
    /// - Throws: ``DecantError`` when the index is malformed.
    package init?(_ file: ByteSource, limits: Limits) throws(DecantError) {
      // JSON begins after spaces and line ends. The header's length in .safetensors may have such bytes, and has zeros.
      guard let first = try file.head().first(where: { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }),
        first == UInt8(ascii: "{")
      else {
        return nil
      }
      guard file.byteCount <= limits.headerBytes else {
        throw DecantError(
          limits.exceeded(\.headerBytes, need: file.byteCount),
          "is JSON of \(Format.count(file.byteCount, "byte"))",
          file: file.path)
      }
      let bytes = try file.bytes(at: 0, count: file.byteCount)
      guard Index.mentionsWeightMap(bytes) else { return nil }
      let json: JSONValue
      do throws(ParsingError) { json = try JSONValue(parsing: unsafe bytes.span.bytes, depth: 16) } catch {
        throw DecantError(error, in: "the index", file: file.path)
      }
      guard let map = json["weight_map"] else { return nil }
      guard case .object(let members) = map else {
        throw DecantError(.damaged, "the index's weight_map is not a JSON object", file: file.path)
      }
      var weights: [(name: String, file: String)] = []
      for (name, value) in members {
        guard let shard = value.string else {
          throw DecantError(
            .damaged, "the index gives no file for the tensor", file: file.path, tensor: name)
        }
        weights.append((name, shard))
      }
      guard weights.count <= limits.paths else {
        throw DecantError(
          limits.exceeded(\.paths, need: weights.count),
          "\(Format.count(weights.count, "tensor", ("is", "are"))) listed",
          file: file.path)
      }
      self.weights = weights
      totalByteCount = json["metadata"]?["total_size"]?.size
      var containerMetadata: [(String, String)] = []
      if case .object(let members)? = json["metadata"] {
        for (key, value) in members where key != "total_size" {
          switch value {
          case .array, .object: continue
          default: containerMetadata.append((key, value.string ?? value.text))
          }
        }
      }
      self.containerMetadata = containerMetadata
    }

    private static func mentionsWeightMap(_ bytes: [UInt8]) -> Bool {
      let word = Array("\"weight_map\"".utf8)
      var start = 0
      while start + word.count <= bytes.count {
        if bytes[start] == word[0], bytes[start + 1] == word[1],
          bytes[start..<start + word.count].elementsEqual(word)
        {
          return true
        }
        start += 1
      }
      return false
    }
  }

  /// Opens the shards of a folder without an index, whose names say how many there are. Reads no weights.
  ///
  /// - Parameter shards: the names of all shards of one checkpoint, in order.
  /// - Returns: nil when a shard has tensors that are not at its root.
  /// - Throws: ``DecantError`` when two shards have a tensor of the same name.
  static func open(
    shards: [String], in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile])? {
    var weights: [(name: String, file: String)] = []
    var owners: [ExactText: String] = [:]
    for shard in shards {
      let opened = try Checkpoint.parts(of: ByteSource(folder.file(shard)), limits: limits, nesting: 1)
      for tensor in opened.contents.tensors {
        guard tensor.path.count == 1 else { return nil }
        if let other = owners.updateValue(shard, forKey: ExactText(tensor.name)) {
          throw DecantError(
            .duplicateName, "is in two shards: \(other.escapedForDisplay) and \(shard.escapedForDisplay)",
            file: folder.path, tensor: tensor.name)
        }
        weights.append((tensor.name, shard))
      }
    }
    guard !weights.isEmpty else { return nil }
    return try open(
      Index(weights: weights), nil, in: folder, limits: limits)
  }

  /// Opens every shard that an index names. Reads no weights.
  ///
  /// - Parameter file: the index file; nil when the index was made from the shards themselves.
  static func open(
    _ index: Index, _ file: InputFile?, in folder: CheckpointFolder, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    var files = file.map { [$0] } ?? []
    var parts = Checkpoint.Parts(container: .shards, contents: CheckpointContents())
    /// The tensors of each shard by name.
    var shards: [ExactText: [ExactText: CheckpointTensor]] = [:]
    var containerMetadata: [[(String, String)]] = []
    var order: [String] = []
    for (name, shard) in index.weights where shards[ExactText(shard)] == nil {
      let opened: Checkpoint.Parts
      do throws(DecantError) {
        let input = try folder.file(shard)
        files.append(input)
        opened = try Checkpoint.parts(of: ByteSource(input), limits: limits, nesting: 1)
      } catch { throw error.located(file: folder.path(of: shard), tensor: name) }
      order.append(shard)
      shards[ExactText(shard)] = Dictionary(
        opened.contents.tensors.filter { $0.path.count == 1 }.map { (ExactText($0.name), $0) },
        uniquingKeysWith: { first, _ in first })
      parts.contents.objects += opened.contents.objects
      parts.warnings += opened.warnings.map { "\(shard.escapedForDisplay): \($0)" }
      parts.damage += opened.damage
      containerMetadata.append(opened.containerMetadata)
      if parts.truncation == nil { parts.truncation = opened.truncation }
      let nested = opened.contents.tensors.count - (shards[ExactText(shard)]?.count ?? 0)
      if nested > 0 {
        parts.warnings.append(
          "\(shard.escapedForDisplay): \(nested) tensors are not at its root and were skipped")
      }
    }
    var absent: [(name: String, file: String)] = []
    for (name, shard) in index.weights {
      if let tensor = shards[ExactText(shard)]?.removeValue(forKey: ExactText(name)) {
        parts.contents.tensors.append(tensor)
      } else {
        absent.append((name, shard))
      }
    }
    guard absent.isEmpty else {
      let list = absent.prefix(3).map { "\($0.name.escapedForDisplay) in \($0.file.escapedForDisplay)" }
      throw DecantError(
        .damaged,
        "\(Format.count(absent.count, "tensor", ("is", "are"))) not in the shards the index names: \(list.joined(separator: ", "))\(absent.count > 3 ? ", …" : "")",
        file: file?.path,
        remedy: "The index and the shards are of different checkpoints. Download all of them again.")
    }
    let extra = order.flatMap { shard in
      (shards[ExactText(shard)] ?? [:]).keys.map {
        "\($0.text.escapedForDisplay) in \(shard.escapedForDisplay)"
      }.sorted()
    }
    if !extra.isEmpty {
      parts.warnings.append(
        "skipped \(Format.count(extra.count, "tensor")) that are not in the index: \(extra.prefix(3).joined(separator: ", "))"
          + (extra.count > 3 ? ", …" : ""))
    }
    if let file, let stale = leftovers(file.path, order, in: folder) { parts.warnings.append(stale) }
    if let expected = index.totalByteCount, let found = mismatch(expected, parts.contents.tensors) {
      parts.warnings.append(
        "the index says that the tensors have \(expected) bytes in total, but they have \(found)")
    }
    parts.containerMetadata = [("shards", String(order.count))] + index.containerMetadata
    // A fact that all shards state alike is listed once.
    for hint in containerMetadata.first ?? []
    where containerMetadata.allSatisfy({ $0.contains { $0.0 == hint.0 && $0.1 == hint.1 } }) {
      if hint.0 != ConvolutionRecord.key { parts.containerMetadata.append(hint) }
    }
    // Each shard records its own weights.
    let records = containerMetadata.flatMap { $0.filter { $0.0 == ConvolutionRecord.key }.map(\.1) }
    if let record = ConvolutionRecord.merged(records) {
      parts.containerMetadata.append((ConvolutionRecord.key, record))
    }
    return (parts, files)
  }

  /// Returns the warning about files of the same name that the index does not list; nil without such files.
  private static func leftovers(_ index: String, _ shards: [String], in folder: CheckpointFolder) -> String? {
    let name = index.split(separator: "/").last.map(String.init) ?? index
    guard let family = ShardFamily(index: name) else { return nil }
    let read = Set(([name] + shards).map(ExactText.init))
    let names = (try? folder.names(limit: 100_000)) ?? []
    let others = family.members(among: names).filter { !read.contains(ExactText($0)) }
    guard let first = others.first else { return nil }
    let rest = others.count > 1 ? " and \(others.count - 1) more" : ""
    return
      "\(first.escapedForDisplay)\(rest) in the same folder \(others.count == 1 ? "is" : "are") not of this index and \(others.count == 1 ? "was" : "were") not read: perhaps of an earlier conversion"
  }

  /// Returns the tensors' total byte count when it differs from the index's `total_size`; nil when they agree. Views
  /// of the same data may be counted once or each.
  private static func mismatch(_ expected: Int, _ tensors: [CheckpointTensor]) -> Int? {
    let all = tensors.map(\.tensor.byteCount).saturatingSum
    if all == expected { return nil }
    var seen: Set<ObjectIdentifier> = []
    let once = tensors.filter { seen.insert(ObjectIdentifier($0.tensor.storage)).inserted }.map(
      \.tensor.byteCount
    ).saturatingSum
    return once == expected ? nil : all
  }
}
