/// A resized image, given by its height and width, and the crop of it that is computed.
struct ResamplingTarget: Equatable {
  var height: Int
  var width: Int
  var rows: Range<Int>
  var columns: Range<Int>
}

/// The filter weights for a range of outputs along one axis, in Pillow's fixed-point numbers.
///
/// Source: Pillow `src/libImaging/Resample.c`, its bilinear filter for 8 bits. Downscaling widens the filter,
/// which is the antialiasing.
private struct AxisWeights {
  /// The number of fractional bits.
  static let precision: Int32 = 32 - 8 - 2
  /// For each output, the index of its first source and the weights from there on.
  private(set) var starts: [Int] = []
  private(set) var weights: [[Int32]] = []

  /// Computes the weights of the outputs `range` of `output`, from `input` sources.
  init(input: Int, output: Int, range: Range<Int>) {
    let scale = Double(input) / Double(output)
    let support = max(scale, 1)
    for place in range {
      let center = (Double(place) + 0.5) * scale
      let start = max(0, Int(center - support + 0.5))
      let end = min(input, Int(center + support + 0.5))
      var factors = (start..<max(start, end)).map { source in
        max(0, 1 - abs((Double(source) - center + 0.5) * (1 / support)))
      }
      // Summed from the first weight on, as in Pillow. Another order would round differently.
      let sum = factors.reduce(0, +)
      if sum != 0 { for index in factors.indices { factors[index] /= sum } }
      starts.append(start)
      weights.append(factors.map { Int32(0.5 + $0 * Double(1 << Self.precision)) })
    }
  }

  /// The range of sources that the outputs need.
  var sources: Range<Int> {
    let ends = zip(starts, weights).map { $0 + $1.count }
    return (starts.min() ?? 0)..<(ends.max() ?? 0)
  }

  /// Returns the nearest 8-bit number of a sum that was initialised with one half.
  static func rounded(_ sum: Int32) -> UInt8 { UInt8(clamping: sum >> precision) }
}

extension DecodedImage {
  /// Returns the target's crop of the resized image, bit for bit equal to Pillow's bilinear `resize` followed
  /// by a crop. O(sources of the crop).
  func resampled(to target: ResamplingTarget) -> [UInt8] {
    let across = AxisWeights(input: width, output: target.width, range: target.columns)
    let down = AxisWeights(input: height, output: target.height, range: target.rows)
    let half: Int32 = 1 << (AxisWeights.precision - 1)
    let sourceRows = down.sources
    // The horizontal pass comes first and rounds to 8 bits, as in Pillow.
    var narrow: [UInt8] = []
    let narrowWidth = target.columns.count * 3
    narrow.reserveCapacity(sourceRows.count * narrowWidth)
    for row in sourceRows {
      for (start, weights) in zip(across.starts, across.weights) {
        var place = (row * width + start) * 3
        var (red, green, blue) = (half, half, half)
        for weight in weights {
          red &+= Int32(pixels[place]) &* weight
          green &+= Int32(pixels[place + 1]) &* weight
          blue &+= Int32(pixels[place + 2]) &* weight
          place += 3
        }
        narrow.append(AxisWeights.rounded(red))
        narrow.append(AxisWeights.rounded(green))
        narrow.append(AxisWeights.rounded(blue))
      }
    }
    var result: [UInt8] = []
    result.reserveCapacity(target.rows.count * narrowWidth)
    var sums = [Int32](repeating: half, count: narrowWidth)
    for (start, weights) in zip(down.starts, down.weights) {
      for column in sums.indices { sums[column] = half }
      for (index, weight) in weights.enumerated() {
        let base = (start - sourceRows.lowerBound + index) * narrowWidth
        for column in sums.indices { sums[column] &+= Int32(narrow[base + column]) &* weight }
      }
      for sum in sums { result.append(AxisWeights.rounded(sum)) }
    }
    return result
  }
}
