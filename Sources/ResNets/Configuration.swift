/// Residual networks as torchvision defines them: configuration, published architectures, graph, seeded
/// weights.
public enum ResNet {}

extension ResNet {
  /// The two kinds of residual block.
  public enum Block: String, Sendable, CaseIterable {
    /// Two 3×3 convolutions.
    case basic
    /// 1×1, 3×3 and 1×1 convolutions; the stride stands on the 3×3 (v1.5).
    case bottleneck

    /// Channels of the block's output for one channel of `planes`.
    public var expansion: Int { self == .basic ? 1 : 4 }
  }

  /// What stands before the first stage, its pooling aside.
  public enum Stem: Sendable, Equatable {
    /// One convolution: 7×7 for photographs, 3×3 for images of 32 pixels.
    case single(kernel: Int)
    /// Three 3×3 convolutions, of which the first two have these channels (ResNet-C and -D).
    case deep(Int, Int)
  }

  /// What halves the map after the stem.
  public enum StemPooling: String, Sendable, CaseIterable {
    /// Nothing: images of 32 pixels are small enough.
    case none
    /// A 3×3 max pool. No tensor shows it.
    case max
    /// A 3×3 convolution in its place, with its normalization (ResNet-RS).
    case convolution
  }

  /// What the shortcut of a block is where stride or channels change.
  public enum Shortcut: String, Sendable, CaseIterable {
    /// A 1×1 convolution and its normalization (He et al. 2015, option B).
    case projection
    /// A 2×2 average pool, where there is a stride, then the projection (ResNet-D).
    case pooledProjection
    /// Every second pixel, with channels of zeros on both sides (option A); it has no parameters.
    case padding
  }

  /// What weighs a block's channels before its result is added.
  public enum Attention: Sendable, Equatable {
    /// Two 1×1 convolutions on the channels' means; the inner one has so many times fewer channels (Hu et al. 2017).
    case squeezeExcitation(ratio: Int)
    /// One convolution along the channels' means, its length computed from their number (Wang et al. 2019).
    case efficient
  }

  /// What tells one residual network from another.
  ///
  /// The values may come from a file or a command line: ``graph()`` refuses those that make no network.
  /// Source: torchvision 0.28 `models/resnet.py`.
  public struct Configuration: Sendable, Equatable {
    public var block: Block
    /// Blocks of each stage: `[3, 4, 6, 3]` for ResNet-50.
    public var layers: [Int]
    /// Channels of each stage before the block's expansion.
    public var planes = [64, 128, 256, 512]
    /// Channels of the stem's result.
    public var stemChannels = 64
    public var stem = Stem.single(kernel: 7)
    public var stemPooling = StemPooling.max
    public var shortcut = Shortcut.projection
    public var attention: Attention?
    /// Whether what has a stride is followed or replaced by a pooling filter against aliasing. No tensor shows it.
    public var antialiases = false
    /// Groups of the 3×3 convolutions (ResNeXt's cardinality).
    public var groups = 1
    /// Channels of one group of the first stage's 3×3 convolutions.
    public var widthPerGroup = 64
    /// Length of the logits; 0 for a network without a head, whose result is the pooled features.
    public var classes = 1000
    public var inputChannels = 3
    /// Stride of the first convolution and of the max pool; 1 makes a `nodown` network. No tensor shows it.
    public var stride0 = 2
    /// Added to the variance in batch normalization. No tensor shows it.
    public var epsilon = 1e-5

    /// A network of the usual stem, width and head; change the properties for others.
    public init(block: Block, layers: [Int]) {
      self.block = block
      self.layers = layers
    }

    /// Channels between a block's convolutions: `planes × widthPerGroup / 64 × groups`.
    ///
    /// Nil when that does not fit an `Int`.
    public func width(planes: Int) -> Int? {
      guard block == .bottleneck else { return planes }
      let (scaled, overflow) = planes.multipliedReportingOverflow(by: widthPerGroup)
      let (width, overflowToo) = (scaled / 64).multipliedReportingOverflow(by: groups)
      return overflow || overflowToo ? nil : width
    }

    /// Convolutions and linear layers on the longest path, shortcuts not counted: 50 for `[3, 4, 6, 3]`.
    public var depth: Int {
      // Wrapping, because the numbers may be a stranger's; those that make a graph are far from wrapping.
      2 &+ layers.reduce(0, &+) &* (block == .basic ? 2 : 3)
    }
  }

  /// Why a configuration makes no network: one clause, without a full stop.
  public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    public let reason: String

    public var description: String { reason }
  }
}

extension ResNet.Configuration {
  /// Most channels, classes or units of stride that a configuration may ask for. Real ones stay under 32,768.
  static let largestSize = 1 << 24
  /// Most blocks of one network. The deepest published has 66 (ResNet-200).
  static let mostBlocks = 4096

  /// Says what keeps this configuration from being a network.
  ///
  /// - Throws: ``ResNet/ConfigurationError`` that names the first bad value.
  public func validate() throws(ResNet.ConfigurationError) {
    func fail(_ reason: String) -> ResNet.ConfigurationError { ResNet.ConfigurationError(reason: reason) }
    guard !layers.isEmpty, layers.count == planes.count else {
      throw fail("layers \(layers) and planes \(planes) must be as many, and at least one")
    }
    let stemSizes =
      switch stem {
      case .single(let kernel): [kernel]
      case .deep(let first, let second): [first, second]
      }
    let named = [
      ("stemChannels", [stemChannels]), ("stem", stemSizes), ("groups", [groups]),
      ("widthPerGroup", [widthPerGroup]), ("classes", [max(classes, 1)]),
      ("inputChannels", [inputChannels]), ("stride0", [stride0]), ("layers", layers),
      ("planes", planes),
    ]
    for (name, values) in named {
      for value in values where value < 1 || value > Self.largestSize {
        throw fail("\(name) \(value) is not between 1 and \(Self.largestSize)")
      }
    }
    guard layers.count <= Self.mostBlocks, layers.reduce(0, +) <= Self.mostBlocks else {
      throw fail("\(layers) has more than \(Self.mostBlocks) blocks")
    }
    if case .squeezeExcitation(let ratio) = attention, !(1...4096 ~= ratio) {
      throw fail("attention with \(ratio) times fewer channels is no ResNet's")
    }
    guard classes >= 0 else { throw fail("classes \(classes) is negative") }
    if case .single(let kernel) = stem, kernel > 31 {
      throw fail("a stem of \(kernel)×\(kernel) is no ResNet's")
    }
    guard epsilon >= 0, epsilon.isFinite else { throw fail("epsilon \(epsilon) is negative or not finite") }
    if block == .basic, groups != 1 || widthPerGroup != 64 {
      throw fail("basic blocks have 1 group of width 64, not \(groups) of \(widthPerGroup)")
    }
    for planes in planes {
      guard let width = width(planes: planes), 1...Self.largestSize ~= width else {
        throw fail("planes \(planes), widthPerGroup \(widthPerGroup) and groups \(groups) make no width")
      }
      if !width.isMultiple(of: groups) { throw fail("width \(width) does not divide into \(groups) groups") }
    }
  }
}
