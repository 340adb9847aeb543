/// The division of a large image into tiles. Its score is the mean of the tiles' logits, weighted by their
/// areas.
///
/// An image larger than ``largestWhole`` on both sides is cut at multiples of ``side`` from the top left. The
/// remainders at the right and at the bottom are tiles too, however narrow, weighted by their own areas. Any
/// other image is one tile.
package struct Tiling: Sendable, Equatable {
  /// The side of a tile, in pixels.
  package static let side = 1_024
  /// The largest side, in pixels, of an image that is not cut.
  package static let largestWhole = 1_536

  /// One tile.
  package struct Tile: Sendable, Equatable {
    package let rows: Range<Int>
    package let columns: Range<Int>

    /// The number of pixels of the tile.
    @inlinable package var area: Int { rows.count * columns.count }

    /// Returns the tile's values from the planes of the whole image. O(elements of the tile).
    @inlinable
    package func values<T>(of planes: [T], height: Int, width: Int) -> [T] {
      var values: [T] = []
      let planeCount = height * width > 0 ? planes.count / (height * width) : 0
      values.reserveCapacity(planeCount * area)
      for plane in 0..<planeCount {
        for row in rows {
          let start = (plane * height + row) * width
          values += planes[start + columns.lowerBound..<start + columns.upperBound]
        }
      }
      return values
    }
  }

  /// The tiles, row by row.
  package let tiles: [Tile]

  /// Divides an image into tiles.
  package init(height: Int, width: Int) {
    func parts(_ size: Int) -> [Range<Int>] {
      stride(from: 0, to: size, by: Self.side).map { $0..<min($0 + Self.side, size) }
    }
    guard min(height, width) > Self.largestWhole else {
      tiles = [Tile(rows: 0..<height, columns: 0..<width)]
      return
    }
    tiles = parts(height).flatMap { rows in parts(width).map { Tile(rows: rows, columns: $0) } }
  }

  /// Returns the area-weighted mean of the tiles' logits. `logits` has one list for each tile, all of the
  /// same length.
  package func mean(of logits: [[Double]]) -> [Double] {
    guard let classes = logits.first?.count, logits.count == tiles.count else { return [] }
    let total = Double(tiles.reduce(0) { $0 + $1.area })
    return (0..<classes).map { place in
      zip(tiles, logits).reduce(0) { $0 + Double($1.0.area) * $1.1[place] } / total
    }
  }
}
