/// The names that one library gives to the tensors of a ResNet.
///
/// A dialect is data: each row pairs a pattern of canonical names with the library's pattern. Canonical names are this
/// project's: torchvision's where it has them, and timm's for the rest.
package struct ResNetDialect: Sendable, Equatable, CustomStringConvertible {
  /// One family of names, in both spellings.
  package struct Row: Sendable, Equatable {
    let own: NamePattern
    let theirs: NamePattern

    /// The canonical pattern: `layer{s}.{b}.conv{i}.weight`.
    package var canonical: String { own.text }
    /// The library's pattern.
    package var spelled: String { theirs.text }

    init(_ canonical: String, _ spelled: String) {
      own = NamePattern(canonical)
      theirs = NamePattern(spelled)
    }
  }

  /// The name of the dialect, as the option `--names` takes it.
  package let name: String
  /// A description of the libraries and networks that have these names.
  package let summary: String
  /// The pairs of patterns. The first row that matches a name counts.
  package let rows: [Row]
  /// The usual preprocessing of images for these networks.
  package var preprocessing = ResNetDialect.photographs

  /// The usual preprocessing of photographs.
  static let photographs = "RGB, 224×224, scaled to 0…1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"
  /// The order of the dimensions of convolution weights.
  package var kernelLayout = KernelLayout.oihw
  /// The number of dimensions of the head's weight; nil where both occur.
  ///
  /// It is 4 for a 1×1 convolution and 2 for a fully connected layer.
  package var headRank: Int?
  /// True when a scale and bias without statistics come from a folded batch norm, not from a group norm.
  package var hasFoldedNormalization = false

  /// The names of blocks whose shortcuts, and perhaps stages, have to be searched; nil for a dialect with a row for
  /// each tensor.
  var blocks: ComposedNames.Blocks?

  /// The convolution of a bottleneck that usually has the stride.
  package var blockStride = ResNetBlockStride.second

  /// An order of a convolution weight's dimensions: output channels (o), input channels (i), height (h), width (w).
  package enum KernelLayout: String, Sendable {
    /// PyTorch's order.
    case oihw
    /// TensorFlow's order.
    case hwio

    /// Returns the permutation of axes from this layout to PyTorch's; only convolution weights are permuted.
    func axes(of rank: Int) -> [Int] { self == .hwio && rank == 4 ? [3, 2, 0, 1] : Array(0..<rank) }
  }

  /// Returns, for each axis of this dialect's tensor, the axis of another dialect's tensor; nil for a new axis of size
  /// 1.
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

  /// Returns the dialect with a name; nil when there is none.
  package static func named(_ name: String) -> ResNetDialect? { all.first { $0.name == name } }

  /// Returns the canonical name for a library's name; nil when it is not a ResNet's. O(rows × length).
  package func canonicalName(of name: Substring) -> String? {
    for row in rows {
      if let binding = row.theirs.binding(of: name.utf8) { return row.own.name(binding) }
    }
    return nil
  }

  /// Returns the library's name for a canonical name; nil when the library has no such tensor. O(rows × length).
  package func spelling(of canonical: String) -> String? {
    for row in rows {
      if let binding = row.own.binding(of: canonical[...].utf8), let name = row.theirs.name(binding) {
        return name
      }
    }
    return nil
  }
}
