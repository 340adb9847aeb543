package import DecantBytes
internal import DecantIO
internal import DecantTensors

/// Checks that refuse to lose weights silently: tensors of kinds that are not read, and single ranks' parts of
/// tensors.
extension Checkpoint {
  /// Returns the state dict of a network: the one under a key, or the only one.
  ///
  /// - Throws: ``DecantError`` when there is none or there are several, or when its tensors are of kinds that are not
  ///   read or are parts of larger tensors.
  package func readableStateDict(key: String? = nil) throws(DecantError) -> Selection {
    try readableChoice(key: key).selection
  }

  /// Returns the state dict of a network, and the values that it leaves out.
  ///
  /// - Parameter except: patterns of the names of tensors to leave out.
  /// - Throws: ``DecantError`` as ``readableStateDict(key:)``, and for a pattern that matches no tensor.
  package func readableChoice(
    key: String? = nil, except: [String] = []
  ) throws(DecantError) -> StateDictChoice {
    let choice = try networkChoice(key: key, except: except)
    try requireReadable(choice.selection)
    return choice
  }

  /// Returns the state dict of a network that is only identified, and the values that it leaves out. Its tensors may be
  /// of kinds that are not read.
  ///
  /// - Throws: ``DecantError`` when there is no state dict or several, and when this file holds one process's part of it.
  package func networkChoice(
    key: String? = nil, except: [String] = []
  ) throws(DecantError) -> StateDictChoice {
    if key == nil, except.isEmpty, stateDictCandidates.isEmpty {
      let unread = objects.filter { $0.unreadTensor != nil }
      if !unread.isEmpty { throw unreadRefusal(unread, "read", .saveWhole) }
    }
    if key == nil, except.isEmpty, stateDictCandidates.count != 1 {
      let parts = tensors.filter { $0.rankPart != nil }
      let split = Set(parts.compactMap(\.stateDict))
      // Another key helps only when a state dict is whole.
      if !parts.isEmpty, stateDictCandidates.allSatisfy({ split.contains($0.path) }) {
        throw rankRefusal(parts)
      }
    }
    let choice = try (key == nil ? chosenStateDict(except: except) : self.choice(key: key))
      .excluding(except, in: self)
    try requireWhole(choice.selection)
    return choice
  }

  /// Returns a clause that names the unread tensors of a selection; nil when there are none.
  package func unreadNote(in selection: Selection) -> String? {
    selection.unread.isEmpty
      ? nil
      : "the state dict also has \(Format.count(selection.unread.count, "tensor")) that cannot be read: \(Self.list(selection.unread))"
  }

  /// Throws when tensors of a selection are of kinds that are not read, or are parts of tensors whose rest is in
  /// other files.
  ///
  /// - Parameters:
  ///   - use: a participle for the message, such as `converted`.
  ///   - isChosen: returns true when the tensor with a name, below the selection's path, is used.
  /// - Throws: ``DecantError`` that names the first of them.
  package func requireReadable(
    _ selection: Selection, use: String = "read",
    isChosen: (String) -> Bool = { _ in true }
  ) throws(DecantError) {
    let unread = selection.unread.filter { isChosen(selection.name(of: $0.path)) }
    guard unread.isEmpty else {
      throw unreadRefusal(unread, use, selection.leavingOutUnread)
    }
    try requireWhole(selection, isChosen: isChosen)
  }

  /// Throws when tensors of a selection are parts of tensors whose rest is in other files.
  ///
  /// - Parameter isChosen: returns true when the tensor with a name, below the selection's path, is used.
  /// - Throws: ``DecantError`` that says which files have the rest.
  package func requireWhole(
    _ selection: Selection, isChosen: (String) -> Bool = { _ in true }
  ) throws(DecantError) {
    let parts = selection.tensors.filter { entry in
      entry.rankPart.map {
        isChosen(selection.name(of: $0.owner)) || isChosen(selection.name(of: entry.path))
      } ?? false
    }
    guard parts.isEmpty else { throw rankRefusal(parts) }
  }

