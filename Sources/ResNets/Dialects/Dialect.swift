extension ResNet {
  /// How one library names the tensors of a ResNet.
  ///
  /// A dialect is data: rows that pair a family of names of this project with the library's. This project's names are
  /// torchvision's where it has them and timm's for the rest.
  public struct Dialect: Sendable, Equatable {
    /// One family of names in both spellings.
    public struct Row: Sendable, Equatable {
      let own: NamePattern
      let theirs: NamePattern

      /// The family as this project spells it: `layer{s}.{b}.conv{i}.weight`.
      public var canonical: String { own.text }
      /// The family as the library spells it.
      public var spelled: String { theirs.text }

      init(_ canonical: String, _ spelled: String) {
        own = NamePattern(canonical)
        theirs = NamePattern(spelled)
      }
    }

    /// What `--names` takes.
    public let name: String
    /// Whose names they are.
    public let summary: String
    /// The first row that fits a name counts.
    public let rows: [Row]

    /// The dialect of a name; nil when none is called so.
    public static func named(_ name: String) -> Dialect? { all.first { $0.name == name } }

    /// This project's name for one of the library's; nil for one that is no ResNet's. O(rows × length).
    public func canonicalName(of name: Substring) -> String? {
      for row in rows {
        if let binding = row.theirs.binding(of: name.utf8) { return row.own.name(binding) }
      }
      return nil
    }

    /// The library's name for one of this project's; nil when it has no such tensor. O(rows × length).
    public func spelling(of canonical: String) -> String? {
      for row in rows {
        if let binding = row.own.binding(of: canonical[...].utf8), let name = row.theirs.name(binding) {
          return name
        }
      }
      return nil
    }
  }
}
