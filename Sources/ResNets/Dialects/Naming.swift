public import Tensors

extension ResNet {
  /// Which tensors of a state dict are a ResNet's, and in whose words.
  public struct Naming: Sendable {
    public let dialect: Dialect
    /// What wrappers such as `DataParallel` put before every name: `module.`, `backbone.`; empty for bare names.
    public let prefix: String
    /// The network's tensors under this project's names, in the file's order.
    public let tensors: StateDict
    /// Everything in the state dict, in the file's order.
    public let entries: [Entry]

    /// A tensor of the state dict.
    public struct Entry: Sendable {
      /// Its name in the file.
      public let name: String
      /// This project's name; nil for what the dialect does not know.
      public let canonical: String?
      public let tensor: Tensor
    }

    /// The name in the file of a tensor of the network, also of one that is missing there.
    public func spelling(of canonical: String) -> String {
      prefix + (dialect.spelling(of: canonical) ?? canonical)
    }

    /// The tensors that have one dialect's names after a prefix.
    init(_ stateDict: StateDict, _ dialect: Dialect, prefix: String) throws(TensorError) {
      self.dialect = dialect
      self.prefix = prefix
      entries = stateDict.entries.map { entry in
        Entry(
          name: entry.name, canonical: Self.canonicalName(of: entry.name, dialect, prefix),
          tensor: entry.tensor)
      }
      var own: [StateDict.Entry] = []
      for entry in entries {
        guard let canonical = entry.canonical else { continue }
        let axes = dialect.kernelLayout.axes(of: entry.tensor.shape.count)
        own.append(StateDict.Entry(name: canonical, tensor: try entry.tensor.permuted(axes)))
      }
      tensors = try StateDict(own)
    }

    private static func canonicalName(of name: String, _ dialect: Dialect, _ prefix: String) -> String? {
      guard name.utf8.starts(with: prefix.utf8) else { return nil }
      return dialect.canonicalName(of: Substring(name.utf8.dropFirst(prefix.utf8.count)))
    }

    /// As many networks as are looked for in one state dict.
    private static let mostFound = 16

    /// Every ResNet in a state dict, each in the dialect that names most of its tensors; in the file's order.
    ///
    /// A ResNet is where one prefix stands before a four-dimensional stem and the first convolution of the first
    /// block. O(dialects × tensors).
    public static func all(in stateDict: StateDict) -> [Naming] {
      struct Found {
        var dialect: Dialect
        var prefix: String
        var count: Int
      }
      var found: [(stem: String, best: Found)] = []
      for dialect in Dialect.all {
        guard let block = dialect.firstBlock else { continue }
        for stem in dialect.stems {
          for entry in stateDict.entries
          where entry.tensor.shape.count == 4 && entry.name.utf8.reversed().starts(with: stem.utf8.reversed())
          {
            let prefix = String(Substring(entry.name.utf8.dropLast(stem.utf8.count)))
            guard stateDict[prefix + block] != nil else { continue }
            let place = found.firstIndex { $0.stem == entry.name }
            guard place != nil || found.count < mostFound else { continue }
            let count = stateDict.entries.count { canonicalName(of: $0.name, dialect, prefix) != nil }
            let candidate = Found(dialect: dialect, prefix: prefix, count: count)
            if let place {
              if found[place].best.count < count { found[place].best = candidate }
            } else {
              found.append((entry.name, candidate))
            }
          }
        }
      }
      return found.compactMap { try? Naming(stateDict, $0.best.dialect, prefix: $0.best.prefix) }
    }

    /// The one ResNet in a state dict, or the one behind a prefix.
    ///
    /// - Throws: ``TensorError`` that lists the prefixes when there are several, or says that there is none.
    public static func only(in stateDict: StateDict, prefix: String? = nil) throws(TensorError) -> Naming {
      let all = all(in: stateDict)
      let found = prefix.map { prefix in all.filter { $0.prefix.utf8.elementsEqual(prefix.utf8) } } ?? all
      if let only = found.first, found.count == 1 { return only }
      let list = all.map { "'\($0.prefix)' (\($0.tensors.count) tensors, \($0.dialect.name))" }
        .joined(separator: ", ")
      if all.isEmpty { throw TensorError("no dialect's stem and first block stand in it") }
      throw TensorError(
        found.isEmpty
          ? "no ResNet's names begin with '\(prefix ?? "")'; the prefixes are \(list)"
          : "it holds \(found.count) ResNets, behind the prefixes \(list); choose one with --prefix")
    }
  }
}
