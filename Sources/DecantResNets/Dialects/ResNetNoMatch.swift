internal import DecantBytes
package import DecantTensors

/// A report on a state dict in which no ResNet was found.
package struct ResNetNoMatch: Sendable {
  /// Tensors whose names begin with the same part.
  package struct Group: Sendable {
    /// The first part of the names, up to a dot or a slash.
    package let prefix: String
    package let count: Int
    package let first: StateDict.Entry
  }

  /// Returns the reason why a state dict holds no ResNet, and the family of networks that it looks like, as a clause.
  /// O(dialects × tensors).
  package static func reason(_ stateDict: StateDict, prefix: String? = nil) -> String {
    names(stateDict, prefix: prefix)
      + (NetworkFamily(of: stateDict).map { "; it looks like \($0.description)" } ?? "")
  }

  /// Returns which names are a ResNet's and which required one is missing, as a clause.
  private static func names(_ stateDict: StateDict, prefix: String?) -> String {
    guard let likely = mostNames(in: stateDict, prefix: prefix),
      likely.shapes.count * 2 > stateDict.entries.count,
      let map = try? ResNetTensorNameMap(stateDict, likely.dialect, prefix: likely.prefix)
    else { return noNames }
    let needed = [["conv1.weight", "conv1.0.weight"], ["layer1.0.conv1.weight"]]
    guard let missing = needed.first(where: { $0.allSatisfy { likely.shapes[$0] == nil } })?.first else {
      return noNames
    }
    return
      "not recognised as a ResNet: \(Format.count(likely.shapes.count)) of \(Format.count(stateDict.entries.count, "tensor")) have names of \(likely.dialect.name), but \(map.spelling(of: missing)) is missing"
  }

  /// Returns true when some dialect has all names of a state dict. O(dialects × tensors).
  package static func namesAll(of stateDict: StateDict) -> Bool {
    mostNames(in: stateDict)?.shapes.count == stateDict.entries.count
  }

  /// The reason when few names are a ResNet's.
  private static let noNames = "not recognised as a ResNet: no tensor is named like a ResNet stem or stage"

  /// A tensor with the name of a stem but without its four dimensions; nil when there is none.
  package let malformedStem: StateDict.Entry?
  /// The groups of tensors, the largest first.
  package let groups: [Group]
  /// The family of networks whose names the tensors have; nil when they are no known family's.
  package let family: NetworkFamily?

  /// The largest number of tensors whose names are compared with the dialects'.
  private static let mostExamined = 20_000

  /// Examines a state dict. O(dialects × tensors).
  package init(of stateDict: StateDict) {
    var places: [String: Int] = [:]
    var groups: [(prefix: String, count: Int, first: StateDict.Entry)] = []
    for entry in stateDict.entries {
      let prefix = String(entry.name.prefix { $0 != "." && $0 != "/" })
      if let place = places[prefix] {
        groups[place].count += 1
      } else {
        places[prefix] = groups.count
        groups.append((prefix, 1, entry))
      }
    }
    self.groups = groups.enumerated()
      .sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
      .map { Group(prefix: $0.element.prefix, count: $0.element.count, first: $0.element.first) }

    let entries = stateDict.entries.prefix(Self.mostExamined)
    malformedStem = entries.first { entry in
      entry.tensor.shape.count != 4
        && !ResNetTensorNameMap.dialects(ofStem: entry.name, in: stateDict).isEmpty
    }
    family = NetworkFamily(of: stateDict)
  }

  /// Returns the dialect and the prefix under which the most names are a ResNet's, with the shapes of these tensors by
  /// canonical name; nil when no name is a ResNet's. O(dialects × tensors).
  ///
  /// - Parameter only: the only prefix to try; nil for any.
  static func mostNames(
    in stateDict: StateDict, prefix only: String? = nil
  ) -> (dialect: ResNetDialect, prefix: String, shapes: [String: [Int]])? {
    let entries = stateDict.entries.prefix(mostExamined)
    var best: (dialect: ResNetDialect, prefix: String, shapes: [String: [Int]])?
    for dialect in ResNetDialect.all {
      for (prefix, shapes) in names(of: dialect, in: entries)
      where (only ?? prefix) == prefix && shapes.count > best?.shapes.count ?? 0 {
        best = (dialect, prefix, shapes)
      }
    }
    return best
  }

  /// Returns the shapes of the tensors with a dialect's names, by canonical name, for every prefix.
  private static func names(
    of dialect: ResNetDialect, in entries: ArraySlice<StateDict.Entry>
  ) -> [(prefix: String, shapes: [String: [Int]])] {
    var found: [String: [String: [Int]]] = [:]
    for entry in entries {
      var rest = Substring(entry.name)
      // A prefix has at most five parts; wrappers are not nested deeper.
      for _ in 0..<6 {
        if let canonical = dialect.canonicalName(of: rest) {
          let prefix = String(Substring(entry.name.utf8.dropLast(rest.utf8.count)))
          found[prefix, default: [:]][canonical] = entry.tensor.shape
          break
        }
        guard let end = rest.firstIndex(of: ".") else { break }
        rest = rest[rest.index(after: end)...]
      }
    }
    return found.sorted { $0.key < $1.key }.map { (prefix: $0.key, shapes: $0.value) }
  }
}

extension DecantError {
  /// Creates the error for a state dict without a ResNet.
  ///
  /// - Parameter detail: the tensor that is missing or has an impossible shape.
  static func noResNet(_ detail: String) -> DecantError {
    DecantError(
      .notAResNet, "not recognised as a ResNet: \(detail)", advice: .inspect)
  }
}
