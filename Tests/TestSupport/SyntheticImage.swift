package import DecantBytes
internal import DecantResNets

/// Seeded images: smooth with noise, so that the features of two images differ.
///
/// The bits are those of `image` in `fixtures/synthesis.py`. Each value is the sum of noise for every pixel, halved,
/// noise for cells of 8×8 pixels and noise for cells of 32×32 pixels. Values are in (−2.5, 2.5).
package enum SyntheticImage {
  /// Returns the images `first` ..< `first + count` of a seed: float32, N×C×H×W in row-major order. O(elements).
  package static func values(
    seed: UInt64, first: Int = 0, count: Int = 1, channels: Int = 3, height: Int, width: Int
  ) throws(DecantError) -> [Float] {
    let end = first.checkedAdding(count)
    guard first >= 0, let end, [count, channels, height, width].allSatisfy({ $0 >= 1 }),
      checkedProduct([end, channels, height, width, 4]) != nil,
      let elementCount = checkedProduct([count, channels, height, width])
    else {
      throw DecantError(
        .invalidArgument, "an image cannot have the shape [\(count), \(channels), \(height), \(width)]")
    }

    let fine = Field(seed: seed, name: "image.fine", cell: 1, height: height, width: width)
    let coarse8 = Field(seed: seed, name: "image.coarse8", cell: 8, height: height, width: width)
    let coarse32 = Field(seed: seed, name: "image.coarse32", cell: 32, height: height, width: width)
    var values: [Float] = []
    values.reserveCapacity(elementCount)
    for plane in first * channels..<end * channels {
      for y in 0..<height {
        for x in 0..<width {
          values.append(
            (fine.value(plane, y, x) * 0.5 + coarse8.value(plane, y, x)) + coarse32.value(plane, y, x))
        }
      }
    }
    return values
  }

  /// Noise that is constant in square cells. A plane is one channel of one image.
  private struct Field {
    let hash: CounterHash
    let cell: Int
    let rows: Int
    let columns: Int

    init(seed: UInt64, name: String, cell: Int, height: Int, width: Int) {
      hash = CounterHash(seed: seed, name: name)
      self.cell = cell
      rows = (height - 1) / cell + 1
      columns = (width - 1) / cell + 1
    }

    func value(_ plane: Int, _ y: Int, _ x: Int) -> Float {
      hash.unit(UInt64((plane * rows + y / cell) * columns + x / cell))
    }
  }
}
