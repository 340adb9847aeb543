/// How a large image is scored in parts: the mean of the parts' logits, weighed by their areas.
///
/// An image larger than ``largestWhole`` on both sides is cut at multiples of ``side`` from the top left. What is left at the
/// right and at the bottom is a tile too, however narrow, with the weight of its own area. Any other image is one tile.
package struct Tiling: Sendable, Equatable {
  /// Pixels of a tile's side.
  package static let side = 1_024
  /// Pixels that a side may have for the image to stay whole.
  package static let largestWhole = 1_536

  /// One part.
  package struct Tile: Sendable, Equatable {
    package let rows: Range<Int>
    package let columns: Range<Int>

    /// Its pixels.
    @inlinable package var area: Int { rows.count * columns.count }

    /// The tile's numbers out of planes of a whole image. O(elements of the tile).
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

  /// Cuts an image.
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

  /// The mean of the tiles' logits; `logits` has one list for each tile, all of one length.
  package func mean(of logits: [[Double]]) -> [Double] {
    guard let classes = logits.first?.count, logits.count == tiles.count else { return [] }
    let total = Double(tiles.reduce(0) { $0 + $1.area })
    return (0..<classes).map { place in
      zip(tiles, logits).reduce(0) { $0 + Double($1.0.area) * $1.1[place] } / total
    }
  }
}