  /// Returns a warning that names the unread tensors and the parts outside a selection; nil when there are none.
  package func unreadWarning(outside selection: Selection) -> String? {
    let within = Set(selection.unread.map(\.path))
    let unread = objects.filter { $0.unreadTensor != nil && !within.contains($0.path) }
    let parts = tensors.filter { $0.rankPart != nil && !$0.path.starts(with: selection.path) }
    var clauses: [String] = []
    if !unread.isEmpty {
      clauses.append("\(Format.count(unread.count, "tensor")) that cannot be read: \(Self.list(unread))")
    }
    if !parts.isEmpty {
      let owners = Self.owners(parts)
      clauses.append("one rank's part of \(Format.count(owners.count, "tensor")): \(Self.list(owners))")
    }
    return clauses.isEmpty
      ? nil
      : "outside \(selection.key.escapedForDisplay) the file also holds \(clauses.joined(separator: ", and "))"
  }

  /// Returns the error for tensors of kinds that are not read.
  func unreadRefusal(_ unread: [CheckpointObject], _ use: String, _ advice: DecantError.Advice) -> DecantError
  {
    DecantError(
      .unreadTensors,
      "holds \(unread.count > Self.mostNamed ? Format.count(unread.count, "tensor") : "tensors") that cannot be \(use): \(Self.list(unread))",
      file: path, advice: advice)
  }

  /// Returns the error for one process's parts of tensors.
  func rankRefusal(_ parts: [CheckpointTensor]) -> DecantError {
    let owners = Self.owners(parts)
    let kind = parts.first?.rankPart
    return DecantError(
      .partialCheckpoint,
      "holds only one rank's part of \(Format.count(owners.count, "tensor")) (\(kind?.description ?? "")): \(Self.list(owners))",
      file: path, advice: Self.joining(parts) ?? kind.map { .text($0.remedy) })
  }

  /// Returns the advice to join the files of all ranks; nil when the parts do not record their positions.
  private static func joining(_ parts: [CheckpointTensor]) -> DecantError.Advice? {
    guard let piece = parts.lazy.compactMap(\.rankPiece).first else { return nil }
    let ranks = piece.otherRanks
    guard !ranks.isEmpty else { return .joinRanks("the other ranks") }
    let names = ranks.prefix(8).map(String.init).joined(separator: ", ")
    return .joinRanks(
      "\(ranks.count == 1 ? "rank" : "ranks") \(names)\(ranks.count > 8 ? " and \(ranks.count - 8) more" : "")"
    )
  }

  // MARK: Messages

  /// The number of names that a message lists. `mostKinds` is the number when the names have different kinds.
  private static let mostNamed = 8
  private static let mostKinds = 32

  package static func list(_ unread: [CheckpointObject]) -> String {
    func name(_ object: CheckpointObject) -> String {
      object.path.isEmpty ? "the one at the root" : object.name.escapedForDisplay
    }
    let kinds = Set(unread.map(\.unreadTensor))
    if kinds.count == 1, unread.count > 1, let kind = unread[0].unreadTensor {
      return list(unread.prefix(mostNamed).map(name), of: unread.count) + " (all: \(kind))"
    }
    return list(
      unread.prefix(mostKinds).map { "\(name($0)) (\($0.unreadTensor ?? ""))" }, of: unread.count)
  }

  private static func list(_ owners: [[PathKey]]) -> String {
    list(
      owners.prefix(mostNamed).map { $0.isEmpty ? "the one at the root" : $0.joinedName.escapedForDisplay },
      of: owners.count)
  }

  private static func list(_ names: [String], of count: Int) -> String {
    names.joined(separator: ", ") + (count > names.count ? " and \(count - names.count) more" : "")
  }

  /// Returns the paths of the tensors that were split, each once, in the file's order.
  private static func owners(_ parts: [CheckpointTensor]) -> [[PathKey]] {
    var seen: Set<[PathKey]> = []
    return parts.compactMap { $0.rankPart?.owner }.filter { seen.insert($0).inserted }
  }
}

extension Selection {
  /// The advice to leave out tensors that are not read; to save the checkpoint again when there are no others.
  package var leavingOutUnread: DecantError.Advice { tensors.isEmpty ? .saveWhole : .skipUnread }
}
