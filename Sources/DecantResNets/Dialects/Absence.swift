internal import DecantBytes
internal import DecantGraphs
package import DecantTensors

/// What a state dict holds in which no ResNet was found.
package struct ResNetAbsence: Sendable {
  /// Names that begin alike.
  package struct Group: Sendable {
    /// The first step of the names, up to a point or a slash.
    package let prefix: String
    package let count: Int
    package let first: StateDict.Entry
  }

  /// What comes nearest to a ResNet.
  package struct Nearest: Sendable {
    /// The dialect and the prefix under which most names are a ResNet's.
    package let dialect: String
    package let prefix: String
    /// How many names those are.
    package let count: Int
    /// The published network that has most of them with their shapes, and how many.
    package let architecture: String
    package let fitting: Int
  }

  /// The clause that says that there is none.
  package static let reason = "not recognised as a ResNet: no tensor is named like a ResNet's stem or stage"

  /// A stem by name that is none by shape: its name and sizes; nil when there is none.
  package let oddStem: StateDict.Entry?
  /// The groups, the largest ones first.
  package let groups: [Group]
  /// Nil when no name is a ResNet's.
  package let nearest: Nearest?

  /// As many tensors' names as are compared with the dialects'.
  private static let mostExamined = 20_000

  /// Looks at what is there. O(dialects × tensors).
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
    oddStem = entries.first { entry in
      entry.tensor.shape.count != 4 && !ResNetNaming.dialects(ofStem: entry.name, in: stateDict).isEmpty
    }
    var best: (dialect: ResNetDialect, prefix: String, shapes: [String: [Int]])?
    for dialect in ResNetDialect.all {
      for (prefix, shapes) in Self.names(of: dialect, in: entries)
      where shapes.count > best?.shapes.count ?? 0 {
        best = (dialect, prefix, shapes)
      }
    }
    nearest = best.flatMap { best in
      let fits = ResNetArchitecture.all.compactMap { architecture -> (name: String, count: Int)? in
        guard let graph = try? architecture.configuration.graph() else { return nil }
        return (
          architecture.name,
          graph.parameters.count { !$0.shape.isEmpty && best.shapes[$0.name] == $0.shape }
        )
      }
      // The first of those that fit equally: the list begins with the most common.
      return fits.max { $0.count < $1.count }.map {
        Nearest(
          dialect: best.dialect.name, prefix: best.prefix, count: best.shapes.count, architecture: $0.name,
          fitting: $0.count)
      }
    }
  }

  /// The shapes of what has a dialect's names, by this project's, for every prefix.
  private static func names(
    of dialect: ResNetDialect, in entries: ArraySlice<StateDict.Entry>
  ) -> [(prefix: String, shapes: [String: [Int]])] {
    var found: [String: [String: [Int]]] = [:]
    for entry in entries {
      var rest = Substring(entry.name)
      // Wrappers are not deeper.
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
  /// Makes the error of a state dict without a ResNet.
  ///
  /// - Parameter detail: the tensor that is missing or unlike a ResNet's; nil when no name is a ResNet's.
  static func noResNet(_ detail: String? = nil) -> DecantError {
    DecantError(
      .notAResNet, detail.map { "not recognised as a ResNet: \($0)" } ?? ResNetAbsence.reason,
      advice: .inspect)
  }
}
