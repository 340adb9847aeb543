internal import DecantGraphs

/// The partition of one convolution into tasks.
///
/// It depends on the sizes alone, so every element is computed in the same way with any number of threads. The matrix
/// product is weights (output channels × depth) times patches (depth × columns). When there are many columns, it is
/// cut into column tiles, so that a tile's patches, products and epilogue stay in one core's cache. Late stages of a
/// small image have few columns and many channels, and are cut into channel blocks over shared patches.
struct ConvolutionTiling: Equatable {
  /// The number of output positions over all images.
  let columns: Int
  /// The number of columns of a tile. The last tile may be narrower.
  let tileWidth: Int
  let tiles: Int
  /// Input channels of a group × kernel area: the length of each dot product.
  let depth: Int
  /// The number of output channels of a group.
  let channels: Int
  /// The number of output channels of one matrix product.
  let blockChannels: Int
  let blocks: Int
  let groups: Int
  /// True when the input itself is the patch matrix (1×1, stride 1, no padding).
  let isDirect: Bool

  /// The widest tile, in columns: its product with the most channels is 1 MB of float32. Measured on ResNets from 224²
  /// up, widths of 192 to 1024 and blocks of 128 to 512 differ by a tenth at most (CPU time, best of several).
  static let widestTile = 512
  /// The largest number of output channels of one matrix product.
  static let largestBlock = 512

  init(_ convolution: Convolution, output: ValueShape, widestTile: Int = Self.widestTile) {
    columns = output.columns
    groups = convolution.groups
    depth = convolution.inputChannels / groups * convolution.kernel * convolution.kernel
    channels = convolution.outputChannels / groups
    isDirect = convolution.readsOnePixel
    let least = (columns - 1) / widestTile + 1
    // An even number of tiles divides well between two cores. Widths are whole cache lines, which suit OpenBLAS's
    // kernels.
    let even = least == 1 ? 1 : (least + 1) / 2 * 2
    tileWidth = least == 1 ? columns : Self.roundUp((columns - 1) / even + 1, to: 16)
    tiles = (columns - 1) / tileWidth + 1
    // With one tile, the blocks are the tasks. Four of them let a core that is interrupted do fewer.
    let most = tiles == 1 ? Self.roundUp((channels - 1) / 4 + 1, to: 16) : Self.largestBlock
    blockChannels = min(channels, most)
    blocks = (channels - 1) / blockChannels + 1
  }

  /// True when tasks are blocks of channels over shared patches; false when they are tiles of columns.
  var splitsChannels: Bool { tiles == 1 }

  /// Returns the number of elements for patches: one tile per worker, or one shared matrix when ``splitsChannels`` is
  /// true.
  func patchCount(workers: Int) -> Int {
    if isDirect { return 0 }
    return splitsChannels ? depth * groups * columns : workers * workerPatchCount
  }

  var workerPatchCount: Int { isDirect ? 0 : Self.roundUp(depth * tileWidth, to: 16) }

  /// The number of elements for the products of one worker.
  var workerProductCount: Int { Self.roundUp(blockChannels * tileWidth, to: 16) }

  private static func roundUp(_ value: Int, to unit: Int) -> Int { (value + unit - 1) / unit * unit }
}
