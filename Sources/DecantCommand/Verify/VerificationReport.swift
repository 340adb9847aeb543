internal import DecantBytes
internal import DecantNetworks
internal import DecantResNets
internal import DecantTensors

extension ResNetVerification {
  /// The options that leave out the unexpected tensors, as a sentence; nil when there are none, and where they have the
  /// statistics of a norm: without these the network would compute something else.
  var leavingOutUnexpected: String? {
    guard !unexpected.isEmpty, !unexpectedStatistics else { return nil }
    return "if the unexpected tensors are not part of the network, leave them out: "
      + DecantError.Advice.exceptOptions(unexpectedPatterns)
  }
}

/// The output of `decant verify`.
struct VerificationReport {
  let network: ResolvedNetwork
  let verification: ResNetVerification
  /// The errors of damaged storages and records.
  let damage: [DecantError]
  /// True when the user named the architecture.
  let isArchitectureNamed: Bool
  /// A description of the network that the names and shapes match instead of the named one; nil when there is none.
  let shapes: String?

  /// Returns a description of the network that the names and shapes match, or nil when they match none. It helps users
  /// who expected another network.
  ///
  /// - Parameter expectedClasses: the number of classes of the expected network.
  static func shapes(
    of file: NetworkFile, prefix: String?, insteadOf name: String?, expectedClasses: Int
  ) -> String? {
    guard let found = try? ResNetIdentification(.only(in: file.weights, prefix: prefix)) else { return nil }
    let configuration = found.configuration
    let names = ResNetArchitecture.all.filter { $0.configuration.hasTrunk(of: configuration) }.map(\.name)
    let classes = configuration.classes == 1 ? "1 class" : "\(Format.count(configuration.classes)) classes"
    guard let first = names.first else {
      let layers = configuration.layers.map(String.init).joined(separator: ", ")
      return "a custom ResNet with \(configuration.block.rawValue) blocks [\(layers)] and \(classes)"
    }
    let isNamed = names.contains { $0 == name }
    let advice = isNamed ? "--num-classes \(configuration.classes)" : "--arch \(first)"
    return "\(names.joined(separator: ", ")) with \(classes)"
      + (isNamed && configuration.classes == expectedClasses ? "" : "; try \(advice)")
  }

  /// True when the names, shapes and types match and all data is intact and finite.
  var isMatch: Bool { verification.isMatch && damage.isEmpty }

  /// - Parameter listsAll: true to list every tensor instead of folding similar findings.
  func print(listsAll: Bool) {
    StandardStreams.answer(verdict, isYes: isMatch)
    for line in listsAll ? findings.map(\.line) : foldedFindings { StandardStreams.line("  " + line) }
    if let shapes { StandardStreams.line("  the shapes match \(shapes)") }
    if verification.matched == 0, let family = NetworkFamily(of: network.file.weights) {
      StandardStreams.line("  it looks like \(family.description.escapedForDisplay)")
    }
    if let advice = verification.leavingOutUnexpected { StandardStreams.line("  \(advice)") }
    if !head.isEmpty {
      StandardStreams.line(
        "  its head is not recognised: \(ResNetIdentification.text(ofTensors: head)); run and convert to ONNX need --num-classes 0, for the pooled features"
      )
    }
    let headNames = Set(head.map { ExactText($0) })
    let others = verification.beside.filter { !headNames.contains(ExactText($0)) }
    if let first = others.first {
      StandardStreams.line(
        "  \(Format.count(others.count, "other tensor")), such as \(first.escapedForDisplay)"
      )
    }
    if let note = counterNote { StandardStreams.line("  " + note) }
    guard Presentation.current.showsDetails else {
      return StandardStreams.note("--verbose describes the network, and what weights cannot confirm")
    }
    StandardStreams.line()
    SummaryReport(configuration: network.identification.configuration).print()
    printFacts(network.identification)
  }

  /// The tensors of a head that is not recognised, which are not part of the comparison.
  private var head: [String] {
    let beside = Set(verification.beside.map { ExactText($0) })
    let names = network.identification.naming.head.unresolved
    return names.allSatisfy { beside.contains(ExactText($0)) } ? names : []
  }

