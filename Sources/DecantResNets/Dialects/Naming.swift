package import DecantBytes
package import DecantTensors

/// Which tensors of a state dict are a ResNet's, and in whose words.
package struct ResNetNaming: Sendable {
  package let dialect: ResNetDialect
  /// What wrappers such as `DataParallel` put before every name: `module.`, `backbone.`; empty for bare names.
  package let prefix: String
  /// The network's tensors under this project's names, in the file's order.
  package let tensors: StateDict
  /// Everything in the state dict, in the file's order.
  package let entries: [Entry]

  /// A tensor of the state dict.
  package struct Entry: Sendable {
    /// Its name in the file.
    package let name: String
    /// This project's name; nil for what the dialect does not know.
    package let canonical: String?
    package let tensor: Tensor
  }

  /// What the head is called behind the prefix, where the dialect calls it something else.
  private let foreignHead: String?

  /// The name in the file of a tensor of the network, also of one that is missing there.
  package func spelling(of canonical: String) -> String {
    if let foreignHead, canonical.hasPrefix("fc.") { return prefix + foreignHead + canonical.dropFirst(2) }
    return prefix + (dialect.spelling(of: canonical) ?? canonical)
  }

  /// The tensors that have one dialect's names after a prefix.
  init(_ stateDict: StateDict, _ dialect: ResNetDialect, prefix: String) throws(DecantError) {
    self.dialect = dialect
    self.prefix = prefix
    var entries = stateDict.entries.map { entry in
      Entry(
        name: entry.name, canonical: Self.canonicalName(of: entry.name, dialect, prefix),
        tensor: entry.tensor)
    }
    foreignHead = Self.foreignHead(of: entries, prefix: prefix)
    if let foreignHead {
      for (index, entry) in entries.enumerated() {
        for parameter in ["weight", "bias"]
        where entry.name.utf8.elementsEqual("\(prefix)\(foreignHead).\(parameter)".utf8) {
          entries[index] = Entry(name: entry.name, canonical: "fc.\(parameter)", tensor: entry.tensor)
        }
      }
    }
    self.entries = entries
    var own: [StateDict.Entry] = []
    for entry in entries {
      guard let canonical = entry.canonical else { continue }
      let axes = dialect.kernelLayout.axes(of: entry.tensor.shape.count)
      own.append(StateDict.Entry(name: canonical, tensor: try entry.tensor.arranged(axes)))
    }
    tensors = try StateDict(own)
  }

  private static func canonicalName(of name: String, _ dialect: ResNetDialect, _ prefix: String) -> String? {
    guard name.utf8.starts(with: prefix.utf8) else { return nil }
    return dialect.canonicalName(of: Substring(name.utf8.dropFirst(prefix.utf8.count)))
  }

  /// The module of the only matrix behind the prefix, where it reads the last stage's channels and no head is known: a
  /// fully connected layer by another name, such as `classifier` or `fc.1` behind a dropout.
  private static func foreignHead(of entries: [Entry], prefix: String) -> String? {
    let heads = ["fc.", "attnpool.", "head."]
    var last: (stage: Int, convolution: String, channels: Int)?
    for entry in entries {
      guard let canonical = entry.canonical else { continue }
      if heads.contains(where: { canonical.hasPrefix($0) }) { return nil }
      let steps = canonical.split(separator: ".")
      guard steps.count == 4, steps[0].hasPrefix("layer"), steps[2].hasPrefix("conv"), steps[3] == "weight",
        let stage = Int(steps[0].dropFirst(5)), let channels = entry.tensor.shape.first
      else { continue }
      let convolution = String(steps[2])
      if last.map({ ($0.stage, $0.convolution) < (stage, convolution) }) ?? true {
        last = (stage, convolution, channels)
      }
    }
    let matrices = entries.filter {
      $0.canonical == nil && $0.tensor.shape.count == 2 && $0.name.utf8.starts(with: prefix.utf8)
    }
    guard let last, matrices.count == 1, let matrix = matrices.first,
      matrix.tensor.shape[1] == last.channels,
      matrix.name.hasSuffix(".weight")
    else { return nil }
    let module = String(Substring(matrix.name.utf8.dropFirst(prefix.utf8.count))).dropLast(".weight".count)
    return module.split(separator: ".").count <= 2 ? String(module) : nil
  }

  /// As many networks as are looked for in one state dict.
  static let mostFound = 16

  /// Every ResNet in a state dict, up to ``mostFound`` and one more, each in the dialect in which fewest of its tensors
  /// are wrong and most are named; in the file's order.
  ///
  /// A ResNet is where one prefix stands before a four-dimensional stem and the first convolution of the first
  /// block. O(dialects × tensors).
  ///
  /// - Parameter prefix: the only one to look behind; nil for any.
  package static func all(in stateDict: StateDict, prefix only: String? = nil) -> [ResNetNaming] {
    var found: [ResNetNaming] = []
    for entry in stateDict.entries where entry.tensor.shape.count == 4 {
      let candidates = dialects(ofStem: entry.name, in: stateDict).filter { candidate in
        only.map { $0.utf8.elementsEqual(candidate.prefix.utf8) } ?? true
      }
      guard !candidates.isEmpty else { continue }
      let namings = candidates.compactMap { try? ResNetNaming(stateDict, $0.dialect, prefix: $0.prefix) }
      // One that names the head itself comes before one that had to look for it; then as the table is ordered.
      func rank(_ naming: ResNetNaming) -> (Int, Int, Int) {
        (naming.problems, naming.foreignHead == nil ? 0 : 1, -naming.tensors.count)
      }
      if let best = namings.min(by: { rank($0) < rank($1) }) {
        found.append(best)
        if found.count > mostFound { break }
      }
    }
    return found
  }

  /// The names of stems, each with the dialects that have it and their first blocks.
  private static let stems: [(spelling: String, dialects: [(dialect: ResNetDialect, firstBlock: String)])] = {
    var stems: [(spelling: String, dialects: [(dialect: ResNetDialect, firstBlock: String)])] = []
    for dialect in ResNetDialect.all {
      guard let block = dialect.firstBlock else { continue }
      for stem in dialect.stems {
        if let place = stems.firstIndex(where: { $0.spelling == stem }) {
          stems[place].dialects.append((dialect, block))
        } else {
          stems.append((stem, [(dialect, block)]))
        }
      }
    }
    return stems
  }()

  /// The dialects in which a name is that of a stem behind some prefix, and a first block stands behind it too.
  static func dialects(
    ofStem name: String, in stateDict: StateDict
  ) -> [(dialect: ResNetDialect, prefix: String)] {
    let bytes = name.utf8
    var found: [(dialect: ResNetDialect, prefix: String)] = []
    for (stem, dialects) in stems
    where bytes.count >= stem.utf8.count && bytes.suffix(stem.utf8.count).elementsEqual(stem.utf8) {
      let prefix = String(Substring(bytes.dropLast(stem.utf8.count)))
      for (dialect, firstBlock) in dialects where stateDict[prefix + firstBlock] != nil {
        found.append((dialect, prefix))
      }
    }
    return found
  }

  /// How many tensors are not as the network that they are read as would have them.
  private var problems: Int {
    guard let graph = try? ResNetConfiguration(shapesOf: self).graph(),
      let verification = try? ResNetVerification(of: self, against: graph, readsNumbers: false)
    else { return .max }
    return verification.missing.count + verification.unexpected.count + verification.mismatched.count
  }

  /// The one ResNet in a state dict, or the one behind a prefix.
  ///
  /// - Throws: ``DecantError`` that lists the prefixes when there are several, or says that there is none.
  package static func only(in stateDict: StateDict, prefix: String? = nil) throws(DecantError) -> ResNetNaming
  {
    if let only = try onlyIfAny(in: stateDict, prefix: prefix) { return only }
    throw DecantError.noResNet()
  }

  /// The same, and nil when there is none behind any prefix.
  package static func onlyIfAny(
    in stateDict: StateDict, prefix: String? = nil
  ) throws(DecantError) -> ResNetNaming? {
    let found = all(in: stateDict, prefix: prefix)
    if found.count == 1 { return found.first }
    let all = prefix == nil ? found : all(in: stateDict)
    if all.isEmpty { return nil }
    let list =
      all.prefix(mostFound).map {
        "\($0.prefix.quoted) (\($0.tensors.count) tensors, \($0.dialect.name))"
      }
      .joined(separator: ", ") + (all.count > mostFound ? ", …" : "")
    let count = all.count > mostFound ? "more than \(mostFound)" : "\(all.count)"
    if found.isEmpty, let prefix {
      throw DecantError(
        .keyNotFound,
        "no ResNet has the prefix \(prefix.quoted); the \(all.count == 1 ? "only prefix is" : "prefixes are") \(list)",
        advice: .choosePrefix(all.prefix(mostFound).map(\.prefix)))
    }
    throw DecantError(
      .ambiguousStateDict, "holds \(count) ResNets, with the prefixes \(list)",
      advice: .choosePrefix(all.prefix(mostFound).map(\.prefix)))
  }
}
