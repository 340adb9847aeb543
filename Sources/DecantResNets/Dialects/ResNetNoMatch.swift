internal import DecantBytes
internal import DecantGraphs
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

  /// The dialect, prefix and published network that match the most tensors.
  package struct Nearest: Sendable {
    /// The dialect and the prefix under which the most names are a ResNet's.
    package let dialect: String
    package let prefix: String
    /// The number of those names.
    package let count: Int
    /// The published network that has the most of these tensors with equal shapes, and their number.
    package let architecture: String
    package let fitting: Int
  }

  /// The message's clause for a state dict without a ResNet.
  package static let reason = "not recognised as a ResNet: no tensor is named like a ResNet stem or stage"

  /// A tensor with the name of a stem but without its four dimensions; nil when there is none.
  package let malformedStem: StateDict.Entry?
  /// The groups of tensors, the largest first.
  package let groups: [Group]
  /// The nearest match; nil when no name is a ResNet's.
  package let nearest: Nearest?

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
      // Of equal counts the first is taken, because the list begins with the most common networks.
      return fits.max { $0.count < $1.count }.map {
        Nearest(
          dialect: best.dialect.name, prefix: best.prefix, count: best.shapes.count, architecture: $0.name,
          fitting: $0.count)
      }
    }
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
  /// - Parameter detail: the tensor that is missing or has an impossible shape; nil when no name is a ResNet's.
  static func noResNet(_ detail: String? = nil) -> DecantError {
    DecantError(
      .notAResNet, detail.map { "not recognised as a ResNet: \($0)" } ?? ResNetNoMatch.reason,
      advice: .inspect)
  }
}
