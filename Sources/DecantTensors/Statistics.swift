public import DecantBytes

/// The range, the mean and the standard deviation of a tensor's elements.
public struct TensorStatistics: Sendable {
  /// The number of elements that are infinite or NaN.
  public let nonFiniteCount: Int
  /// The number of elements that are NaN; nil when the dtype is not read as real numbers.
  public let nanCount: Int?
  /// The number of elements that are zero, of either sign; nil like ``nanCount``.
  public let zeroCount: Int?
  /// The number of elements that are infinite; nil like ``nanCount``.
  public var infiniteCount: Int? { nanCount.map { nonFiniteCount - $0 } }
  /// The smallest finite element; nil when there is none, or when the dtype is not read as real numbers.
  public let least: Double?
  /// The largest finite element; nil like ``least``.
  public let greatest: Double?
  /// The mean of the finite elements; nil like ``least``.
  public let mean: Double?
  /// The standard deviation of the finite elements, as `numpy.std` computes it; nil like ``least``.
  public let standardDeviation: Double?
}

extension Tensor {
  /// Reads every element and returns their range, mean and deviation, computed in float64. O(elements), in bounded
  /// memory.
  ///
  /// - Throws: ``DecantError`` for a tensor without data and for data that cannot be read.
  public func statistics() throws(DecantError) -> TensorStatistics {
    try DecantError.mapping { try readStatistics() }
  }

  /// Counts the elements in intervals of equal width between two numbers. O(elements), in bounded memory.
  ///
  /// - Parameters:
  ///   - count: the number of intervals; at least 1. The last one includes its upper end.
  ///   - range: the lower end of the first interval and the upper end of the last.
  /// - Throws: ``DecantError`` like ``statistics()``.
  package func histogram(_ count: Int, over range: ClosedRange<Double>) throws(DecantError) -> [Int] {
    var counts = Array(repeating: 0, count: count)
    // Halves, since the range of the largest doubles is no double.
    let (low, width) = (range.lowerBound / 2, range.upperBound / 2 - range.lowerBound / 2)
    try DecantError.mapping {
      try readNumbers { numbers in
        for number in numbers where range.contains(number) {
          let position = width > 0 ? (number / 2 - low) / width * Double(count) : 0
          counts[min(count - 1, Int(position))] += 1
        }
      }
    }
    return counts
  }

  private func readStatistics() throws -> TensorStatistics {
    guard isReal else {
      return TensorStatistics(
        nonFiniteCount: try countNonFinite(), nanCount: nil, zeroCount: nil, least: nil, greatest: nil,
        mean: nil,
        standardDeviation: nil)
    }
    var (nonFinite, nan, zeros, finite) = (0, 0, 0, 0)
    var least = Double.infinity
    var greatest = -Double.infinity
    var sum = 0.0
    // The mean so far, and the sum of squared differences from it (Chan, Golub and LeVeque).
    var (center, squares) = (0.0, 0.0)
    try readNumbers { numbers in
      var (pieceCount, pieceSum) = (0, 0.0)
      for number in numbers {
        guard number.isFinite else {
          nonFinite += 1
          if number.isNaN { nan += 1 }
          continue
        }
        pieceCount += 1
        if number == 0 { zeros += 1 }
        least = min(least, number)
        greatest = max(greatest, number)
        pieceSum += number
      }
      guard pieceCount > 0 else { return }
      let pieceMean = pieceSum / Double(pieceCount)
      var pieceSquares = 0.0
      for number in numbers where number.isFinite {
        pieceSquares += (number - pieceMean) * (number - pieceMean)
      }
      let total = Double(finite + pieceCount)
      let step = pieceMean - center
      squares += pieceSquares + step * step * Double(finite) * Double(pieceCount) / total
      center += step * Double(pieceCount) / total
      finite += pieceCount
      sum += pieceSum
    }
    guard finite > 0 else {
      return TensorStatistics(
        nonFiniteCount: nonFinite, nanCount: nan, zeroCount: zeros, least: nil, greatest: nil, mean: nil,
        standardDeviation: nil)
    }
    return TensorStatistics(
      nonFiniteCount: nonFinite, nanCount: nan, zeroCount: zeros, least: least, greatest: greatest,
      mean: sum / Double(finite), standardDeviation: (squares / Double(finite)).squareRoot())
  }

  /// True when the elements are read as real numbers.
  package var isReal: Bool {
    switch dtype {
    case .float4_e2m1fn_x2, .int1, .int2, .int3, .int4, .int5, .int6, .int7, .uint1, .uint2, .uint3, .uint4,
      .uint5,
      .uint6, .uint7:
      false
    default: dtype.kind != .complex && dtype.kind != .bits && dtype.kind != .quantized
    }
  }
}
