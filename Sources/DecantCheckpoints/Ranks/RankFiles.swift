internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// The files of a folder that belong to one run's processes, found by their names and confirmed by their contents.
struct RankFiles {
  /// Files whose names differ only in the number of the rank.
  struct Group {
    /// The names in the order of their numbers.
    var names: [String]
    /// True when the name says `rank`.
    let namesRank: Bool

    /// The name with the number replaced by `*`.
    let pattern: String
  }

  /// Opens a folder that holds the files of one run's ranks; nil when no file in it holds a piece of a tensor.
  ///
  /// - Throws: ``DecantError`` when the folder holds the files of several runs, or a whole checkpoint beside them.
  static func open(
    _ folder: CheckpointFolder, _ names: [String], limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile])? {
    let checkpoints = names.filter(Checkpoint.hasUsualEnding)
    let all = groups(checkpoints)
    var pieces: [Group] = []
    var optimizers: [Group] = []
    var others: [Group] = []
    for group in all {
      switch try kind(of: group, in: folder, limits) {
      case .pieces: pieces.append(group)
      case .optimizerPieces: optimizers.append(group)
      case nil: others.append(group)
      }
    }
    // An optimizer's state beside the model's weights belongs to the same run, but to no state dict.
    let chosen = pieces.isEmpty ? optimizers : pieces
    guard let only = chosen.first else { return nil }
    let left = (pieces.isEmpty ? [] : optimizers) + others.filter { $0.names.count > 1 }
    guard chosen.count == 1 else {
      throw ambiguity(folder, "the files of several runs: \(list(chosen.map(\.pattern)))", only)
    }
    let grouped = Set(all.filter { $0.names.count > 1 }.flatMap(\.names) + only.names)
    var unreadable: [String] = []
    for name in checkpoints where !grouped.contains(name) {
      guard try isWhole(name, in: folder, limits, &unreadable) else { continue }
      throw ambiguity(
        folder,
        "pieces (\(only.pattern.escapedForDisplay)) and a whole checkpoint (\(name.escapedForDisplay))", only,
        whole: name)
    }
    var files: [InputFile] = []
    for name in only.names { files.append(try folder.file(name)) }
    var (parts, opened) = try RankJoin.open(files, limits: limits)
    parts.warnings += unreadable
    if !left.isEmpty {
      parts.warnings.append("left out: \(list(left.map { "\($0.pattern) (\($0.names.count))" }))")
    }
    return (parts, opened)
  }

  private enum Kind { case pieces, optimizerPieces }

  /// Returns the kind of pieces that a group's first file holds; nil when it holds none, or cannot be read.
  private static func kind(
    of group: Group, in folder: CheckpointFolder, _ limits: Limits
  ) throws(DecantError) -> Kind? {
    // A single file is a piece only if its name says so. Others are opened by their own name.
    guard group.names.count > 1 || group.namesRank else { return nil }
    // A file that cannot be read fails when all are joined.
    var contents: CheckpointContents?
    for name in group.names.prefix(16) where contents == nil {
      contents = try? self.contents(name, in: folder, limits).get()
    }
    guard let contents else { return nil }
    let pieces = contents.tensors.filter { $0.rankPiece != nil }
    guard !pieces.isEmpty else { return nil }
    return pieces.contains { $0.stateDict != nil } ? .pieces : .optimizerPieces
  }

  /// Returns the first of a folder's files that holds a whole state dict, or is an index of shards; nil when none is.
  /// Returns a warning for each file that cannot be read.
  static func wholeCheckpoint(
    among names: [String], in folder: CheckpointFolder, _ limits: Limits
  ) throws(DecantError) -> (name: String?, warnings: [String]) {
    if let index = names.first(where: { $0.hasSuffix(".index.json") }) { return (index, []) }
    var unreadable: [String] = []
    for name in names where Checkpoint.hasUsualEnding(name) {
      if try isWhole(name, in: folder, limits, &unreadable) { return (name, []) }
    }
    return (nil, unreadable)
  }

  /// Returns true when a file holds a state dict of its own: floating-point tensors with dimensions under text keys.
  ///
  /// - Parameter unreadable: receives a warning when the file cannot be read.
  private static func isWhole(
    _ name: String, in folder: CheckpointFolder, _ limits: Limits, _ unreadable: inout [String]
  ) throws(DecantError) -> Bool {
    let contents: CheckpointContents
    switch try self.contents(name, in: folder, limits) {
    case .success(let read): contents = read
    case .failure(let error):
      unreadable.append("left out: \(name.escapedForDisplay), which cannot be read: \(error.reason)")
      return false
    }
    return contents.tensors.contains {
      $0.stateDict != nil && $0.tensor.dtype.kind == .floatingPoint && !$0.tensor.shape.isEmpty
    }
  }

  /// Returns a file's contents, or the error when it is not a checkpoint that can be read.
  ///
  /// - Throws: ``DecantError`` when the name leads out of the folder.
  private static func contents(
    _ name: String, in folder: CheckpointFolder, _ limits: Limits
  ) throws(DecantError) -> Result<CheckpointContents, DecantError> {
    let file = try folder.file(name)
    do throws(DecantError) {
      return .success(try Checkpoint.parts(of: ByteSource(file), limits: limits, nesting: 0).contents)
    } catch { return .failure(error) }
  }

  // MARK: Names

  /// Returns the files in groups of names that differ only in the rank's number, in the order of their names.
  static func groups(_ names: [String]) -> [Group] {
    var order: [String] = []
    var groups: [String: (namesRank: Bool, members: [(number: String, name: String)])] = [:]
    for name in names {
      let (pattern, number, namesRank) = split(name)
      if groups[pattern] == nil {
        order.append(pattern)
        groups[pattern] = (namesRank, [])
      }
      groups[pattern]?.members.append((number, name))
    }
    return order.map { pattern in
      let group = groups[pattern] ?? (false, [])
      let sorted = group.members.sorted { ($0.number.count, $0.number) < ($1.number.count, $1.number) }
      return Group(names: sorted.map(\.name), namesRank: group.namesRank, pattern: pattern)
    }
  }

  /// Returns a name with the rank's number replaced by `*`, the number, and true when the word `rank` precedes it.
  /// Without that word, the rank's number is the last one of the name.
  private static func split(_ name: String) -> (pattern: String, number: String, namesRank: Bool) {
    let text = Array(name.utf8)
    func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
    var runs: [Range<Int>] = []
    var start: Int?
    for index in 0...text.count {
      if index < text.count, isDigit(text[index]) {
        if start == nil { start = index }
      } else if let first = start {
        runs.append(first..<index)
        start = nil
      }
    }
    func follows(_ run: Range<Int>) -> Bool {
      var before = text[..<run.lowerBound]
      if let last = before.last,
        [UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "=")].contains(last)
      {
        before = before.dropLast()
      }
      return before.suffix(4).map { $0 | 0x20 } == Array("rank".utf8)
    }
    guard let run = runs.last(where: follows) ?? runs.last else { return (name, "", false) }
    func string(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
    return (
      string(text[..<run.lowerBound]) + "*" + string(text[run.upperBound...]), string(text[run]), follows(run)
    )
  }

  // MARK: Messages

  private static func list(_ names: [String]) -> String {
    names.prefix(8).map(\.escapedForDisplay).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }

  private static func ambiguity(
    _ folder: CheckpointFolder, _ clause: String, _ group: Group, whole: String? = nil
  ) -> DecantError {
    DecantError(
      .notAFile, "is a folder with \(clause)", file: folder.path,
      advice: .joinFiles(
        // A shell replaces the pattern by the names.
        group.names.count > 8 ? [folder.path(of: group.pattern)] : group.names.map { folder.path(of: $0) },
        or: whole.map { folder.path(of: $0) }))
  }
}
