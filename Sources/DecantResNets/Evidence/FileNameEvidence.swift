extension ResNetArchitecture {
  /// Returns the network that a configuration, a script or an option names: `ResNet-50`, `timm/resnet50.a1_in1k`, `res50nodown`.
  ///
  /// The result is nil for a name that is not in ``all``. Nothing is guessed.
  package static func named(loosely spelled: String) -> ResNetArchitecture? {
    var name = spelled.lowercased()[...]
    if let slash = name.lastIndex(of: "/") { name = name[name.index(after: slash)...] }
    // After the dot is timm's tag of the weights.
    if let dot = name.firstIndex(of: ".") { name = name[..<dot] }
    let letters = plain(String(name))
    let candidates =
      [letters]
      + prefixes.compactMap { prefix, whole in
        letters.hasPrefix(prefix) ? whole + letters.dropFirst(prefix.count) : nil
      }
    for candidate in candidates {
      if let found = all.first(where: { plain($0.name) == candidate }) { return found }
    }
    return nil
  }

  /// Other beginnings of names, with the beginnings that ``all`` has.
  private static let prefixes = [
    ("tvresnet", "resnet"), ("wrn502", "wideresnet502"), ("res", "resnet"),
  ]

  /// Returns a name without the separators of its parts.
  private static func plain(_ name: String) -> String {
    String(name.filter { $0 != "-" && $0 != "_" && $0 != " " })
  }
}

/// Evidence from a file's name.
enum FileNameEvidence {
  /// Returns the architecture that a file's name contains, and hints at facts that shapes do not show.
  static func items(_ fileName: String) -> [ResNetEvidence.Item] {
    let name = fileName.lowercased()
    func item(
      _ about: String, _ value: String, _ setting: ResNetEvidence.Setting?
    ) -> ResNetEvidence.Item {
      ResNetEvidence.Item(about, value, .fileName, place: "file name (weak)", fileName, setting: setting)
    }
    var items: [ResNetEvidence.Item] = []
    let spelled = ResNetArchitecture.all.map(\.name).filter { stands($0, in: name) }
    // The longest name is taken: `resnet50_clip` also contains `resnet50`.
    if let longest = spelled.max(by: { $0.utf8.count < $1.utf8.count }) {
      items.append(item("architecture", longest, .architecture(longest)))
    }
    if ["nodown", "resnet50nodown", "stride0_1", "stride0-1"].contains(where: { stands($0, in: name) }) {
      items.append(item("stride0", "1", .stride0(1)))
    }
    if name.contains("caffe") || name.contains("msra") {
      items.append(item("block_stride", "on the first 1×1 convolution (v1)", .blockStride(.first)))
    }
    return items
  }

  /// Returns true when a name contains a word with no letter before it, and no letter or digit after it.
  private static func stands(_ word: String, in name: String) -> Bool {
    name.ranges(of: word).contains { range in
      name[..<range.lowerBound].last?.isLetter != true
        && name[range.upperBound...].first.map { $0.isLetter || $0.isNumber } != true
    }
  }
}
