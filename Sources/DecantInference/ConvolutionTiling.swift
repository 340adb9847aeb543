internal import DecantGraphs

/// How one convolution is cut into tasks; a function of its sizes alone, so that every number is computed in
/// the same way on any count of threads.
///
/// The product of weights (output channels × depth) and patches (depth × columns) is cut by columns while
/// there are many, so that a tile's patches, products and epilogue stay in one core's cache; the late stages
/// of a small image have few columns and many channels, and are cut by channels over shared patches.
struct ConvolutionTiling: Equatable {
  /// Output positions of all images.
  let columns: Int
  /// Columns of a tile; the last one may be narrower.
  let tileWidth: Int
  let tiles: Int
  /// Input channels of a group × kernel area: the length of each dot product.
  let depth: Int
  /// Output channels of a group.
  let channels: Int
  /// Output channels of one matrix product.
  let blockChannels: Int
  let blocks: Int
  let groups: Int
  /// Whether the input itself is the patch matrix: 1×1, stride 1, no padding.
  let isDirect: Bool

  /// Widest tile: its product with the most channels is 1 MB of floats. Measured on ResNets from 224² up,
  /// widths of 192 to 1024 and blocks of 128 to 512 differ by a tenth at most (CPU time, best of several).
  static let widestTile = 512
  /// Most output channels of one matrix product.
  static let largestBlock = 512

  init(_ convolution: Convolution, output: ValueShape, widestTile: Int = Self.widestTile) {
    columns = output.columns
    groups = convolution.groups
    depth = convolution.inputChannels / groups * convolution.kernel * convolution.kernel
    channels = convolution.outputChannels / groups
    isDirect = convolution.readsOnePixel
    let least = (columns - 1) / widestTile + 1
    // An even count divides well between two cores; widths are whole cache lines, which OpenBLAS's kernels
    // like.
    let even = least == 1 ? 1 : (least + 1) / 2 * 2
    tileWidth = least == 1 ? columns : Self.roundUp((columns - 1) / even + 1, to: 16)
    tiles = (columns - 1) / tileWidth + 1
    // With one tile, the blocks are the tasks: four, so that a core that is held up does fewer.
    let most = tiles == 1 ? Self.roundUp((channels - 1) / 4 + 1, to: 16) : Self.largestBlock
    blockChannels = min(channels, most)
    blocks = (channels - 1) / blockChannels + 1
  }

  /// Whether tasks are blocks of channels over shared patches, rather than tiles of columns.
  var splitsChannels: Bool { tiles == 1 }

  /// Numbers of the patches one worker holds, or all share when ``splitsChannels``.
  func patchCount(workers: Int) -> Int {
    if isDirect { return 0 }
    return splitsChannels ? depth * groups * columns : workers * workerPatchCount
  }

  var workerPatchCount: Int { isDirect ? 0 : Self.roundUp(depth * tileWidth, to: 16) }

  /// Numbers of the products of one worker.
  var workerProductCount: Int { Self.roundUp(blockChannels * tileWidth, to: 16) }

  private static func roundUp(_ value: Int, to unit: Int) -> Int { (value + unit - 1) / unit * unit }
}
