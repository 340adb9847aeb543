package import DecantBytes
internal import DecantGraphs
internal import DecantTensors

extension ResNetVerification {
  /// Consecutive blocks of a stage that are missing, or that the network does not have.
  package struct BlockFinding: Sendable, Equatable {
    /// The canonical name of the stage, such as `layer3`.
    package let stage: String
    package let blocks: ClosedRange<Int>
    /// True when the file lacks the blocks; false when the network does not have them.
    package let isMissing: Bool
    /// The names of their tensors in the file, or those that they would have.
    package let names: [String]

    /// The finding as text, such as "layer3: blocks 6-22 missing (17 blocks, 255 tensors)".
    package var text: String {
      let kind = isMissing ? "missing" : "unexpected"
      let tensors = Format.count(names.count, "tensor")
      return blocks.count == 1
        ? "\(stage): block \(blocks.lowerBound) \(kind) (\(tensors))"
        : "\(stage): blocks \(blocks.lowerBound)-\(blocks.upperBound) \(kind) (\(Format.count(blocks.count, "block")), \(tensors))"
    }

    /// Returns the findings about whole blocks, in the network's order. O(tensors).
    fileprivate static func all(
      _ tensors: [(name: String, canonical: String)], isMissing: Bool, isWhole: (_ block: Place, Int) -> Bool
    ) -> [BlockFinding] {
      var members: [Place: [String]] = [:]
      for tensor in tensors {
        if let place = Place(tensor.canonical) { members[place, default: []].append(tensor.name) }
      }
      var found: [BlockFinding] = []
      for place in members.keys.sorted() {
        guard let names = members[place], isWhole(place, names.count) else { continue }
        let stage = "layer\(place.stage)"
        if let last = found.last, last.stage == stage, last.blocks.upperBound == place.block - 1 {
          found[found.count - 1] = BlockFinding(
            stage: stage, blocks: last.blocks.lowerBound...place.block, isMissing: isMissing,
            names: last.names + names)
        } else {
          found.append(
            BlockFinding(stage: stage, blocks: place.block...place.block, isMissing: isMissing, names: names))
        }
      }
      return found
    }

    /// A block's stage, from 1, and index in it.
    fileprivate struct Place: Hashable, Comparable {
      let stage: Int
      let block: Int

      /// Parses the beginning of a canonical name, `layer3.6.`; nil for a tensor outside the blocks.
      init?(_ canonical: String) {
        let steps = canonical.split(separator: ".", maxSplits: 2)
        guard steps.count == 3, steps[0].hasPrefix("layer"), let stage = Int(steps[0].dropFirst(5)),
          let block = Int(steps[1]), 0..<Int.max ~= block
        else { return nil }
        (self.stage, self.block) = (stage, block)
      }

      static func < (left: Place, right: Place) -> Bool {
        (left.stage, left.block) < (right.stage, right.block)
      }
    }

    /// Returns the blocks of which every tensor is missing, and those that the network does not have.
    static func findings(
      missing: [Missing], unexpected: [(name: String, canonical: String)], parameters: [Parameter]
    ) -> [BlockFinding] {
      guard !missing.isEmpty || !unexpected.isEmpty else { return [] }
      var expected: [Place: Int] = [:]
      for parameter in parameters {
        guard let place = Place(parameter.name) else { continue }
        expected[place, default: 0] += parameter.isOptional ? 0 : 1
      }
      return all(missing.map { ($0.name, $0.canonical) }, isMissing: true) { expected[$0] == $1 }
        + all(unexpected, isMissing: false) { place, _ in expected[place] == nil }
    }
  }

  /// Checks that the weights match the network.
  ///
  /// - Parameter allowsNonFinite: true to accept NaN and infinity.
  /// - Throws: ``DecantError`` of code `mismatch` that lists the differences, at most `mostListed` of each kind.
  package func requireMatch(
    _ architecture: String?, file: String?, allowsNonFinite: Bool = false, mostListed: Int = .max
  ) throws(DecantError) {
    guard !isMatch, !(allowsNonFinite && missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty) else {
      return
    }
    let single = findingsOutsideBlocks
    let kinds = [
      ("missing", single.missing.map { "\($0.name.escapedForDisplay) \(Self.shown($0.shape))" }),
      ("unexpected", single.unexpected.map(\.escapedForDisplay)),
      ("mismatched", mismatched.map { "\($0.name.escapedForDisplay) \(Self.words($0.difference))" }),
      ("with NaN or infinity", nonFinite.map { "\($0.name.escapedForDisplay) (\($0.count))" }),
    ]
    let lists = kinds.filter { !$0.1.isEmpty }.map { kind, items in
      "\(items.count) \(kind): " + items.prefix(mostListed).joined(separator: ", ")
        + (items.count > mostListed ? " and \(items.count - mostListed) more" : "")
    }
    let areOnlyUnexpected =
      missing.isEmpty && mismatched.isEmpty && nonFinite.isEmpty && !unexpectedStatistics
    throw DecantError(
      .mismatch,
      "the weights do not match \(architecture ?? "the network"): "
        + (blocks.map(\.text) + lists).joined(separator: "; "),
      file: file, advice: areOnlyUnexpected ? .ignoreTensors(unexpectedPatterns) : .verify)
  }