  /// The answer in one line.
  private var verdict: String {
    let possible = network.identification.sameShapes
    let name =
      network.architecture
      ?? (possible.isEmpty ? "a custom ResNet" : "one of \(possible.joined(separator: ", "))")
    if isMatch {
      let what =
        network.identification.naming.isByStructure
        ? "shapes and types match \(name), by order and shapes, not by names"
        : "names, shapes and types \(head.isEmpty ? "" : "of the layers before the head ")match \(name)"
      return "yes: \(what): \(Format.count(verification.matched, "tensor")), all values finite"
    }
    let isNetwork =
      verification.missing.isEmpty && verification.unexpected.isEmpty && verification.mismatched.isEmpty
    guard isNetwork else {
      return "no: this is not \(name): \(verification.missing.count) missing, "
        + "\(verification.unexpected.count) unexpected, \(verification.mismatched.count) mismatched, "
        + "\(verification.nonFinite.count) with NaN or infinity"
        + (damage.isEmpty ? "" : ", \(damage.count) damaged")
    }
    var clauses: [String] = []
    if !verification.nonFinite.isEmpty { clauses.append(verification.nonFiniteText) }
    if !damage.isEmpty {
      clauses.append("\(Format.count(damage.count, "checksum")) \(damage.count == 1 ? "is" : "are") wrong")
    }
    return "no: \(name), but \(clauses.joined(separator: ", and "))"
  }

  /// A note on `num_batches_tracked` that is absent or unusual; nil when there is nothing to say.
  private var counterNote: String? {
    var clauses: [String] = []
    let (absent, all) = (verification.absentOptional, verification.counterCount)
    if absent > 0 {
      clauses.append(
        "num_batches_tracked is absent in \(absent == all ? "all \(all)" : "\(absent) of \(all)") batch norms"
      )
    }
    if let first = verification.unusualCounters.first {
      clauses.append(
        "num_batches_tracked has another shape or type than PyTorch writes in \(Format.count(verification.unusualCounters.count, "batch norm")), such as \(first.escapedForDisplay)"
      )
    }
    return clauses.isEmpty ? nil : clauses.joined(separator: "; ") + "; inference does not use them"
  }

  /// A finding about one tensor or record.
  private struct Finding {
    let kind: String
    let name: String
    let detail: String

    var line: String {
      kind + String(repeating: " ", count: max(1, 12 - kind.count)) + name.escapedForDisplay
        + (detail.isEmpty ? "" : "  " + detail)
    }
    /// The name up to its first dot.
    var module: String { name.prefix { $0 != "." } + ".*" }
  }

  /// Returns the findings about the tensors, missing and unexpected ones given.
  private func findings(
    missing: [ResNetVerification.Missing], unexpected: [String]
  ) -> [Finding] {
    missing.map { Finding(kind: "missing", name: $0.name, detail: Format.shape($0.shape)) }
      + unexpected.map { Finding(kind: "unexpected", name: $0, detail: "") }
      + verification.mismatched.map { mismatch in
        let detail =
          switch mismatch.difference {
          case .shape(let expected, let found):
            "expected \(Format.shape(expected)), found \(Format.shape(found))"
          case .type(let expected, let found): "expected \(expected), found \(found.rawValue)"
          }
        return Finding(kind: "mismatched", name: mismatch.name, detail: detail)
      }
      + verification.nonFinite.map {
        Finding(kind: "non-finite", name: $0.name, detail: Format.count($0.count, "number"))
      }
      + damage.map {
        Finding(kind: "damaged", name: $0.location.tensor ?? $0.location.entry ?? "", detail: $0.reason)
      }
  }

  /// Every finding.
  private var findings: [Finding] {
    findings(missing: verification.missing, unexpected: verification.unexpected)
  }

  /// The largest number of findings that are listed one by one.
  private static let mostListed = 12

  /// The findings, with whole blocks in one line each, and many similar ones in one line. Damage is never folded.
  private var foldedFindings: [String] {
    let single = verification.findingsOutsideBlocks
    let others = findings(missing: single.missing, unexpected: single.unexpected)
    return verification.blocks.map(\.text.escapedForDisplay) + Self.folded(others)
  }

