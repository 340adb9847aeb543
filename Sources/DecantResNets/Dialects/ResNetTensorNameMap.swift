package import DecantBytes
package import DecantTensors

/// The tensors of a state dict that are a ResNet's, and the dialect of their names.
package struct ResNetTensorNameMap: Sendable {
  package let dialect: ResNetDialect
  /// The prefix that wrappers such as `DataParallel` put before every name: `module.`, `backbone.`; may be empty.
  package let prefix: String
  /// The network's tensors under canonical names, in the file's order.
  package let tensors: StateDict
  /// Every tensor of the state dict, in the file's order.
  package let entries: [Entry]

  /// The questions that shapes leave open when the network was recognised by its structure; nil when there are none.
  package internal(set) var alternatives: StructureAlternatives?

  /// A tensor of the state dict.
  package struct Entry: Sendable {
    /// The name in the file.
    package let name: String
    /// The canonical name; nil for a tensor that the dialect does not know.
    package let canonical: String?
    package let tensor: Tensor
  }

  /// The head's layers whose names the dialect does not have.
  package let head: HeadChain
  /// The canonical module of each of these layers, and its path in the file.
  private let ownHead: [(canonical: String, path: String)]

  /// The paths of the modules of the head's layers in the file; empty when the network has no head.
  var headPaths: [String] {
    if !head.members.isEmpty { return head.members.map(\.path) }
    guard let name = spelled["fc.weight"], name.hasSuffix(".weight") else { return [] }
    return [String(name.dropLast(".weight".count))]
  }

  /// True when modules without tensors come before the head's first layer in its Sequential, such as a dropout.
  var hasModulesBeforeHead: Bool {
    guard let first = headPaths.first, let index = HeadChain.index(first), index > 0 else { return false }
    // In a library's own name of the layer, the modules before it are known.
    if dialect.spelling(of: "fc.weight").map({ prefix + $0 == first + ".weight" }) ?? false { return false }
    let container = HeadChain.container(first) + "."
    return container != "." && !prefix.hasPrefix(container)
      && !entries.contains { entry in
        entry.name.hasPrefix(container)
          && entry.canonical.map { !$0.hasPrefix("fc.") && !$0.hasPrefix("head.") } ?? true
      }
  }

  /// The names in the file by canonical name.
  private let spelled: [String: String]

  /// Returns the name in the file for a canonical name, also if the tensor is missing there.
  package func spelling(of canonical: String) -> String {
    if let name = spelled[canonical] { return name }
    for (module, path) in ownHead where canonical.hasPrefix(module + ".") {
      return path + canonical.dropFirst(module.count)
    }
    return prefix + (dialect.spelling(of: canonical) ?? canonical)
  }

  /// Returns true when no dialect has another name for a tensor: it belongs to a head of the file's own.
  package func keepsName(_ canonical: String) -> Bool {
    ownHead.contains { module, path in
      canonical.hasPrefix(module + ".") && (module != "fc" || !path.utf8.starts(with: prefix.utf8))
    }
  }

  /// Creates the map of names for one dialect and prefix.
  init(_ stateDict: StateDict, _ dialect: ResNetDialect, prefix: String) throws(DecantError) {
    var entries = stateDict.entries.map { entry in
      Entry(
        name: entry.name, canonical: Self.canonicalName(of: entry.name, dialect, prefix),
        tensor: entry.tensor)
    }
    if let blocks = dialect.blocks { entries = blocks.completed(entries, prefix: prefix) }
    let head = HeadChain(entries, prefix: prefix, features: Self.features(of: entries))
    let headPaths = head.members.enumerated().map { index, member in
      // A single layer is a head like the published ones.
      (canonical: head.members.count == 1 ? "fc" : HeadChain.canonicalModule(index), path: member.path)
    }
    for (module, path) in headPaths {
      for (index, entry) in entries.enumerated() where entry.name.hasPrefix(path + ".") {
        let parameter = entry.name.dropFirst(path.count + 1)
        guard !parameter.contains(".") else { continue }
        entries[index] = Entry(name: entry.name, canonical: "\(module).\(parameter)", tensor: entry.tensor)
      }
    }
    try self.init(entries, dialect, prefix: prefix, head: head, headPaths: headPaths)
  }

  /// Creates the map of names from a table.
  ///
  /// - Parameter entries: every tensor of the state dict, in the file's order, with its canonical name.
  init(
    _ entries: [Entry], _ dialect: ResNetDialect, prefix: String, head: HeadChain = HeadChain(),
    headPaths: [(canonical: String, path: String)] = []
  ) throws(DecantError) {
    self.dialect = dialect
    self.prefix = prefix
    (self.head, ownHead) = (head, headPaths)
    self.entries = entries
    var own: [StateDict.Entry] = []
    var spelled: [String: String] = [:]
    for entry in entries {
      guard let canonical = entry.canonical else { continue }
      let axes = dialect.kernelLayout.axes(of: entry.tensor.shape.count)
      own.append(StateDict.Entry(name: canonical, tensor: try entry.tensor.permuted(axes)))
      spelled[canonical] = entry.name
    }
    self.spelled = spelled
    tensors = try StateDict(own)
  }

  private static func canonicalName(of name: String, _ dialect: ResNetDialect, _ prefix: String) -> String? {
    guard name.utf8.starts(with: prefix.utf8) else { return nil }
    return dialect.canonicalName(of: Substring(name.utf8.dropFirst(prefix.utf8.count)))
  }

  /// Returns the number of pooled features: the channels of the last convolution; 0 when there is none.
  private static func features(of entries: [Entry]) -> Int {
    var last: (stage: Int, convolution: Substring, channels: Int)?
    for entry in entries {
      guard let canonical = entry.canonical, let channels = entry.tensor.shape.first else { continue }
      if canonical == "final_conv.conv.weight" { return channels }
      let steps = canonical.split(separator: ".")
      guard steps.count == 4, steps[0].hasPrefix("layer"), steps[2].hasPrefix("conv"), steps[3] == "weight",
        let stage = Int(steps[0].dropFirst(5))
      else { continue }
      if last.map({ ($0.stage, $0.convolution) < (stage, steps[2]) }) ?? true {
        last = (stage, steps[2], channels)
      }
    }
    return last?.channels ?? 0
  }

  /// The largest number of networks to find in one state dict.
  static let mostFound = 16

  /// Returns every ResNet in a state dict, up to ``mostFound`` and one more, in the file's order.
  ///
  /// Each has the dialect in which the fewest of its tensors are wrong and the most have a name. A ResNet is found
  /// where one prefix comes before both a four-dimensional stem weight and the first convolution of the first block.
  /// O(dialects × tensors).
  ///
  /// - Parameter prefix: the only prefix to search; nil for any.
  package static func all(in stateDict: StateDict, prefix only: String? = nil) -> [ResNetTensorNameMap] {
    let listed = all(in: stateDict, prefix: only, where: { _ in true }, dialects(ofStem:in:))
    // Names put together from parts are tried where no dialect fits without an error: a network may have a dialect's
    // stem and other names of shortcuts.
    guard !listed.contains(where: { $0.problems == 0 }) else { return listed.map(\.map) }
    let firstBlocks = ComposedNames.FirstBlocks(in: stateDict)
    let composed = all(in: stateDict, prefix: only, where: \.isCredible) { stem, _ in
      firstBlocks.dialects(ofStem: stem)
    }
    func problems(_ found: [Candidate]) -> Int { found.map(\.problems).max() ?? .max }
    return (problems(composed) < problems(listed) ? composed : listed).map(\.map)
  }

  /// A search for the dialects in which a name is a stem after some prefix.
  private typealias DialectSearch = (_ stem: String, _ stateDict: StateDict) -> [(
    dialect: ResNetDialect, prefix: String
  )]

  /// A network's names in one dialect, and the number of tensors that do not match them.
  private struct Candidate {
    let map: ResNetTensorNameMap
    let problems: Int

    init(_ map: ResNetTensorNameMap) { (self.map, problems) = (map, map.problems) }

    /// True when no other dialect can be better: it names every tensor, and all match.
    var isPerfect: Bool { problems == 0 && map.tensors.count == map.entries.count && map.ownHead.isEmpty }

    /// The order of candidates, the best first.
    ///
    /// A tensor without a name counts as one that does not match: fewer names are no better dialect. A dialect that
    /// names the head comes before one where the head had to be searched.
    var rank: (Int, Int, Int) {
      let named = map.tensors.count
      return (problems - named, -named, map.ownHead.isEmpty ? 0 : 1)
    }
  }

  private static func all(
    in stateDict: StateDict, prefix only: String?, where isAllowed: (ResNetTensorNameMap) -> Bool,
    _ search: DialectSearch
  ) -> [Candidate] {
    var found: [Candidate] = []
    for entry in stateDict.entries where entry.tensor.shape.count == 4 {
      let candidates = search(entry.name, stateDict).filter { candidate in
        only.map { $0.utf8.elementsEqual(candidate.prefix.utf8) } ?? true
      }
      var best: Candidate?
      for candidate in candidates where best?.isPerfect != true {
        guard let map = try? ResNetTensorNameMap(stateDict, candidate.dialect, prefix: candidate.prefix),
          isAllowed(map)
        else { continue }
        let next = Candidate(map)
        // Ties keep the order of the table.
        if best.map({ next.rank < $0.rank }) ?? true { best = next }
      }
      if let best {
        found.append(best)
        if found.count > mostFound { break }
      }
    }
    return found
  }

  /// The names of stems, each with the dialects that have it and their names of the first block's first convolution.
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

  /// Returns the dialects in which a name is a stem after some prefix, and a first block has the same prefix.
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

  /// The number of tensors that do not match the network inferred from them. Those of a head that is not recognised
  /// do not count.
  private var problems: Int {
    (try? ResNetConfiguration(shapesOf: self)).map(problems(against:)) ?? .max
  }

  /// The number of tensors that do not match a network.
  private func problems(against configuration: ResNetConfiguration) -> Int {
    guard let graph = try? configuration.graph() else { return .max }
    let verification = ResNetVerification(of: self, against: graph)
    let head = Set(self.head.unresolved.map { ExactText($0) })
    return verification.missing.count + verification.unexpected.count { !head.contains(ExactText($0)) }
      + verification.mismatched.count
  }

  /// True when names put together from parts are a ResNet's and not those of another network with such blocks.
  ///
  /// Every convolution under the prefix must be the network's, and few tensors may be wrong. Where stages are counted
  /// from another number than 1, the first must be as wide as the stem: else it may be the second stage of a network
  /// whose first is missing. Blocks that are numbered
  /// through the network, or have their layers in a Sequential, are usual in plain networks too, so one of them has to
  /// have a projection.
  private var isCredible: Bool {
    guard let blocks = dialect.blocks, let configuration = try? ResNetConfiguration(shapesOf: self),
      problems <= tensors.entries.count / 5
    else { return false }
    let hasStrangers = entries.contains {
      $0.canonical == nil && $0.tensor.shape.count > 2 && $0.name.utf8.starts(with: prefix.utf8)
    }
    if blocks.isShifted, configuration.stages.first?.blocks.first?.first != configuration.stem.channels {
      return false
    }
    let isPlain = !tensors.entries.contains { $0.name.contains(".downsample.") }
    return !hasStrangers
      && (!isPlain || blocks.isUsualWithoutProjections && configuration.layers.contains { $0 > 1 })
  }

  /// Returns the only ResNet in a state dict, or the one under a prefix.
  ///
  /// - Throws: ``DecantError`` that lists the prefixes when there are several, or reports that there is no ResNet.
  package static func only(in stateDict: StateDict, prefix: String? = nil) throws(DecantError)
    -> ResNetTensorNameMap
  {
    if let only = try onlyIfAny(in: stateDict, prefix: prefix) { return only }
    throw DecantError(.notAResNet, ResNetNoMatch.reason(stateDict, prefix: prefix), advice: .inspect)
  }

  /// Returns the same as ``onlyIfAny(in:prefix:)``, or the map for the names that most tensors have when it is nearer to
  /// an expected network: where a first block or the stem is missing, other names may seem to fit.
  package static func nearest(
    to expected: ResNetArchitecture, in stateDict: StateDict, prefix: String? = nil
  ) throws(DecantError) -> ResNetTensorNameMap? {
    guard let found = try onlyIfAny(in: stateDict, prefix: prefix) else {
      return ResNetNoMatch.namesAll(of: stateDict) ? try mostLikely(in: stateDict, prefix: prefix) : nil
    }
    func rank(_ map: ResNetTensorNameMap) -> (problems: Int, unnamed: Int) {
      var configuration = expected.configuration
      if let own = try? ResNetConfiguration(shapesOf: map) {
        (configuration.head, configuration.classes) = (own.head, own.classes)
      }
      return (map.problems(against: configuration), map.entries.count - map.tensors.count)
    }
    let own = rank(found)
    guard own.problems > 0 else { return found }
    let likely = try mostLikely(in: stateDict, prefix: prefix)
    return rank(likely) < own ? likely : found
  }

  /// Returns the map for the prefix and the dialect that name the most tensors, so that missing ones can be reported.
  package static func mostLikely(
    in stateDict: StateDict, prefix: String? = nil
  ) throws(DecantError) -> ResNetTensorNameMap {
    var likely = ResNetNoMatch.mostNames(in: stateDict, prefix: prefix)
    // A few names may be those of any network.
    if let few = likely?.shapes.count, few * 4 < stateDict.entries.count { likely = nil }
    return try ResNetTensorNameMap(
      stateDict, likely?.dialect ?? ResNetDialect.all[0], prefix: likely?.prefix ?? prefix ?? "")
  }

  /// Returns the same as ``only(in:prefix:)``, or nil when no prefix has a ResNet.
  package static func onlyIfAny(
    in stateDict: StateDict, prefix: String? = nil
  ) throws(DecantError) -> ResNetTensorNameMap? {
    let found = all(in: stateDict, prefix: prefix)
    if found.count == 1 { return found.first }
    let all = prefix == nil ? found : all(in: stateDict)
    if all.isEmpty { return nil }
    let list =
      all.prefix(mostFound).map {
        "\($0.prefix.quoted) (\(Format.count($0.tensors.count, "tensor")), \($0.dialect.name))"
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
