/// How one library names the tensors of a ResNet.
///
/// A dialect is data: rows that pair a family of names of this project with the library's. This project's names are
/// torchvision's where it has them and timm's for the rest.
package struct ResNetDialect: Sendable, Equatable, CustomStringConvertible {
  /// One family of names in both spellings.
  package struct Row: Sendable, Equatable {
    let own: NamePattern
    let theirs: NamePattern

    /// The family as this project spells it: `layer{s}.{b}.conv{i}.weight`.
    package var canonical: String { own.text }
    /// The family as the library spells it.
    package var spelled: String { theirs.text }

    init(_ canonical: String, _ spelled: String) {
      own = NamePattern(canonical)
      theirs = NamePattern(spelled)
    }
  }

  /// What `--names` takes.
  package let name: String
  /// Whose names they are.
  package let summary: String
  /// The first row that fits a name counts.
  package let rows: [Row]
  /// What is usually done to images of these networks before they go in.
  package var preprocessing =
    "RGB, 224×224, scaled to 0…1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"
  /// How convolutions' weights lie.
  package var kernelLayout = KernelLayout.oihw
  /// How many sizes the weight of the head has: 4 where it is a 1×1 convolution, 2 where it is a fully connected layer; nil
  /// where both are met.
  package var headRank: Int?
  /// Whether factors and summands without statistics are those into which a batch normalization was computed, not those
  /// of a group normalization.
  package var computesNormalization = false

  /// Which convolution of a bottleneck usually has the stride.
  package var blockStride = ResNetBlockStride.second

  /// The order of a convolution weight's sizes: output channels, input channels, height, width.
  package enum KernelLayout: String, Sendable {
    /// PyTorch's.
    case oihw
    /// TensorFlow's.
    case hwio

    /// The axes of a tensor of this layout in PyTorch's order; every tensor but a convolution's weight is as it is.
    func axes(of rank: Int) -> [Int] { self == .hwio && rank == 4 ? [3, 2, 0, 1] : Array(0..<rank) }
  }

  /// Which axes of another dialect's tensor each axis of this one's is; nil for one of size 1.
  package func axes(from other: ResNetDialect, of canonical: String, rank: Int) -> [Int?] {
    var axes: [Int?] = other.kernelLayout.axes(of: rank)
    if canonical == "fc.weight", let headRank, headRank != rank {
      axes = headRank == 4 ? axes + [nil, nil] : Array(axes.prefix(2))
    }
    return kernelLayout == .hwio && axes.count == 4 ? [axes[2], axes[3], axes[1], axes[0]] : axes
  }

  /// The names of the stem's first convolution, by which a network is found.
  var stems: [String] { ["conv1.weight", "conv1.0.weight"].compactMap { spelling(of: $0) } }
  /// The name of the first convolution of the first block.
  var firstBlock: String? { spelling(of: "layer1.0.conv1.weight") }

  init(
    _ name: String, _ summary: String, _ rows: [(canonical: String, spelled: String)],
    preprocessing: String? = nil, headRank: Int? = nil
  ) {
    self.name = name
    self.summary = summary
    self.headRank = headRank
    if let preprocessing { self.preprocessing = preprocessing }
    self.rows = rows.map { Row($0.canonical, $0.spelled) }
  }

  package var description: String { name }

  /// The dialect of a name; nil when none is called so.
  package static func named(_ name: String) -> ResNetDialect? { all.first { $0.name == name } }

  /// This project's name for one of the library's; nil for one that is no ResNet's. O(rows × length).
  package func canonicalName(of name: Substring) -> String? {
    for row in rows {
      if let binding = row.theirs.binding(of: name.utf8) { return row.own.name(binding) }
    }
    return nil
  }

  /// The library's name for one of this project's; nil when it has no such tensor. O(rows × length).
  package func spelling(of canonical: String) -> String? {
    for row in rows {
      if let binding = row.own.binding(of: canonical[...].utf8), let name = row.theirs.name(binding) {
        return name
      }
    }
    return nil
  }
}