  /// True when unexpected tensors are the statistics of a norm, which the network computes with.
  package var unexpectedStatistics: Bool {
    unexpected.contains { $0.hasSuffix("running_mean") || $0.hasSuffix("running_var") }
  }

  /// The tensors of the network with NaN or infinity as text; nil when there are none.
  package var nonFiniteWeightsText: String? {
    let others = Set(beside.map { ExactText($0) })
    let own = nonFinite.filter { !others.contains(ExactText($0.name)) }
    return own.isEmpty ? nil : Self.text(own)
  }

  /// The tensors with NaN or infinity as text, such as "2 tensors hold NaN or Inf: conv1.weight (3), fc.bias (1)".
  package var nonFiniteText: String { Self.text(nonFinite) }

  private static func text(_ nonFinite: [NonFinite]) -> String {
    let named = nonFinite.prefix(mostNamed).map { "\($0.name.escapedForDisplay) (\($0.count))" }
    let more = nonFinite.count > named.count ? " and \(nonFinite.count - named.count) more" : ""
    return
      "\(Format.count(nonFinite.count, "tensor")) \(nonFinite.count == 1 ? "holds" : "hold") NaN or Inf: "
      + named.joined(separator: ", ") + more
  }

  /// The largest number of tensors that ``nonFiniteText`` names.
  private static let mostNamed = 5

  /// The missing and unexpected tensors that are in none of ``blocks``. O(tensors).
  package var findingsOutsideBlocks: (missing: [Missing], unexpected: [String]) {
    let folded = Set(blocks.flatMap(\.names).map { ExactText($0) })
    return (
      missing.filter { !folded.contains(ExactText($0.name)) },
      unexpected.filter { !folded.contains(ExactText($0)) }
    )
  }

  /// Returns a difference as text: "has shape 10×512, expected 1000×512".
  private static func words(_ difference: Mismatch.Difference) -> String {
    switch difference {
    case .shape(let expected, let found): "has shape \(shown(found)), expected \(shown(expected))"
    case .type(let expected, let found): "is \(found.rawValue), expected \(expected)"
    }
  }

  private static func shown(_ shape: [Int]) -> String {
    shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "×")
  }

  /// The largest number of patterns before names are listed one by one.
  private static let mostPatterns = 8

  /// Returns glob patterns that match all of some names and none of the others.
  ///
  /// After ``mostPatterns`` patterns, further names are left out. O(names × others) for each pattern tried.
  static func patterns(matching names: [String], butNot others: [String]) -> [String] {
    var rest = names
    var patterns: [String] = []
    while let name = rest.first, patterns.count < mostPatterns {
      let steps = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      var candidates: [(text: String, matches: (String) -> Bool)] = []
      func add(_ text: String, _ matches: @escaping (String) -> Bool) {
        // These characters have a meaning of their own in a pattern.
        if !text.contains(where: { "?[]\\".contains($0) }) { candidates.append((text, matches)) }
      }
      if steps.count > 1, rest.count > 1 {
        add(steps[0] + ".*") { $0.hasPrefix(steps[0] + ".") }
        for step in steps.dropLast().dropFirst() where Int(step) == nil {
          add("*.\(step).*") { $0.contains(".\(step).") }
        }
        let last = "." + steps[steps.count - 1]
        add("*" + last) { $0.hasSuffix(last) }
        let module = steps.dropLast().joined(separator: ".") + "."
        add(module + "*") { $0.hasPrefix(module) }
      }
      let pattern =
        candidates.first { candidate in !others.contains(where: candidate.matches) }
        ?? (text: name, matches: { $0 == name })
      patterns.append(pattern.text)
      rest.removeAll(where: pattern.matches)
    }
    return patterns
  }
}