  private static func folded(_ findings: [Finding]) -> [String] {
    guard findings.count > mostListed else { return findings.map(\.line) }
    // Damage differs in its detail.
    let classes = findings.map { $0.kind == "damaged" ? $0.line : $0.kind }
    var groups = FoldedNames.fold(findings.map(\.name), classes: classes)
    if groups.count > 2 * mostListed { groups = FoldedNames.group(findings.map(\.module), classes: classes) }
    return groups.map { group in
      let first = findings[group.indices[0]]
      guard group.indices.count > 1 else { return first.line }
      return Finding(
        kind: first.kind, name: group.text,
        detail:
          "(\(Format.count(group.indices.count, "tensor"))), such as \(first.name.escapedForDisplay)"
          + (first.detail.isEmpty ? "" : " " + first.detail)
      ).line
    } + ["--verbose lists every tensor"]
  }

  /// Prints the facts that names and shapes do not confirm.
  private func printFacts(_ identification: ResNetIdentification) {
    for (place, items) in identification.read.byPlace {
      StandardStreams.line()
      StandardStreams.line("  read from \(place.escapedForDisplay) (weights cannot confirm these)")
      for item in items {
        let fact = item.text(of: identification.configuration)
        StandardStreams.line("    \(fact.name): \(fact.value)".escapedForDisplay)
      }
    }
    let declaring = isArchitectureNamed ? "--arch" : "the command line"
    if !identification.declared.isEmpty {
      StandardStreams.line()
      StandardStreams.line("  taken from \(declaring) (weights cannot confirm these)")
      for fact in identification.declared.map({ $0.text(of: identification.configuration) }) {
        StandardStreams.line("    \(fact.name): \(fact.value)")
      }
    }
    let open = identification.assumed.map { $0.text(of: identification.configuration).name }
    if !open.isEmpty {
      StandardStreams.line()
      StandardStreams.line(
        "  not in the file: \(open.joined(separator: ", ")); names, shapes and types do not depend on them")
    }
  }

  func printJSON(of file: String) {
    let identification = network.identification
    func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
    func sizes(_ sizes: [Int]) -> JSONValue { .array(sizes.map { .exact(Int64($0)) }) }
    func entry(_ name: String, _ expected: JSONValue, _ found: JSONValue) -> JSONValue {
      .object([
        (key: "name", value: .string(name)), (key: "expected", value: expected), (key: "found", value: found),
      ])
    }
    var members: [(key: String, value: JSONValue)] =
      [
        (key: "schema", value: 1), (key: "file", value: .string(file)),
        (key: "ok", value: .bool(isMatch)), (key: "matched", value: .exact(Int64(verification.matched))),
        (key: "architecture", value: network.architecture.map { .string($0) } ?? .null),
        (key: "by_structure", value: .bool(identification.naming.isByStructure)),
        (key: "missing", value: names(verification.missing.map(\.name))),
        (key: "unexpected", value: names(verification.unexpected)),
        (key: "beside", value: .integer(Int64(verification.beside.count))),
        (
          key: "mismatched",
          value: .array(
            verification.mismatched.map { mismatch in
              switch mismatch.difference {
              case .shape(let expected, let found):
                entry(mismatch.name, sizes(expected), sizes(found))
              case .type(let expected, let found):
                entry(mismatch.name, .string(expected), .string(found.rawValue))
              }
            })
        ),
        (
          key: "non_finite",
          value: .array(
            verification.nonFinite.map {
              .object([
                (key: "name", value: .string($0.name)), (key: "count", value: .integer(Int64($0.count))),
              ])
            })
        ),
        (
          key: "damaged",
          value: .array(
            damage.map {
              .object([
                (key: "name", value: ($0.location.tensor ?? $0.location.entry).map { .string($0) } ?? .null),
                (key: "message", value: .string($0.reason)),
              ])
            })
        ),
        (key: "unrecognised_head", value: names(head)),
        (key: "set_aside", value: network.file.setAside.json),
        (key: "dialect", value: .string(identification.naming.dialect.name)),
        (key: "prefix", value: .string(identification.naming.prefix)),
        (key: "declared", value: identification.declared.json),
        (key: "assumed", value: identification.assumed.json),
        (key: "read", value: identification.read.json),
      ]
    if let choice = network.file.choice { members.append((key: "left_out", value: choice.leftOutJSON)) }
    members += network.file.parametrized.json(isResolved: true)
    StandardStreams.document(.object(members))
  }
}
